"""A webhook over TLS on a host of the cluster: what each path does is below, `Webhook` starts it.

As a program: webhook.py ADDRESS DIRECTORY, with cert.pem and key.pem in the directory; writes the port to `port` there
and each review it gets as a line to `reviews`."""

import base64
import http.server
import json
import os
import ssl
import subprocess
import sys
import tempfile
import time

from hosts import eventually


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


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        review = json.loads(self.rfile.read(int(self.headers["content-length"])))
        with open(os.path.join(self.server.directory, "reviews"), "a") as file:
            file.write(json.dumps({"path": self.path, **review}) + "\n")
        response = {"uid": review["request"]["uid"], **PATHS[self.path.partition("?")[0]](review)}
        body = json.dumps({"apiVersion": review["apiVersion"], "kind": review["kind"], "response": response}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


def main(address, directory):
    server = http.server.ThreadingHTTPServer((address, 0), Handler)
    server.directory = directory
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(os.path.join(directory, "cert.pem"), os.path.join(directory, "key.pem"))
    server.socket = tls.wrap_socket(server.socket, server_side=True)
    with open(os.path.join(directory, "port.new"), "w") as file:
        file.write(str(server.server_address[1]))
    os.rename(os.path.join(directory, "port.new"), os.path.join(directory, "port"))
    server.serve_forever()


class Webhook:
    """A running webhook; `client(path)` is the clientConfig of what calls it."""

    def __init__(self, cluster, address):
        self.directory = tempfile.mkdtemp(dir=cluster.directory)
        cert, key = (os.path.join(self.directory, name) for name in ("cert.pem", "key.pem"))
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                        "-keyout", key, "-out", cert, "-days", "2", "-subj", "/CN=webhook", "-addext",
                        f"subjectAltName=IP:{address}"], check=True, capture_output=True)
        self.process = cluster.host.spawn([sys.executable, os.path.abspath(__file__), address, self.directory], "webhook")
        port = os.path.join(self.directory, "port")
        eventually(lambda: os.path.exists(port), 20, what="the webhook")
        with open(port) as file:
            self.origin = f"https://{address}:{file.read()}"
        with open(cert, "rb") as file:
            self.bundle = base64.b64encode(file.read()).decode()

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
    main(*sys.argv[1:])
