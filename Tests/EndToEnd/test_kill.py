"""Killed again and again in the middle of work: a Deployment rolls, Jobs run, a node comes and goes, and in the end all is
as it was asked for. No index of a Job runs again once it was counted."""

import collections
import json
import os
import random
import tempfile
import threading
import time
import unittest

from hosts import Fleet, eventually

IMAGE = "apus.local/busybox:1"
JOBS, COMPLETIONS = 3, 15


class Kill(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.fleet = Fleet(os.environ["APUS_BINARY"], 2)
        cls.addClassCleanup(cls.fleet.close)
        cls.one, cls.two = cls.fleet.hosts
        cls.server = cls.one.server()
        cls.fleet.wait_nodes_ready(1)
        words = cls.one.apus("token", "create", "--data-dir", cls.one.data).stdout.split()
        cls.join = words[words.index("agent") + 1:]
        cls.agent = cls.two.agent(*cls.join)
        cls.fleet.wait_nodes_ready(2)
        # Both nodes are namespaces of one machine: what pods write down there is seen here.
        cls.runs = tempfile.mkdtemp(dir=cls.one.directory)
        os.chmod(cls.runs, 0o777)

    def apply(self, value):
        self.fleet.kubectl("apply", "-f", "-", input=json.dumps(value))

    def job(self, name):
        script = f"echo $(date +%s) $JOB_COMPLETION_INDEX >> /runs/{name}-$HOSTNAME; sleep 0.5"
        self.apply({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": {
            "completions": COMPLETIONS, "parallelism": 3, "completionMode": "Indexed", "backoffLimit": 1000, "template": {
                "spec": {"restartPolicy": "Never", "terminationGracePeriodSeconds": 0,
                         "tolerations": [{"operator": "Exists"}],
                         "volumes": [{"name": "runs", "hostPath": {"path": self.runs}}],
                         "containers": [{"name": "main", "image": IMAGE, "command": ["sh", "-c", script],
                                         "volumeMounts": [{"name": "runs", "mountPath": "/runs"}]}]}}}})

    def deployment(self, version):
        self.apply({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": {
            "replicas": 6, "selector": {"matchLabels": {"app": "web"}}, "template": {
                "metadata": {"labels": {"app": "web"}}, "spec": {"terminationGracePeriodSeconds": 0, "containers": [
                    {"name": "main", "image": IMAGE, "command": ["sleep", "3600"],
                     "env": [{"name": "VERSION", "value": str(version)}]}]}}}})

    def watch_counts(self, counted, stop):
        """When each index was first seen to be counted, in milliseconds; the server is away now and then."""
        while not stop.is_set():
            done = self.fleet.kubectl("get", "jobs", "-o", "json", check=False, timeout=10)
            seen = int(time.time() * 1000)
            if done.returncode == 0:
                for item in json.loads(done.stdout)["items"]:
                    for index in self.indexes(item["status"].get("completedIndexes", "")):
                        counted.setdefault((item["metadata"]["name"], index), seen)
            stop.wait(0.2)

    @staticmethod
    def indexes(text):
        for part in filter(None, text.split(",")):
            first, _, last = part.partition("-")
            yield from range(int(first), int(last or first) + 1)

    def test_the_end_is_right(self):
        random.seed(os.environ.get("APUS_KILL_SEED", "1"))
        for number in range(JOBS):
            self.job(f"work-{number}")
        self.deployment(0)
        counted, stop = {}, threading.Event()
        watcher = threading.Thread(target=self.watch_counts, args=(counted, stop))
        watcher.start()
        self.addCleanup(stop.set)
        for round in range(1, 5):
            time.sleep(random.uniform(0.5, 3))
            self.one.kill(self.server)
            if round % 2:
                self.two.kill(self.agent)
            time.sleep(random.uniform(0, 0.5))
            type(self).server = self.one.server()
            if round % 2:
                time.sleep(random.uniform(0, 1))
                type(self).agent = self.two.agent(*self.join)
            eventually(lambda: self.fleet.kubectl("get", "--raw", "/readyz", check=False).returncode == 0, 30,
                       what=f"ready after kill {round}")
            self.deployment(round)
        self.fleet.wait_nodes_ready(2)
        for number in range(JOBS):
            self.fleet.kubectl("wait", "--for=condition=Complete", f"job/work-{number}", "--timeout=120s", timeout=130)
        self.fleet.kubectl("rollout", "status", "deployment/web", "--timeout=60s", timeout=70)
        stop.set()
        watcher.join()
        for item in self.fleet.get("jobs")["items"]:
            self.assertEqual(item["status"]["succeeded"], COMPLETIONS)
            self.assertEqual(item["status"]["completedIndexes"], f"0-{COMPLETIONS - 1}")
            self.assertEqual(item["status"].get("uncountedTerminatedPods", {}), {})
        runs = collections.Counter()
        for name in os.listdir(self.runs):
            job = name.rsplit("-", 1)[0][:len("work-0")]
            with open(os.path.join(self.runs, name)) as file:
                for line in file:
                    began, index = map(int, line.split())
                    runs[job, index] += 1
                    self.assertLessEqual(began * 1000, counted.get((job, index), began * 1000), f"index {index} of {job} ran after it was counted")
        self.assertEqual(set(runs), {(f"work-{n}", i) for n in range(JOBS) for i in range(COMPLETIONS)})
        pods = [pod for pod in self.fleet.get("pods", "-l", "app=web")["items"] if "deletionTimestamp" not in pod["metadata"]]
        self.assertEqual(len(pods), 6)
        self.assertEqual({pod["spec"]["containers"][0]["env"][0]["value"] for pod in pods}, {"4"})
        sets = [item for item in self.fleet.get("replicasets")["items"] if item["spec"]["replicas"]]
        self.assertEqual(len(sets), 1)
