"""Writes of every kind, both encodings, custom resources with rules, and how all of it holds up with 100,000 objects.

There is no upstream on the machine to compare with: what a write may cost at most is a fifth of upstream's create
(one_node.py has that figure), and the other rows stand for themselves.
"""

import asyncio
import json
import os
import ssl
import time

from one_node import UPSTREAM, Load, cpu, enter, resident, row
from one_node import Cluster, eventually

PATH = "/api/v1/namespaces/default/configmaps"
CREATE = UPSTREAM["create"][1]
DEFINITION = {
    "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "things.bench.example.com"},
    "spec": {"group": "bench.example.com", "scope": "Namespaced", "names": {"kind": "Thing", "plural": "things"}, "versions": [{
        "name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": {
            "type": "object", "x-kubernetes-validations": [
                {"rule": "self.low <= self.high", "message": "low above high"},
                {"rule": "self.items.all(i, i.startsWith('a'))"}],
            "required": ["low", "high", "items"], "properties": {
                "low": {"type": "integer", "minimum": 0}, "high": {"type": "integer", "maximum": 100},
                "items": {"type": "array", "maxItems": 10, "items": {"type": "string", "maxLength": 20}}}}}}}}]}}


def proto(number, payload):
    """A length-delimited field."""
    size, head = len(payload), bytes([number << 3 | 2])
    length = b""
    while size > 127:
        length += bytes([size & 127 | 128])
        size >>= 7
    return head + length + bytes([size]) + payload


def config_map_message():
    meta = proto(2, b"proto-") + proto(11, proto(1, b"app") + proto(2, b"proto"))
    message = proto(1, meta) + proto(2, proto(1, b"value") + proto(2, b"x" * 1000))
    return b"k8s\0" + proto(1, proto(1, b"v1") + proto(2, b"ConfigMap")) + proto(2, message)


class Operations:
    def __init__(self, cluster):
        self.cluster = cluster
        self.load = Load(cluster)
        self.pid = cluster.server_pid()

    def file(self, name, content):
        path = os.path.join(self.cluster.directory, name)
        with open(path, "wb") as file:
            file.write(content if isinstance(content, bytes) else json.dumps(content).encode())
        return path

    def send(self, path, count, body=None, kind="application/json", method=None, accept=None, connections=4, uris=None):
        extra = []
        if body is not None:
            extra += ["-H", f"content-type: {kind}", "-d", body]
        if method:
            extra += ["-H", f":method: {method}"]
        if accept:
            extra += ["-H", f"accept: {accept}"]
        if uris:
            # One connection: each begins the list anew, and a write that changes nothing is none.
            return self.load.h2load(uris, count, connections=1, streams=32, extra=extra)
        return self.load.h2load(path, count, connections=connections, extra=extra)

    def write(self, what, result):
        rate, cost = result
        row(what, f"{rate:.0f}; {cost:.3f}", f"{CREATE} (create)", f"{CREATE / cost:.1f}× per CPU-s")

    def read(self, what, result):
        rate, cost = result
        row(what, f"{rate:.0f}; {cost:.3f}", "", "")

    def names(self, selector, limit=5000):
        items = json.loads(self.cluster.raw(f"{PATH}?labelSelector={selector}&limit={limit}")[1])["items"]
        return [item["metadata"]["name"] for item in items]

    def run(self):
        load = self.load
        self.write("create, JSON", self.send(PATH, 5000, load.body))
        self.write("create, protobuf", self.send(PATH, 5000, self.file("create.pb", config_map_message()),
                                                 "application/vnd.kubernetes.protobuf"))
        names = self.names("app%3Dload")
        uris = self.file("uris", "".join(f"https://127.0.0.1:6443{PATH}/{name}\n" for name in names).encode())
        self.write("update (replace)", self.send(PATH, len(names), self.file("put.json", {
            "metadata": {"labels": {"app": "load"}}, "data": {"value": "y" * 1000}}), method="PUT", uris=uris))
        self.write("merge patch", self.send(PATH, len(names), self.file("merge.json", {"data": {"more": "1"}}),
                                            "application/merge-patch+json", "PATCH", uris=uris))
        self.write("strategic merge patch", self.send(
            PATH, len(names), self.file("strategic.json", {"data": {"more": "2"}}),
            "application/strategic-merge-patch+json", "PATCH", uris=uris))
        self.write("JSON patch", self.send(PATH, len(names), self.file("patch.json", [
            {"op": "replace", "path": "/data/more", "value": "3"}]), "application/json-patch+json", "PATCH", uris=uris))
        applied = self.file("uris-apply", "".join(
            f"https://127.0.0.1:6443{PATH}/{name}?fieldManager=bench&force=true\n" for name in names).encode())
        self.write("server-side apply", self.send(PATH, len(names), self.file("apply.json", {
            "apiVersion": "v1", "kind": "ConfigMap", "data": {"applied": "1"}}), "application/apply-patch+yaml", "PATCH",
            uris=applied))
        self.cluster.kubectl("apply", "-f", "-", input=json.dumps(DEFINITION))
        things = "/apis/bench.example.com/v1/namespaces/default/things"
        eventually(lambda: self.cluster.raw(things)[0] == 200, 20)
        self.write("create, custom resource with two rules", self.send(things, 5000, self.file("thing.json", {
            "apiVersion": "bench.example.com/v1", "kind": "Thing", "metadata": {"generateName": "t-"},
            "spec": {"low": 1, "high": 9, "items": ["a1", "a2", "a3"]}})))
        name = names[0]
        self.read("GET, JSON", self.send(f"{PATH}/{name}", 40000))
        self.read("GET, protobuf", self.send(f"{PATH}/{name}", 40000, accept="application/vnd.kubernetes.protobuf"))
        self.read("LIST of 500, JSON", self.send(f"{PATH}?limit=500", 1000))
        self.read("LIST of 500, protobuf", self.send(f"{PATH}?limit=500", 1000, accept="application/vnd.kubernetes.protobuf"))
        self.read("LIST of 500, metadata only", self.send(
            f"{PATH}?limit=500", 1000, accept="application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"))

        before = resident(self.pid)
        asyncio.run(self.watchers(1000, lambda: row(
            "memory a watch that rests, KB (1,000 watches)", f"{resident(self.pid) - before:.1f}", "", "")))

        before, begin = resident(self.pid), time.time()
        stored = 100_000
        rate, cost = self.send(PATH, stored, load.body)
        self.write(f"create, up to {stored:,} more", (rate, cost))
        row(f"memory an object of 1.3 KB, KB ({stored:,} of them)", f"{(resident(self.pid) - before) * 1024 / stored:.2f}", "", "")
        self.read(f"GET among {stored:,}", self.send(f"{PATH}/{name}", 40000))
        self.write(f"create among {stored:,}", self.send(PATH, 5000, load.body))
        self.read(f"LIST of 500 among {stored:,}", self.send(f"{PATH}?limit=500", 1000))
        self.read(f"LIST of all {stored + 15_000:,}", self.load.h2load(PATH, 4, connections=1, streams=1))

    async def watchers(self, count, measure):
        context = ssl._create_unverified_context()
        context.set_alpn_protocols(["http/1.1"])
        writers = []
        for _ in range(count):
            reader, writer = await asyncio.open_connection("127.0.0.1", 6443, ssl=context)
            writer.write((
                f"GET {PATH}?watch=1&fieldSelector=metadata.name%3Dnone HTTP/1.1\r\nHost: x\r\n"
                f"Authorization: Bearer {self.load.token}\r\n\r\n").encode())
            await reader.readuntil(b"\r\n\r\n")
            writers.append(writer)
        measure()
        for writer in writers:
            writer.close()


def main():
    cluster = Cluster(os.environ["APUS_BINARY"])
    try:
        cluster.start()
        cluster.wait_ready()
        enter(cluster)
        print("| what | /s; CPU ms each | upstream | ratio |\n|---|---|---|---|", flush=True)
        Operations(cluster).run()
    finally:
        cluster.close()


if __name__ == "__main__":
    main()
