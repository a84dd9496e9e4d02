"""An extension API server behind an APIService, as stock kubectl sees it."""

import base64
import json
import os
import tempfile
import unittest

from cluster import NODE_ADDRESS, Cluster
from extension import GROUP, VERSION
from hosts import eventually
from programs import certify, start

NAME = f"{VERSION}.{GROUP}"
cluster = None


def setUpModule():
    global cluster
    cluster = Cluster.ready()


def tearDownModule():
    cluster.close()


def apply(value):
    return cluster.kubectl("apply", "-f", "-", input=json.dumps(value))


def available(name):
    conditions = cluster.get("apiservice", name).get("status", {}).get("conditions", [])
    return next((c for c in conditions if c["type"] == "Available"), {"status": "", "reason": ""})


class Aggregation(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        directory = tempfile.mkdtemp(dir=cluster.directory)
        bundle = base64.b64encode(certify(directory, "fish", "DNS:fish.default.svc").encode()).decode()
        # Extension servers find the front proxy's authority where upstream publishes it.
        published = cluster.get("configmap", "extension-apiserver-authentication", "-n", "kube-system")["data"]
        with open(os.path.join(directory, "proxy-ca.pem"), "w") as file:
            file.write(published["requestheader-client-ca-file"])
        cls.process, port = start(cluster, "extension", NODE_ADDRESS, directory)
        cls.addClassCleanup(cls.process.kill)
        apply({"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": {"name": NAME}, "spec": {
            "group": GROUP, "version": VERSION, "groupPriorityMinimum": 2000, "versionPriority": 10, "caBundle": bundle,
            "service": {"name": "fish", "namespace": "default", "port": 443}}})
        cls.missing = eventually(lambda: available(NAME)["reason"] == "ServiceNotFound", 20, what="a missing service")
        cls.refused = cluster.raw(f"/apis/{GROUP}/{VERSION}/namespaces/default/fish")
        apply({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "fish", "namespace": "default"},
               "spec": {"ports": [{"port": 443}]}})
        apply({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": {
            "name": "fish", "namespace": "default", "labels": {"kubernetes.io/service-name": "fish"}},
            "addressType": "IPv4", "ports": [{"port": port, "name": ""}],
            "endpoints": [{"addresses": [NODE_ADDRESS], "conditions": {"ready": True}}]})
        eventually(lambda: available(NAME)["status"] == "True", 30, what="the extension server available")

    def test_unavailable_before_its_service(self):
        self.assertEqual(self.refused, (503, "service unavailable\n"))

    def test_discovered(self):
        self.assertRegex(cluster.out("get", "apiservices", NAME), rf"{NAME} +default/fish +True")
        resources = cluster.out("api-resources", f"--api-group={GROUP}")
        self.assertRegex(resources, rf"fish +fi +{GROUP}/{VERSION} +true +Fish")
        index = json.loads(cluster.raw("/openapi/v3")[1])["paths"]
        self.assertEqual(index[f"apis/{GROUP}/{VERSION}"]["serverRelativeURL"],
                         f"/openapi/v3/apis/{GROUP}/{VERSION}?hash=FISH")
        self.assertEqual(json.loads(cluster.raw(f"/openapi/v3/apis/{GROUP}/{VERSION}")[1])["info"]["title"], "fish")

    def test_used_with_kubectl(self):
        cluster.kubectl("create", "--validate=false", "-f", "-", input=json.dumps({
            "apiVersion": f"{GROUP}/{VERSION}", "kind": "Fish", "metadata": {"name": "nemo"}, "spec": {"colour": "orange"}}))
        self.assertEqual(cluster.get("fish", "nemo")["spec"], {"colour": "orange"})
        self.assertIn("nemo", cluster.out("get", "fish", "-o", "name"))
        done = cluster.kubectl("get", "fish", "dory", check=False)
        self.assertIn(f'fish.{GROUP} "dory" not found', done.stderr)

    def test_knows_the_user_by_the_front_proxy(self):
        me = cluster.get("fish", "me")["spec"]
        self.assertEqual(me["proxy"], "front-proxy-client")
        self.assertEqual(me["authorization"], "")
        self.assertIn("system:masters", me["groups"])
        me = json.loads(cluster.raw(f"/apis/{GROUP}/{VERSION}/namespaces/default/fish/me", "-H", "Impersonate-User: jane",
                                    "-H", "Impersonate-Group: system:masters", "-H", "X-Remote-User: mallory")[1])["spec"]
        self.assertEqual(me["user"], "jane")
        code, body = cluster.raw(f"/apis/{GROUP}/{VERSION}/namespaces/default/fish/me", "-H", "Impersonate-User: jane")
        self.assertEqual(code, 403)

    def test_watches_come_through_as_they_happen(self):
        code, body = cluster.raw(f"/apis/{GROUP}/{VERSION}/namespaces/default/fish?watch=true")
        names = [json.loads(line)["object"]["metadata"]["name"] for line in body.splitlines()]
        self.assertEqual((code, names), (200, ["swimming-0", "swimming-1"]))

    def test_what_is_served_here_is_local(self):
        eventually(lambda: available("v1.apps")["reason"] == "Local", 20, what="v1.apps")
        self.assertRegex(cluster.out("get", "apiservices", "v1."), r"v1\. +Local +True")


if __name__ == "__main__":
    unittest.main()
