"""A webhook over TLS on a host of the cluster: what each path does is below, `Webhook` starts it.

As a program: webhook.py ADDRESS DIRECTORY, with cert.pem and key.pem in the directory; writes the port to `port` there
and each review it gets as a line to `reviews`."""

import base64
import json
import os
import sys
import tempfile
import time

from programs import Handler as JSONHandler
from programs import certify, serve, start


def convert(review):
    """v1 says `length: "3m"`, v2 says `metres: 3`."""
    request = review["request"]
    for value in request["objects"]:
        value["apiVersion"] = request["desiredAPIVersion"]
        spec = value.get("spec", {})
        if value["apiVersion"].endswith("/v2") and "length" in spec:
            spec["metres"] = int(spec.pop("length")[:-1])
        elif value["apiVersion"].endswith("/v1") and "metres" in spec:
            spec["length"] = f"{spec.pop('metres')}m"
    return {"convertedObjects": request["objects"], "result": {"status": "Success"}}


def patch(*operations):
    return {"allowed": True, "patchType": "JSONPatch", "patch": base64.b64encode(json.dumps(operations).encode()).decode()}


def count(review):
    """Notes how many other entries there are."""
    data = review["request"]["object"]["data"]
    return patch({"op": "add", "path": "/data/count", "value": str(len(data))})


def mark(review):
    return patch({"op": "add", "path": "/data/marked", "value": "yes"})


def deny(review):
    """Refuses what has an entry `forbidden`, and warns of the rest."""
    if "forbidden" in ((review["request"]["object"] or {}).get("data") or {}):
        return {"allowed": False, "status": {"code": 403, "message": "no such thing here"}}
    return {"allowed": True, "warnings": ["looked at"]}


def never(review):
    return {"allowed": False}


def slow(review):
    time.sleep(3)
    return {"allowed": True}


PATHS = {f"/{answer.__name__}": answer for answer in (convert, count, mark, deny, never, slow)}


class Handler(JSONHandler):
    def do_POST(self):
        review = self.body()
        with open(os.path.join(self.server.directory, "reviews"), "a") as file:
            file.write(json.dumps({"path": self.path, **review}) + "\n")
        response = {"uid": review["request"]["uid"], **PATHS[self.path.partition("?")[0]](review)}
        self.answer({"apiVersion": review["apiVersion"], "kind": review["kind"], "response": response})


class Webhook:
    """A running webhook; `client(path)` is the clientConfig of what calls it."""

    def __init__(self, cluster, address):
        self.directory = tempfile.mkdtemp(dir=cluster.directory)
        authority = certify(self.directory, "webhook", f"IP:{address}")
        self.bundle = base64.b64encode(authority.encode()).decode()
        self.process, port = start(cluster, "webhook", address, self.directory)
        self.origin = f"https://{address}:{port}"

    def client(self, path):
        return {"url": self.origin + path, "caBundle": self.bundle}

    def reviews(self, path):
        """The reviews that came to a path, oldest first."""
        log = os.path.join(self.directory, "reviews")
        if not os.path.exists(log):
            return []
        with open(log) as file:
            reviews = [json.loads(line) for line in file]
        return [review for review in reviews if review["path"].partition("?")[0] == path]

    def close(self):
        self.process.kill()
        self.process.wait()


if __name__ == "__main__":
    serve(Handler, *sys.argv[1:])
