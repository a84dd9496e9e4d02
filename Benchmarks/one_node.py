"""Start-up, memory at rest, and the API server's work per second and per CPU-second, against upstream's figures.

Upstream's figures are those of Kubernetes v1.36.2 and etcd 3.6 on the same kind of machine (2 cores), API server and etcd
together, same load. They were measured earlier, so a ratio also carries the machines' difference of up to a third.
"""

import asyncio
import ctypes
import json
import os
import re
import ssl
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "Tests", "EndToEnd"))
from cluster import Cluster, eventually, run  # noqa: E402

UPSTREAM = {
    "ready": 3.4, "acting": 3.8, "memory": 525, "cpu": 5.0, "get": (2600, 0.585), "create": (1125, 1.37),
    "list": (10, 113), "watch": (31500, 0.03), "memory5000": 427,
}
TICKS = os.sysconf("SC_CLK_TCK")


def cpu(pid):
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def resident(pid):
    with open(f"/proc/{pid}/status") as file:
        return int(re.search(r"VmRSS:\s+(\d+)", file.read()).group(1)) / 1024


rows = []


def row(what, value, upstream, ratio):
    rows.append(f"| {what} | {value} | {upstream} | {ratio} |")
    print(rows[-1], flush=True)


def enter(cluster):
    """Takes this process into the cluster's network: watchers live in it."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(os.open(f"/proc/{cluster.host.pid}/ns/net", os.O_RDONLY), 0) != 0:
        raise OSError(ctypes.get_errno(), "setns")


class Load:
    def __init__(self, cluster):
        self.cluster = cluster
        cluster.out("create", "serviceaccount", "load", "-n", "default")
        cluster.out("create", "clusterrolebinding", "load", "--clusterrole=cluster-admin", "--serviceaccount=default:load")
        self.token = cluster.out("create", "token", "load", "-n", "default", "--duration=2h")
        self.pid = cluster.server_pid()
        self.body = os.path.join(cluster.directory, "body.json")
        with open(self.body, "w") as file:
            json.dump({
                "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "load-", "labels": {"app": "load"}},
                "data": {"value": "x" * 1000}}, file)

    def h2load(self, path, requests, connections=4, streams=8, extra=()):
        before = cpu(self.pid)
        done = run(
            self.cluster.enter() + ["h2load", "-n", str(requests), "-c", str(connections), "-m", str(streams),
                                    "-H", f"authorization: Bearer {self.token}", *extra, *(["-i", path] if os.path.exists(path) else [f"https://127.0.0.1:6443{path}"])],
            timeout=300)
        spent = cpu(self.pid) - before
        rate = float(re.search(r"finished in [^,]+, ([\d.]+) req/s", done.stdout).group(1))
        good = int(re.search(r"status codes: (\d+) 2xx", done.stdout).group(1))
        if good != requests:
            raise AssertionError(f"{good} of {requests} succeeded:\n{done.stdout}")
        return rate, spent * 1000 / requests

    async def watch(self, watchers, creates):
        context = ssl._create_unverified_context()
        context.set_alpn_protocols(["http/1.1"])
        revision = self.cluster.get("configmaps", "-n", "default")["metadata"]["resourceVersion"]
        counts = [0] * watchers
        started = asyncio.Semaphore(0)

        async def one(index):
            reader, writer = await asyncio.open_connection("127.0.0.1", 6443, ssl=context, limit=1 << 22)
            writer.write((
                f"GET /api/v1/namespaces/default/configmaps?watch=1&resourceVersion={revision} HTTP/1.1\r\nHost: x\r\n"
                f"Authorization: Bearer {self.token}\r\n\r\n").encode())
            await reader.readuntil(b"\r\n\r\n")
            started.release()
            while counts[index] < creates:
                chunk = await reader.read(1 << 20)
                if not chunk:
                    break
                counts[index] += chunk.count(b'"type":"ADDED"')
            writer.close()

        tasks = [asyncio.create_task(one(i)) for i in range(watchers)]
        for _ in range(watchers):
            await started.acquire()
        before, begin = cpu(self.pid), time.time()
        process = await asyncio.create_subprocess_exec(
            "h2load", "-n", str(creates), "-c", "4", "-m", "8", "-H", f"authorization: Bearer {self.token}",
            "-H", "content-type: application/json", "-d", self.body,
            "https://127.0.0.1:6443/api/v1/namespaces/default/configmaps", stdout=asyncio.subprocess.DEVNULL)
        await process.wait()
        await asyncio.wait_for(asyncio.gather(*tasks), 60)
        return sum(counts), time.time() - begin, cpu(self.pid) - before


def main():
    cluster = Cluster(os.environ["APUS_BINARY"])
    try:
        print("| what | Apus | upstream | ratio |\n|---|---|---|---|")
        begin = time.time()
        cluster.start()
        eventually(lambda: os.path.exists(cluster.kubeconfig) and cluster.raw("/readyz")[0] == 200, 60, 0.01)
        ready = time.time() - begin
        row("empty disk to API server ready, s", f"{ready:.2f}", UPSTREAM["ready"], f"{UPSTREAM['ready'] / ready:.1f}×")
        cluster.wait_ready()
        node = time.time() - begin
        row("empty disk to node Ready, s", f"{node:.2f}", "", "")
        cluster.out("run", "first", "--image=apus.local/busybox:1", "--command", "--", "sleep", "3600")
        cluster.out("wait", "pod/first", "--for=jsonpath={.status.phase}=Running", "--timeout=60s")
        row("empty disk to first pod Running, s", f"{time.time() - begin:.2f}", "", "")
        cluster.out("delete", "pod", "first", "--now")
        time.sleep(15)
        pid = cluster.server_pid()
        before = cpu(pid)
        time.sleep(20)
        rest = (cpu(pid) - before) / 20 * 100
        memory = resident(pid)
        row("resting memory, MB (whole process)", f"{memory:.0f}", UPSTREAM["memory"], f"{UPSTREAM['memory'] / memory:.1f}×")
        row("resting CPU, % of a core", f"{rest:.2f}", UPSTREAM["cpu"], f"{UPSTREAM['cpu'] / max(rest, 0.01):.1f}×")

        load = Load(cluster)
        path = "/api/v1/namespaces/default/configmaps"
        rate, cost = load.h2load(path, 5000, extra=["-H", "content-type: application/json", "-d", load.body])
        row("create, 32 clients, /s; CPU ms each", f"{rate:.0f}; {cost:.3f}", "{}; {}".format(*UPSTREAM["create"]),
            f"{UPSTREAM['create'][1] / cost:.1f}× per CPU-s")
        name = cluster.get("configmaps", "-n", "default", "-l", "app=load", "--chunk-size=0")["items"][0]["metadata"]["name"]
        rate, cost = load.h2load(f"{path}/{name}", 40000)
        row("GET, 32 clients, /s; CPU ms each", f"{rate:.0f}; {cost:.3f}", "{}; {}".format(*UPSTREAM["get"]),
            f"{UPSTREAM['get'][1] / cost:.1f}× per CPU-s")
        rate, cost = load.h2load(path, 100, connections=4, streams=1)
        row("LIST of 5,000, 4 clients, /s; CPU ms each", f"{rate:.0f}; {cost:.1f}", "{}; {}".format(*UPSTREAM["list"]),
            f"{UPSTREAM['list'][1] / cost:.1f}× per CPU-s")
        memory = resident(pid)
        row("memory with 5,000 objects, MB", f"{memory:.0f}", UPSTREAM["memory5000"], f"{UPSTREAM['memory5000'] / memory:.1f}×")
        enter(cluster)
        events, seconds, spent = asyncio.run(load.watch(100, 500))
        row("watch, 100 watchers × 500 creates, events/s; CPU ms an event", f"{events / seconds:.0f}; {spent * 1000 / events:.4f}",
            "{}; {}".format(*UPSTREAM["watch"]), f"{UPSTREAM['watch'][1] * events / 1000 / spent:.1f}× per CPU-s")
    finally:
        cluster.close()


if __name__ == "__main__":
    main()
