"""Starts the real binary as a one-node cluster: a fleet of one host, and stock kubectl to talk to it."""

import os
import subprocess

from hosts import ROOT, Fleet, eventually, run  # noqa: F401

NODE_ADDRESS = "10.77.0.11"


class Cluster:
    """One server on one host."""

    def __init__(self, binary):
        self.fleet = Fleet(binary, 1)
        self.host = self.fleet.hosts[0]
        self.binary = self.fleet.binary
        self.data = self.host.data
        self.directory = self.fleet.directory
        self.kubeconfig = self.host.kubeconfig
        self.log = os.path.join(self.host.directory, "server.log")
        self.server = None
        self.enter = self.host.enter
        self.sh = self.host.sh
        self.apus = self.host.apus
        self.command = self.fleet.command
        self.kubectl = self.fleet.kubectl
        self.out = self.fleet.out
        self.get = self.fleet.get

    @classmethod
    def ready(cls, *flags, flags_of=None):
        """A cluster whose node is ready; what the server said where it does not come to that. `flags_of` makes flags out
        of the cluster, for files that lie in its directory."""
        cluster = cls(os.environ["APUS_BINARY"])
        try:
            cluster.start(*flags, *(flags_of(cluster) if flags_of else ()))
            cluster.wait_ready()
        except BaseException:
            print(cluster.server_log() if os.path.exists(cluster.log) else "")
            cluster.close()
            raise
        return cluster

    def start(self, *flags):
        self.server = self.host.server(*flags)

    def wait_ready(self, timeout=90):
        def ready():
            if self.server.poll() is not None:
                raise RuntimeError(f"the server ended with {self.server.returncode}:\n{self.server_log()}")
            node = self.get("node", "node-1")
            return any(c["type"] == "Ready" and c["status"] == "True" for c in node["status"].get("conditions", []))

        eventually(ready, timeout, what="node Ready")

    def server_pid(self):
        return self.server.pid

    def kill(self):
        """kill -9: nothing gets a chance to tidy up."""
        self.host.kill(self.server)

    def terminate(self):
        self.host.terminate(self.server)

    def server_log(self, lines=60):
        return self.host.log("server", lines)

    def raw(self, path, *curl, check=True):
        """curl with the admin's certificate: status code and body."""
        pki = os.path.join(self.data, "pki")
        done = run(
            self.enter() + ["curl", "-sS", "-m", "20", "--cacert", f"{pki}/ca.crt", "--cert", f"{pki}/admin.crt", "--key",
                            f"{pki}/admin.key", "-w", "\n%{http_code}", f"https://127.0.0.1:6443{path}", *curl], check=check)
        body, _, code = done.stdout.rpartition("\n")
        return int(code), body

    def close(self):
        self.fleet.close()
