"""API priority and fairness: what is shared out, who waits and who is turned away."""

import concurrent.futures
import json
import re
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


def apply(value):
    return cluster.kubectl("apply", "-f", "-", input=json.dumps(value))


def dump(name):
    """A dump's rows by column."""
    code, text = cluster.raw(f"/debug/api_priority_and_fairness/{name}")
    assert code == 200, (code, text)
    head, *rows = [[cell.strip() for cell in line.split(",")] for line in text.splitlines()]
    return [dict(zip(head, row)) for row in rows]


class Defaults(unittest.TestCase):
    def test_they_are_there(self):
        schemas = cluster.out("get", "flowschemas")
        for name, level, precedence in [("exempt", "exempt", 1), ("probes", "exempt", 2), ("system-nodes", "system", 500),
                                        ("service-accounts", "workload-low", 9000), ("catch-all", "catch-all", 10000)]:
            self.assertRegex(schemas, rf"(?m)^{name} +{level} +{precedence} +\S+ +\S+ +False$")
        self.assertRegex(cluster.out("get", "prioritylevelconfigurations"), r"(?m)^workload-low +Limited +100 +128 +6 +50 ")

    def test_what_is_taken_from_them_comes_back(self):
        cluster.kubectl("delete", "flowschema", "catch-all")
        cluster.kubectl("patch", "prioritylevelconfiguration", "workload-low", "--type=merge", "-p",
                        '{"metadata":{"annotations":{"apf.kubernetes.io/autoupdate-spec":"false"}},'
                        '"spec":{"limited":{"nominalConcurrencyShares":90}}}')
        cluster.kubectl("patch", "prioritylevelconfiguration", "system", "--type=merge", "-p",
                        '{"spec":{"limited":{"nominalConcurrencyShares":1}}}')
        cluster.kill()
        cluster.start()
        cluster.wait_ready()
        self.assertIn("catch-all", cluster.out("get", "flowschemas"))
        shares = {i["metadata"]["name"]: i["spec"].get("limited", {}).get("nominalConcurrencyShares")
                  for i in cluster.get("prioritylevelconfigurations")["items"]}
        self.assertEqual((shares["workload-low"], shares["system"]), (90, 30))

    def test_every_answer_names_its_flow(self):
        schema = cluster.get("flowschema", "exempt")["metadata"]["uid"]
        level = cluster.get("prioritylevelconfiguration", "exempt")["metadata"]["uid"]
        for path in ("/api/v1/namespaces/default", "/version", "/api/v1/nodes?watch=1&timeoutSeconds=1"):
            headers = cluster.raw(path, "-i")[1].lower()
            self.assertIn(f"x-kubernetes-pf-flowschema-uid: {schema}", headers)
            self.assertIn(f"x-kubernetes-pf-prioritylevel-uid: {level}", headers)

    def test_a_schema_without_its_level(self):
        apply({"apiVersion": "flowcontrol.apiserver.k8s.io/v1", "kind": "FlowSchema", "metadata": {"name": "lost"}, "spec": {
            "priorityLevelConfiguration": {"name": "nowhere"}, "matchingPrecedence": 3, "rules": [{
                "subjects": [{"kind": "Group", "group": {"name": "*"}}],
                "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}]}]}})
        eventually(lambda: re.search(r"(?m)^lost +nowhere +3 +\S+ +\S+ +True$", cluster.out("get", "flowschemas")), 10,
                   what="a dangling schema")
        self.assertEqual(cluster.raw("/version")[0], 200)


class Pages(unittest.TestCase):
    def test_what_it_is_and_what_it_was_told(self):
        code, status = cluster.raw("/statusz")
        self.assertEqual(code, 200)
        self.assertRegex(status, r"(?s)^kube-apiserver statusz\nWarning: .*Binary version: 1\.36\..*Paths: .*/livez")
        self.assertIn("\nenable-priority-and-fairness=true\n", cluster.raw("/flagz")[1])
        cluster.kubectl("create", "serviceaccount", "looker", check=False)
        refused = cluster.kubectl("get", "--raw", "/flagz", "--as=system:serviceaccount:default:looker", check=False)
        self.assertIn("orbidden", refused.stderr)
        self.assertTrue(cluster.kubectl("get", "--raw", "/flagz", "--as=x", "--as-group=system:monitoring").stdout)

    def test_objects_are_counted(self):
        metrics = cluster.raw("/metrics")[1]
        self.assertIn('apiserver_storage_objects{resource="nodes"} 1\n', metrics)
        self.assertIn('apiserver_resource_objects{group="flowcontrol.apiserver.k8s.io",resource="prioritylevelconfigurations"}',
                      metrics)


class Limits(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.webhook = Webhook(cluster, NODE_ADDRESS)
        cls.addClassCleanup(cls.webhook.close)
        apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "slow", "labels": {"slow": "yes"}}})
        apply({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
               "metadata": {"name": "slow"}, "webhooks": [{
                   "name": "slow.example.com", "clientConfig": cls.webhook.client("/slow"), "timeoutSeconds": 10,
                   "admissionReviewVersions": ["v1"], "sideEffects": "None",
                   "namespaceSelector": {"matchLabels": {"slow": "yes"}},
                   "rules": [{"operations": ["*"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"]}]}]})
        cluster.kubectl("create", "clusterrolebinding", "flooder", "--clusterrole=cluster-admin", "--user=flooder")
        for name, response in [("narrow", {"type": "Reject"}), ("patient", {"type": "Queue", "queuing": {
                "queues": 1, "handSize": 1, "queueLengthLimit": 50}})]:
            apply({"apiVersion": "flowcontrol.apiserver.k8s.io/v1", "kind": "PriorityLevelConfiguration",
                   "metadata": {"name": name}, "spec": {"type": "Limited", "limited": {
                       "nominalConcurrencyShares": 1, "lendablePercent": 0, "borrowingLimitPercent": 0,
                       "limitResponse": response}}})

    def flood(self, level, count):
        apply({"apiVersion": "flowcontrol.apiserver.k8s.io/v1", "kind": "FlowSchema", "metadata": {"name": "flooder"}, "spec": {
            "priorityLevelConfiguration": {"name": level}, "matchingPrecedence": 50,
            "distinguisherMethod": {"type": "ByUser"}, "rules": [{
                "subjects": [{"kind": "User", "user": {"name": "flooder"}}],
                "resourceRules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "namespaces": ["*"]}]}]}})

        def one(index):
            return cluster.raw("/api/v1/namespaces/slow/configmaps", "-i", "-H", "Impersonate-User: flooder", "-H",
                               "content-type: application/json", "-d", json.dumps({
                                   "metadata": {"name": f"{level}-{index}"}}))
        pool = concurrent.futures.ThreadPoolExecutor(count)
        self.addCleanup(pool.shutdown)
        return [pool.submit(one, index) for index in range(count)]

    def row(self, level):
        return next(row for row in dump("dump_priority_levels") if row["PriorityLevelName"] == level)

    def test_who_is_too_many_is_turned_away(self):
        answers = self.flood("narrow", 8)
        seats = eventually(lambda: int(self.row("narrow")["ExecutingRequests"]), 10, what="requests under way")
        began = time.monotonic()
        self.assertEqual(cluster.raw("/api/v1/namespaces/default")[0], 200)
        self.assertLess(time.monotonic() - began, 2)
        results = [answer.result() for answer in answers]
        codes = sorted(code for code, _ in results)
        self.assertEqual(codes, [201] * codes.count(201) + [429] * codes.count(429))
        self.assertTrue(seats <= codes.count(201) <= 4 and codes.count(429) >= 4, codes)
        refused = next(body for code, body in results if code == 429)
        self.assertIn("retry-after: 1", refused.lower())
        self.assertRegex(refused, '"reason": ?"TooManyRequests"')
        metrics = cluster.raw("/metrics")[1]
        self.assertIn('apiserver_flowcontrol_rejected_requests_total{flow_schema="flooder",priority_level="narrow",'
                      f'reason="concurrency-limit"}} {codes.count(429)}', metrics)

    def test_who_may_wait_waits(self):
        answers = self.flood("patient", 8)
        waiting = eventually(lambda: [row for row in dump("dump_requests?includeRequestDetails=1")
                                      if row["FlowSchemaName"] == "flooder"], 10, what="requests that wait")
        self.assertEqual({(row["UserName"], row["Verb"], row["Resource"]) for row in waiting},
                         {("flooder", "create", "configmaps")})
        self.assertGreaterEqual(int(self.row("patient")["WaitingRequests"]), 1)
        self.assertEqual([answer.result()[0] for answer in answers], [201] * 8)
