"""Clusters of several machines: the network between their pods, Services and DNS on every node, and nodes that go."""

import contextlib
import json
import os
import re
import subprocess
import sys
import unittest

from hosts import OUTSIDE, Fleet, eventually, in_parallel

IMAGE = "apus.local/busybox:1"
# Says who answers and whom it sees asking.
WHO = (
    "mkdir -p /www/cgi-bin; printf '#!/bin/sh\\necho \"Content-Type: text/plain\"; echo; "
    "echo \"$NODE saw $REMOTE_ADDR\"\\n' > /www/cgi-bin/who; chmod +x /www/cgi-bin/who; echo serving on $NODE; "
    "exec httpd -f -p 8080 -h /www")
ECHO = """
import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(self.client_address[0].encode())
    def log_message(self, *_): pass
http.server.HTTPServer(("", 8000), Handler).serve_forever()
"""


def plain(text):
    """IPv4 addresses as such: busybox listens on both families."""
    return re.sub(r"\[::ffff:([\d.]+)\]", r"\1", text)


def pod_template(app, **spec):
    return {
        "metadata": {"labels": {"app": app}},
        "spec": {
            "terminationGracePeriodSeconds": 0,
            "containers": [{
                "name": "main", "image": IMAGE, "command": ["sh", "-c", WHO],
                "env": [{"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}],
                "readinessProbe": {"tcpSocket": {"port": 8080}, "periodSeconds": 1},
            }],
            **spec,
        },
    }


def workload(kind, app, spec, **pod):
    return {
        "apiVersion": "apps/v1", "kind": kind, "metadata": {"name": app},
        "spec": {"selector": {"matchLabels": {"app": app}}, "template": pod_template(app, **pod), **spec},
    }


def service(name, app="web", **spec):
    return {
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
        "spec": {"selector": {"app": app}, "ports": [{"port": 80, "targetPort": 8080}], **spec},
    }


class Nodes(unittest.TestCase):
    """A fleet with a server on the first host and agents on the others."""

    maxDiff = None

    @classmethod
    def start(cls, count, segments, *flags, before=lambda: None):
        cls.fleet = Fleet(os.environ["APUS_BINARY"], count, segments)
        cls.addClassCleanup(cls.fleet.close)
        cls.hosts = cls.fleet.hosts
        cls.names = [host.name for host in cls.hosts]
        cls.hosts[0].server(*flags)
        before()
        cls.fleet.wait_nodes_ready(1)
        cls.agents = cls.fleet.join(cls.hosts[1:])
        try:
            cls.fleet.wait_nodes_ready()
        except BaseException:
            print("".join(host.log("server", 30) + host.log("agent", 30) for host in cls.hosts), file=sys.stderr)
            raise

    def apply(self, *objects):
        self.fleet.kubectl("apply", "-f", "-", input=json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)}))

    def pods(self, app, ready=True):
        """The pods of an application by node."""
        return {
            p["spec"]["nodeName"]: p for p in self.fleet.get("pods", "-l", f"app={app}")["items"]
            if "deletionTimestamp" not in p["metadata"] and (not ready or any(
                c["type"] == "Ready" and c["status"] == "True" for c in p["status"].get("conditions", [])))
        }

    def condition(self, node, kind="Ready"):
        return {c["type"]: c["status"] for c in self.fleet.get("node", node)["status"]["conditions"]}.get(kind)

    def taints(self, node):
        return {f"{t['key']}:{t['effect']}" for t in self.fleet.get("node", node)["spec"].get("taints", [])}

    def shell(self, pod, script, timeout=60):
        return plain(self.fleet.out("exec", pod["metadata"]["name"], "--", "sh", "-c", script, timeout=timeout))

    def outside(self, command, **options):
        return plain(self.fleet.outside(command, **options).stdout.strip())

    def outside_ask(self, address, count=1):
        return self.outside(f"for i in $(seq {count}); do curl -sS -m 3 http://{address}/cgi-bin/who; done", check=False)


class FiveHosts(Nodes):
    """Three hosts on one segment and two on another: routes among neighbours, the overlay across."""

    @classmethod
    def setUpClass(cls):
        cls.start(5, 2)
        cls.fleet.outside_spawn([sys.executable, "-c", ECHO])
        self = cls()
        self.apply(
            workload("DaemonSet", "web", {}),
            service("web"),
            service("open", type="NodePort", ports=[{"port": 80, "targetPort": 8080, "nodePort": 30080}]),
            service("near", trafficDistribution="PreferSameNode"),
            service("own", internalTrafficPolicy="Local"),
            service("sticky", sessionAffinity="ClientIP"),
            service("external", externalIPs=["192.0.2.50"]),
            service(
                "balanced", type="LoadBalancer", externalTrafficPolicy="Local", loadBalancerClass="example.com/none",
                ports=[{"port": 80, "targetPort": 8080, "nodePort": 30081}]))
        cls.web = eventually(lambda: (lambda p: p if len(p) == 5 else None)(self.pods("web")), 60, what="a pod on every node")
        # A kubelet serves with a certificate of the cluster's only after its node is registered.
        in_parallel(lambda pod: eventually(lambda: self.shell(pod, "echo here"), 75, what="exec"), cls.web.values())

    def test_10_everybody_reaches_everybody(self):
        addresses = {name: pod["status"]["podIP"] for name, pod in self.web.items()}
        lines = ["get() { timeout 5 wget -q -O - http://$1/cgi-bin/who || echo nothing; }"]
        lines += [f"echo pod {name} $(get {address}:8080)" for name, address in addresses.items()]
        lines += [f"echo node {host.name} $(get {host.address}:30080)" for host in self.hosts]
        lines += [f"echo {name} $(get {name})" for name in ("web", "web.default.svc.cluster.local")]
        lines += [f"echo outside $(timeout 5 wget -q -O - http://{OUTSIDE}:8000/)"]
        answers = {}

        def ask(name):
            answers[name] = eventually(
                lambda: (lambda t: t if "nothing" not in t else None)(self.shell(self.web[name], "\n".join(lines))), 40,
                what=f"everything answering {name}")

        in_parallel(ask, self.names)
        for host in self.hosts:
            text = answers[host.name]
            for name in self.names:
                # Pods see each other's own addresses.
                self.assertIn(f"pod {name} {name} saw {addresses[host.name]}", text)
                self.assertRegex(text, rf"node {name} node-\d saw ")
            self.assertRegex(text, r"(?m)^web node-\d saw ")
            self.assertRegex(text, r"(?m)^web.default.svc.cluster.local node-\d saw ")
            # The world outside sees the node.
            self.assertIn(f"outside {host.address}", text)

    def test_11_routes_and_overlay(self):
        here, there = self.hosts[:3], self.hosts[3:]
        ranges = {name: self.fleet.get("node", name)["spec"]["podCIDR"] for name in self.names}
        for host in self.hosts:
            routes = host.sh("ip route show proto 97").stdout
            near = here if host in here else there
            for other in self.hosts:
                if other is host:
                    self.assertNotIn(ranges[other.name], routes)
                elif other in near:
                    self.assertIn(f"{ranges[other.name]} via {other.address} dev eth0", routes)
                else:
                    self.assertRegex(routes, rf"{re.escape(ranges[other.name])} via \S+ dev apus.vxlan")
            self.assertIn("mtu 1450", host.sh("ip link show apus.vxlan").stdout)
        # A large packet goes through, in fragments where it must.
        target = self.web["node-5"]["status"]["podIP"]
        self.shell(self.web["node-1"], f"ping -c 1 -W 3 -s 4000 {target}")

    def test_12_what_somebody_deletes_comes_back(self):
        host = self.hosts[0]
        before = host.sh("ip route show proto 97").stdout
        host.sh("ip route flush proto 97; ip link delete apus.vxlan; nft delete table ip apus-network")

        def back():
            return (sorted(host.sh("ip route show proto 97").stdout.split("\n")) == sorted(before.split("\n"))
                    and "masquerade" in host.sh("nft list table ip apus-network", check=False).stdout)

        eventually(back, 15, what="the routes coming back")
        target = self.web["node-5"]["status"]["podIP"]
        eventually(lambda: "node-5" in self.shell(self.web["node-1"], f"timeout 5 wget -q -O - http://{target}:8080/cgi-bin/who"), 15)

    def test_20_services_in_every_way(self):
        pod = self.web["node-4"]

        def ask(name, count=8):
            text = self.shell(pod, f"for i in $(seq {count}); do timeout 5 wget -q -O - http://{name}/cgi-bin/who; done")
            found = re.findall(r"(node-\d) saw", text)
            self.assertEqual(len(found), count, text)
            return set(found)

        self.assertGreater(len(ask("web", 30)), 2)
        self.assertEqual(ask("near"), {"node-4"})
        self.assertEqual(ask("own"), {"node-4"})
        self.assertEqual(len(ask("sticky")), 1)

    def test_21_from_outside(self):
        for host in self.hosts:
            text = self.outside_ask(f"{host.address}:30080", 20)
            self.assertGreater(len(set(re.findall(r"(node-\d) saw", text))), 1, host.name)
            # Local: this node's pod, and it sees who asks.
            self.assertEqual(self.outside_ask(f"{host.address}:30081"), f"{host.name} saw {host.gateway}")
        self.fleet.outside(f"ip route add 192.0.2.50/32 via {self.hosts[1].address}")
        self.assertIn("saw", self.outside_ask("192.0.2.50"))

    def test_22_load_balancer_addresses(self):
        self.fleet.outside(f"ip route add 192.0.2.60/32 via {self.hosts[3].address}")
        self.fleet.out(
            "patch", "service", "balanced", "--subresource=status", "--type=merge", "-p",
            json.dumps({"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.60", "ipMode": "VIP"}]}}}))

        def ask():
            return self.outside_ask("192.0.2.60")

        eventually(lambda: ask() == f"node-4 saw {self.hosts[3].gateway}", 10, what="the balancer's address")
        # A pod may go to any backend by it.
        self.assertIn("saw", self.shell(self.web["node-1"], "timeout 5 wget -q -O - http://192.0.2.60/cgi-bin/who"))
        for ranges, reached in ((["198.51.100.0/24"], False), (["10.78.0.0/24", "10.78.0.1/32"], True)):
            self.fleet.out(
                "patch", "service", "balanced", "--type=merge", "-p",
                json.dumps({"spec": {"loadBalancerSourceRanges": ranges}}))
            eventually(lambda: ("saw" in ask()) == reached, 15, what=f"only {ranges} let in")
        port = self.fleet.get("service", "balanced")["spec"]["healthCheckNodePort"]
        answer = self.outside(f"curl -sS -m 5 -w '%{{http_code}}' http://{self.hosts[2].address}:{port}/")
        self.assertIn('"localEndpoints": 1', answer)
        self.assertTrue(answer.endswith("200"), answer)
        self.assertIn('"nodeEligible": true', self.outside(f"curl -sS {self.hosts[2].address}:10256/healthz"))

    def test_23_dns_on_every_node(self):
        slices = self.fleet.get("endpointslices", "-n", "kube-system", "-l", "kubernetes.io/service-name=kube-dns")["items"]
        self.assertEqual(
            {s["metadata"]["name"]: s["endpoints"][0]["nodeName"] for s in slices}, {f"kube-dns-{n}": n for n in self.names})
        for item in slices:
            self.assertEqual(item["metadata"]["ownerReferences"][0]["kind"], "Node")

    def test_30_logs_exec_and_forward(self):
        def one(index):
            name, pod = self.names[index], self.web[self.names[index]]["metadata"]["name"]
            self.assertIn(f"serving on {name}", self.fleet.out("logs", pod))
            self.assertEqual(self.shell(self.web[name], "echo $NODE"), name)
            forward = subprocess.Popen(
                self.fleet.command("port-forward", f"pod/{pod}", f"{18000 + index}:8080"), stdout=subprocess.PIPE, text=True)
            with contextlib.closing(forward.stdout):
                try:
                    self.assertIn("Forwarding", forward.stdout.readline())
                    text = self.hosts[0].sh(f"curl -sS -m 5 http://127.0.0.1:{18000 + index}/cgi-bin/who").stdout
                    self.assertEqual(text.split()[0], name)
                finally:
                    forward.kill()
                    forward.wait()

        in_parallel(one, range(5))


class ThreeHosts(Nodes):
    """A server and two agents, one of which has a pod network of somebody else's."""

    @classmethod
    def setUpClass(cls):
        def foreign():
            directory = f"{cls.hosts[2].data}/cni/net.d"
            os.makedirs(directory)
            plugin = {
                "type": "bridge", "bridge": "foreign0", "isGateway": True,
                "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.99.0.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}]},
            }
            with open(f"{directory}/10-foreign.conflist", "w") as file:
                json.dump({"cniVersion": "0.4.0", "name": "foreign", "plugins": [plugin]}, file)

        cls.start(3, 1, "--node-monitor-period=1s", "--node-monitor-grace-period=14s", before=foreign)

    def test_10_a_foreign_network_is_left_alone(self):
        self.apply(workload("DaemonSet", "each", {}))
        pods = eventually(lambda: (lambda p: p if len(p) == 3 else None)(self.pods("each")), 60, what="a pod on every node")
        self.assertTrue(pods["node-3"]["status"]["podIP"].startswith("10.99.0."))
        self.assertTrue(pods["node-2"]["status"]["podIP"].startswith("10.244."))
        host = self.hosts[2]
        self.assertEqual(host.sh("ip route show proto 97").stdout, "")
        self.assertNotIn("apus-network", host.sh("nft list tables").stdout)
        self.assertEqual(os.listdir(f"{host.data}/cni/net.d"), ["10-foreign.conflist"])
        self.assertIn("via 10.77.0.12", self.hosts[0].sh("ip route show proto 97").stdout)

    def test_20_a_volume_goes_with_its_claim(self):
        self.apply(
            {
                "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data"},
                "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}},
            },
            {
                "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "writer"},
                "spec": {
                    "terminationGracePeriodSeconds": 0, "nodeSelector": {"kubernetes.io/hostname": "node-2"},
                    "containers": [{
                        "name": "main", "image": IMAGE, "command": ["sh", "-c", "echo kept > /data/file; exec sleep 3600"],
                        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
                    }],
                    "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}],
                },
            })
        self.fleet.out("wait", "pod/writer", "--for=condition=Ready", "--timeout=40s")
        path = self.fleet.get("pv")["items"][0]["spec"]["hostPath"]["path"]
        self.assertEqual(self.hosts[1].sh(f"cat {path}/file").stdout, "kept\n")
        self.fleet.out("delete", "pod/writer", "pvc/data")
        eventually(lambda: not self.fleet.get("pv")["items"], 30, what="the volume gone")
        self.assertFalse(os.path.exists(path))

    def test_30_drain(self):
        self.apply(
            workload(
                "Deployment", "moving", {"replicas": 2}, terminationGracePeriodSeconds=3,
                affinity={"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
                    {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": ["node-1", "node-2"]}]}]}}},
                topologySpreadConstraints=[{
                    "maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway",
                    "labelSelector": {"matchLabels": {"app": "moving"}}}],
                tolerations=[
                    {"key": f"node.kubernetes.io/{key}", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 2}
                    for key in ("unreachable", "not-ready")
                ]),
            service("moving", "moving"))
        self.fleet.out("rollout", "status", "deployment/moving", "--timeout=40s")
        self.assertEqual(set(self.pods("moving")), {"node-1", "node-2"})
        self.fleet.out("drain", "node-2", "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=40s", timeout=60)
        self.assertIn("SchedulingDisabled", self.fleet.out("get", "node", "node-2"))
        eventually(
            lambda: self.fleet.get("deployment", "moving")["status"].get("readyReplicas") == 2, 30, what="the pods elsewhere")
        self.assertEqual(set(self.pods("moving")), {"node-1"})
        self.fleet.out("uncordon", "node-2")
        eventually(lambda: not self.taints("node-2"), 10, what="the taint gone")

    def test_40_a_lost_node(self):
        name = self.fleet.get("pods", "-l", "app=moving")["items"][0]["metadata"]["name"]
        self.fleet.out("delete", "pod", name)
        lost = eventually(lambda: self.pods("moving").get("node-2"), 30, what="a pod on node-2")["metadata"]["name"]
        each = self.pods("each")["node-2"]["metadata"]["name"]
        self.hosts[1].cut()
        eventually(lambda: self.condition("node-2") == "Unknown", 40, what="node-2 Unknown")
        self.assertEqual(self.fleet.get("node", "node-2")["status"]["conditions"][-1]["status"], "Unknown")
        eventually(
            lambda: {"node.kubernetes.io/unreachable:NoSchedule", "node.kubernetes.io/unreachable:NoExecute"}
            <= self.taints("node-2"), 10, what="the taints")
        eventually(
            lambda: {"Ready": "False"}.items() <= {
                c["type"]: c["status"] for c in self.fleet.get("pod", each)["status"]["conditions"]}.items(),
            10, what="its pods not ready")
        eventually(
            lambda: self.fleet.get("endpointslice", "kube-dns-node-2", "-n", "kube-system")["endpoints"][0]["conditions"]
            ["ready"] is False, 10, what="its DNS not asked")
        # Evicted after the time it tolerates, and replaced: the node cannot confirm, so the pod stays in deletion.
        eventually(lambda: "deletionTimestamp" in self.fleet.get("pod", lost)["metadata"], 20, what="the eviction")
        eventually(lambda: len([p for p in self.fleet.get("pods", "-l", "app=moving")["items"]
                                if "deletionTimestamp" not in p["metadata"]]) == 2, 20, what="the replacement")
        self.hosts[1].mend()
        eventually(lambda: self.condition("node-2") == "True", 60, what="node-2 back")
        eventually(lambda: not self.taints("node-2"), 20, what="the taints gone")
        eventually(lambda: self.fleet.kubectl("get", "pod", lost, check=False).returncode != 0, 40, what="the stale pod gone")
        eventually(lambda: self.pods("each").get("node-2"), 40, what="its pods ready again")
        eventually(
            lambda: self.fleet.get("endpointslice", "kube-dns-node-2", "-n", "kube-system")["endpoints"][0]["conditions"]
            ["ready"], 10, what="its DNS asked again")

    def test_50_a_deleted_node(self):
        self.hosts[1].terminate(self.agents[0])
        self.fleet.out("delete", "node", "node-2")
        eventually(lambda: "via 10.77.0.12" not in self.hosts[0].sh("ip route show proto 97").stdout, 10, what="no route to it")
        eventually(
            lambda: self.fleet.kubectl("get", "endpointslice", "kube-dns-node-2", "-n", "kube-system", check=False).returncode,
            30, what="its DNS forgotten")


def load_tests(loader, tests, pattern):
    return unittest.TestSuite(loader.loadTestsFromTestCase(case) for case in (FiveHosts, ThreeHosts))
