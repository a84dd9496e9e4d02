"""Jobs, CronJobs and disruption budgets with real pods."""

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


def tearDownModule():
    cluster.close()


def apply(value):
    return cluster.kubectl("apply", "-f", "-", input=json.dumps(value))


def job_spec(script, **spec):
    return {**spec, "template": {"spec": {"restartPolicy": "Never", "terminationGracePeriodSeconds": 1, "containers": [
        {"name": "main", "image": IMAGE, "command": ["sh", "-c", script]}]}}}


def job(name, script, **spec):
    apply({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": job_spec(script, **spec)})


def conditions(kind, name):
    status = cluster.get(kind, name)["status"]
    return {c["type"]: c for c in status.get("conditions", []) if c["status"] == "True"}


def wait_for(name, condition):
    return eventually(lambda: conditions("job", name).get(condition), 60, what=f"{condition} of {name}")


class Jobs(unittest.TestCase):
    def test_indexes_with_limits_of_their_own(self):
        job("split", "[ $JOB_COMPLETION_INDEX != 1 ]", completions=3, parallelism=3, completionMode="Indexed",
            backoffLimitPerIndex=0)
        self.assertEqual(wait_for("split", "Failed")["reason"], "FailedIndexes")
        status = cluster.get("job", "split")["status"]
        self.assertEqual((status["completedIndexes"], status["failedIndexes"]), ("0,2", "1"))
        self.assertEqual((status["succeeded"], status["failed"]), (2, 1))

    def test_some_successes_are_enough(self):
        job("enough", "[ $JOB_COMPLETION_INDEX = 0 ] || sleep 600", completions=2, parallelism=2,
            completionMode="Indexed", successPolicy={"rules": [{"succeededIndexes": "0"}]})
        self.assertEqual(wait_for("enough", "Complete")["reason"], "SuccessPolicy")
        self.assertEqual(cluster.get("job", "enough")["status"]["completedIndexes"], "0")

    def test_an_exit_code_ends_it(self):
        job("strict", "exit 42", backoffLimit=5, podFailurePolicy={"rules": [
            {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [42]}}]})
        failed = wait_for("strict", "Failed")
        self.assertEqual(failed["reason"], "PodFailurePolicy")
        self.assertRegex(failed["message"], r"Container main for pod default/strict-\S+ failed with exit code 42")
        self.assertEqual(cluster.get("job", "strict")["status"]["failed"], 1)

    def test_suspended_and_resumed(self):
        job("later", "true", suspend=True)
        eventually(lambda: "Suspended" in conditions("job", "later"), 20, what="Suspended")
        self.assertEqual(cluster.out("get", "pods", "-l", "job-name=later", "-o", "name"), "")
        cluster.kubectl("patch", "job", "later", "--type=merge", "-p", '{"spec":{"suspend":false}}')
        wait_for("later", "Complete")

    def test_gone_when_its_time_is_over(self):
        job("brief", "true", ttlSecondsAfterFinished=1)
        eventually(lambda: cluster.kubectl("get", "job", "brief", check=False).returncode != 0, 60, what="brief gone")


class CronJobs(unittest.TestCase):
    def test_runs_on_its_schedule(self):
        apply({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "tick"}, "spec": {
            "schedule": "@every 2s", "timeZone": "Europe/Berlin", "successfulJobsHistoryLimit": 1,
            "jobTemplate": {"spec": job_spec("true")}}})
        eventually(lambda: cluster.get("cronjob", "tick")["status"].get("lastSuccessfulTime"), 60, what="a run")
        cluster.kubectl("delete", "cronjob", "tick")
        eventually(lambda: not [j for j in cluster.get("jobs")["items"] if j["metadata"]["name"].startswith("tick-")], 30,
                   what="its jobs gone")

    def test_by_hand(self):
        apply({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "rare"}, "spec": {
            "schedule": "0 0 1 1 *", "jobTemplate": {"spec": job_spec("true")}}})
        cluster.kubectl("create", "job", "now", "--from=cronjob/rare")
        wait_for("now", "Complete")


class Budgets(unittest.TestCase):
    def test_evictions_are_held_back(self):
        cluster.kubectl("create", "deployment", "web", f"--image={IMAGE}", "--replicas=2", "--", "sleep", "600")
        cluster.kubectl("create", "poddisruptionbudget", "web", "--selector=app=web", "--max-unavailable=1")
        cluster.kubectl("rollout", "status", "deployment/web", "--timeout=60s")
        eventually(lambda: cluster.get("pdb", "web")["status"].get("disruptionsAllowed") == 1, 20, what="an allowance")
        pods = cluster.out("get", "pods", "-l", "app=web", "-o", "name").split()

        def evict(pod):
            name = pod.partition("/")[2]
            body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": "default"}}
            return cluster.raw(f"/api/v1/namespaces/default/pods/{name}/eviction", "-X", "POST", "-H",
                               "Content-Type: application/json", "-d", json.dumps(body))

        self.assertEqual(evict(pods[0])[0], 201)
        code, body = evict(pods[1])
        self.assertEqual(code, 429)
        self.assertIn("Cannot evict pod as it would violate the pod's disruption budget.", body)
        eventually(lambda: cluster.get("pdb", "web")["status"]["disruptionsAllowed"] == 1, 60, what="the allowance back")
        self.assertEqual(evict(pods[1])[0], 201)


if __name__ == "__main__":
    unittest.main()
