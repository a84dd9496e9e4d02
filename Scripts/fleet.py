"""Makes hosts out of namespaces on one machine, for the end-to-end tests and for `make run NODES=…`.

A host is a network namespace on a bridge, with mount and UTS namespaces of its own, a /run and /var/lib/cni of its own,
a data directory and a control group. The bridges stand in one more namespace, the switch, which routes between them and
is all that the hosts can reach: nothing leaves the machine.
"""

import json
import os
import shlex
import shutil
import signal
import subprocess
import tempfile
import threading
import time

import etcd

CGROUPS = "/sys/fs/cgroup"
OUTSIDE = "192.0.2.1"


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


def in_parallel(work, items):
    """Runs work on every item at once; raises what the first of them raised."""
    errors = []

    def one(item):
        try:
            work(item)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=one, args=(item,)) for item in items]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def hold(namespaces, script):
    """A process that keeps new namespaces alive once the script has set them up; returns its pid."""
    holder = subprocess.Popen(
        ["unshare", *namespaces, "sh", "-ec", f"{script}\necho ready; exec sleep infinity >/dev/null 2>&1"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, start_new_session=True)
    if holder.stdout.readline().strip() != "ready":
        raise AssertionError("the namespaces could not be made")
    holder.stdout.close()
    holder.returncode = 0  # it outlives this object: `end` waits for it
    return holder.pid


def end(pid):
    """Kills a process of ours and waits for it."""
    try:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    except (ProcessLookupError, ChildProcessError):
        pass


class Host:
    """One machine of a fleet. Paths are the same inside and outside, but for /run and /var/lib/cni."""

    def __init__(self, fleet, number, segment, pid=None):
        self.fleet = fleet
        self.number = number
        self.segment = segment
        self.name = f"node-{number}"
        self.address = f"10.{77 + segment}.0.{10 + number}"
        self.gateway = f"10.{77 + segment}.0.1"
        self.directory = os.path.join(fleet.directory, self.name)
        self.data = os.path.join(self.directory, "data")
        self.kubeconfig = os.path.join(self.data, "admin.kubeconfig")
        self.cgroup = f"/{fleet.name}/{self.name}"
        self.processes = []
        self.pid = pid or self._make()

    def _make(self):
        images = os.path.join(self.data, "images")
        os.makedirs(images, exist_ok=True)
        if os.path.exists(self.fleet.image):
            shutil.copy(self.fleet.image, images)
        pid = hold(
            ["--mount", "--net", "--uts"],
            f"""
            mount --make-rprivate /
            mount -t tmpfs tmpfs /run; mkdir -p /run/netns
            mkdir -p /var/lib/cni; mount -t tmpfs tmpfs /var/lib/cni
            mount --make-rshared /
            hostname {self.name}
            ip link set lo up
            ip link add eth0 type veth peer name port{self.number} netns {self.fleet.switch}
            ip link set eth0 up
            ip address add {self.address}/24 dev eth0
            ip route add default via {self.gateway}
            """)
        self.fleet.outside(f"ip link set port{self.number} master segment{self.segment} up")
        for controller in self.fleet.controllers():
            os.makedirs(f"{controller}{self.cgroup}/host", exist_ok=True)
        return pid

    # Commands

    def enter(self):
        """What stands before a command so that it runs on this host."""
        return ["nsenter", f"--target={self.pid}", "--mount", "--net", "--uts"]

    def run(self, arguments, **options):
        return run(self.enter() + list(arguments), **options)

    def sh(self, command, **options):
        return self.run(["sh", "-c", command], **options)

    def apus(self, *arguments, **options):
        return self.run([self.fleet.binary, *arguments], **options)

    def spawn(self, arguments, log="log"):
        """Starts a process on this host, in the host's control group; its output goes to the log of that name."""
        groups = "".join(f'echo $$ > "{c}{self.cgroup}/host/cgroup.procs"; ' for c in self.fleet.controllers())
        with open(self._log(log), "a") as file:
            process = subprocess.Popen(
                ["sh", "-c", groups + 'exec "$@"', "sh", *self.enter(), *arguments], stdin=subprocess.DEVNULL, stdout=file,
                stderr=file, start_new_session=True)
        self.processes.append(process)
        return process

    def server(self, *flags):
        return self._node("server", flags)

    def agent(self, *flags):
        return self._node("agent", flags)

    def _node(self, kind, flags):
        return self.spawn(
            [self.fleet.binary, kind, "--data-dir", self.data, "--node-name", self.name, "--node-ip", self.address,
             "--cgroup-root", self.cgroup, *flags], log=kind)

    def kill(self, process):
        """kill -9: nothing gets a chance to tidy up."""
        if process.poll() is None:
            process.kill()
        process.wait()

    def terminate(self, process, timeout=30):
        process.terminate()
        process.wait(timeout=timeout)

    def _log(self, name):
        return os.path.join(self.directory, f"{name}.log")

    def log(self, name="server", lines=60):
        """The last lines of a log."""
        try:
            with open(self._log(name), errors="replace") as file:
                return "".join(file.readlines()[-lines:])
        except FileNotFoundError:
            return ""

    # The end

    def stop_parts(self):
        """Ends what was started here: the node's parts, then its pods and its engine."""
        for process in self.processes:
            if process.poll() is None:
                process.terminate()
        for process in self.processes:
            try:
                process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                self.kill(process)
        if os.path.exists(os.path.join(self.data, "containerd")):
            self.apus("stop", "--data-dir", self.data, "--pods", check=False, timeout=120)

    def close(self):
        try:
            self.stop_parts()
        finally:
            self.fleet.empty_cgroups(self.cgroup)
            end(self.pid)

    def cut(self):
        """Takes the host off the network."""
        self.sh("ip link set eth0 down")

    def mend(self):
        """Puts it back."""
        self.sh(f"ip link set eth0 up && ip route replace default via {self.gateway}")


class Fleet:
    """`count` hosts on one bridge, or on several: with segments=2 the later half is behind a router."""

    def __init__(self, binary, count, segments=1, directory=None):
        self.binary = os.path.abspath(binary)
        self.name = f"apus-fleet-{os.getpid()}"
        self.directory = directory or tempfile.mkdtemp(prefix=f"{self.name}-")
        self.image = os.path.join(self.directory, "busybox.tar")
        self.hosts = []
        self.extra = []
        self.switch = None
        try:
            run([self.binary, "image", "build-busybox", "--output", self.image])
            self._make_switch(segments)
            share = -(-count // segments)
            for number in range(1, count + 1):
                self.hosts.append(Host(self, number, (number - 1) // share))
        except BaseException:
            self.close()
            raise

    def _make_switch(self, segments):
        bridges = "".join(
            f"""
            ip link add segment{n} type bridge forward_delay 0
            ip address add 10.{77 + n}.0.1/24 dev segment{n}
            ip link set segment{n} up
            """ for n in range(segments))
        # An address that is neither a host's nor a pod's stands for the world outside.
        self.switch = hold(
            ["--net"],
            f"""
            ip link set lo up
            ip address add {OUTSIDE}/32 dev lo
            {bridges}
            echo 1 > /proc/sys/net/ipv4/ip_forward
            for f in /proc/sys/net/bridge/bridge-nf-call-*; do [ -e $f ] && echo 0 > $f; done
            true
            """)

    @staticmethod
    def controllers():
        """The hierarchies by which processes of a host are found again: the one of v2, or one of v1's."""
        return [CGROUPS if os.path.exists(f"{CGROUPS}/cgroup.controllers") else f"{CGROUPS}/pids"]

    def outside(self, command, **options):
        """Runs a command in the switch, from which all hosts and no pods can be reached."""
        return run(["nsenter", f"--target={self.switch}", "--net", "sh", "-c", command], **options)

    def outside_spawn(self, arguments):
        """Starts a process in the switch; it ends with the fleet."""
        process = subprocess.Popen(
            ["nsenter", f"--target={self.switch}", "--net", *arguments], stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        self.extra.append(process)
        return process

    def join(self, hosts, *flags, server=0):
        """Starts agents with the command that the server's `token create` prints."""
        host = self.hosts[server]
        words = shlex.split(host.apus("token", "create", "--data-dir", host.data).stdout)[2:]
        return [agent.agent(*words, *flags) for agent in hosts]

    def etcd(self, members=1, tls=True):
        """A real etcd on the first hosts: `.endpoints` to reach it, `.flags` that tell a server of it."""
        return etcd.start(self, run, members, tls)

    # kubectl

    def command(self, *arguments, server=0):
        host = self.hosts[server]
        return host.enter() + ["env", f"KUBECONFIG={host.kubeconfig}", f"HOME={self.directory}", "kubectl", *arguments]

    def kubectl(self, *arguments, server=0, check=True, timeout=60, input=None):
        """Stock kubectl with the admin's rights, on the host that stands at the index `server`."""
        return run(self.command(*arguments, server=server), check=check, timeout=timeout, input=input)

    def out(self, *arguments, **options):
        return self.kubectl(*arguments, **options).stdout.strip()

    def get(self, *arguments, **options):
        return json.loads(self.out("get", *arguments, "-o", "json", **options))

    def wait_nodes_ready(self, count=None, timeout=90, server=0):
        """Waits until that many nodes, or all, are Ready."""
        wanted = len(self.hosts) if count is None else count

        def ready():
            for host in self.hosts:
                for process in host.processes:
                    if process.poll() not in (None, -signal.SIGKILL):
                        raise RuntimeError(
                            f"{host.name}: a process ended with {process.returncode}\n{host.log('server')}{host.log('agent')}")
            nodes = self.get("nodes", server=server)["items"]
            names = [
                n["metadata"]["name"] for n in nodes
                if any(c["type"] == "Ready" and c["status"] == "True" for c in n["status"].get("conditions", []))
            ]
            return names if len(names) >= wanted else None

        return eventually(ready, timeout, what=f"{wanted} nodes Ready")

    # The end

    def empty_cgroups(self, group):
        """Kills what is left in a control group of ours and removes it."""
        for controller in self.controllers():
            for directory, _, _ in os.walk(controller + group):
                try:
                    with open(f"{directory}/cgroup.procs") as file:
                        pids = [int(line) for line in file]
                except OSError:
                    continue
                for pid in pids:
                    try:
                        os.kill(pid, signal.SIGKILL)
                    except ProcessLookupError:
                        pass
        roots = [CGROUPS] + [entry.path for entry in os.scandir(CGROUPS) if entry.is_dir(follow_symlinks=False)]
        limit = time.time() + 5
        left = [root + group for root in roots]
        while left and time.time() < limit:
            for top in left:
                for directory, _, _ in os.walk(top, topdown=False):
                    try:
                        os.rmdir(directory)
                    except OSError:
                        pass
            left = [top for top in left if os.path.exists(top)]
            if left:
                time.sleep(0.05)

    def close(self):
        for process in self.extra:
            if process.poll() is None:
                process.kill()
            process.wait()
        try:
            in_parallel(lambda host: host.close(), self.hosts)
        finally:
            if self.switch:
                end(self.switch)
            self.empty_cgroups(f"/{self.name}")
            shutil.rmtree(self.directory, ignore_errors=True)

    # Over several runs of a program

    def save(self, path):
        """Writes down what `load` needs."""
        state = {
            "binary": self.binary, "name": self.name, "directory": self.directory, "switch": self.switch,
            "hosts": [[h.number, h.segment, h.pid, [p.pid for p in h.processes]] for h in self.hosts],
            "extra": [p.pid for p in self.extra],
        }
        with open(path, "w") as file:
            json.dump(state, file)

    @classmethod
    def load(cls, path):
        """The fleet that an earlier run left; only `close` and commands are of use on it."""
        with open(path) as file:
            state = json.load(file)
        fleet = cls.__new__(cls)
        fleet.binary, fleet.name, fleet.directory = state["binary"], state["name"], state["directory"]
        fleet.image = os.path.join(fleet.directory, "busybox.tar")
        fleet.switch = state["switch"]
        fleet.extra = [Left(pid) for pid in state["extra"]]
        fleet.hosts = []
        for number, segment, pid, processes in state["hosts"]:
            host = Host(fleet, number, segment, pid)
            host.processes = [Left(p) for p in processes]
            fleet.hosts.append(host)
        return fleet


class Left:
    """A process that an earlier run started: as much of Popen as ending it takes."""

    def __init__(self, pid):
        self.pid = pid
        self.returncode = None

    def _signal(self, number):
        try:
            os.kill(self.pid, number)
        except ProcessLookupError:
            pass

    def poll(self):
        try:
            with open(f"/proc/{self.pid}/stat") as file:
                return None if file.read().rpartition(")")[2].split()[0] != "Z" else 0
        except FileNotFoundError:
            return 0

    def terminate(self):
        self._signal(signal.SIGTERM)

    def kill(self):
        self._signal(signal.SIGKILL)

    def wait(self, timeout=30):
        limit = time.time() + timeout
        while self.poll() is None:
            if time.time() > limit:
                raise subprocess.TimeoutExpired(str(self.pid), timeout)
            time.sleep(0.05)
        return 0
