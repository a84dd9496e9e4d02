"""Ordered pods with storage, daemons, tokens in Secrets, ephemeral volumes and Service ranges, with real pods."""

import base64
import json
import random
import time
import unittest

from cluster import Cluster
from hosts import eventually

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


def template(name, script="sleep 3600", **spec):
    return {"metadata": {"labels": {"app": name}}, "spec": {
        "terminationGracePeriodSeconds": 0,
        "containers": [{"name": "main", "image": IMAGE, "command": ["sh", "-c", script],
                        **({"volumeMounts": spec.pop("mounts")} if "mounts" in spec else {})}], **spec}}


def status(kind, name):
    return cluster.get(kind, name).get("status", {})


def items(kind, selector):
    return json.loads(cluster.out("get", kind, "-l", selector, "-o", "json"))["items"]


def reasons(kind, name):
    events = json.loads(cluster.out("get", "events", "-o", "json"))["items"]
    return {e["reason"]: e["message"] for e in events
            if e["involvedObject"]["kind"] == kind and e["involvedObject"]["name"] == name}


class StatefulSets(unittest.TestCase):
    def make(self, name, replicas, **spec):
        apply({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": name}, "spec": {
            "replicas": replicas, "serviceName": name, "selector": {"matchLabels": {"app": name}},
            "template": template(name), **spec}})

    def settle(self, name, replicas):
        def settled():
            found = cluster.get("statefulset", name)
            now = found["status"]
            return (now.get("availableReplicas", 0) == replicas == now.get("replicas", 0)
                    and now["observedGeneration"] == found["metadata"]["generation"] and now)
        return eventually(settled, 90, what=f"{name} with {replicas}")

    def test_claims_go_with_the_pods_that_go(self):
        claim = {"metadata": {"name": "data"}, "spec": {
            "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}}
        self.make("keeper", 2, volumeClaimTemplates=[claim],
                  persistentVolumeClaimRetentionPolicy={"whenDeleted": "Delete", "whenScaled": "Delete"})
        self.settle("keeper", 2)
        owners = lambda: {c["metadata"]["name"]: [o["kind"] for o in c["metadata"].get("ownerReferences", [])]
                          for c in items("pvc", "app=keeper")}
        eventually(lambda: owners() == {"data-keeper-0": ["StatefulSet"], "data-keeper-1": ["StatefulSet"]}, 30,
                   what="claims that are the set's")
        cluster.kubectl("scale", "statefulset/keeper", "--replicas=1")
        eventually(lambda: list(owners()) == ["data-keeper-0"], 60, what="the claim of the pod that went")
        cluster.kubectl("delete", "statefulset/keeper", "--wait=false")
        eventually(lambda: not owners(), 60, what="the claims of the set that went")

    def test_updates_stop_at_the_partition_and_roll_back(self):
        self.make("parts", 3, updateStrategy={"type": "RollingUpdate", "rollingUpdate": {"partition": 2}},
                  podManagementPolicy="Parallel", ordinals={"start": 5})
        first = self.settle("parts", 3)
        pods = {p["metadata"]["name"]: p["metadata"]["uid"] for p in items("pod", "app=parts")}
        self.assertEqual(sorted(pods), ["parts-5", "parts-6", "parts-7"])
        cluster.kubectl("set", "env", "statefulset/parts", "A=1")
        eventually(lambda: status("statefulset", "parts").get("updatedReplicas") == 1, 60, what="one updated")
        now = self.settle("parts", 3)
        self.assertEqual((now["currentRevision"], now["currentReplicas"]), (first["updateRevision"], 2))
        self.assertNotEqual(now["updateRevision"], first["updateRevision"])
        self.assertEqual(now["collisionCount"], 0)
        cluster.kubectl("rollout", "undo", "statefulset/parts")
        eventually(lambda: status("statefulset", "parts")["updateRevision"] == first["updateRevision"], 30,
                   what="the first revision again")
        self.settle("parts", 3)
        after = {p["metadata"]["name"]: p["metadata"]["uid"] for p in items("pod", "app=parts")}
        self.assertEqual({n for n in pods if pods[n] != after[n]}, {"parts-7"})
        self.assertIn("SuccessfulCreate", reasons("StatefulSet", "parts"))


class DaemonSets(unittest.TestCase):
    def test_a_new_pod_serves_before_the_old_one_goes(self):
        def roll_out(pod):
            apply({"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "agent"}, "spec": {
                "selector": {"matchLabels": {"app": "agent"}}, "template": pod,
                "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}}})
        roll_out(template("agent"))
        cluster.kubectl("rollout", "status", "daemonset/agent", "--timeout=60s")
        first = items("pod", "app=agent")[0]["metadata"]["uid"]
        never = template("agent")
        never["spec"]["containers"][0]["readinessProbe"] = {"exec": {"command": ["false"]}}
        roll_out(never)
        eventually(lambda: len(items("pod", "app=agent")) == 2, 30, what="two pods")
        # The new one never serves: the old one stays, and a way back needs no restart.
        cluster.kubectl("rollout", "undo", "daemonset/agent")
        eventually(lambda: [p["metadata"]["uid"] for p in items("pod", "app=agent")] == [first], 60, what="the first")
        eventually(lambda: status("daemonset", "agent").get("updatedNumberScheduled") == 1, 30, what="updated")
        cluster.kubectl("rollout", "status", "daemonset/agent", "--timeout=30s")
        revisions = sorted(r["revision"] for r in items("controllerrevision", "app=agent"))
        self.assertEqual(revisions, [2, 3])


class ClusterControllers(unittest.TestCase):
    def test_a_secret_gets_a_token_that_is_good_until_it_goes(self):
        apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "bot"}})
        apply({"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/service-account-token", "metadata": {
            "name": "bot-token", "annotations": {"kubernetes.io/service-account.name": "bot"}}})
        data = eventually(lambda: cluster.get("secret", "bot-token").get("data"), 20, what="a token")
        self.assertEqual(sorted(data), ["ca.crt", "namespace", "token"])
        token = base64.b64decode(data["token"]).decode()
        review = lambda: json.loads(cluster.kubectl("create", "-o", "json", "-f", "-", input=json.dumps({
            "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}})).stdout)["status"]
        self.assertEqual(review()["user"]["username"], "system:serviceaccount:default:bot")
        cluster.kubectl("delete", "serviceaccount/bot")
        eventually(lambda: not review().get("authenticated"), 20, what="refusal")
        eventually(lambda: cluster.kubectl("get", "secret/bot-token", check=False).returncode, 20, what="its end")

    def test_an_ephemeral_volume_comes_and_goes_with_its_pod(self):
        spec = template("scratch", "echo kept > /scratch/x && cat /scratch/x && sleep 3600",
                        mounts=[{"name": "space", "mountPath": "/scratch"}],
                        volumes=[{"name": "space", "ephemeral": {"volumeClaimTemplate": {"spec": {
                            "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}}}}])
        apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "scratch"}, "spec": spec["spec"]})
        eventually(lambda: status("pvc", "scratch-space").get("phase") == "Bound", 30, what="a claim that is bound")
        eventually(lambda: cluster.out("logs", "scratch").strip() == "kept", 60, what="a file on the volume")
        owner = cluster.get("pvc", "scratch-space")["metadata"]["ownerReferences"][0]
        self.assertEqual((owner["kind"], owner["name"], owner["controller"]), ("Pod", "scratch", True))
        cluster.kubectl("delete", "pod/scratch")
        eventually(lambda: cluster.kubectl("get", "pvc/scratch-space", check=False).returncode, 60, what="its end")

    def test_a_service_range_in_use_stays(self):
        apply({"apiVersion": "networking.k8s.io/v1", "kind": "ServiceCIDR", "metadata": {"name": "more"},
               "spec": {"cidrs": ["10.200.7.0/24"]}})
        ready = lambda: [(c["status"], c.get("reason")) for c in status("servicecidr", "more").get("conditions", [])]
        eventually(lambda: ready() and ready()[0][0] == "True", 20, what="a range that is ready")
        address = lambda *verb: cluster.kubectl(*verb, input=json.dumps({
            "apiVersion": "networking.k8s.io/v1", "kind": "IPAddress", "metadata": {
                "name": "10.200.7.9", "labels": {"ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io",
                                                "ipaddress.kubernetes.io/ip-family": "IPv4"}},
            "spec": {"parentRef": {"resource": "services", "namespace": "default", "name": "kubernetes"}}}))
        address("create", "-f", "-")
        cluster.kubectl("delete", "servicecidr/more", "--wait=false")
        eventually(lambda: ready() == [("False", "Terminating")], 20, what="a range that is held")
        address("delete", "-f", "-")
        eventually(lambda: cluster.kubectl("get", "servicecidr/more", check=False).returncode, 40, what="its end")

    def test_nodes_are_told_how_long_to_keep_what_they_read(self):
        eventually(lambda: cluster.get("node", "node-1")["metadata"]["annotations"].get("node.alpha.kubernetes.io/ttl")
                   == "0", 20, what="the annotation")


class Kills(unittest.TestCase):
    """The server is killed at random moments while everything rolls and a Job runs."""

    def roll(self, version):
        spec = lambda name, **more: {"selector": {"matchLabels": {"app": name}},
                                     "template": template(name, f"sleep 360{version}"), **more}
        for kind, name, more in (
                ("Deployment", "rolling", {"replicas": 4}),
                ("StatefulSet", "ordered", {"replicas": 3, "serviceName": "ordered"}),
                ("DaemonSet", "surging", {"updateStrategy": {
                    "type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}})):
            apply({"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name}, "spec": spec(name, **more)})

    def arrived(self):
        deployment, ordered = status("deployment", "rolling"), status("statefulset", "ordered")
        daemons, job = status("daemonset", "surging"), status("job", "counted")
        return (deployment.get("updatedReplicas") == deployment.get("availableReplicas") == deployment.get("replicas") == 4
                and ordered.get("updatedReplicas") == ordered.get("availableReplicas") == 3
                and ordered["currentRevision"] == ordered["updateRevision"]
                and daemons.get("updatedNumberScheduled") == daemons.get("numberAvailable") == 1
                and job.get("succeeded") == 12)

    def test_all_arrive_and_no_index_runs_twice(self):
        seed = random.randrange(1 << 32)
        dice = random.Random(seed)
        apply({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "counted"}, "spec": {
            "completions": 12, "parallelism": 3, "completionMode": "Indexed", "template": {"spec": {
                "restartPolicy": "Never", "containers": [
                    {"name": "main", "image": IMAGE, "command": ["sleep", "2"]}]}}}})
        for version in range(3):
            self.roll(version)
            time.sleep(dice.uniform(0.5, 6))
            cluster.kill()
            cluster.start()
            cluster.wait_ready()
        eventually(self.arrived, 120, what=f"the end state (seed {seed})")
        self.assertEqual(status("job", "counted")["completedIndexes"], "0-11", f"seed {seed}")
        # A container that died with its node runs again; one that was done never does.
        done = [p["metadata"]["annotations"]["batch.kubernetes.io/job-completion-index"]
                for p in items("pod", "job-name=counted") if p["status"]["phase"] == "Succeeded"]
        self.assertEqual(sorted(done, key=int), [str(i) for i in range(12)], f"seed {seed}")


if __name__ == "__main__":
    unittest.main()
