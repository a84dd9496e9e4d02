#!/usr/bin/env python3
"""Runs a cluster of several machines on this one, each in namespaces of its own, and ends it again.

    run_fleet.py up BINARY --servers N --agents M     returns when every node is ready, and says how to talk to it
    run_fleet.py down                                 ends it; its data goes with it
"""

import argparse
import os
import secrets
import stat
import sys
import time

from fleet import Fleet

HOME = os.environ.get("APUS_FLEET", "/var/lib/apus-fleet")
STATE = os.path.join(HOME, "fleet.json")


def up(binary, servers, agents):
    if os.path.exists(STATE):
        sys.exit(f"a cluster is already running in {HOME}; end it with: make stop")
    os.makedirs(HOME, exist_ok=True)
    start = time.time()
    fleet = Fleet(binary, servers + agents, directory=HOME)
    fleet.save(STATE)
    try:
        flags = []
        if servers > 1:
            print("starting etcd", flush=True)
            flags = [*fleet.etcd(members=3).flags, "--token", secrets.token_hex(16)]
        for index, host in enumerate(fleet.hosts[:servers]):
            print(f"starting the server {host.name} ({host.address})", flush=True)
            host.server(*flags)
            fleet.save(STATE)
            fleet.wait_nodes_ready(index + 1, timeout=120)
        for host in fleet.hosts[servers:]:
            print(f"starting the agent {host.name} ({host.address})", flush=True)
        fleet.join(fleet.hosts[servers:])
        fleet.save(STATE)
        fleet.wait_nodes_ready(timeout=120)
    except BaseException:
        for host in fleet.hosts:
            print(host.log("server", 5) + host.log("agent", 5), file=sys.stderr)
        fleet.close()
        raise
    kubectl = os.path.join(HOME, "kubectl")
    first = fleet.hosts[0]
    with open(kubectl, "w") as file:
        file.write(
            "#!/bin/sh\n# kubectl on the first of the machines: they are in namespaces that nothing else reaches.\n"
            f'exec nsenter --target={first.pid} --net env KUBECONFIG={first.kubeconfig} kubectl "$@"\n')
    os.chmod(kubectl, os.stat(kubectl).st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
    print(f"\nThe cluster is ready after {time.time() - start:.0f} s. Talk to it with:\n")
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    print(f"  export PATH={root}/.build/tools/bin:$PATH")
    print(f"  {kubectl} get nodes,pods -A -o wide\n")
    print("A machine of it, and what it logs:\n")
    print(f"  {' '.join(fleet.hosts[-1].enter())} bash")
    print(f"  tail -f {HOME}/node-*/*.log\n")
    print("End it with: make stop")


def down():
    if not os.path.exists(STATE):
        print(f"no cluster is running in {HOME}")
        return
    Fleet.load(STATE).close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    start = verbs.add_parser("up")
    start.add_argument("binary")
    start.add_argument("--servers", type=int, default=1)
    start.add_argument("--agents", type=int, default=2)
    verbs.add_parser("down")
    chosen = parser.parse_args()
    if os.getuid() != 0:
        sys.exit("this needs root: it makes namespaces and containers")
    if chosen.verb == "down":
        down()
    else:
        up(chosen.binary, max(1, chosen.servers), max(0, chosen.agents))


if __name__ == "__main__":
    main()
