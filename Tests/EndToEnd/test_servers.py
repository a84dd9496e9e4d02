"""Three servers on one etcd: joining, one view for all, and going on without one of them."""

import json
import os
import random
import threading
import time
import unittest

from api import Api, Writer
from hosts import Fleet, eventually

LEASES = ("kube-scheduler", "kube-controller-manager")
MAPS = "/api/v1/namespaces/default/configmaps"
SERVICES = "/api/v1/namespaces/default/services"
IDENTITY = "apiserver.kubernetes.io/identity=kube-apiserver"


def deployment(name):
    labels = {"app": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "terminationGracePeriodSeconds": 0,
                    "nodeSelector": {"alive": "yes"},
                    "containers": [{
                        "name": "main", "image": "apus.local/busybox:1", "command": ["sleep", "1000"]
                    }],
                },
            },
        },
    }


class Servers(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.fleet = Fleet(os.environ["APUS_BINARY"], 3)
        cls.addClassCleanup(cls.fleet.close)
        cls.store = cls.fleet.etcd().flags
        cls.servers = {}
        first = cls.fleet.hosts[0]
        cls.servers[first.name] = first.server(*cls.store)
        cls.fleet.wait_nodes_ready(1)
        cls.api = Api(cls.fleet)
        with open(f"{first.data}/server-token") as file:
            cls.token = file.read().strip()

    # What this file asks again and again

    def start(self, host, *flags):
        self.servers[host.name] = host.server(*self.store, *flags)

    def endpoints(self, server=0):
        """The addresses of the servers, which both forms must agree on."""
        old = self.fleet.get("endpoints", "kubernetes", server=server)
        new = self.fleet.get("endpointslice", "kubernetes", server=server)
        addresses = sorted(a["ip"] for s in old["subsets"] for a in s["addresses"])
        self.assertEqual(addresses, sorted(a for e in new["endpoints"] for a in e["addresses"]))
        return addresses

    def eventually_endpoints(self, hosts, timeout, server=0):
        wanted = sorted(h.address for h in hosts)
        eventually(lambda: self.endpoints(server) == wanted, timeout, what=f"endpoints {wanted}")

    def holders(self, server=0):
        """The host that leads, by Lease."""
        found = {}
        for name in LEASES:
            holder = self.fleet.get("-n", "kube-system", "lease", name, server=server)["spec"].get("holderIdentity") or ""
            found[name] = next((h for h in self.fleet.hosts if holder.startswith(f"{h.name}_")), None)
        return found

    def refused(self, host, *flags):
        """What a server says that may not join."""
        directory = os.path.join(host.directory, "stranger")
        answer = host.run(
            [self.fleet.binary, "server", "--data-dir", directory, "--node-name", "stranger", "--node-ip", host.address,
             *self.store, *flags], check=False, timeout=40)
        self.assertNotEqual(answer.returncode, 0)
        lines = [line for line in (answer.stdout + answer.stderr).splitlines() if line.startswith("Error:")]
        self.assertEqual(len(lines), 1, answer.stderr)
        return lines[0]

    # In this order

    def test_1_join(self):
        one, two, three = self.fleet.hosts
        self.assertIn("the token is wrong", self.refused(two, "--token", "0123456789abcdef0123456789abcdef"))
        self.assertIn("join it with --token", self.refused(two))
        os.makedirs(three.data, exist_ok=True)
        with open(f"{three.data}/given", "w") as file:
            file.write(self.token + "\n")
        begin = time.monotonic()
        self.start(two, "--token", self.token)
        self.start(three, "--token-file", f"{three.data}/given")
        self.fleet.wait_nodes_ready(3)
        print(f"two more servers Ready after {time.monotonic() - begin:.1f} s")
        for file in ("ca.crt", "sa.key", "front-proxy-ca.crt"):
            contents = set()
            for host in self.fleet.hosts:
                with open(f"{host.data}/pki/{file}") as source:
                    contents.add(source.read())
            self.assertEqual(len(contents), 1, file)
        for server in range(3):
            self.eventually_endpoints(self.fleet.hosts, 10, server)
        self.assertEqual(len(self.fleet.get("-n", "kube-system", "lease", "-l", IDENTITY)["items"]), 3)
        self.assertTrue(all(self.holders().values()))
        # A token that one server signed is good at all of them.
        token = self.fleet.out("-n", "default", "create", "token", "default", server=1)
        for server in range(3):
            who = self.fleet.kubectl(
                "--kubeconfig=/dev/null", f"--server=https://{self.fleet.hosts[server].address}:6443",
                f"--certificate-authority={one.data}/pki/ca.crt", f"--token={token}", "auth", "whoami", "-o",
                "jsonpath={.status.userInfo.username}", server=server).stdout
            self.assertEqual(who, "system:serviceaccount:default:default")

    def test_2_one_view(self):
        hosts = self.fleet.hosts

        def reads_what_others_wrote():
            for number in range(60):
                a, b, c = random.sample(hosts, 3)
                path = f"{MAPS}/view-{number}"
                status, made = self.api.request(a, "POST", MAPS, {"metadata": {"name": f"view-{number}"}})
                self.assertEqual(status, 201, made)
                status, seen = self.api.request(b, "GET", path)
                self.assertEqual((status, seen), (200, made))
                seen["data"] = {"k": "v"}
                status, changed = self.api.request(c, "PUT", path, seen)
                self.assertEqual(status, 200, changed)
                status, listed = self.api.request(a, "GET", f"{MAPS}?fieldSelector=metadata.name%3Dview-{number}")
                self.assertEqual([i["metadata"]["resourceVersion"] for i in listed["items"]],
                                 [changed["metadata"]["resourceVersion"]])
                self.assertEqual(self.api.request(b, "DELETE", path)[0], 200)
                self.assertEqual(self.api.request(c, "GET", path)[0], 404)

        def counts(host):
            # Read, add one, write if nobody was faster.
            def work():
                done = 0
                while done < 20:
                    _, counter = self.api.request(host, "GET", f"{MAPS}/counter")
                    counter["data"]["n"] = str(int(counter["data"]["n"]) + 1)
                    status, answer = self.api.request(host, "PUT", f"{MAPS}/counter", counter)
                    self.assertIn(status, (200, 409), answer)
                    done += status == 200
            return work

        def serves(host):
            def work():
                made = []
                for number in range(20):
                    status, service = self.api.request(host, "POST", SERVICES, {
                        "metadata": {"name": f"{host.name}-{number}"},
                        "spec": {"type": "NodePort", "ports": [{"port": 80}]},
                    })
                    self.assertEqual(status, 201, service)
                    made.append((service["spec"]["clusterIP"], service["spec"]["ports"][0]["nodePort"]))
                return made
            return work

        self.fleet.kubectl("create", "configmap", "counter", "--from-literal=n=0")
        self.api.inside(reads_what_others_wrote, *map(counts, hosts))
        self.assertEqual(self.fleet.get("configmap", "counter", server=2)["data"]["n"], "60")
        made = sum(self.api.inside(*map(serves, hosts)), [])
        self.assertEqual(len({address for address, _ in made}), 60)
        self.assertEqual(len({port for _, port in made}), 60)
        self.assertEqual(
            {address for address, _ in made} - {i["metadata"]["name"] for i in self.fleet.get("ipaddresses")["items"]},
            set())

    def test_3_one_is_killed(self):
        leaders = [h for h in self.holders().values() if h]
        victim = random.choice(leaders or self.fleet.hosts)
        print(f"{victim.name} is killed; leading: {[h.name for h in leaders]}")
        rest = [h for h in self.fleet.hosts if h is not victim]
        left = self.fleet.hosts.index(rest[0])
        for host in rest:
            self.fleet.kubectl("label", "node", host.name, "alive=yes", server=left)
        stop = threading.Event()
        # Half of the clients talk to the one that will go.
        writers = [
            Writer(self.api, sorted(self.fleet.hosts, key=lambda h: h is not (victim if n % 2 else rest[0])), f"w{n}")
            for n in range(4)
        ]

        def kill():
            try:
                time.sleep(2)
                self.fleet.hosts[0].kill(self.servers[victim.name])
                killed = time.monotonic()
                eventually(
                    lambda: all(h in rest for h in self.holders(left).values()), 20, what="the Leases taken over")
                print(f"Leases taken over after {time.monotonic() - killed:.1f} s")
                self.fleet.kubectl("create", "-f", "-", input=json.dumps(deployment("after")), server=left)
                eventually(
                    lambda: self.fleet.get("deployment", "after", server=left)["status"].get("readyReplicas") == 2, 30,
                    what="the new leaders at work")
            finally:
                stop.set()

        self.api.inside(kill, *[lambda w=w: w.run(stop) for w in writers])
        for writer in writers:
            print(f"{writer.name}: {len(writer.acknowledged)} writes, longest gap {writer.longest:.2f} s, "
                  f"failures {writer.failures[:3]}")
            self.assertGreater(len(writer.acknowledged), 10)
            self.assertLess(writer.longest, 5)
        acknowledged = {name for writer in writers for name in writer.acknowledged}
        for host in rest:
            _, listed = self.api.inside(lambda: self.api.request(host, "GET", MAPS, timeout=10))[0]
            self.assertEqual(acknowledged - {i["metadata"]["name"] for i in listed["items"]}, set())
        self.eventually_endpoints(rest, 30, left)
        type(self).victim = victim

    def test_4_it_comes_back_and_another_leaves(self):
        others = [h for h in self.fleet.hosts if h is not self.victim]
        leader = self.holders(self.fleet.hosts.index(others[0]))["kube-controller-manager"]
        stays = next(h for h in self.fleet.hosts if h is not leader and h is not self.victim)
        left = self.fleet.hosts.index(stays)
        # It has its token and its keys.
        self.start(self.victim)
        self.eventually_endpoints(self.fleet.hosts, 30, left)
        begin = time.monotonic()
        leader.terminate(self.servers[leader.name])
        self.assertEqual(self.servers[leader.name].returncode, 0, leader.log())
        self.eventually_endpoints([h for h in self.fleet.hosts if h is not leader], 5, left)
        eventually(
            lambda: self.holders(left)["kube-controller-manager"] not in (None, leader), 5, what="the Lease handed over")
        print(f"handed over {time.monotonic() - begin:.1f} s after SIGTERM")


if __name__ == "__main__":
    unittest.main()
