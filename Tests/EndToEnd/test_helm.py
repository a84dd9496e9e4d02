"""helm installs, upgrades, rolls back and removes a chart with a definition of its own and a hook."""

import json
import os
import tempfile
import unittest

from cluster import Cluster
from hosts import ROOT, eventually, run

HELM = os.environ.get("APUS_HELM", os.path.join(ROOT, ".build/tools/bin/helm"))
CHART = {
    "Chart.yaml": "apiVersion: v2\nname: harbour\nversion: 0.1.0\nappVersion: '1'\n",
    "values.yaml": "replicas: 1\ngreeting: ahoy\n",
    "crds/ships.yaml": """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: ships.helm.example.com}
spec:
  group: helm.example.com
  scope: Namespaced
  names: {plural: ships, singular: ship, kind: Ship}
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, properties: {masts: {type: integer}}}}}}
""",
    "templates/all.yaml": """
apiVersion: v1
kind: ConfigMap
metadata: {name: "{{ .Release.Name }}-greeting"}
data: {greeting: "{{ .Values.greeting }}", capabilities: "{{ .Capabilities.KubeVersion.Major }}"}
---
apiVersion: helm.example.com/v1
kind: Ship
metadata: {name: "{{ .Release.Name }}"}
spec: {masts: 3}
---
apiVersion: v1
kind: Service
metadata: {name: "{{ .Release.Name }}"}
spec: {selector: {app: harbour}, ports: [{port: 80}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: "{{ .Release.Name }}"}
spec:
  replicas: {{ .Values.replicas }}
  selector: {matchLabels: {app: harbour}}
  template:
    metadata: {labels: {app: harbour}}
    spec:
      terminationGracePeriodSeconds: 1
      containers: [{name: main, image: "apus.local/busybox:1", command: [sleep, "600"]}]
""",
    "templates/hook.yaml": """
apiVersion: batch/v1
kind: Job
metadata:
  name: "{{ .Release.Name }}-hook"
  annotations: {helm.sh/hook: post-install, helm.sh/hook-delete-policy: hook-succeeded}
spec:
  template:
    spec: {restartPolicy: Never, containers: [{name: main, image: "apus.local/busybox:1", command: ["true"]}]}
""",
}
cluster = None


def setUpModule():
    global cluster
    cluster = Cluster.ready()


def tearDownModule():
    cluster.close()


class Helm(unittest.TestCase):
    def helm(self, *arguments, check=True):
        return run(cluster.enter() + ["env", f"KUBECONFIG={cluster.kubeconfig}", f"HOME={cluster.directory}", HELM,
                                      *arguments], check=check, timeout=120)

    def test_a_release_lives_its_life(self):
        chart = tempfile.mkdtemp(dir=cluster.directory)
        for name, text in CHART.items():
            path = os.path.join(chart, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w") as file:
                file.write(text)
        done = self.helm("install", "tortuga", chart, "--namespace", "sea", "--create-namespace", "--wait", "--timeout", "90s")
        self.assertIn("STATUS: deployed", done.stdout)
        self.assertEqual(cluster.get("configmap", "tortuga-greeting", "-n", "sea")["data"],
                         {"greeting": "ahoy", "capabilities": "1"})
        self.assertEqual(cluster.get("ship", "tortuga", "-n", "sea")["spec"], {"masts": 3})
        self.assertEqual(cluster.get("deployment", "tortuga", "-n", "sea")["status"]["readyReplicas"], 1)
        # The hook ran and took itself away.
        self.assertNotIn("hook", cluster.out("get", "jobs", "-n", "sea", "-o", "name"))
        self.helm("upgrade", "tortuga", chart, "--namespace", "sea", "--set", "greeting=farewell,replicas=2", "--wait",
                  "--timeout", "90s")
        self.assertEqual(cluster.get("configmap", "tortuga-greeting", "-n", "sea")["data"]["greeting"], "farewell")
        self.assertEqual(cluster.get("deployment", "tortuga", "-n", "sea")["status"]["readyReplicas"], 2)
        history = json.loads(self.helm("history", "tortuga", "--namespace", "sea", "-o", "json").stdout)
        self.assertEqual([entry["status"] for entry in history], ["superseded", "deployed"])
        self.helm("rollback", "tortuga", "1", "--namespace", "sea", "--wait", "--timeout", "90s")
        self.assertEqual(cluster.get("configmap", "tortuga-greeting", "-n", "sea")["data"]["greeting"], "ahoy")
        self.helm("uninstall", "tortuga", "--namespace", "sea", "--wait", "--timeout", "90s")
        eventually(lambda: cluster.out("get", "deployments,services,configmaps,ships", "-n", "sea", "-o", "name").split()
                   == ["configmap/kube-root-ca.crt"], 30, what="everything gone")
        self.assertEqual(json.loads(self.helm("list", "--namespace", "sea", "-o", "json").stdout), [])


if __name__ == "__main__":
    unittest.main()
