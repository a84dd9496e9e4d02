"""What protects a cluster, with stock kubectl: the audit log, and encryption at rest."""

import base64
import json
import os
import unittest

from cluster import Cluster
from hosts import eventually

POLICY = """
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
  resources: [{group: "", resources: [secrets]}]
- level: RequestResponse
  resources: [{group: "", resources: [configmaps]}]
  namespaces: [default]
- level: None
"""
cluster = None
log = None


KEY = base64.b64encode(bytes(range(32))).decode()


def encrypt(cluster, *ciphers):
    """Writes how secrets and everything of apps are encrypted; the first is for what is written from now on."""
    providers = [{c: {"keys": [{"name": c + "1", "secret": KEY}]}} for c in ciphers] + [{"identity": {}}]
    path = os.path.join(cluster.directory, "encryption.json")
    with open(path + ".new", "w") as file:
        json.dump({"kind": "EncryptionConfiguration", "apiVersion": "apiserver.config.k8s.io/v1", "resources": [
            {"resources": ["secrets", "*.apps"], "providers": providers}]}, file)
    os.rename(path + ".new", path)
    return path


def arguments(*flags):
    return [part for flag in flags for part in ("--kube-apiserver-arg", flag)]


def flags(cluster):
    global log
    log = os.path.join(cluster.directory, "audit.log")
    policy = os.path.join(cluster.directory, "policy.yaml")
    with open(policy, "w") as file:
        file.write(POLICY)
    return arguments(
        f"audit-policy-file={policy}", f"audit-log-path={log}",
        f"encryption-provider-config={encrypt(cluster, 'secretbox')}",
        "encryption-provider-config-automatic-reload=true")


def setUpModule():
    global cluster
    cluster = Cluster.ready(flags_of=flags)


def tearDownModule():
    cluster.close()


def events(resource, name, verb):
    with open(log) as file:
        found = [json.loads(line) for line in file]
    return [e for e in found if e.get("objectRef", {}).get("resource") == resource and e["verb"] == verb
            and e["objectRef"].get("name") == name]


class Audit(unittest.TestCase):
    def test_objects_and_metadata(self):
        # kubectl's typed clients send protobuf; what is written down is JSON all the same.
        cluster.kubectl("create", "configmap", "noted", "--from-literal=a=1")
        made = eventually(lambda: events("configmaps", "noted", "create"), 10, what="the event")[-1]
        self.assertEqual(made["requestObject"]["data"], {"a": "1"})
        self.assertEqual(made["responseObject"]["metadata"]["name"], "noted")
        self.assertEqual(made["responseStatus"]["code"], 201)
        self.assertIn("system:masters", made["user"]["groups"])
        self.assertEqual(made["annotations"]["authorization.k8s.io/decision"], "allow")
        cluster.kubectl("create", "secret", "generic", "hidden", "--from-literal=password=hunter2")
        eventually(lambda: events("secrets", None, "create"), 10, what="the event")
        with open(log) as file:
            self.assertNotIn("hunter2", file.read())

    def test_refusals_and_impersonation(self):
        cluster.kubectl("get", "configmap", "none", "--as=jane", check=False)
        refused = eventually(lambda: events("configmaps", "none", "get"), 10, what="the event")[-1]
        self.assertEqual(refused["responseStatus"]["code"], 403)
        self.assertEqual(refused["responseStatus"]["reason"], "Forbidden")
        self.assertEqual(refused["impersonatedUser"]["username"], "jane")
        self.assertEqual(refused["annotations"]["authorization.k8s.io/decision"], "forbid")

    def test_a_policy_that_cannot_be_read_is_one_clear_error(self):
        done = cluster.apus("server", "--data-dir", os.path.join(cluster.directory, "other"), "--kube-apiserver-arg",
                            "audit-policy-file=/nowhere", check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("cannot read /nowhere", done.stderr)


class Encryption(unittest.TestCase):
    def stored(self):
        """All bytes of the store's files."""
        directory = os.path.join(cluster.data, "store")
        content = b""
        for name in os.listdir(directory):
            with open(os.path.join(directory, name), "rb") as file:
                content += file.read()
        return content

    def test_nothing_of_it_is_readable_on_the_disk(self):
        cluster.kubectl("create", "secret", "generic", "sealed", "--from-literal=password=correct-horse-battery")
        cluster.kubectl("create", "configmap", "open", "--from-literal=note=plain-as-day")
        plain = base64.b64encode(b"correct-horse-battery")
        content = self.stored()
        self.assertIn(b"plain-as-day", content)
        self.assertNotIn(plain, content)
        self.assertIn(b"k8s:enc:secretbox:v1:secretbox1:", content)
        # Another cipher from now on; what is there is still read, and written anew when it is replaced by itself.
        path = encrypt(cluster, "aesgcm", "secretbox")
        eventually(lambda: "encryption configuration reloaded" in cluster.server_log(400), 20, what="the reload")
        value = cluster.out("get", "secret", "sealed", "-o", "json")
        self.assertEqual(json.loads(value)["data"]["password"].encode(), plain)
        version = json.loads(value)["metadata"]["resourceVersion"]
        cluster.kubectl("replace", "-f", "-", input=value)
        self.assertNotEqual(cluster.get("secret", "sealed")["metadata"]["resourceVersion"], version)
        self.assertIn(b"k8s:enc:aesgcm:v1:aesgcm1:", self.stored())
        # After a restart everything is there.
        cluster.kill()
        cluster.start(*arguments(f"encryption-provider-config={path}"))
        cluster.wait_ready()
        self.assertEqual(cluster.get("secret", "sealed")["data"]["password"].encode(), plain)


if __name__ == "__main__":
    unittest.main()
