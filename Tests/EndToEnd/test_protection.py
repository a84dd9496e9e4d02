"""What protects a cluster, with stock kubectl: the audit log."""

import json
import os
import tempfile
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


def setUpModule():
    global cluster, log
    cluster = Cluster(os.environ["APUS_BINARY"])
    try:
        directory = tempfile.mkdtemp(dir=cluster.directory)
        log = os.path.join(directory, "audit.log")
        policy = os.path.join(directory, "policy.yaml")
        with open(policy, "w") as file:
            file.write(POLICY)
        cluster.start("--kube-apiserver-arg", f"audit-policy-file={policy}", "--kube-apiserver-arg", f"audit-log-path={log}")
        cluster.wait_ready()
    except BaseException:
        print(cluster.server_log() if os.path.exists(cluster.log) else "")
        cluster.close()
        raise


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


if __name__ == "__main__":
    unittest.main()
