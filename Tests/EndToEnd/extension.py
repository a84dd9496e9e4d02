"""An extension API server, as far as the aggregator can tell one: it serves `fish` of sea.extension.example.com/v1, and
believes what the front proxy says about users if its certificate is good.

As a program: extension.py ADDRESS DIRECTORY, with cert.pem, key.pem and proxy-ca.pem in the directory; writes the port to
`port` there."""

import json
import sys
import time

from programs import Handler as JSONHandler
from programs import serve

GROUP, VERSION = "sea.extension.example.com", "v1"
FISH = {}


class Handler(JSONHandler):
    def do_GET(self):
        path, _, query = self.path.partition("?")
        root = f"/apis/{GROUP}/{VERSION}"
        if path == root:
            self.answer({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": f"{GROUP}/{VERSION}", "resources": [
                {"name": "fish", "singularName": "fish", "namespaced": True, "kind": "Fish",
                 "verbs": ["get", "list", "create", "delete", "watch"], "shortNames": ["fi"]}]})
        elif path == "/openapi/v3":
            self.answer({"paths": {f"apis/{GROUP}/{VERSION}": {
                "serverRelativeURL": f"/openapi/v3/apis/{GROUP}/{VERSION}?hash=FISH"}}})
        elif path == f"/openapi/v3/apis/{GROUP}/{VERSION}":
            self.answer({"openapi": "3.0.0", "info": {"title": "fish", "version": "1"}, "paths": {}})
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
            self.answer({"kind": "FishList", "apiVersion": f"{GROUP}/{VERSION}", "metadata": {"resourceVersion": "1"},
                              "items": list(FISH.values())})
        elif path.startswith(f"{root}/namespaces/default/fish/"):
            name = path.rpartition("/")[2]
            if name == "me":
                self.answer(self.fish("me", {
                    "user": self.headers["x-remote-user"], "groups": self.headers.get_all("x-remote-group"),
                    "proxy": dict(x[0] for x in self.connection.getpeercert()["subject"])["commonName"],
                    "authorization": self.headers.get("authorization", "")}))
            elif name in FISH:
                self.answer(FISH[name])
            else:
                self.answer(code=404, value={"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404,
                                  "message": f'fish.{GROUP} "{name}" not found'})
        else:
            self.answer(code=404, value={"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404})

    def fish(self, name, spec=None):
        return {"kind": "Fish", "apiVersion": f"{GROUP}/{VERSION}", "metadata": {"name": name, "namespace": "default"},
                "spec": spec or {}}

    def do_POST(self):
        value = self.body()
        value.setdefault("metadata", {})["namespace"] = "default"
        FISH[value["metadata"]["name"]] = value
        self.answer(code=201, value=value)


if __name__ == "__main__":
    serve(Handler, *sys.argv[1:], clients="proxy-ca.pem")
