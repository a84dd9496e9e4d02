"""Admission with stock kubectl: webhooks, policies, quotas and pod security."""

import json
import time
import unittest

from cluster import NODE_ADDRESS, Cluster
from hosts import eventually
from webhook import Webhook

cluster = None


def setUpModule():
    global cluster
    cluster = Cluster.ready()


def tearDownModule():
    cluster.close()


def apply(value, *args, check=True):
    return cluster.kubectl("apply", *args, "-f", "-", input=json.dumps(value), check=check)


def namespace(name, **labels):
    apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
    return name


def config_map(name, namespace, data=None, **labels):
    return {"apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": name, "namespace": namespace, "labels": labels}, "data": data or {}}


class Webhooks(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.webhook = Webhook(cluster, NODE_ADDRESS)
        cls.addClassCleanup(cls.webhook.close)
        namespace("hooked", hooked="yes")

    def configure(self, kind, name, webhooks):
        for hook in webhooks:
            hook.setdefault("admissionReviewVersions", ["v1"])
            hook.setdefault("sideEffects", "None")
            hook.setdefault("namespaceSelector", {"matchLabels": {"hooked": "yes"}})
            hook.setdefault("rules", [{"operations": ["*"], "apiGroups": [""], "apiVersions": ["v1"],
                                       "resources": ["configmaps"]}])
        apply({"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": {"name": name},
               "webhooks": webhooks})
        self.addCleanup(cluster.kubectl, "delete", kind.lower(), name)

    def test_mutating_ones_change_objects_and_see_later_changes(self):
        self.configure("MutatingWebhookConfiguration", "a-first", [
            {"name": "count.example.com", "clientConfig": self.webhook.client("/count"), "reinvocationPolicy": "IfNeeded"}])
        self.configure("MutatingWebhookConfiguration", "b-second", [
            {"name": "mark.example.com", "clientConfig": self.webhook.client("/mark")}])
        apply(config_map("marked", "hooked", {"a": "1"}))
        data = cluster.get("configmap", "marked", "-n", "hooked")["data"]
        # The first saw one entry, then the two that were there after the second; nobody is asked a third time.
        self.assertEqual(data, {"a": "1", "marked": "yes", "count": "3"})
        review = self.webhook.reviews("/mark")[-1]["request"]
        self.assertEqual((review["operation"], review["namespace"], review["name"]), ("CREATE", "hooked", "marked"))
        self.assertEqual(review["kind"], {"group": "", "version": "v1", "kind": "ConfigMap"})
        self.assertIn("system:masters", review["userInfo"]["groups"])
        self.assertIsNone(review["oldObject"])

    def test_validating_ones_refuse(self):
        self.configure("ValidatingWebhookConfiguration", "strict", [
            {"name": "deny.example.com", "clientConfig": self.webhook.client("/deny")}])
        done = apply(config_map("bad", "hooked", {"forbidden": "yes"}), check=False)
        self.assertIn('admission webhook "deny.example.com" denied the request: no such thing here', done.stderr)
        done = apply(config_map("good", "hooked", {"a": "1"}))
        self.assertIn("Warning: looked at", done.stderr)
        cluster.kubectl("patch", "configmap", "good", "-n", "hooked", "--type=merge", "-p",
                        '{"data":{"forbidden":"yes"}}', check=False)
        self.assertNotIn("forbidden", cluster.get("configmap", "good", "-n", "hooked")["data"])
        cluster.kubectl("delete", "configmap", "good", "-n", "hooked")
        review = self.webhook.reviews("/deny")[-1]["request"]
        self.assertEqual(review["operation"], "DELETE")
        self.assertEqual(review["oldObject"]["data"], {"a": "1"})
        self.assertIsNone(review["object"])
        # Elsewhere nobody is asked.
        apply(config_map("elsewhere", "default", {"forbidden": "yes"}))

    def test_who_cannot_be_asked(self):
        nowhere = {"url": f"https://{NODE_ADDRESS}:9/x", "caBundle": self.webhook.bundle}
        self.configure("ValidatingWebhookConfiguration", "closed", [
            {"name": "gone.example.com", "clientConfig": nowhere, "failurePolicy": "Fail", "timeoutSeconds": 2,
             "objectSelector": {"matchLabels": {"policy": "fail"}}},
            {"name": "missing.example.com", "clientConfig": nowhere, "failurePolicy": "Ignore", "timeoutSeconds": 2,
             "objectSelector": {"matchLabels": {"policy": "ignore"}}},
            {"name": "slow.example.com", "clientConfig": self.webhook.client("/slow"), "timeoutSeconds": 1,
             "objectSelector": {"matchLabels": {"policy": "slow"}}}])
        done = apply(config_map("one", "hooked", policy="fail"), check=False)
        self.assertIn('(InternalError)', done.stderr)
        self.assertIn('Internal error occurred: failed calling webhook "gone.example.com": failed to call webhook: Post '
                      f'"https://{NODE_ADDRESS}:9/x?timeout=2s"', done.stderr)
        apply(config_map("two", "hooked", policy="ignore"))
        begun = time.monotonic()
        done = apply(config_map("three", "hooked", policy="slow"), check=False)
        self.assertIn("context deadline exceeded", done.stderr)
        self.assertLess(time.monotonic() - begun, 5)

    def test_conditions_and_dry_runs(self):
        self.configure("ValidatingWebhookConfiguration", "some", [
            {"name": "deny.example.com", "clientConfig": self.webhook.client("/deny"), "sideEffects": "NoneOnDryRun",
             "matchConditions": [
                 {"name": "not-admin", "expression": "!('system:masters' in request.userInfo.groups)"},
                 {"name": "named", "expression": "object.metadata.name.startsWith('cond')"}]}])
        apply(config_map("condition", "hooked", {"forbidden": "yes"}))
        done = apply(config_map("condition-2", "hooked", {"forbidden": "yes"}), "--as=jane", "--as-group=dev", check=False)
        self.assertNotIn("denied the request", done.stderr)  # jane may not do that anyway
        cluster.kubectl("create", "rolebinding", "jane", "--clusterrole=admin", "--user=jane", "-n", "hooked")
        done = apply(config_map("condition-2", "hooked", {"forbidden": "yes"}), "--as=jane", check=False)
        self.assertIn("denied the request: no such thing here", done.stderr)
        apply(config_map("other", "hooked", {"forbidden": "yes"}), "--as=jane")

    def test_connections(self):
        self.configure("ValidatingWebhookConfiguration", "connections", [
            {"name": "never.example.com", "clientConfig": self.webhook.client("/never"),
             "rules": [{"operations": ["CONNECT"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods/attach"]}]}])
        code, body = cluster.raw("/api/v1/namespaces/hooked/pods/none/attach?stdin=true", "-X", "POST", check=False)
        self.assertEqual(code, 400)
        self.assertIn("never.example.com", body)
        options = self.webhook.reviews("/never")[-1]["request"]
        self.assertEqual(options["operation"], "CONNECT")
        self.assertEqual(options["object"]["kind"], "PodAttachOptions")
        self.assertIs(options["object"]["stdin"], True)


class Policies(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        namespace("ruled", ruled="yes", team="whales")

    def define(self, kind, name, spec, **binding):
        version = "admissionregistration.k8s.io/v1"
        spec = {"matchConstraints": {"resourceRules": [
            {"operations": ["CREATE", "UPDATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"]}]},
            **spec}
        apply({"apiVersion": version, "kind": kind, "metadata": {"name": name}, "spec": spec})
        self.addCleanup(cluster.kubectl, "delete", kind.lower(), name)
        apply({"apiVersion": version, "kind": kind + "Binding", "metadata": {"name": name + "-binding"}, "spec": {
            "policyName": name, "matchResources": {"namespaceSelector": {"matchLabels": {"ruled": "yes"}}}, **binding}})
        self.addCleanup(cluster.kubectl, "delete", kind.lower() + "binding", name + "-binding")

    def test_validating(self):
        self.define("ValidatingAdmissionPolicy", "few", {
            "variables": [{"name": "count", "expression": "has(object.data) ? size(object.data) : 0"},
                          {"name": "broken", "expression": "object.nothing"}],
            "validations": [
                {"expression": "variables.count <= 2", "messageExpression": "'%s entries in %s'.format([string(variables.count), "
                 "namespaceObject.metadata.labels['team']])", "reason": "Forbidden"},
                {"expression": "!has(object.data.secret)"}]}, validationActions=["Deny"])
        apply(config_map("fine", "ruled", {"a": "1"}))
        done = apply(config_map("large", "ruled", {"a": "1", "b": "2", "c": "3"}), check=False)
        self.assertIn('configmaps "large" is forbidden: ValidatingAdmissionPolicy \'few\' with binding \'few-binding\' denied '
                      "request: 3 entries in whales", done.stderr)
        done = apply(config_map("secret", "ruled", {"secret": "1"}), check=False)
        self.assertIn("denied request: failed expression: !has(object.data.secret)", done.stderr)
        apply(config_map("large", "default", {"a": "1", "b": "2", "c": "3"}))

    def test_with_parameters_and_warnings(self):
        apply(config_map("limits", "ruled", {"max": "1"}))
        self.define("ValidatingAdmissionPolicy", "limited", {
            "paramKind": {"apiVersion": "v1", "kind": "ConfigMap"},
            "matchConditions": [{"name": "not-limits", "expression": "object.metadata.name != 'limits'"}],
            "validations": [{"expression": "size(object.data) <= int(params.data.max)", "message": "too many"}]},
            validationActions=["Warn"], paramRef={"name": "limits", "parameterNotFoundAction": "Deny"})
        done = apply(config_map("warned", "ruled", {"a": "1", "b": "2"}))
        self.assertIn("Validation failed for ValidatingAdmissionPolicy 'limited' with binding 'limited-binding': too many",
                      done.stderr)

    def test_mutating(self):
        self.define("MutatingAdmissionPolicy", "owned", {
            "reinvocationPolicy": "Never", "failurePolicy": "Fail",
            "mutations": [
                {"patchType": "ApplyConfiguration", "applyConfiguration": {
                    "expression": "Object{metadata: Object.metadata{labels: {'team': namespaceObject.metadata.labels.team}}}"}},
                {"patchType": "JSONPatch", "jsonPatch": {
                    "expression": "[JSONPatch{op: 'add', path: '/metadata/labels/' + jsonpatch.escapeKey('x/y'), value: 'z'}]"}}]})
        apply(config_map("mutated", "ruled", {"a": "1"}, own="label"))
        value = cluster.get("configmap", "mutated", "-n", "ruled")
        self.assertEqual(value["metadata"]["labels"], {"own": "label", "team": "whales", "x/y": "z"})
        self.assertEqual(value["data"], {"a": "1"})

    def test_what_does_not_suit_its_kind(self):
        self.define("ValidatingAdmissionPolicy", "typed", {
            "matchConstraints": {"resourceRules": [{"operations": ["*"], "apiGroups": ["apps"], "apiVersions": ["v1"],
                                                    "resources": ["deployments"]}]},
            "validations": [{"expression": "object.spec.replicas > 1"}, {"expression": "object.spec.replica > 1"}]},
            validationActions=["Warn"])

        def checked():
            status = cluster.get("validatingadmissionpolicy", "typed").get("status", {})
            return status if status.get("observedGeneration") == 1 else None

        warnings = eventually(checked, 20, what="the types checked")["typeChecking"]["expressionWarnings"]
        self.assertEqual([w["fieldRef"] for w in warnings], ["spec.validations[1].expression"])
        self.assertIn("apps/v1, Kind=Deployment: ERROR: <input>:1:12: undefined field 'replica'", warnings[0]["warning"])

    def test_what_does_not_compile(self):
        done = apply({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy",
                      "metadata": {"name": "bad"}, "spec": {
                          "matchConstraints": {"resourceRules": [{"operations": ["*"], "apiGroups": [""],
                                                                  "apiVersions": ["v1"], "resources": ["pods"]}]},
                          "validations": [{"expression": "object.x =="}, {"expression": "'text'"}]}}, check=False)
        self.assertIn("spec.validations[0].expression: Invalid value: ", done.stderr)
        self.assertIn("must evaluate to bool", done.stderr)


class Quotas(unittest.TestCase):
    def used(self, name, namespace):
        status = cluster.get("resourcequota", name, "-n", namespace).get("status", {})
        return status.get("used")

    def test_counts_and_refuses(self):
        namespace("counted")
        apply({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "few", "namespace": "counted"}, "spec": {
            "hard": {"configmaps": "3", "services.nodeports": "1", "count/deployments.apps": "1"}}})
        # Every namespace has kube-root-ca.crt.
        eventually(lambda: self.used("few", "counted") == {
            "configmaps": "1", "services.nodeports": "0", "count/deployments.apps": "0"}, 20, what="the first count")
        for name in ("one", "two"):
            cluster.kubectl("create", "configmap", name, "-n", "counted")
        done = cluster.kubectl("create", "configmap", "three", "-n", "counted", check=False)
        self.assertIn('configmaps "three" is forbidden: exceeded quota: few, requested: configmaps=1, used: configmaps=3, '
                      "limited: configmaps=3", done.stderr)
        cluster.kubectl("create", "deployment", "a", "--image=none", "--replicas=0", "-n", "counted")
        done = cluster.kubectl("create", "deployment", "b", "--image=none", "-n", "counted", check=False)
        self.assertIn("exceeded quota: few", done.stderr)
        cluster.kubectl("delete", "configmap", "one", "-n", "counted")
        eventually(lambda: self.used("few", "counted")["configmaps"] == "2", 20, what="counted again")
        cluster.kubectl("create", "configmap", "three", "-n", "counted")
        cluster.kubectl("create", "service", "nodeport", "s", "--tcp=80", "-n", "counted")
        done = cluster.kubectl("create", "service", "nodeport", "t", "--tcp=80", "-n", "counted", check=False)
        self.assertIn("requested: services.nodeports=1, used: services.nodeports=1", done.stderr)

    def test_pods_and_scopes(self):
        namespace("budget")
        apply({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "cpu", "namespace": "budget"}, "spec": {
            "hard": {"requests.cpu": "1", "pods": "5"}, "scopes": ["NotBestEffort"]}})
        eventually(lambda: self.used("cpu", "budget") == {"requests.cpu": "0", "pods": "0"}, 20, what="the first count")

        def pod(name, **resources):
            return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "budget"}, "spec": {
                "nodeSelector": {"no": "such"},
                "containers": [{"name": "c", "image": "none", "resources": resources}]}}

        eventually(lambda: cluster.kubectl("get", "serviceaccount", "default", "-n", "budget", check=False).returncode == 0,
                   20, what="the account")
        apply(pod("effortless"))
        apply(pod("small", requests={"cpu": "700m"}))
        done = apply(pod("large", requests={"cpu": "400m"}), check=False)
        self.assertIn("exceeded quota: cpu, requested: requests.cpu=400m, used: requests.cpu=700m, limited: requests.cpu=1",
                      done.stderr)
        done = apply(pod("silent", requests={"memory": "1Mi"}), check=False)
        self.assertIn("failed quota: cpu: must specify requests.cpu for: c", done.stderr)
        self.assertEqual(self.used("cpu", "budget"), {"requests.cpu": "700m", "pods": "1"})
        cluster.kubectl("delete", "pod", "small", "-n", "budget")
        eventually(lambda: self.used("cpu", "budget") == {"requests.cpu": "0", "pods": "0"}, 30, what="counted again")

    def test_custom_resources_are_counted(self):
        namespace("fleet")
        apply({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
               "metadata": {"name": "boats.sea.example.com"}, "spec": {
                   "group": "sea.example.com", "scope": "Namespaced", "names": {"plural": "boats", "kind": "Boat"},
                   "versions": [{"name": "v1", "served": True, "storage": True, "schema": {
                       "openAPIV3Schema": {"type": "object"}}}]}})
        cluster.kubectl("wait", "--for=condition=Established", "crd/boats.sea.example.com", "--timeout=10s")
        apply({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "boats", "namespace": "fleet"},
               "spec": {"hard": {"count/boats.sea.example.com": "1"}}})
        eventually(lambda: self.used("boats", "fleet") == {"count/boats.sea.example.com": "0"}, 20, what="the first count")

        def boat(name):
            return {"apiVersion": "sea.example.com/v1", "kind": "Boat", "metadata": {"name": name, "namespace": "fleet"}}

        apply(boat("one"))
        done = apply(boat("two"), check=False)
        self.assertIn('boats.sea.example.com "two" is forbidden: exceeded quota: boats', done.stderr)
        cluster.kubectl("delete", "boat", "one", "-n", "fleet")
        eventually(lambda: self.used("boats", "fleet") == {"count/boats.sea.example.com": "0"}, 20, what="counted again")


class PodSecurity(unittest.TestCase):
    def test_levels(self):
        enforce = {"pod-security.kubernetes.io/enforce": "restricted"}
        namespace("guarded", **enforce)
        done = cluster.kubectl("create", "deployment", "loose", "--image=none", "-n", "guarded")
        self.assertIn('Warning: would violate PodSecurity "restricted:latest": allowPrivilegeEscalation != false', done.stderr)
        eventually(lambda: "is forbidden: violates PodSecurity" in json.dumps(
            cluster.get("deployment", "loose", "-n", "guarded")["status"].get("conditions", [])), 20, what="the refusal")
        namespace("loose")
        eventually(lambda: cluster.kubectl("get", "serviceaccount", "default", "-n", "loose", check=False).returncode == 0,
                   20, what="the account")
        apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "shared", "namespace": "loose"}, "spec": {
            "hostNetwork": True, "nodeSelector": {"no": "such"}, "containers": [{"name": "c", "image": "none"}]}})
        done = cluster.kubectl("label", "namespace", "loose", "pod-security.kubernetes.io/enforce=baseline")
        self.assertIn('existing pods in namespace "loose" violate the new PodSecurity enforce level "baseline:latest"',
                      done.stderr)
        self.assertIn("shared: host namespaces", done.stderr)


if __name__ == "__main__":
    unittest.main()
