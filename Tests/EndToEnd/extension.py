"""An extension API server, as far as the aggregator can tell one: it serves `fish` of sea.extension.example.com/v1, and
believes what the front proxy says about users if its certificate is good.

As a program: extension.py ADDRESS DIRECTORY, with cert.pem, key.pem and proxy-ca.pem in the directory; writes the port to
`port` there."""

import http.server
import json
import os
import ssl
import sys
import time

GROUP, VERSION = "sea.extension.example.com", "v1"
FISH = {}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, code, value):
        body = json.dumps(value).encode()
        self.send_response(code)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        path, _, query = self.path.partition("?")
        root = f"/apis/{GROUP}/{VERSION}"
        if path == root:
            self.answer(200, {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": f"{GROUP}/{VERSION}", "resources": [
                {"name": "fish", "singularName": "fish", "namespaced": True, "kind": "Fish",
                 "verbs": ["get", "list", "create", "delete", "watch"], "shortNames": ["fi"]}]})
        elif path == "/openapi/v3":
            self.answer(200, {"paths": {f"apis/{GROUP}/{VERSION}": {
                "serverRelativeURL": f"/openapi/v3/apis/{GROUP}/{VERSION}?hash=FISH"}}})
        elif path == f"/openapi/v3/apis/{GROUP}/{VERSION}":
            self.answer(200, {"openapi": "3.0.0", "info": {"title": "fish", "version": "1"}, "paths": {}})
        elif path == f"{root}/namespaces/default/fish" and "watch=" in query:
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("transfer-encoding", "chunked")
            self.end_headers()
            for index in range(2):
                line = json.dumps({"type": "ADDED", "object": self.fish(f"swimming-{index}")}).encode() + b"\n"
                self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
                self.wfile.flush()
                time.sleep(0.3)
            self.wfile.write(b"0\r\n\r\n")
        elif path == f"{root}/namespaces/default/fish":
            self.answer(200, {"kind": "FishList", "apiVersion": f"{GROUP}/{VERSION}", "metadata": {"resourceVersion": "1"},
                              "items": list(FISH.values())})
        elif path.startswith(f"{root}/namespaces/default/fish/"):
            name = path.rpartition("/")[2]
            if name == "me":
                self.answer(200, self.fish("me", {
                    "user": self.headers["x-remote-user"], "groups": self.headers.get_all("x-remote-group"),
                    "proxy": dict(x[0] for x in self.connection.getpeercert()["subject"])["commonName"],
                    "authorization": self.headers.get("authorization", "")}))
            elif name in FISH:
                self.answer(200, FISH[name])
            else:
                self.answer(404, {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404,
                                  "message": f'fish.{GROUP} "{name}" not found'})
        else:
            self.answer(404, {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404})

    def fish(self, name, spec=None):
        return {"kind": "Fish", "apiVersion": f"{GROUP}/{VERSION}", "metadata": {"name": name, "namespace": "default"},
                "spec": spec or {}}

    def do_POST(self):
        value = json.loads(self.rfile.read(int(self.headers["content-length"])))
        value.setdefault("metadata", {})["namespace"] = "default"
        FISH[value["metadata"]["name"]] = value
        self.answer(201, value)

    def log_message(self, *args):
        pass


def main(address, directory):
    server = http.server.ThreadingHTTPServer((address, 0), Handler)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(os.path.join(directory, "cert.pem"), os.path.join(directory, "key.pem"))
    tls.load_verify_locations(os.path.join(directory, "proxy-ca.pem"))
    tls.verify_mode = ssl.CERT_REQUIRED
    server.socket = tls.wrap_socket(server.socket, server_side=True)
    with open(os.path.join(directory, "port.new"), "w") as file:
        file.write(str(server.server_address[1]))
    os.rename(os.path.join(directory, "port.new"), os.path.join(directory, "port"))
    server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
