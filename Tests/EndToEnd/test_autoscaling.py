"""The use of nodes and pods, and autoscalers that follow it."""

import json
import os
import re
import tempfile
import unittest

from cluster import NODE_ADDRESS, Cluster
from hosts import eventually
from programs import certify, start

IMAGE = "apus.local/busybox:1"
cluster = None


def setUpModule():
    global cluster
    cluster = Cluster.ready()
    eventually(lambda: cluster.get("serviceaccount", "default"), 20, what="the account")


def tearDownModule():
    cluster.close()


def apply(value):
    return cluster.kubectl("apply", "-f", "-", input=json.dumps(value))


def deploy(name, script, replicas=1, resources=None):
    apply({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": {
        "replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": {
            "metadata": {"labels": {"app": name}}, "spec": {"terminationGracePeriodSeconds": 0, "containers": [
                {"name": "main", "image": IMAGE, "command": ["sh", "-c", script], "resources": resources or {}}]}}}})


def autoscale(name, metric, most=3, behavior=None):
    apply({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": name}, "spec": {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}, "maxReplicas": most,
        "metrics": [metric], **({"behavior": behavior} if behavior else {})}})


def replicas(name):
    return cluster.get("deployment", name)["spec"]["replicas"]


def condition(name, kind):
    conditions = cluster.get("hpa", name).get("status", {}).get("conditions", [])
    return next((c for c in conditions if c["type"] == kind), {"status": "", "reason": "", "message": ""})


class Use(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        deploy("busy", "while :; do :; done", resources={"requests": {"cpu": "50m"}, "limits": {"cpu": "200m"}})
        deploy("unasked", "sleep 3600")

    def test_top(self):
        def used():
            match = re.search(r"^busy-\S+ +(\d+)m +(\d+)Mi$", cluster.out("top", "pods", "-l", "app=busy", "--no-headers"), re.M)
            return match and int(match[1]) >= 100 and match
        self.assertTrue(eventually(used, 60, what="the busy pod's use"))
        self.assertRegex(cluster.out("top", "pods", "--containers", "-A"), r"busy-\S+ +main +\d+m")
        self.assertRegex(eventually(lambda: cluster.out("top", "nodes"), 60, what="the node's use"),
                         r"\n\S+ +\d+m +\d+% +\d+Mi +\d+%")
        self.assertRegex(cluster.out("get", "pods.metrics.k8s.io"), r"NAME +CPU +MEMORY +WINDOW\n")
        missing = cluster.kubectl("top", "pod", "nobody", check=False)
        self.assertIn('podmetrics.metrics.k8s.io "default/nobody" not found', missing.stderr)

    def test_it_is_an_api_of_this_server(self):
        self.assertRegex(cluster.out("get", "apiservice", "v1beta1.metrics.k8s.io"), r" Local +True")
        self.assertRegex(cluster.out("api-resources", "--api-group=metrics.k8s.io"),
                         r"nodes +metrics.k8s.io/v1beta1 +false +NodeMetrics")
        self.assertIn('"kind":"PodMetricsList"', cluster.raw("/apis/metrics.k8s.io/v1beta1/pods")[1])
        self.assertEqual(cluster.raw("/apis/metrics.k8s.io/v1beta1/things")[0], 404)

    def test_more_pods_for_more_work(self):
        autoscale("busy", {"type": "Resource", "resource": {"name": "cpu", "target": {
            "type": "Utilization", "averageUtilization": 100}}})
        eventually(lambda: replicas("busy") == 3, 120, what="more pods")
        self.assertEqual(condition("busy", "AbleToScale")["status"], "True")
        self.assertEqual(condition("busy", "ScalingActive")["reason"], "ValidMetricFound")
        self.assertRegex(cluster.out("get", "hpa", "busy"), r"Deployment/busy +cpu: \d+%/100% +1 +3 +\d")
        self.assertIn("New size:", cluster.out("describe", "hpa", "busy"))

    def test_why_it_cannot(self):
        autoscale("unasked", {"type": "Resource", "resource": {"name": "cpu", "target": {
            "type": "Utilization", "averageUtilization": 50}}})
        eventually(lambda: "missing request for cpu in container main of Pod unasked-"
                   in condition("unasked", "ScalingActive")["message"], 90, what="the reason")
        self.assertEqual(condition("unasked", "ScalingActive")["reason"], "FailedGetResourceMetric")
        self.assertEqual(replicas("unasked"), 1)


class Adapters(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = directory = tempfile.mkdtemp(dir=cluster.directory)
        certify(directory, "adapter", "DNS:adapter.default.svc")
        cls.set({})
        process, port = start(cluster, "adapter", NODE_ADDRESS, directory)
        cls.addClassCleanup(process.kill)
        apply({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "adapter"}, "spec": {"ports": [{"port": 443}]}})
        apply({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": {
            "name": "adapter", "labels": {"kubernetes.io/service-name": "adapter"}}, "addressType": "IPv4",
            "ports": [{"port": port, "name": ""}],
            "endpoints": [{"addresses": [NODE_ADDRESS], "conditions": {"ready": True}}]})
        for group, version in [("custom.metrics.k8s.io", "v1beta2"), ("external.metrics.k8s.io", "v1beta1")]:
            apply({"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": {"name": f"{version}.{group}"},
                   "spec": {"group": group, "version": version, "groupPriorityMinimum": 100, "versionPriority": 100,
                            "insecureSkipTLSVerify": True, "service": {"name": "adapter", "namespace": "default"}}})

    @classmethod
    def set(cls, figures):
        path = os.path.join(cls.directory, "figures.json")
        with open(path + ".new", "w") as file:
            json.dump(figures, file)
        os.rename(path + ".new", path)

    def test_figures_from_anywhere(self):
        swift = {"scaleDown": {"stabilizationWindowSeconds": 0, "policies": [
            {"type": "Percent", "value": 100, "periodSeconds": 15}]}}
        for name in ("queue", "thing", "each"):
            deploy(name, "sleep 3600")
        pod = eventually(lambda: next(iter(
            i["metadata"]["name"] for i in cluster.get("pods", "-l", "app=each")["items"]
            if any(c["type"] == "Ready" and c["status"] == "True" for c in i["status"].get("conditions", []))), None),
            60, what="a pod")
        self.set({"depth{queue=work}": "30", "services/adapter/requests": "2500m", "pods:app=each": {pod: "20"}})
        autoscale("queue", {"type": "External", "external": {
            "metric": {"name": "depth", "selector": {"matchLabels": {"queue": "work"}}},
            "target": {"type": "AverageValue", "averageValue": "10"}}}, behavior=swift)
        autoscale("thing", {"type": "Object", "object": {
            "describedObject": {"apiVersion": "v1", "kind": "Service", "name": "adapter"}, "metric": {"name": "requests"},
            "target": {"type": "AverageValue", "averageValue": "1"}}})
        autoscale("each", {"type": "Pods", "pods": {
            "metric": {"name": "load"}, "target": {"type": "AverageValue", "averageValue": "10"}}}, most=2)
        for name, size in (("queue", 3), ("thing", 3), ("each", 2)):
            eventually(lambda: replicas(name) == size, 60, what=f"{size} of {name}")
        self.assertIn("external metric depth(queue=work)", condition("queue", "ScalingActive")["message"])
        self.assertEqual(cluster.get("hpa", "thing")["status"]["currentMetrics"][0]["object"]["current"],
                         {"averageValue": "2500m"})
        self.set({"depth{queue=work}": "1"})
        eventually(lambda: replicas("queue") == 1, 90, what="fewer of queue")
        eventually(lambda: condition("thing", "ScalingActive")["reason"] == "FailedGetObjectMetric", 60, what="a lost figure")
        self.assertEqual(replicas("thing"), 3)
