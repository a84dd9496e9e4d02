"""Writes of every kind, both encodings, custom resources with rules, and how all of it holds up with 100,000 objects.

There is no upstream on the machine to compare with: what a write may cost at most is a fifth of upstream's create
(one_node.py has that figure), and the other rows stand for themselves.
"""

import asyncio
import json
import os
import re
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

    def send(self, path, count, body=None, kind="application/json", accept=None):
        extra = []
        if body is not None:
            extra += ["-H", f"content-type: {kind}", "-d", body]
        if accept:
            extra += ["-H", f"accept: {accept}"]
        return self.load.h2load(path, count, extra=extra)

    def change(self, method, names, kind, body, query=""):
        """Changes every object once, 32 at a time, over HTTP/1.1: a write that changes nothing would be none."""
        return asyncio.run(self.changes(method, list(names), kind, body, query))

    async def changes(self, method, names, kind, body, query):
        context = ssl._create_unverified_context()
        context.set_alpn_protocols(["http/1.1"])
        count = len(names)

        async def work():
            reader, writer = await asyncio.open_connection("127.0.0.1", 6443, ssl=context)
            while names:
                name = names.pop()
                data = json.dumps(body(name)).encode()
                writer.write((
                    f"{method} {PATH}/{name}{query} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {self.load.token}\r\n"
                    f"Content-Type: {kind}\r\nContent-Length: {len(data)}\r\n\r\n").encode() + data)
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                assert head.startswith("http/1.1 200"), head
                await reader.readexactly(int(re.search(r"content-length: (\d+)", head)[1]))
            writer.close()

        before, begin = cpu(self.pid), time.time()
        await asyncio.gather(*(work() for _ in range(32)))
        return count / (time.time() - begin), (cpu(self.pid) - before) * 1000 / count

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
        self.write("update (replace)", self.change("PUT", names, "application/json", lambda name: {
            "metadata": {"name": name, "labels": {"app": "load"}}, "data": {"value": "y" * 1000}}))
        self.write("merge patch", self.change(
            "PATCH", names, "application/merge-patch+json", lambda _: {"data": {"more": "1"}}))
        self.write("strategic merge patch", self.change(
            "PATCH", names, "application/strategic-merge-patch+json", lambda _: {"data": {"more": "2"}}))
        self.write("JSON patch", self.change("PATCH", names, "application/json-patch+json", lambda _: [
            {"op": "replace", "path": "/data/more", "value": "3"}]))
        self.write("server-side apply", self.change(
            "PATCH", names, "application/apply-patch+yaml", lambda name: {
                "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"applied": "1"}}, "?fieldManager=bench&force=true"))
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
