"""Stock clients speak protobuf: kubectl's typed clients, written in Go, send it and read it."""

import gzip
import json
import os
import re
import struct
import subprocess
import threading
import unittest

from cluster import Cluster

PROTOBUF = "application/vnd.kubernetes.protobuf"
cluster = None


def setUpModule():
    global cluster
    cluster = Cluster.ready()


def tearDownModule():
    cluster.close()


def traced(*args, check=True):
    """kubectl's output, and the media types of each request and its answer."""
    done = cluster.kubectl("--v=8", *args, check=check)
    log = done.stdout + (done.stderr or "")
    return log, re.findall(r"Content-Type: (\S+)", log)


def fetch(path, *curl):
    """A body as bytes, with curl."""
    pki = os.path.join(cluster.data, "pki")
    return subprocess.run(
        cluster.enter() + ["curl", "-sS", "-m", "20", "-A", "test", "--cacert", f"{pki}/ca.crt", "--cert",
                           f"{pki}/admin.crt", "--key", f"{pki}/admin.key", f"https://127.0.0.1:6443{path}", *curl],
        capture_output=True, timeout=30).stdout


class Protobuf(unittest.TestCase):
    def test_typed_clients_send_and_read_it(self):
        log, types = traced("create", "deployment", "typed", "--image=none", "--replicas=0")
        self.assertIn("deployment.apps/typed created", log)
        self.assertEqual(types, [PROTOBUF, PROTOBUF])
        log, types = traced("describe", "node", "node-1")
        self.assertIn(PROTOBUF, types)
        self.assertRegex(log, r"pods: +110")
        self.assertRegex(log, r"Ready +True")
        log, types = traced("describe", "deployment", "typed")
        self.assertIn("0 desired | 0 updated | 0 total", log)
        self.assertIn(PROTOBUF, types)
        log, types = traced("create", "token", "default")
        self.assertEqual(types, [PROTOBUF, PROTOBUF])
        log, types = traced("auth", "whoami")
        self.assertIn("system:masters", log)
        # A Status in protobuf is an error like any other.
        log, types = traced("create", "deployment", "typed", "--image=none", check=False)
        self.assertIn('deployments.apps "typed" already exists', log)
        self.assertEqual(types, [PROTOBUF, PROTOBUF])

    def test_typed_clients_watch_it(self):
        watch = subprocess.Popen(
            cluster.command("events", "--watch", "--for=configmap/none", "--v=8"), stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True)
        limit = threading.Timer(30, watch.kill)
        limit.start()
        try:
            lines = iter(watch.stdout.readline, "")
            next(line for line in lines if f"Content-Type: {PROTOBUF};stream=watch" in line)
            event = {
                "apiVersion": "v1", "kind": "Event", "metadata": {"name": "seen", "namespace": "default"},
                "involvedObject": {"apiVersion": "v1", "kind": "ConfigMap", "name": "none", "namespace": "default"},
                "type": "Normal",
                "reason": "Watched", "message": "through protobuf", "source": {"component": "test"},
                "firstTimestamp": "2026-01-01T00:00:00Z", "lastTimestamp": "2026-01-01T00:00:00Z", "count": 1,
            }
            cluster.kubectl("create", "-f", "-", input=json.dumps(event))
            line = next(line for line in lines if "through protobuf" in line and "Watched" in line and "ConfigMap/" in line)
            self.assertRegex(line, r"Normal +Watched +ConfigMap/none")
        finally:
            limit.cancel()
            watch.kill()
            watch.wait()
            watch.stdout.close()

    def test_large_answers_are_compressed_and_watches_framed(self):
        for index in range(3):
            value = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"large-{index}"},
                     "data": {"k": "0123456789abcdef" * 6144}}
            cluster.kubectl("create", "-f", "-", input=json.dumps(value))
        path = "/api/v1/namespaces/default/configmaps"
        plain = fetch(path)
        squeezed = fetch(path, "-H", "Accept-Encoding: gzip")
        self.assertLess(len(squeezed) * 10, len(plain))
        self.assertEqual(json.loads(gzip.decompress(squeezed)), json.loads(plain))
        binary = fetch(path, "-H", f"Accept: {PROTOBUF}")
        self.assertTrue(binary.startswith(b"k8s\0"))
        self.assertIn(b"ConfigMapList", binary)
        frames = fetch(path + "?watch=1&timeoutSeconds=1", "-H", f"Accept: {PROTOBUF};stream=watch")
        count = 0
        while frames:
            (size,) = struct.unpack(">I", frames[:4])
            self.assertLessEqual(size, len(frames) - 4)
            self.assertTrue(frames[4:].startswith(b"\x0a\x05ADDED\x12"))
            frames = frames[4 + size:]
            count += 1
        self.assertEqual(count, len(json.loads(plain)["items"]))


if __name__ == "__main__":
    unittest.main()
