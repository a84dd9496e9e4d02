"""What an API server may be told to ask about its users, over TLS on a host of the cluster: an OpenID issuer, a webhook
that knows tokens, and one that decides. `Identity` starts it.

As a program: identity.py ADDRESS DIRECTORY, with cert.pem, key.pem and keys.json in the directory; writes the port to
`port` there and each review it gets as a line to `reviews`."""

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


def encoded(value):
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def know(spec):
    """Tokens `hook-NAME` are NAME's, of the group `hooked`."""
    prefix, _, name = spec["token"].partition("-")
    if prefix != "hook":
        return {"authenticated": False}
    return {"authenticated": True, "user": {"username": name, "uid": "7", "groups": ["hooked"]}}


def decide(spec):
    """The group `hooked` may list config maps of a team that a label names, and must not see secrets."""
    asked = spec.get("resourceAttributes", {})
    if asked.get("resource") == "secrets":
        return {"allowed": False, "denied": True, "reason": "no secrets for you"}
    labels = asked.get("labelSelector", {}).get("requirements", [])
    if asked.get("resource") == "configmaps" and {"key": "team", "operator": "In", "values": ["red"]} in labels:
        return {"allowed": True}
    return {"allowed": False, "reason": "not yours"}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        origin = f"https://{self.headers['host']}"
        if self.path == "/.well-known/openid-configuration":
            self.answer({"issuer": origin, "jwks_uri": origin + "/keys"})
        elif self.path == "/keys":
            with open(os.path.join(self.server.directory, "keys.json")) as file:
                self.answer(json.load(file))
        else:
            self.answer({}, 404)

    def do_POST(self):
        review = json.loads(self.rfile.read(int(self.headers["content-length"])))
        path = self.path.partition("?")[0]
        with open(os.path.join(self.server.directory, "reviews"), "a") as file:
            file.write(json.dumps({"path": path, **review}) + "\n")
        self.answer({**review, "status": {"/tokens": know, "/access": decide}[path](review["spec"])})

    def answer(self, value, code=200):
        body = json.dumps(value).encode()
        self.send_response(code)
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


class Identity:
    """The running program, and the keys with which its issuer signs."""

    def __init__(self, cluster, address):
        self.directory = tempfile.mkdtemp(dir=cluster.directory)
        self.cert, key = (os.path.join(self.directory, name) for name in ("cert.pem", "key.pem"))
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                        "-keyout", key, "-out", self.cert, "-days", "2", "-subj", "/CN=identity", "-addext",
                        f"subjectAltName=IP:{address}"], check=True, capture_output=True)
        self.keys = []
        self.make_key("first")
        self.process = cluster.host.spawn([sys.executable, os.path.abspath(__file__), address, self.directory], "identity")
        port = os.path.join(self.directory, "port")
        eventually(lambda: os.path.exists(port), 20, what="the issuer")
        with open(port) as file:
            self.origin = f"https://{address}:{file.read()}"
        with open(self.cert) as file:
            self.authority = file.read()

    def make_key(self, name):
        """Makes a key and publishes it beside the others."""
        path = os.path.join(self.directory, name + ".pem")
        subprocess.run(["openssl", "genrsa", "-out", path, "2048"], check=True, capture_output=True)
        shown = subprocess.run(["openssl", "rsa", "-in", path, "-noout", "-modulus"], check=True, capture_output=True)
        modulus = bytes.fromhex(shown.stdout.decode().strip().partition("=")[2])
        self.keys.append({"kty": "RSA", "kid": name, "use": "sig", "alg": "RS256", "n": encoded(modulus), "e": "AQAB"})
        place = os.path.join(self.directory, "keys.json")
        with open(place + ".new", "w") as file:
            json.dump({"keys": self.keys}, file)
        os.rename(place + ".new", place)

    def token(self, subject, key="first", lifetime=600, **claims):
        now = int(time.time())
        payload = {"iss": self.origin, "aud": "apus", "sub": subject, "iat": now, "exp": now + lifetime, **claims}
        signed = encoded({"alg": "RS256", "kid": key}) + "." + encoded(payload)
        made = subprocess.run(["openssl", "dgst", "-sha256", "-sign", os.path.join(self.directory, key + ".pem")],
                              input=signed.encode(), check=True, capture_output=True)
        return signed + "." + encoded(made.stdout)

    def kubeconfig(self, path):
        """A file that says where one of the webhooks is."""
        place = os.path.join(self.directory, path.strip("/") + ".kubeconfig")
        with open(place, "w") as file:
            json.dump({"apiVersion": "v1", "kind": "Config", "current-context": "c",
                       "clusters": [{"name": "c", "cluster": {"server": self.origin + path,
                                                              "certificate-authority": self.cert}}],
                       "users": [], "contexts": [{"name": "c", "context": {"cluster": "c"}}]}, file)
        return place

    def reviews(self, path):
        """The reviews that came to a path, oldest first."""
        log = os.path.join(self.directory, "reviews")
        if not os.path.exists(log):
            return []
        with open(log) as file:
            reviews = [json.loads(line) for line in file]
        return [review for review in reviews if review["path"] == path]


if __name__ == "__main__":
    main(*sys.argv[1:])
