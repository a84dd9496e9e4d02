"""What an API server may be told to ask about its users, over TLS on a host of the cluster: an OpenID issuer, a webhook
that knows tokens, and one that decides. `Identity` starts it.

As a program: identity.py ADDRESS DIRECTORY, with cert.pem, key.pem and keys.json in the directory; writes the port to
`port` there and each review it gets as a line to `reviews`."""

import base64
import json
import os
import subprocess
import sys
import tempfile
import time

from programs import Handler as JSONHandler
from programs import certify, serve, start


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


class Handler(JSONHandler):
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
        review = self.body()
        path = self.path.partition("?")[0]
        with open(os.path.join(self.server.directory, "reviews"), "a") as file:
            file.write(json.dumps({"path": path, **review}) + "\n")
        self.answer({**review, "status": {"/tokens": know, "/access": decide}[path](review["spec"])})


class Identity:
    """The running program, and the keys with which its issuer signs."""

    def __init__(self, cluster, address):
        self.directory = tempfile.mkdtemp(dir=cluster.directory)
        self.cert = os.path.join(self.directory, "cert.pem")
        self.authority = certify(self.directory, "identity", f"IP:{address}")
        self.keys = []
        self.make_key("first")
        self.process, port = start(cluster, "identity", address, self.directory)
        self.origin = f"https://{address}:{port}"

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
    serve(Handler, *sys.argv[1:])
