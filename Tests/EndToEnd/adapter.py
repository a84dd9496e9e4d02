"""A metrics adapter, as far as an autoscaler can tell one: it serves custom.metrics.k8s.io and external.metrics.k8s.io
with the figures of a file, and leaves it to others who may ask.

As a program: adapter.py ADDRESS DIRECTORY, with cert.pem, key.pem and figures.json in the directory; writes the port to
`port` there."""

import json
import os
import sys
import urllib.parse

from programs import Handler as JSONHandler
from programs import serve

NOW = "2026-01-01T00:00:00Z"


class Handler(JSONHandler):
    def do_GET(self):
        path = urllib.parse.urlparse(self.path)
        parts = urllib.parse.unquote(path.path).strip("/").split("/")
        query = dict(urllib.parse.parse_qsl(path.query))
        with open(os.path.join(self.server.directory, "figures.json")) as file:
            figures = json.load(file)
        answer = self.discovery(parts) if len(parts) < 4 else self.figures(parts, query, figures)
        self.answer(answer, 200 if answer else 404)

    def discovery(self, parts):
        if parts[0] != "apis" or len(parts) != 3:
            return {}
        return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "/".join(parts[1:]), "resources": []}

    def figures(self, parts, query, figures):
        group, kind = parts[1], "MetricValueList" if parts[1].startswith("custom") else "ExternalMetricValueList"
        items = []
        if group == "external.metrics.k8s.io":
            # apis/external.metrics.k8s.io/v1beta1/namespaces/NAMESPACE/METRIC
            name = parts[5] + ("{" + query["labelSelector"] + "}" if "labelSelector" in query else "")
            items = [{"metricName": parts[5], "timestamp": NOW, "value": figures[name]}] if name in figures else []
        elif parts[5] == "pods" and parts[6] == "*":
            items = [{"describedObject": {"kind": "Pod", "name": name}, "metric": {"name": parts[7]}, "timestamp": NOW,
                      "value": value} for name, value in figures.get(f"pods:{query['labelSelector']}", {}).items()]
        elif "/".join(parts[5:]) in figures:
            items = [{"describedObject": {"kind": "Thing", "name": parts[6]}, "metric": {"name": parts[7]},
                      "timestamp": NOW, "value": figures["/".join(parts[5:])]}]
        return {"kind": kind, "apiVersion": "/".join(parts[1:3]), "metadata": {}, "items": items}


if __name__ == "__main__":
    serve(Handler, *sys.argv[1:])
