"""One server and one agent: joining, what an agent may not do, and its life without the token."""

import json
import os
import shlex
import tempfile
import time
import unittest

from hosts import Fleet, eventually, run

# Passes TCP connections on: listen address, target address.
FORWARD = """
import socket, sys, threading
def pump(a, b):
    try:
        while data := a.recv(65536): b.sendall(data)
    except OSError: pass
    for s in (a, b):
        try: s.shutdown(socket.SHUT_RDWR)
        except OSError: pass
listener = socket.create_server((sys.argv[1], 6443))
while True:
    client, _ = listener.accept()
    server = socket.create_connection((sys.argv[2], 6443))
    for a, b in ((client, server), (server, client)):
        threading.Thread(target=pump, args=(a, b), daemon=True).start()
"""

POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "web"},
    "spec": {
        "nodeName": "node-2",
        "terminationGracePeriodSeconds": 1,
        "volumes": [{"name": "own", "secret": {"secretName": "own"}}],
        "containers": [{
            "name": "main",
            "image": "apus.local/busybox:1",
            "command": ["sh", "-c", "echo started; mkdir -p /www; echo hello > /www/index.html; httpd -f -p 8080 -h /www"],
            "volumeMounts": [{"name": "own", "mountPath": "/own"}],
        }],
    },
}


class Agent(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.fleet = Fleet(os.environ["APUS_BINARY"], 3)
        cls.addClassCleanup(cls.fleet.close)
        cls.one, cls.two, cls.three = cls.fleet.hosts
        # The third host only passes connections on: to an agent it is another server.
        cls.server = cls.one.server("--tls-san", cls.three.address)
        cls.fleet.wait_nodes_ready(1)

    # What this file asks again and again

    def token(self, *flags):
        """The words of the join command after `apus agent`."""
        words = shlex.split(self.one.apus("token", "create", "--data-dir", self.one.data, *flags).stdout)
        self.assertEqual(words[:2], ["apus", "agent"])
        return words[2:]

    def refused(self, *flags):
        """What an agent that may not join says at its end."""
        directory = tempfile.mkdtemp(dir=self.two.directory)
        answer = self.two.run(
            [self.fleet.binary, "agent", "--data-dir", directory, "--node-name", "stranger", "--node-ip",
             self.two.address, *flags], check=False, timeout=40)
        self.assertNotEqual(answer.returncode, 0)
        self.assertFalse(os.path.exists(f"{directory}/agent/client.pem"))
        return answer.stdout + answer.stderr

    def as_node(self, *arguments):
        """kubectl with the agent's own identity, from the agent's host."""
        agent = f"{self.two.data}/agent"
        return self.two.run(
            ["env", f"HOME={self.two.directory}", "KUBECONFIG=/dev/null", "kubectl",
             f"--server=https://{self.one.address}:6443", f"--certificate-authority={agent}/ca.crt",
             f"--client-certificate={agent}/client.pem", f"--client-key={agent}/client.pem", *arguments],
            check=False, timeout=30)

    def forbidden(self, text, *arguments):
        answer = self.as_node(*arguments)
        self.assertNotEqual(answer.returncode, 0, answer.stdout)
        self.assertIn("forbidden", answer.stderr.lower())
        self.assertIn(text, answer.stderr)

    def ready(self, name="node-2"):
        node = self.fleet.get("node", name)
        return any(c["type"] == "Ready" and c["status"] == "True" for c in node["status"].get("conditions", []))

    def certificate(self, name="client"):
        with open(f"{self.two.data}/agent/{name}.pem") as file:
            return run(["openssl", "x509", "-noout", "-serial", "-issuer", "-enddate"], input=file.read()).stdout

    # In this order

    def test_1_who_may_not_join(self):
        good = self.token("--ttl", "10m", "--description", "for the test")
        listed = self.one.apus("token", "list", "--data-dir", self.one.data).stdout
        self.assertIn("for the test", listed)
        self.assertIn(good[3], listed)
        wrong = good[:5] + ["sha256:" + "0" * 64]
        self.assertIn("not the one that --ca-hash names", self.refused(*wrong))
        unknown = good[:3] + ["aaaaaa.0123456789abcdef"] + good[4:]
        self.assertIn("it is unknown or has expired", self.refused(*unknown))
        secret = good[:3] + [good[3][:7] + "0" * 16] + good[4:]
        self.assertIn("secret part of the token", self.refused(*secret))
        self.assertIn("not a member of a cluster yet", self.refused())
        # One that expires: unusable at once, and cleaned away by its controller.
        short = self.token("--ttl", "1s")
        time.sleep(1.2)
        self.assertIn("it is unknown or has expired", self.refused(*short))
        name = f"bootstrap-token-{short[3][:6]}"
        eventually(
            lambda: self.fleet.kubectl("-n", "kube-system", "get", "secret", name, check=False).returncode != 0, 10,
            what="the expired token deleted")
        self.one.apus("token", "delete", good[3][:6], "--data-dir", self.one.data)
        self.assertNotIn(good[3], self.one.apus("token", "list", "--data-dir", self.one.data).stdout)

    def test_2_join_and_run_pods(self):
        type(self).agent = self.two.agent(
            *self.token(), "--node-label", "disk=ssd", "--node-taint", "special=yes:PreferNoSchedule")
        begin = time.time()
        self.fleet.wait_nodes_ready(2)
        print(f"joined and Ready after {time.time() - begin:.1f} s")
        node = self.fleet.get("node", "node-2")
        self.assertEqual(node["metadata"]["labels"]["disk"], "ssd")
        self.assertIn("special", [t["key"] for t in node["spec"]["taints"]])
        requests = {
            c["spec"]["signerName"]: c["spec"]["username"] for c in self.fleet.get("csr")["items"]
        }
        self.assertTrue(requests["kubernetes.io/kube-apiserver-client-kubelet"].startswith("system:bootstrap:"))
        self.fleet.kubectl("create", "secret", "generic", "own", "--from-literal=key=value")
        self.fleet.kubectl("create", "secret", "generic", "other", "--from-literal=key=value")
        self.fleet.kubectl("create", "-f", "-", input=json.dumps(POD))
        self.fleet.kubectl("wait", "--for=condition=Ready", "pod/web", "--timeout=60s", timeout=70)
        eventually(
            lambda: self.fleet.out("logs", "web", check=False) == "started", 20, what="logs through the signed kubelet")
        self.assertEqual(self.fleet.out("exec", "web", "--", "cat", "/own/key"), "value")
        self.assertEqual(self.fleet.out("exec", "web", "--", "sh", "-c", "echo $((6*7))"), "42")
        source = os.path.join(self.one.directory, "text")
        with open(source, "w") as file:
            file.write("copied")
        self.fleet.kubectl("cp", source, "web:/tmp/text")
        self.assertEqual(self.fleet.out("exec", "web", "--", "cat", "/tmp/text"), "copied")
        forward = self.one.spawn(
            ["env", f"KUBECONFIG={self.one.kubeconfig}", "kubectl", "port-forward", "pod/web", "18080:8080"],
            log="forward")
        eventually(
            lambda: self.one.sh("busybox wget -qO- http://127.0.0.1:18080/", check=False).stdout == "hello\n", 20,
            what="an answer through port-forward")
        forward.terminate()
        forward.wait()
        status = self.two.apus("status", "--data-dir", self.two.data).stdout
        self.assertIn("node node-2: Ready", status)
        with open(f"/proc/{self.agent_pid()}/status") as file:
            memory = next(line for line in file if line.startswith("VmRSS")).split()[1]
        print(f"the agent takes {int(memory) // 1024} MiB")

    def agent_pid(self):
        with open(f"{self.two.data}/server.pid") as file:
            return int(file.read())

    def test_3_what_a_node_may_not(self):
        # What its pod names it may read, as it must.
        self.assertEqual(self.as_node("get", "secret", "own").returncode, 0)
        self.forbidden("no relationship found between node 'node-2' and this object", "get", "secret", "other")
        self.forbidden("can only read", "get", "secrets", "-A")
        self.forbidden(
            'node "node-2" is not allowed to modify node "node-1"', "annotate", "node", "node-1", "a=b",
            "--overwrite")
        self.forbidden(
            "is not allowed to modify labels: node-role.kubernetes.io/control-plane", "label", "node", "node-2",
            "node-role.kubernetes.io/control-plane=")
        self.forbidden('node "node-2" is not allowed to modify taints', "taint", "node", "node-2", "a=b:NoSchedule")
        self.forbidden("can only create mirror pods", "run", "x", "--image=apus.local/busybox:1")
        self.forbidden(
            "can only access node lease with the same name as the requesting node", "-n", "kube-node-lease", "get",
            "lease", "node-1")
        self.forbidden("cannot create resource", "create", "deployment", "x", "--image=x")
        # The kubelet itself: nobody without a name, and a name needs the right.
        address = f"https://{self.two.address}:10250/pods"
        curl = ["curl", "-s", "--cacert", f"{self.two.data}/agent/ca.crt", "-o", "/dev/null", "-w", "%{http_code}"]
        self.assertEqual(self.two.run([*curl, address]).stdout, "401")
        weak = self.fleet.out("create", "token", "default")
        self.assertEqual(self.two.run([*curl, "-H", f"Authorization: Bearer {weak}", address]).stdout, "403")
        self.fleet.kubectl("create", "serviceaccount", "reader")
        self.fleet.kubectl("create", "clusterrolebinding", "reader", "--clusterrole=system:kubelet-api-admin",
                           "--serviceaccount=default:reader")
        strong = self.fleet.out("create", "token", "reader")
        self.assertEqual(self.two.run([*curl, "-H", f"Authorization: Bearer {strong}", address]).stdout, "200")

    def test_4_without_the_token(self):
        self.two.kill(self.agent)
        type(self).agent = self.two.agent()
        eventually(
            lambda: self.fleet.out("exec", "web", "--", "cat", "/own/key", check=False) == "value", 20,
            what="the kubelet again, with its pod and its signed certificate")
        pod = self.fleet.get("pod", "web")
        self.assertEqual(pod["status"]["containerStatuses"][0]["restartCount"], 0)
        with open(f"{self.two.data}/agent/servers") as file:
            self.assertEqual(file.read(), f"https://{self.one.address}:6443\n")

    def test_5_certificates_are_renewed(self):
        self.two.terminate(self.agent)
        before = self.certificate()
        self.make_old()
        old = self.certificate()
        self.assertNotEqual(old, before)
        type(self).agent = self.two.agent()
        eventually(lambda: self.certificate() not in (old, before), 20, what="a new certificate")
        requests = [c["spec"]["username"] for c in self.fleet.get("csr")["items"]
                    if c["spec"]["signerName"] == "kubernetes.io/kube-apiserver-client-kubelet"]
        self.assertIn("system:node:node-2", requests)
        # The old one ends in a minute; the new one is what the agent goes on with.
        self.assertIn("node node-2: Ready", self.two.apus("status", "--data-dir", self.two.data, "--wait", "20").stdout)
        self.assertIn("CN = kubernetes", self.certificate("serving"))

    def test_6_goes_on_with_another_server(self):
        """A server that is gone without a word: what was under way goes on with the next one within seconds."""
        self.two.terminate(self.agent)
        self.three.spawn(["python3", "-c", FORWARD, self.three.address, self.one.address], log="forward")
        other = f"https://{self.three.address}:6443"
        eventually(
            lambda: self.two.sh(f"curl -sk {other}/version", check=False).returncode == 0, 10, what="the other server")
        with open(f"{self.two.data}/agent/servers", "w") as file:
            file.write(other + "\n")
        type(self).agent = self.two.agent("--server", f"{other},https://{self.one.address}:6443")
        connected = f"ss -Htn state established dst {self.three.address}"
        eventually(lambda: self.two.sh(connected).stdout, 20, what="the agent at the other server")
        eventually(
            lambda: self.fleet.out("exec", "web", "--", "cat", "/own/key", check=False) == "value", 20, what="the kubelet")
        self.assertTrue(self.two.sh(connected).stdout)
        self.three.cut()
        begin = time.time()
        pod = json.loads(json.dumps(POD))
        pod["metadata"]["name"] = "late"
        self.fleet.kubectl("create", "-f", "-", input=json.dumps(pod))
        self.fleet.kubectl("wait", "--for=condition=Ready", "pod/late", "--timeout=30s", timeout=40)
        taken = time.time() - begin
        print(f"a pod runs {taken:.1f} s after the agent's server vanished")
        self.assertLess(taken, 15)

    def make_old(self):
        """Replaces the agent's certificate by one of the same cluster that has nearly reached its end."""
        directory = tempfile.mkdtemp(dir=self.two.directory)
        pki = f"{self.one.data}/pki"
        with open(f"{directory}/ca.cnf", "w") as file:
            file.write(f"""
[ca]
default_ca = all
[all]
database = {directory}/index
serial = {directory}/serial
new_certs_dir = {directory}
certificate = {pki}/ca.crt
private_key = {pki}/ca.key
default_md = sha256
policy = any
x509_extensions = client
[any]
organizationName = supplied
commonName = supplied
[client]
keyUsage = critical,digitalSignature
extendedKeyUsage = clientAuth
""")
        open(f"{directory}/index", "w").close()
        with open(f"{directory}/serial", "w") as file:
            file.write("1000\n")
        run(["openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout",
             f"{directory}/key", "-out", f"{directory}/csr", "-subj", "/O=system:nodes/CN=system:node:node-2"])

        def moment(seconds):
            return time.strftime("%y%m%d%H%M%SZ", time.gmtime(time.time() + seconds))

        run(["openssl", "ca", "-batch", "-notext", "-config", f"{directory}/ca.cnf", "-startdate", moment(-7200),
             "-enddate", moment(60), "-in", f"{directory}/csr", "-out", f"{directory}/crt"])
        with open(f"{self.two.data}/agent/client.pem", "w") as file:
            for name in ("crt", "key"):
                with open(f"{directory}/{name}") as part:
                    file.write(part.read())


if __name__ == "__main__":
    unittest.main()
