"""Durable writes per second on both stores, fail-over time, join time and an agent's memory, on hosts in namespaces.

Stores: `create` of a 1.2 KB ConfigMap through the API server on SQLite and on etcd, and an etcd `Put` of as many bytes
straight to etcd, with 1, 32 and 256 clients, all in one run. The load is h2load's in all three, over TLS.
"""

import json
import os
import re
import statistics
import struct
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "Tests", "EndToEnd"))
from hosts import Fleet, eventually, run  # noqa: E402
from one_node import cpu, resident  # noqa: E402

# Clients as connections × streams.
CLIENTS = {1: (1, 1), 32: (4, 8), 256: (16, 16)}
REQUESTS = {1: 2000, 32: 10000, 256: 20000}
rows = []


def row(*cells):
    rows.append("| " + " | ".join(cells) + " |")
    print(rows[-1], flush=True)


def h2load(host, url, clients, *extra):
    connections, streams = CLIENTS[clients]
    done = host.run(
        ["h2load", "-n", str(REQUESTS[clients]), "-c", str(connections), "-m", str(streams), *extra, url], timeout=300)
    good = int(re.search(r"status codes: (\d+) 2xx", done.stdout).group(1))
    if good != REQUESTS[clients]:
        raise AssertionError(f"{good} of {REQUESTS[clients]} succeeded:\n{done.stdout}")
    return float(re.search(r"finished in [^,]+, ([\d.]+) req/s", done.stdout).group(1))


def token(fleet, server=0):
    fleet.out("create", "serviceaccount", "load", "-n", "default", server=server)
    fleet.out("create", "clusterrolebinding", "load", "--clusterrole=cluster-admin", "--serviceaccount=default:load",
              server=server)
    return fleet.out("create", "token", "load", "-n", "default", "--duration=2h", server=server)


def creates(fleet, server):
    """Creates per second by number of clients."""
    body = os.path.join(fleet.directory, "body.json")
    with open(body, "w") as file:
        json.dump({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "load-", "labels": {"app": "load"}},
            "data": {"value": "x" * 1000}}, file)
    bearer = token(fleet, server)
    host = fleet.hosts[server]
    return {
        n: h2load(host, f"https://{host.address}:6443/api/v1/namespaces/default/configmaps", n, "-H",
                  f"authorization: Bearer {bearer}", "-H", "content-type: application/json", "-d", body,
                  # 256 writes at once are more than anybody but an administrator may have under way.
                  "-H", "impersonate-user: load", "-H", "impersonate-group: system:masters")
        for n in CLIENTS
    }


def etcd_puts(fleet, host, endpoint):
    """Puts per second by number of clients, with gRPC's frames as the body of plain HTTP/2 requests."""
    key, value = b"/bench/key", b"x" * 1300

    def field(number, data):
        size, length = len(data), b""
        while True:
            length += bytes([size & 0x7F | (0x80 if size > 0x7F else 0)])
            size >>= 7
            if not size:
                return bytes([number << 3 | 2]) + length + data

    message = field(1, key) + field(2, value)
    body = os.path.join(fleet.directory, "put.bin")
    with open(body, "wb") as file:
        file.write(struct.pack(">BI", 0, len(message)) + message)
    return {
        n: h2load(host, f"{endpoint}/etcdserverpb.KV/Put", n, "-H", "content-type: application/grpc", "-H", "te: trailers",
                  "-d", body)
        for n in CLIENTS
    }


def plain_etcd(host, fleet):
    """An etcd of one member without TLS, for the figure of etcd alone."""
    host.spawn(
        ["etcd", "--data-dir", os.path.join(host.directory, "bench-etcd"), "--listen-client-urls",
         f"http://{host.address}:3379", "--advertise-client-urls", f"http://{host.address}:3379", "--listen-peer-urls",
         f"http://{host.address}:3380", "--initial-advertise-peer-urls", f"http://{host.address}:3380",
         "--initial-cluster", f"default=http://{host.address}:3380"], log="bench-etcd")
    eventually(lambda: "true" in host.sh(f"curl -s http://{host.address}:3379/health", check=False).stdout, 30)
    return f"http://{host.address}:3379"


def stores(binary):
    print("| durable creates, /s | 1 client | 32 clients | 256 clients |\n|---|---|---|---|")

    def show(name, figures):
        row(name, *(f"{figures[n]:.0f}" for n in CLIENTS))

    fleet = Fleet(binary, 1)
    try:
        host = fleet.hosts[0]
        host.server()
        fleet.wait_nodes_ready()
        show("Apus on SQLite", creates(fleet, 0))
    finally:
        fleet.close()
    fleet = Fleet(binary, 1)
    try:
        host = fleet.hosts[0]
        host.server(*fleet.etcd().flags)
        fleet.wait_nodes_ready()
        show("Apus on etcd, one member, TLS", creates(fleet, 0))
        show("etcd alone, Put of the same size, one member, no TLS", etcd_puts(fleet, host, plain_etcd(host, fleet)))
    finally:
        fleet.close()


def several(binary):
    fleet = Fleet(binary, 4)
    try:
        store = fleet.etcd(members=3).flags
        first = fleet.hosts[0]
        processes = [first.server(*store)]
        fleet.wait_nodes_ready(1)
        with open(os.path.join(first.data, "server-token")) as file:
            secret = file.read().strip()
        times = []
        for number in (1, 2):
            begin = time.time()
            processes.append(fleet.hosts[number].server(*store, "--token", secret))
            fleet.wait_nodes_ready(number + 1)
            times.append(time.time() - begin)
        row("a further server: start to its node Ready, s", f"{statistics.mean(times):.2f}")

        command = first.apus("token", "create", "--data-dir", first.data).stdout.split()
        agent = fleet.hosts[3]
        begin = time.time()
        process = agent.agent(*command[command.index("agent") + 1:])
        fleet.wait_nodes_ready(4)
        row("an agent: start to node Ready, s", f"{time.time() - begin:.2f}")
        time.sleep(15)
        row("an agent's memory at rest, MB", f"{resident(process.pid):.0f}")

        def holder(name):
            lease = fleet.get("lease", name, "-n", "kube-system", server=1)
            return lease["spec"].get("holderIdentity", "")

        # The leader of both is the first server, which started alone.
        before = {n: holder(n) for n in ("kube-scheduler", "kube-controller-manager")}
        begin = time.time()
        first.kill(processes[0])
        eventually(lambda: fleet.out("create", "configmap", "after", "--from-literal=a=b", server=1), 30, 0.05)
        row("a server killed: the next write through another, s", f"{time.time() - begin:.2f}")
        eventually(lambda: all(holder(n) not in ("", before[n]) for n in before), 60, 0.05)
        row("a server killed: scheduler and controllers go on elsewhere, s", f"{time.time() - begin:.2f}")
    finally:
        fleet.close()


if __name__ == "__main__":
    binary = os.environ["APUS_BINARY"]
    stores(binary)
    print("| several machines | |\n|---|---|")
    several(binary)
