"""Custom resources with stock kubectl: defined, used at once, converted by a webhook, and taken away again."""

import json
import subprocess
import threading
import time
import unittest

from cluster import NODE_ADDRESS, Cluster
from hosts import eventually
from webhook import Webhook

cluster = None

SCHEMA = {
    "type": "object",
    "description": "A thing that swims.",
    "properties": {
        "spec": {
            "type": "object",
            "required": ["size"],
            "properties": {
                "size": {"type": "integer", "minimum": 1, "description": "How long it is, in metres."},
                "limit": {"type": "integer", "default": 30},
                "name": {"type": "string", "pattern": "^[a-z]+$"},
            },
            "x-kubernetes-validations": [
                {"rule": "self.size <= self.limit", "messageExpression": "'%d is more than %d'.format([self.size, self.limit])"},
                {"rule": "self.size >= oldSelf.size", "message": "a whale does not shrink"},
            ],
        },
        "status": {
            "type": "object",
            "properties": {"seen": {"type": "integer"}, "selector": {"type": "string"}},
        },
    },
}


def definition(plural, kind, versions, group="sea.example.com", **spec):
    return {
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group, "scope": "Namespaced",
            "names": {"plural": plural, "singular": kind.lower(), "kind": kind, "shortNames": [plural[:2]],
                      "categories": ["all"]},
            "versions": versions, **spec,
        },
    }


def apply(value, *args, check=True):
    return cluster.kubectl("apply", *args, "-f", "-", input=json.dumps(value), check=check)


def whale(called, /, **spec):
    return {"apiVersion": "sea.example.com/v1", "kind": "Whale", "metadata": {"name": called, "namespace": "default"},
            "spec": spec}


def setUpModule():
    global cluster
    cluster = Cluster.ready()


def tearDownModule():
    cluster.close()


class CustomResources(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        version = {
            "name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": SCHEMA},
            "subresources": {"status": {}, "scale": {
                "specReplicasPath": ".spec.size", "statusReplicasPath": ".status.seen",
                "labelSelectorPath": ".status.selector"}},
            "selectableFields": [{"jsonPath": ".spec.name"}],
            "additionalPrinterColumns": [
                {"name": "Size", "type": "integer", "jsonPath": ".spec.size"},
                {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}],
        }
        begun = time.monotonic()
        apply(definition("whales", "Whale", [version]))
        cluster.kubectl("wait", "--for=condition=Established", "crd/whales.sea.example.com", "--timeout=10s")
        apply(whale("first", size=3))
        cls.seconds = time.monotonic() - begun

    def test_served_at_once(self):
        # Three runs of kubectl are in this time as well.
        self.assertLess(self.seconds, 3)
        self.assertIn("whales", cluster.out("api-resources", "--api-group=sea.example.com", "-o", "name"))
        self.assertIn("first", cluster.out("get", "all"))
        self.assertRegex(cluster.out("get", "wh"), r"(?s)NAME +SIZE +AGE\n.*first +3 ")

    def test_explained(self):
        text = cluster.out("explain", "whale.spec.size")
        self.assertIn("How long it is, in metres.", text)
        self.assertIn("FIELD: size <integer>", text)

    def test_checked_and_defaulted(self):
        apply(whale("defaulted", size=5))
        self.assertEqual(cluster.get("whale", "defaulted")["spec"], {"size": 5, "limit": 30})
        for spec, message in [
            ({"size": 0}, "spec.size: Invalid value: 0: spec.size in body should be greater than or equal to 1"),
            ({}, "spec.size: Required value"),
            ({"size": 3, "name": "X"}, "spec.name: Invalid value: \"X\": spec.name in body should match '^[a-z]+$'"),
            ({"size": 31}, "31 is more than 30"),
        ]:
            done = apply(whale("bad", **spec), "--validate=false", check=False)
            self.assertNotEqual(done.returncode, 0)
            self.assertIn(message, done.stderr)
        done = apply(whale("bad", size=2, colour="blue"), check=False)
        self.assertIn('unknown field "spec.colour"', done.stderr)
        apply(whale("pruned", size=2, colour="blue"), "--validate=false")
        self.assertNotIn("colour", cluster.get("whale", "pruned")["spec"])
        done = apply(whale("defaulted", size=4), check=False)
        self.assertIn("a whale does not shrink", done.stderr)

    def test_changed_by_every_patch(self):
        apply(whale("patched", size=3))
        cluster.kubectl("patch", "whale", "patched", "--type=merge", "-p", '{"spec":{"name":"moby"}}')
        cluster.kubectl("patch", "whale", "patched", "--type=json", "-p",
                        '[{"op":"replace","path":"/spec/size","value":4}]')
        value = cluster.get("whale", "patched")
        self.assertEqual(value["spec"], {"size": 4, "limit": 30, "name": "moby"})
        self.assertEqual(value["metadata"]["generation"], 3)
        done = cluster.kubectl("patch", "whale", "patched", "--type=strategic", "-p", "{}", check=False)
        self.assertNotEqual(done.returncode, 0)
        cluster.kubectl("apply", "--server-side", "-f", "-", "--field-manager=one",
                        input=json.dumps(whale("shared", size=3, name="a")))
        done = cluster.kubectl("apply", "--server-side", "-f", "-", "--field-manager=two",
                               input=json.dumps(whale("shared", size=3, name="b")), check=False)
        self.assertIn('conflict with "one": .spec.name', done.stderr)

    def test_status_and_scale(self):
        apply(whale("counted", size=3))
        cluster.kubectl("patch", "whale", "counted", "--subresource=status", "--type=merge", "-p",
                        '{"spec":{"size":9},"status":{"seen":2,"selector":"app=x"}}')
        value = cluster.get("whale", "counted")
        self.assertEqual((value["spec"]["size"], value["status"]["seen"]), (3, 2))
        cluster.kubectl("patch", "whale", "counted", "--type=merge", "-p", '{"status":{"seen":7}}')
        self.assertEqual(cluster.get("whale", "counted")["status"]["seen"], 2)
        cluster.kubectl("scale", "whale/counted", "--replicas=6")
        self.assertEqual(cluster.get("whale", "counted")["spec"]["size"], 6)
        scale = json.loads(cluster.raw("/apis/sea.example.com/v1/namespaces/default/whales/counted/scale")[1])
        self.assertEqual(scale["status"], {"replicas": 2, "selector": "app=x"})

    def test_selected_by_field(self):
        apply(whale("named", size=3, name="jonah"))
        self.assertEqual(cluster.out("get", "whales", "--field-selector=spec.name=jonah", "-o", "name").split(),
                         ["whale.sea.example.com/named"])

    def test_watched(self):
        watch = subprocess.Popen(cluster.command("get", "whales", "--watch-only", "-o", "name"),
                                 stdout=subprocess.PIPE, text=True)
        limit = threading.Timer(30, watch.kill)
        limit.start()
        try:
            # A watch is open when it tells of what happens after it.
            lines = iter(watch.stdout.readline, "")
            seen = threading.Event()

            def create():
                for index in range(50):
                    apply(whale(f"watched-{index}", size=3))
                    if seen.wait(0.2):
                        return

            creator = threading.Thread(target=create)
            creator.start()
            self.assertTrue(any("watched-" in line for line in lines))
            seen.set()
            creator.join()
        finally:
            limit.cancel()
            watch.kill()
            watch.wait()
            watch.stdout.close()

    def test_collected_with_owner_and_namespace(self):
        cluster.kubectl("create", "configmap", "owner")
        uid = cluster.get("configmap", "owner")["metadata"]["uid"]
        owned = whale("owned", size=3)
        owned["metadata"]["ownerReferences"] = [{"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": uid}]
        apply(owned)
        cluster.kubectl("delete", "configmap", "owner")
        eventually(lambda: cluster.kubectl("get", "whale", "owned", check=False).returncode != 0, 30, what="owned gone")
        cluster.kubectl("create", "namespace", "bay")
        inside = whale("inside", size=3)
        inside["metadata"]["namespace"] = "bay"
        apply(inside)
        cluster.kubectl("delete", "namespace", "bay", "--timeout=30s")
        self.assertNotIn("inside", cluster.out("get", "whales", "-A"))


class Removal(unittest.TestCase):
    def test_takes_its_objects_along(self):
        version = {"name": "v1", "served": True, "storage": True,
                   "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}}
        apply(definition("eels", "Eel", [version]))
        cluster.kubectl("wait", "--for=condition=Established", "crd/eels.sea.example.com", "--timeout=10s")
        apply({"apiVersion": "sea.example.com/v1", "kind": "Eel",
               "metadata": {"name": "held", "namespace": "default", "finalizers": ["example.com/hold"]}})
        cluster.kubectl("delete", "crd", "eels.sea.example.com", "--wait=false")
        crd = eventually(lambda: self.terminating(), 10, what="Terminating")
        self.assertIn("customresourcecleanup.apiextensions.k8s.io", crd["metadata"]["finalizers"])
        done = apply({"apiVersion": "sea.example.com/v1", "kind": "Eel",
                      "metadata": {"name": "late", "namespace": "default"}}, "--validate=false", check=False)
        self.assertIn("create not allowed while custom resource definition is terminating", done.stderr)
        cluster.kubectl("patch", "eel", "held", "--type=merge", "-p", '{"metadata":{"finalizers":null}}')
        cluster.kubectl("wait", "--for=delete", "crd/eels.sea.example.com", "--timeout=20s")
        eventually(lambda: "eels" not in cluster.out("api-resources", "-o", "name"), 10, what="not discovered")

    @staticmethod
    def terminating():
        crd = cluster.get("crd", "eels.sea.example.com")
        conditions = {c["type"]: c["status"] for c in crd["status"]["conditions"]}
        return crd if conditions.get("Terminating") == "True" else None


class Conversion(unittest.TestCase):
    def test_by_webhook(self):
        webhook = Webhook(cluster, NODE_ADDRESS)
        self.addCleanup(webhook.close)

        def version(name, field, kind, storage):
            return {"name": name, "served": True, "storage": storage, "schema": {"openAPIV3Schema": {
                "type": "object", "properties": {"spec": {"type": "object", "properties": {field: {"type": kind}}}}}}}

        apply(definition(
            "squids", "Squid", [version("v1", "length", "string", False), version("v2", "metres", "integer", True)],
            conversion={"strategy": "Webhook", "webhook": {"conversionReviewVersions": ["v1"],
                "clientConfig": webhook.client("/convert")}}))
        cluster.kubectl("wait", "--for=condition=Established", "crd/squids.sea.example.com", "--timeout=10s")
        apply({"apiVersion": "sea.example.com/v1", "kind": "Squid",
               "metadata": {"name": "giant", "namespace": "default"}, "spec": {"length": "12m"}})
        self.assertEqual(cluster.get("squids.v2.sea.example.com", "giant")["spec"], {"metres": 12})
        self.assertEqual(cluster.get("squids.v1.sea.example.com", "giant")["spec"], {"length": "12m"})
        listed = cluster.get("squids.v1.sea.example.com")["items"]
        self.assertEqual([item["spec"] for item in listed], [{"length": "12m"}])
        cluster.kubectl("patch", "squids.v1.sea.example.com", "giant", "--type=merge", "-p", '{"spec":{"length":"13m"}}')
        self.assertEqual(cluster.get("squids.v2.sea.example.com", "giant")["spec"], {"metres": 13})
        self.assertTrue(webhook.reviews("/convert"))


if __name__ == "__main__":
    unittest.main()
