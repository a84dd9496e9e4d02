"""Pods to nodes end to end: created by a load client, bound by the scheduler, all through the API server; and a Deployment
scaled to 5,000. Nodes are objects without a machine behind them.

Upstream on the same kind of machine, load client beside it, 1,000 nodes and 5,000 pods: 231 pods a second.
"""

import json
import os
import time

from one_node import Cluster, Load, cpu, eventually, resident, row

UPSTREAM = 231
NODES, PODS = 1000, 5000


def node(index):
    return {
        "apiVersion": "v1", "kind": "Node", "metadata": {"name": f"fake-{index}", "labels": {
            "kubernetes.io/hostname": f"fake-{index}", "topology.kubernetes.io/zone": f"zone-{index % 3}"}},
        "spec": {"podCIDR": ""}, "status": {
            "capacity": {"cpu": "16", "memory": "64Gi", "pods": "110"}, "allocatable": {"cpu": "16", "memory": "64Gi", "pods": "110"},
            "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady"}]}}


def pod(**spec):
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "p-", "labels": {"app": "bench"}}, "spec": {
        "nodeSelector": {"topology.kubernetes.io/zone": "zone-0"} if spec.pop("zone", None) else {},
        "containers": [{"name": "c", "image": "none", "resources": {"requests": {"cpu": "100m", "memory": "100Mi"}}}], **spec}}


SHAPES = {
    "basic": {},
    "required node affinity": {"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
        "nodeSelectorTerms": [{"matchExpressions": [{
            "key": "topology.kubernetes.io/zone", "operator": "In", "values": ["zone-0", "zone-1"]}]}]}}}},
    "topology spreading": {"topologySpreadConstraints": [{
        "maxSkew": 5, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": {"app": "bench"}}}]},
    "pod affinity": {"affinity": {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{
        "topologyKey": "topology.kubernetes.io/zone", "labelSelector": {"matchLabels": {"app": "bench"}}}]}}},
}


def unbound(cluster):
    code, text = cluster.raw("/api/v1/namespaces/bench/pods?fieldSelector=spec.nodeName%3D&limit=1")
    return code == 200 and json.loads(text)["items"] == []


def main():
    cluster = Cluster(os.environ["APUS_BINARY"])
    try:
        cluster.start()
        cluster.wait_ready()
        load = Load(cluster)
        pid = cluster.server_pid()
        real = cluster.get("nodes")["items"][0]["metadata"]["name"]
        cluster.out("cordon", real)
        cluster.out("create", "namespace", "bench")
        eventually(lambda: cluster.raw("/api/v1/namespaces/bench/serviceaccounts/default")[0] == 200, 20)
        print("| what | /s; CPU ms each | upstream | ratio |\n|---|---|---|---|", flush=True)
        for shape, spec in SHAPES.items():
            # Made anew for each: nobody renews their leases, and after 40 s they would be held to be gone.
            path = os.path.join(cluster.directory, "nodes.json")
            with open(path, "w") as file:
                json.dump({"apiVersion": "v1", "kind": "List", "items": [node(i) for i in range(NODES)]}, file)
            cluster.kubectl("create", "-f", path, timeout=120)
            body = os.path.join(cluster.directory, "pod.json")
            with open(body, "w") as file:
                json.dump(pod(**spec), file)
            spent, begin = cpu(pid), time.time()
            load.h2load("/api/v1/namespaces/bench/pods", PODS, extra=["-H", "content-type: application/json", "-d", body])
            eventually(lambda: unbound(cluster), 120, 0.02)
            took, spent = time.time() - begin, cpu(pid) - spent
            row(f"{NODES:,} nodes, {PODS:,} pods, {shape}: created to bound", f"{PODS / took:.0f}; {spent * 1000 / PODS:.2f}",
                UPSTREAM if shape == "basic" else "", f"{PODS / took / UPSTREAM:.1f}×" if shape == "basic" else "")
            cluster.raw("/api/v1/namespaces/bench/pods?gracePeriodSeconds=0", "-X", "DELETE", "-m", "120")
            cluster.raw("/api/v1/nodes?labelSelector=topology.kubernetes.io%2Fzone", "-X", "DELETE", "-m", "120")
            eventually(lambda: json.loads(cluster.raw("/api/v1/namespaces/bench/pods?limit=1")[1])["items"] == [], 60)
        spent, begin = cpu(pid), time.time()
        cluster.kubectl("create", "-f", "-", input=json.dumps({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "large", "namespace": "bench"}, "spec": {
                "replicas": 5000, "selector": {"matchLabels": {"app": "large"}}, "template": {
                    "metadata": {"labels": {"app": "large"}}, "spec": {
                        "schedulerName": "nobody", "containers": [{"name": "c", "image": "none"}]}}}}))
        eventually(lambda: cluster.get("deployment", "large", "-n", "bench").get("status", {}).get("replicas") == 5000, 120, 0.05)
        took, spent = time.time() - begin, cpu(pid) - spent
        row("a Deployment to 5,000 replicas: pods made a second; CPU ms each (whole process)",
            f"{5000 / took:.0f}; {spent * 1000 / 5000:.2f}", "", "")
        row("memory with all that, MB", f"{resident(pid):.0f}", "", "")
    finally:
        cluster.close()


if __name__ == "__main__":
    main()
