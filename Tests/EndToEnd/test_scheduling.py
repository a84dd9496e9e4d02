"""The scheduler with a real node: room is made for the important, pods keep apart, and everybody is told why they wait."""

import json
import unittest

from cluster import Cluster
from hosts import eventually

IMAGE = "apus.local/busybox:1"
cluster = None


def setUpModule():
    global cluster
    cluster = Cluster.ready()
    eventually(lambda: cluster.get("serviceaccount", "default"), 20, what="the account")
    # A resource of which there is little.
    patch = [{"op": "add", "path": "/status/capacity/example.com~1seat", "value": "2"}]
    cluster.kubectl("patch", "node", "node-1", "--subresource=status", "--type=json", "-p", json.dumps(patch))
    eventually(lambda: "example.com/seat" in cluster.get("node", "node-1")["status"]["allocatable"], 30, what="seats")


def tearDownModule():
    cluster.close()


def apply(value):
    return cluster.kubectl("apply", "-f", "-", input=json.dumps(value))


def pod(name, seats=0, labels=None, **spec):
    resources = {"limits": {"example.com/seat": str(seats)}} if seats else {}
    apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels or {}}, "spec": {
        "terminationGracePeriodSeconds": 1, "containers": [
            {"name": "main", "image": IMAGE, "command": ["sleep", "600"], "resources": resources}], **spec}})


def phase(name):
    done = cluster.kubectl("get", "pod", name, "-o", "jsonpath={.status.phase}", check=False)
    return done.stdout


def waiting(name):
    conditions = cluster.get("pod", name)["status"].get("conditions", [])
    return next((c["message"] for c in conditions if c["type"] == "PodScheduled" and c["status"] == "False"), "")


class Preemption(unittest.TestCase):
    def test_room_is_made_for_the_important(self):
        for name, value in (("low", 1), ("high", 1000)):
            apply({"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name}, "value": value})
        apply({"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": "polite"}, "value": 1000,
               "preemptionPolicy": "Never"})
        pod("first", seats=1, priorityClassName="low")
        pod("second", seats=1, priorityClassName="high")
        for name in ("first", "second"):
            eventually(lambda: phase(name) == "Running", 30, what=name)
        pod("patient", seats=1, priorityClassName="polite")
        eventually(lambda: "preemption: not eligible due to preemptionPolicy=Never." in waiting("patient"), 20,
                   what="its patience")
        self.assertIn("0/1 nodes are available: 1 Insufficient example.com/seat.", waiting("patient"))
        cluster.kubectl("delete", "pod", "patient")
        pod("important", seats=1, priorityClassName="high")
        eventually(lambda: phase("important") == "Running", 30, what="important")
        self.assertEqual(phase("first"), "")
        self.assertEqual(phase("second"), "Running")
        events = cluster.get("events", "--field-selector=involvedObject.name=first")["items"]
        self.assertIn("Preempted", [event["reason"] for event in events])


class Company(unittest.TestCase):
    def test_kept_and_shunned(self):
        def term(kind, app):
            return {kind: {"requiredDuringSchedulingIgnoredDuringExecution": [
                {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": app}}}]}}

        pod("friend", affinity=term("podAffinity", "host"))
        eventually(lambda: "1 node(s) didn't match pod affinity rules" in waiting("friend"), 20, what="loneliness")
        pod("host", labels={"app": "host"})
        eventually(lambda: phase("friend") == "Running", 30, what="company")
        pod("shy", affinity=term("podAntiAffinity", "host"))
        eventually(lambda: "1 node(s) didn't match pod anti-affinity rules" in waiting("shy"), 20, what="shyness")
        cluster.kubectl("delete", "pod", "host")
        eventually(lambda: phase("shy") == "Running", 30, what="solitude")

    def test_spread(self):
        constraint = {"maxSkew": 1, "topologyKey": "example.com/rack", "whenUnsatisfiable": "DoNotSchedule",
                      "labelSelector": {"matchLabels": {"app": "racked"}}}
        pod("racked", labels={"app": "racked"}, topologySpreadConstraints=[constraint])
        eventually(lambda: "didn't match pod topology spread constraints (missing required label)" in waiting("racked"), 20,
                   what="a complaint")
        cluster.kubectl("label", "node", "node-1", "example.com/rack=r1")
        eventually(lambda: phase("racked") == "Running", 30, what="a rack")


if __name__ == "__main__":
    unittest.main()
