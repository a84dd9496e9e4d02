"""Members of an etcd that a test starts and kills one by one; all on a fleet's first host."""

import os
import time

from hosts import run

from etcd import certificates


class Members:
    """`count` members; `flags` are what `apus server` needs to use them."""

    def __init__(self, fleet, count):
        self.host = fleet.hosts[0]
        self.directory = os.path.join(fleet.directory, "etcd")
        os.makedirs(self.directory)
        certificates(fleet, run, self.directory)
        self.processes = [None] * count
        for index in range(count):
            self.start(index)
        self._wait()

    @property
    def endpoints(self):
        return [f"https://{self.host.address}:{2379 + 10 * index}" for index in range(len(self.processes))]

    @property
    def flags(self):
        return ["--datastore", ",".join(self.endpoints), "--datastore-cafile", self.path("ca.crt"), "--datastore-certfile",
                self.path("client.crt"), "--datastore-keyfile", self.path("client.key")]

    def path(self, name):
        return os.path.join(self.directory, name)

    def start(self, index):
        """Starts a member, also one that was stopped."""
        peers = [f"http://{self.host.address}:{2380 + 10 * i}" for i in range(len(self.processes))]
        client = self.endpoints[index]
        self.processes[index] = self.host.spawn([
            "etcd", "--name", f"m{index}", "--data-dir", self.path(f"m{index}"), "--listen-client-urls", client,
            "--advertise-client-urls", client, "--listen-peer-urls", peers[index], "--initial-advertise-peer-urls",
            peers[index], "--initial-cluster", ",".join(f"m{i}={peer}" for i, peer in enumerate(peers)),
            "--client-cert-auth", "--trusted-ca-file", self.path("ca.crt"), "--cert-file", self.path("member.crt"),
            "--key-file", self.path("member.key"), "--log-level", "error"], log=f"etcd-{index}")

    def stop(self, index):
        """Kills a member."""
        self.host.kill(self.processes[index])

    def ctl(self, *arguments, index=0):
        """What etcd's own client prints when it asks one member."""
        return self.host.run([
            "env", "ETCDCTL_API=3", "etcdctl", "--endpoints", self.endpoints[index], "--cacert", self.path("ca.crt"),
            "--cert", self.path("client.crt"), "--key", self.path("client.key"), *arguments]).stdout

    def _wait(self):
        limit = time.time() + 30
        while True:
            try:
                return self.ctl("get", "x")
            except AssertionError:
                if time.time() > limit:
                    raise
                time.sleep(0.1)
