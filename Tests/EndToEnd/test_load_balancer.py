"""Load balancers on machines of one's own: the nodes' addresses, or addresses of a pool that the nodes answer for."""

import json
import os
import re
import sys
import unittest

from hosts import Fleet, eventually

POOL = "10.77.0.201-10.77.0.202"
PATIENCE = ("--node-monitor-period=1s", "--node-monitor-grace-period=14s")
# Says who answers and whom it sees asking.
WHO = (
    "mkdir -p /www/cgi-bin; printf '#!/bin/sh\\necho \"Content-Type: text/plain\"; echo; "
    "echo \"$NODE saw $REMOTE_ADDR\"\\n' > /www/cgi-bin/who; chmod +x /www/cgi-bin/who; exec httpd -f -p 8080 -h /www")
WEB = {
    "apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "web"},
    "spec": {
        "selector": {"matchLabels": {"app": "web"}},
        "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {
                "terminationGracePeriodSeconds": 0,
                "containers": [{
                    "name": "main", "image": "apus.local/busybox:1", "command": ["sh", "-c", WHO],
                    "env": [{"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}],
                    "readinessProbe": {"tcpSocket": {"port": 8080}, "periodSeconds": 1},
                }],
            },
        },
    },
}


def service(name, **spec):
    return {
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
        "spec": {"type": "LoadBalancer", "selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}], **spec},
    }


class LoadBalancers(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.fleet = Fleet(os.environ["APUS_BINARY"], 2)
        cls.addClassCleanup(cls.fleet.close)
        cls.one, cls.two = cls.fleet.hosts
        cls.server = cls.one.server(*PATIENCE)
        cls.fleet.wait_nodes_ready(1)
        [cls.agent] = cls.fleet.join([cls.two])
        try:
            cls.fleet.wait_nodes_ready()
            cls.fleet.kubectl("apply", "-f", "-", input=json.dumps(WEB))
            cls.fleet.kubectl("rollout", "status", "daemonset/web", "--timeout=60s", timeout=70)
        except BaseException:
            print(cls.one.log("server") + cls.two.log("agent"), file=sys.stderr)
            raise

    # What this file asks again and again

    def apply(self, *objects):
        self.fleet.kubectl("apply", "-f", "-", input=json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)}))

    def ingress(self, name):
        return [i.get("ip") for i in self.fleet.get("service", name)["status"]["loadBalancer"].get("ingress", [])]

    def gets(self, name, *addresses, timeout=20):
        eventually(
            lambda: self.ingress(name) == list(addresses), timeout,
            what=f"{name} with {addresses}, now {self.ingress(name)}")

    def ask(self, address):
        """From the switch, on the hosts' own network; who answered the question for the address is asked each time."""
        answer = self.fleet.outside(
            f"ip neigh flush to {address}; curl -sS -m 2 http://{address}/cgi-bin/who", check=False).stdout
        return re.sub(r"::ffff:|[\[\]]", "", answer).strip()

    def answers(self, address, pattern, timeout=20):
        eventually(
            lambda: re.fullmatch(pattern, self.ask(address)), timeout, what=f"{address} answering with {pattern}")

    def speaker(self, address):
        """The host that the switch knows the address at."""
        self.fleet.outside(f"ip neigh flush to {address}; busybox ping -c 1 -W 1 {address}", check=False)
        entry = self.fleet.outside(f"ip neigh show to {address}").stdout
        found = re.search(r"lladdr ([0-9a-f:]+)", entry)
        for host in self.fleet.hosts:
            if found and f"link/ether {found[1]} " in host.sh("ip link show eth0").stdout:
                return host.name
        return None

    def events(self, name):
        return {
            (e["reason"], e["message"]) for e in self.fleet.get("events")["items"] if e["involvedObject"]["name"] == name
        }

    def restart(self, *flags):
        self.one.terminate(self.server)
        type(self).server = self.one.server(*PATIENCE, *flags)
        eventually(lambda: self.fleet.kubectl("get", "--raw", "/readyz", check=False).returncode == 0, 30, what="the server")

    # In this order

    def test_1_addresses_of_nodes(self):
        node = self.fleet.get("node", "node-2")
        self.assertEqual(node["spec"]["providerID"], "metal://node-2")
        self.apply(service("plain"), service("other", loadBalancerClass="example.com/other"))
        self.gets("plain", self.one.address, self.two.address)
        for host in self.fleet.hosts:
            self.answers(host.address, r"node-\d saw .*")
        plain = self.fleet.get("service", "plain")
        self.assertEqual(plain["metadata"]["finalizers"], ["service.kubernetes.io/load-balancer-cleanup"])
        self.assertEqual({i["ipMode"] for i in plain["status"]["loadBalancer"]["ingress"]}, {"VIP"})
        eventually(
            lambda: {("EnsuringLoadBalancer", "Ensuring load balancer"), ("EnsuredLoadBalancer", "Ensured load balancer")}
            <= self.events("plain"), 10, what="events")
        self.assertEqual(self.ingress("other"), [])
        # An owner keeps a node out, and lets it in again.
        label = "node.kubernetes.io/exclude-from-external-load-balancers"
        self.fleet.out("label", "node", "node-1", f"{label}=")
        self.gets("plain", self.two.address)
        self.fleet.out("label", "node", "node-1", f"{label}-")
        self.gets("plain", self.one.address, self.two.address)

    def test_2_addresses_of_a_pool(self):
        self.restart(f"--load-balancer-pool={POOL}")
        self.gets("plain", "10.77.0.201")
        self.answers("10.77.0.201", r"node-\d saw .*")
        # Local: the speaker is a node with a pod of its own, and the pod sees who asks.
        self.apply(service("local", externalTrafficPolicy="Local", loadBalancerIP="10.77.0.202"))
        self.gets("local", "10.77.0.202")
        self.answers("10.77.0.202", rf"node-\d saw {self.one.gateway}")
        self.assertEqual(self.ask("10.77.0.202").split()[0], self.speaker("10.77.0.202"))
        # None is left, and one is taken: told, and put right as soon as one is free.
        self.apply(service("late"), service("greedy", loadBalancerIP="10.77.0.201"))
        reasons = {
            "late": "no address of the load balancer pool is free",
            "greedy": "address 10.77.0.201 is in use by service default/plain",
        }
        for name, text in reasons.items():
            event = ("SyncLoadBalancerFailed", f"Error syncing load balancer: failed to ensure load balancer: {text}")
            eventually(lambda: event in self.events(name), 20, what=f"{event} of {name}")
            self.assertEqual(self.ingress(name), [])
        self.fleet.out("delete", "service", "local", "greedy")
        self.gets("late", "10.77.0.202")
        self.answers("10.77.0.202", r"node-\d saw .*")
        # No longer wanted: neither address nor finalizer nor answer is left.
        self.fleet.out("patch", "service", "late", "--type=merge", "-p", '{"spec":{"type":"ClusterIP"}}')
        self.gets("late")
        self.assertNotIn("finalizers", self.fleet.get("service", "late")["metadata"])
        eventually(lambda: self.speaker("10.77.0.202") is None, 10, what="silence")

    def test_3_by_itself(self):
        self.restart("--cloud-provider=none")
        self.one.spawn(
            [self.fleet.binary, "cloud-controller-manager", "--cloud-provider=metal", f"--load-balancer-pool={POOL}",
             f"--kubeconfig={self.one.kubeconfig}", "--bind-address=127.0.0.1"], log="cloud")
        eventually(
            lambda: self.fleet.get("lease", "-n", "kube-system", "cloud-controller-manager")["spec"]["holderIdentity"], 20,
            what="a leader")
        eventually(
            lambda: self.one.sh("curl -sSk https://127.0.0.1:10258/healthz", check=False).stdout == "ok", 10, what="health")

    def test_4_the_speaker_is_lost(self):
        # Of the pool's addresses, this one is the agent's as long as both nodes are there.
        self.fleet.out(
            "patch", "service", "plain", "--type=merge", "-p",
            '{"spec":{"externalTrafficPolicy":"Local","loadBalancerIP":"10.77.0.202"}}')
        self.gets("plain", "10.77.0.202")
        self.answers("10.77.0.202", f"node-2 saw {self.one.gateway}")
        self.assertEqual(self.speaker("10.77.0.202"), "node-2")
        self.two.cut()
        self.answers("10.77.0.202", f"node-1 saw {self.one.gateway}", timeout=40)
        self.assertEqual(self.speaker("10.77.0.202"), "node-1")
