"""One server on a real etcd, with TLS on both sides: its life, its death and its return."""

import json
import os
import time
import unittest

from hosts import Fleet, eventually, run
from members import Members

BINARY = os.environ["APUS_BINARY"]


class Case(unittest.TestCase):
    members = 1

    @classmethod
    def setUpClass(cls):
        cls.fleet = Fleet(BINARY, 1)
        cls.addClassCleanup(cls.fleet.close)
        cls.host = cls.fleet.hosts[0]
        cls.etcd = Members(cls.fleet, cls.members)
        cls.server = cls.host.server(*cls.etcd.flags)
        eventually(cls.serves, 60, what="a server on etcd")

    @classmethod
    def serves(cls):
        if cls.server.poll() is not None:
            raise RuntimeError(f"the server ended with {cls.server.returncode}:\n{cls.host.log()}")
        return cls.fleet.out("get", "--raw", "/readyz") == "ok"

    def raw(self, path, *curl):
        """curl with the admin's certificate: status code, headers in lower case, and body."""
        pki = os.path.join(self.host.data, "pki")
        done = run(
            self.host.enter() + [
                "curl", "-sS", "-i", "--http1.1", "-m", "20", "--cacert", f"{pki}/ca.crt", "--cert", f"{pki}/admin.crt",
                "--key", f"{pki}/admin.key", f"https://127.0.0.1:6443{path}", *curl])
        head, _, body = done.stdout.replace("\r\n", "\n").partition("\n\n")
        return int(head.split()[1]), head.lower(), body

    def create(self, name):
        body = json.dumps({"metadata": {"name": name}, "data": {"key": "value"}})
        return self.raw(
            "/api/v1/namespaces/default/configmaps", "-X", "POST", "-H", "content-type: application/json", "-d", body)

    def assert_reads(self, name):
        code, head, body = self.raw(f"/api/v1/namespaces/default/configmaps/{name}")
        self.assertEqual(code, 200, body)
        self.assertEqual(json.loads(body)["data"], {"key": "value"})
        self.assertEqual(self.fleet.out("get", "configmap", name, "-o", "jsonpath={.data.key}"), "value")
        return head

    def assert_refuses_writes(self):
        def refused():
            code, head, body = self.create("never")
            self.assertIn(code, (503, 504), body)
            return code == 503 and (head, json.loads(body))

        head, status = eventually(refused, 20, what="503")
        self.assertIn("\nretry-after: ", head)
        self.assertEqual(status["reason"], "ServiceUnavailable")
        self.assertIsNone(self.server.poll())

    def assert_writes(self, name, seconds):
        began = time.time()
        eventually(lambda: self.create(name)[0] == 201, seconds, every=0.1, what="a write")
        return time.time() - began


class OneMember(Case):
    def test_1_objects_lie_where_upstream_has_them(self):
        self.assertEqual(self.create("a")[0], 201)
        text = self.etcd.ctl("get", "/registry/configmaps/default/a", "--print-value-only")
        stored = json.loads(text)
        self.assertEqual((stored["kind"], stored["apiVersion"], stored["data"]), ("ConfigMap", "v1", {"key": "value"}))
        self.assertNotIn("resourceVersion", stored["metadata"])
        keys = self.etcd.ctl("get", "", "--prefix", "--keys-only").split()
        for key in ("/registry/namespaces/default", "/registry/services/specs/default/kubernetes",
                    "/registry/clusterroles/cluster-admin", "/registry/leases/kube-system/kube-scheduler"):
            self.assertIn(key, keys)
        # What others write there is served.
        stored["metadata"]["name"] = "b"
        self.etcd.ctl("put", "/registry/configmaps/default/b", json.dumps(stored, separators=(",", ":")))
        self.assert_reads("b")

    def test_2_the_store_goes_and_comes_back(self):
        self.etcd.stop(0)
        head = self.assert_reads("a")
        self.assertIn("\nwarning: ", head)
        self.assert_refuses_writes()
        began = time.time()
        self.assertEqual(self.create("never")[0], 503)
        self.assertLess(time.time() - began, 5)
        for path in ("/livez/etcd", "/readyz", "/readyz/etcd-readiness"):
            # The health checks ask the store every few seconds.
            eventually(lambda: self.raw(path)[0] == 500, 10, what=path)
        self.assertEqual(self.raw("/livez/ping")[0], 200)
        conditions = self.fleet.get("componentstatuses", "etcd-0")["conditions"]
        self.assertEqual(conditions[0]["status"], "False")
        time.sleep(3)
        self.assert_reads("a")
        self.assertIsNone(self.server.poll())
        self.etcd.start(0)
        self.assert_writes("c", 10)
        # The connection that takes writes may be back before the one that brings the changes.
        eventually(lambda: "\nwarning: " not in self.assert_reads("c"), 10, what="reads without a warning")
        eventually(self.serves, 10, what="readiness")
        self.assertEqual(self.raw("/api/v1/namespaces/default/configmaps/never")[0], 404)

    def test_3_a_server_that_starts_again_finds_everything(self):
        self.host.kill(self.server)
        type(self).server = self.host.server(*self.etcd.flags)
        eventually(self.serves, 60, what="a server on etcd")
        self.assert_reads("a")

    def test_4_a_store_that_cannot_be_used_is_one_clear_error(self):
        self.host.terminate(self.server)
        flags = self.etcd.flags
        for change, reason in (
            ({1: "https://10.77.0.11:1"}, "connection refused"),
            ({3: self.etcd.path("client.crt")}, "not signed by the given authority"),
            ({1: "http://10.77.0.11:2379"}, "etcd at 10.77.0.11:2379"),
            ({3: "/nowhere"}, "/nowhere cannot be read"),
        ):
            wrong = [change.get(index, flag) for index, flag in enumerate(flags)]
            began = time.time()
            done = self.host.apus("server", "--data-dir", self.host.data, "--node-ip", self.host.address, *wrong, check=False)
            self.assertNotEqual(done.returncode, 0)
            self.assertIn(reason, done.stderr)
            self.assertLess(time.time() - began, 15)
            errors = [line for line in done.stderr.splitlines() if line.startswith("Error:")]
            self.assertEqual(len(errors), 1, done.stderr)


class ThreeMembers(Case):
    members = 3

    def test_members_die_and_return(self):
        self.assertEqual(self.create("a")[0], 201)
        # The server is connected to the first one.
        self.etcd.stop(0)
        self.assertLess(self.assert_writes("b", 20), 8)
        self.assert_reads("b")
        # Two of three are no quorum any more.
        self.etcd.stop(1)
        self.assert_refuses_writes()
        self.assert_reads("b")
        self.etcd.stop(2)
        self.assert_refuses_writes()
        self.assert_reads("a")
        for index in (1, 2):
            self.etcd.start(index)
        self.assert_writes("c", 20)
        self.assert_reads("c")
        self.etcd.start(0)
        eventually(lambda: "/registry/configmaps/default/c" in self.etcd.ctl(
            "get", "/registry/configmaps/default/c", "--keys-only"), 20, what="the first member's return")
        self.etcd.stop(1)
        self.assertLess(self.assert_writes("d", 20), 8)
        self.assertIsNone(self.server.poll())


