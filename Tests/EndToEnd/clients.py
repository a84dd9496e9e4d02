"""Python's stock clients at work; run by the interpreter that has them: clients.py kubernetes|lightkube|kr8s|kopf."""

import sys
import threading
import time

DEFINITION = {
    "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
    "metadata": {"name": "parrots.clients.example.com"},
    "spec": {"group": "clients.example.com", "scope": "Namespaced",
             "names": {"plural": "parrots", "singular": "parrot", "kind": "Parrot"},
             "versions": [{"name": "v1", "served": True, "storage": True, "subresources": {"status": {}}, "schema": {
                 "openAPIV3Schema": {"type": "object", "properties": {
                     "spec": {"type": "object", "properties": {"words": {"type": "string"}}},
                     "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}}}}]}}


def until(check, seconds=20):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = check()
        if value:
            return value
        time.sleep(0.1)
    raise AssertionError("did not come true")


def kubernetes():
    from kubernetes import client, config, dynamic, utils, watch
    from kubernetes.client.rest import ApiException

    config.load_kube_config()
    core, apps = client.CoreV1Api(), client.AppsV1Api()
    core.create_namespaced_config_map("default", client.V1ConfigMap(
        metadata=client.V1ObjectMeta(name="official"), data={"a": "1"}))
    core.patch_namespaced_config_map("official", "default", {"data": {"b": "2"}})
    assert core.read_namespaced_config_map("official", "default").data == {"a": "1", "b": "2"}
    try:
        core.read_namespaced_config_map("none", "default")
        raise AssertionError("found what is not there")
    except ApiException as error:
        assert error.status == 404 and "not found" in error.body
    deployment = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "official"}, "spec": {
        "replicas": 0, "selector": {"matchLabels": {"app": "o"}}, "template": {
            "metadata": {"labels": {"app": "o"}}, "spec": {"containers": [{"name": "c", "image": "none"}]}}}}
    utils.create_from_dict(client.ApiClient(), deployment)
    apps.patch_namespaced_deployment_scale("official", "default", {"spec": {"replicas": 1}})
    assert apps.read_namespaced_deployment_scale("official", "default").spec.replicas == 1
    seen = []

    def look():
        for event in watch.Watch().stream(core.list_namespaced_config_map, "default", timeout_seconds=20,
                                          label_selector="watched=yes"):
            seen.append((event["type"], event["object"].metadata.name))
            if event["type"] == "DELETED":
                return

    thread = threading.Thread(target=look)
    thread.start()
    core.create_namespaced_config_map("default", {"metadata": {"name": "watched", "labels": {"watched": "yes"}}})
    until(lambda: ("ADDED", "watched") in seen)
    core.delete_namespaced_config_map("watched", "default")
    thread.join()
    assert seen[-1] == ("DELETED", "watched"), seen
    parrots = dynamic.DynamicClient(client.ApiClient())
    parrots.resources.get(api_version="apiextensions.k8s.io/v1", kind="CustomResourceDefinition").create(DEFINITION)

    def discovered():
        try:
            return dynamic.DynamicClient(client.ApiClient()).resources.get(
                api_version="clients.example.com/v1", kind="Parrot")
        except dynamic.exceptions.ResourceNotFoundError:
            return None

    resource = until(discovered)
    resource.create({"apiVersion": "clients.example.com/v1", "kind": "Parrot", "metadata": {"name": "polly"},
                     "spec": {"words": "hello"}}, namespace="default")
    resource.server_side_apply({"apiVersion": "clients.example.com/v1", "kind": "Parrot", "metadata": {"name": "polly"},
                                "spec": {"words": "hello, sailor"}}, namespace="default", field_manager="clients",
                               force_conflicts=True)
    assert resource.get(name="polly", namespace="default").spec.words == "hello, sailor"
    assert client.VersionApi().get_code().major == "1"


def lightkube():
    from lightkube import ApiError, Client
    from lightkube.generic_resource import create_namespaced_resource
    from lightkube.models.meta_v1 import ObjectMeta
    from lightkube.resources.core_v1 import ConfigMap, Namespace, Pod
    from lightkube.types import PatchType

    client = Client(field_manager="lightkube")
    client.create(ConfigMap(metadata=ObjectMeta(name="light", namespace="default"), data={"a": "1"}))
    client.apply(ConfigMap(apiVersion="v1", kind="ConfigMap", metadata=ObjectMeta(name="light", namespace="default"),
                           data={"a": "2"}), force=True)
    client.patch(ConfigMap, "light", {"data": {"c": "3"}}, patch_type=PatchType.MERGE)
    assert client.get(ConfigMap, "light").data == {"a": "2", "c": "3"}
    assert "default" in [n.metadata.name for n in client.list(Namespace)]
    for index in range(5):
        client.create(ConfigMap(metadata=ObjectMeta(name=f"page-{index}", labels={"paged": "yes"})))
    assert len(list(client.list(ConfigMap, labels={"paged": "yes"}, chunk_size=2))) == 5
    for operation, found in client.watch(ConfigMap, labels={"paged": "yes"}, server_timeout=5):
        assert operation == "ADDED" and found.metadata.name.startswith("page-")
        break
    for index in range(5):
        client.delete(ConfigMap, f"page-{index}")
    assert list(client.list(ConfigMap, labels={"paged": "yes"})) == []
    try:
        client.get(Pod, "none")
        raise AssertionError("found what is not there")
    except ApiError as error:
        assert error.status.reason == "NotFound"
    parrot = create_namespaced_resource("clients.example.com", "v1", "Parrot", "parrots")
    client.create(parrot(metadata={"name": "light", "namespace": "default"}, spec={"words": "x"}))
    client.patch(parrot.Status, "light", {"status": {"seen": True}}, patch_type=PatchType.MERGE)
    assert client.get(parrot, "light").status == {"seen": True}


def kr8s():
    import kr8s
    from kr8s.objects import ConfigMap, Deployment, new_class

    api = kr8s.api()
    assert api.version()["major"] == "1"
    made = ConfigMap({"metadata": {"name": "krates", "namespace": "default"}, "data": {"a": "1"}})
    made.create()
    made.patch({"data": {"b": "2"}})
    made.label({"tested": "yes"})
    assert [c.name for c in kr8s.get("configmaps", namespace="default", label_selector="tested=yes")] == ["krates"]
    deployment = Deployment({"metadata": {"name": "krates", "namespace": "default"}, "spec": {
        "replicas": 0, "selector": {"matchLabels": {"app": "k"}}, "template": {
            "metadata": {"labels": {"app": "k"}}, "spec": {"containers": [{"name": "c", "image": "none"}]}}}})
    deployment.create()
    deployment.scale(2)
    assert deployment.replicas == 2
    Parrot = new_class(kind="Parrot", version="clients.example.com/v1", namespaced=True)
    parrot = Parrot({"metadata": {"name": "krates", "namespace": "default"}, "spec": {"words": "x"}})
    parrot.create()
    assert parrot.exists()
    parrot.delete()
    until(lambda: not parrot.exists())
    made.delete()


def kopf():
    import kopf
    from kubernetes import client, config

    config.load_kube_config()
    custom = client.CustomObjectsApi()
    said = []

    @kopf.on.create("clients.example.com", "v1", "parrots", id="created")
    def created(spec, name, **_):
        said.append((name, spec["words"]))
        return {"said": spec["words"]}

    @kopf.on.update("clients.example.com", "v1", "parrots", field="spec.words")
    def changed(old, new, name, **_):
        said.append((name, new))

    @kopf.on.delete("clients.example.com", "v1", "parrots")
    def gone(name, **_):
        said.append((name, "gone"))

    stop = threading.Event()
    operator = threading.Thread(target=lambda: kopf.run(
        stop_flag=stop, standalone=True, namespaces=["default"]))
    operator.start()
    try:
        place = ("clients.example.com", "v1", "default", "parrots")
        custom.create_namespaced_custom_object(*place, {
            "apiVersion": "clients.example.com/v1", "kind": "Parrot", "metadata": {"name": "iago"},
            "spec": {"words": "first"}})
        until(lambda: ("iago", "first") in said, 40)

        def settled():
            parrot = custom.get_namespaced_custom_object(*place, "iago")
            return parrot if parrot.get("status", {}).get("created") else None

        parrot = until(settled)
        assert parrot["status"]["created"] == {"said": "first"}
        assert parrot["metadata"]["finalizers"] == ["kopf.zalando.org/KopfFinalizerMarker"], parrot["metadata"]
        custom.patch_namespaced_custom_object(*place, "iago", {"spec": {"words": "second"}})
        until(lambda: ("iago", "second") in said)
        custom.delete_namespaced_custom_object(*place, "iago")
        until(lambda: ("iago", "gone") in said)

        def deleted():
            try:
                custom.get_namespaced_custom_object(*place, "iago")
                return False
            except client.ApiException as error:
                return error.status == 404

        until(deleted)
    finally:
        stop.set()
        operator.join(20)


if __name__ == "__main__":
    globals()[sys.argv[1]]()
    print("well")
