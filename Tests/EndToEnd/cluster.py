"""Starts the real binary as a one-node cluster in namespaces of its own, and talks to it with stock kubectl."""

import json
import os
import shutil
import signal
import subprocess
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
NODE_ADDRESS = "10.77.0.10"


def run(arguments, check=True, timeout=60, input=None, env=None):
    done = subprocess.run(arguments, input=input, capture_output=True, text=True, timeout=timeout, env=env)
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(arguments)}: exit {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done


def eventually(check, timeout=60, every=0.2, what="condition"):
    """Calls check until it returns something true; what it raised or returned last is the failure's text."""
    end = time.time() + timeout
    last = None
    while time.time() < end:
        try:
            last = check()
            if last:
                return last
        except (AssertionError, subprocess.TimeoutExpired, KeyError, IndexError, ValueError) as error:
            last = error
        time.sleep(every)
    raise AssertionError(f"{what} did not come true in {timeout} s; last seen: {last}")


class Cluster:
    """One host: a network namespace with a default route, own mounts, own /run; the server and its pods live in it."""

    def __init__(self, binary):
        self.binary = os.path.abspath(binary)
        self.name = f"apus-e2e-{os.getpid()}"
        self.directory = tempfile.mkdtemp(prefix="apus-e2e-")
        self.data = os.path.join(self.directory, "data")
        self.kubeconfig = os.path.join(self.data, "admin.kubeconfig")
        self.log = os.path.join(self.directory, "server.log")
        self.holder = None
        self.server = None

    def enter(self):
        return ["nsenter", f"--target={self.holder.pid}", "--mount", "--net", "--uts"]

    def make_host(self):
        script = (
            "mount --make-rprivate / && mount -t tmpfs tmpfs /run && mkdir -p /run/netns && "
            "mkdir -p /var/lib/cni && mount -t tmpfs tmpfs /var/lib/cni && "
            "mount --make-rshared / && hostname node-1 && ip link set lo up && "
            "ip link add eth0 type veth peer name uplink && ip link set uplink up && ip link set eth0 up && "
            f"ip address add {NODE_ADDRESS}/24 dev eth0 && ip route add default via 10.77.0.1 && "
            "sysctl -qw net.ipv4.ip_forward=1 && "
            "echo ready && exec sleep infinity"
        )
        self.holder = subprocess.Popen(
            ["unshare", "--mount", "--net", "--uts", "sh", "-c", script], stdout=subprocess.PIPE, text=True)
        if self.holder.stdout.readline().strip() != "ready":
            raise AssertionError("the test host could not be made")
        self.holder.stdout.close()

    def start(self, *flags):
        if self.holder is None:
            self.make_host()
        with open(self.log, "a") as log:
            self.server = subprocess.Popen(
                self.enter() + [self.binary, "server", "--data-dir", self.data, "--node-name", "node-1", *flags],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)

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
        os.kill(self.server.pid, signal.SIGKILL)
        self.server.wait()

    def terminate(self):
        self.server.terminate()
        self.server.wait(timeout=30)

    def server_log(self, lines=60):
        with open(self.log, errors="replace") as file:
            return "".join(file.readlines()[-lines:])

    def apus(self, *arguments, **options):
        return run(self.enter() + [self.binary, *arguments], **options)

    def sh(self, command, **options):
        return run(self.enter() + ["sh", "-c", command], **options)

    def command(self, *arguments):
        return self.enter() + ["env", f"KUBECONFIG={self.kubeconfig}", f"HOME={self.directory}", "kubectl", *arguments]

    def kubectl(self, *arguments, check=True, timeout=60, input=None):
        return run(self.command(*arguments), check=check, timeout=timeout, input=input)

    def out(self, *arguments, **options):
        return self.kubectl(*arguments, **options).stdout.strip()

    def get(self, *arguments):
        return json.loads(self.out("get", *arguments, "-o", "json"))

    def raw(self, path, *curl, check=True):
        """curl with the admin's certificate: status code and body."""
        pki = os.path.join(self.data, "pki")
        done = run(
            self.enter() + ["curl", "-sS", "-m", "20", "--cacert", f"{pki}/ca.crt", "--cert", f"{pki}/admin.crt", "--key",
                            f"{pki}/admin.key", "-w", "\n%{http_code}", f"https://127.0.0.1:6443{path}", *curl], check=check)
        body, _, code = done.stdout.rpartition("\n")
        return int(code), body

    def close(self):
        try:
            if self.server and self.server.poll() is None:
                self.terminate()
        except subprocess.TimeoutExpired:
            self.kill()
        if self.holder:
            self.apus("stop", "--data-dir", self.data, "--pods", check=False, timeout=120)
            self.holder.kill()
            self.holder.wait()
        shutil.rmtree(self.directory, ignore_errors=True)
