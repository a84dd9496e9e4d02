"""Who is let in and what they may do, with stock kubectl: an OpenID issuer, webhooks for tokens and for decisions, and a
front proxy."""

import json
import os
import unittest

from cluster import NODE_ADDRESS, Cluster
from hosts import eventually, run
from identity import Identity

CONFIG = "apiserver.config.k8s.io/v1"
cluster = None
identity = None


def write(name, value):
    path = os.path.join(cluster.directory, name)
    with open(path + ".new", "w") as file:
        json.dump(value, file)
    os.rename(path + ".new", path)
    return path


def authentication(username):
    """An issuer whose users get names by an expression."""
    return write("authentication.json", {
        "apiVersion": CONFIG, "kind": "AuthenticationConfiguration",
        "jwt": [{
            "issuer": {"url": identity.origin, "audiences": ["apus"], "certificateAuthority": identity.authority},
            "claimMappings": {
                "username": {"expression": username},
                "groups": {"claim": "roles", "prefix": "oidc:"},
                "extra": [{"key": "example.com/team", "valueExpression": "claims.?team.orValue('')"}],
            },
            "claimValidationRules": [{"expression": "claims.exp - claims.iat <= 3600", "message": "lives too long"}],
            "userValidationRules": [{"expression": "!user.username.contains('system:')", "message": "reserved"}],
        }],
        "anonymous": {"enabled": True, "conditions": [{"path": "/livez"}, {"path": "/readyz"}]},
    })


def authorization(*conditions):
    return write("authorization.json", {
        "apiVersion": CONFIG, "kind": "AuthorizationConfiguration",
        "authorizers": [
            {"type": "Node", "name": "node"},
            {"type": "Webhook", "name": "hook", "webhook": {
                "timeout": "3s", "authorizedTTL": "1s", "unauthorizedTTL": "1s", "failurePolicy": "Deny",
                "subjectAccessReviewVersion": "v1", "matchConditionSubjectAccessReviewVersion": "v1",
                "connectionInfo": {"type": "KubeConfigFile", "kubeConfigFile": identity.kubeconfig("/access")},
                "matchConditions": [{"expression": condition} for condition in conditions],
            }},
            {"type": "RBAC", "name": "rbac"},
        ],
    })


def flags(starting):
    global cluster, identity
    cluster = starting
    identity = Identity(cluster, NODE_ADDRESS)
    return [part for flag in (
        "authentication-config=" + authentication("'oidc:' + claims.sub"),
        "authentication-token-webhook-config-file=" + identity.kubeconfig("/tokens"),
        "authentication-token-webhook-version=v1",
        "authorization-config=" + authorization("'hooked' in request.groups", "has(request.resourceAttributes)"),
    ) for part in ("--kube-apiserver-arg", flag)]


def setUpModule():
    Cluster.ready(flags_of=flags)
    cluster.kubectl("create", "clusterrolebinding", "auditors", "--clusterrole=view", "--group=oidc:auditors")
    cluster.kubectl("create", "configmap", "mine", "--from-literal=a=1")
    cluster.kubectl("label", "configmap", "mine", "team=red")


def tearDownModule():
    cluster.close()


def kubectl(token, *arguments, check=True):
    """kubectl with nothing but a token."""
    path = os.path.join(cluster.directory, "token.kubeconfig")
    with open(path, "w") as file:
        json.dump({"apiVersion": "v1", "kind": "Config", "current-context": "c",
                   "clusters": [{"name": "c", "cluster": {
                       "server": "https://127.0.0.1:6443",
                       "certificate-authority": os.path.join(cluster.data, "pki", "ca.crt")}}],
                   "users": [{"name": "u", "user": {"token": token}}],
                   "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}]}, file)
    return cluster.kubectl("--kubeconfig", path, *arguments, check=check)


def who(token):
    return json.loads(kubectl(token, "auth", "whoami", "-o", "json").stdout)["status"]["userInfo"]


def curl(path, *arguments, pair=None, body=None):
    """Status code and JSON. `pair`: the name of a certificate of the cluster's."""
    pki = os.path.join(cluster.data, "pki")
    credentials = ["--cert", f"{pki}/{pair}.crt", "--key", f"{pki}/{pair}.key"] if pair else []
    if body:
        arguments += ("-H", "content-type: application/json", "-d", json.dumps(body))
    done = run(cluster.enter() + ["curl", "-sS", "-m", "20", "--cacert", f"{pki}/ca.crt", *credentials, "-w",
                                  "\n%{http_code}", f"https://127.0.0.1:6443{path}", *arguments])
    text, _, code = done.stdout.rpartition("\n")
    return int(code), json.loads(text) if text.startswith("{") else text


class Issuer(unittest.TestCase):
    def test_tokens_are_users(self):
        user = who(identity.token("ann", roles=["auditors"], team="red"))
        self.assertEqual(user["username"], "oidc:ann")
        self.assertEqual(user["groups"], ["oidc:auditors", "system:authenticated"])
        self.assertEqual(user["extra"], {"example.com/team": ["red"]})
        self.assertIn("mine", kubectl(identity.token("ann", roles=["auditors"]), "get", "configmaps").stdout)
        refused = kubectl(identity.token("ann"), "get", "configmaps", check=False)
        self.assertIn('User "oidc:ann" cannot list resource "configmaps"', refused.stderr)

    def test_bad_tokens_are_refused(self):
        def refused(token):
            done = kubectl(token, "get", "--raw", "/version", check=False)
            self.assertNotEqual(done.returncode, 0)
            self.assertIn("Unauthorized", done.stderr)

        refused(identity.token("ann", lifetime=-60))
        refused(identity.token("ann", lifetime=7200))
        refused(identity.token("ann", aud="others"))
        refused(identity.token("system:kube-scheduler"))
        good = identity.token("ann")
        refused(good[:-8] + "AAAAAAAA")
        review = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview",
                  "spec": {"token": identity.token("ann", lifetime=7200)}}
        code, answer = curl("/apis/authentication.k8s.io/v1/tokenreviews", pair="admin", body=review)
        self.assertEqual(code, 201)
        self.assertIn("lives too long", answer["status"]["error"])

    def test_keys_and_configuration_may_change(self):
        identity.make_key("second")
        # Unknown keys are not looked for more often than every ten seconds.
        eventually(lambda: kubectl(identity.token("bob", key="second"), "auth", "whoami", check=False).returncode == 0, 30,
                   what="the new key")
        authentication("'new:' + claims.sub")
        eventually(lambda: kubectl(identity.token("bob"), "auth", "whoami", check=False).stdout.count("new:bob"), 30,
                   what="the new configuration")
        authentication("'oidc:' + claims.sub")
        eventually(lambda: kubectl(identity.token("bob"), "auth", "whoami", check=False).stdout.count("oidc:bob"), 30,
                   what="the old configuration")

    def test_anonymous_only_where_it_may(self):
        self.assertEqual(curl("/livez")[0], 200)
        self.assertEqual(curl("/version")[0], 401)


class Webhooks(unittest.TestCase):
    def test_a_webhook_knows_tokens(self):
        user = who("hook-carol")
        self.assertEqual((user["username"], user["uid"]), ("carol", "7"))
        self.assertEqual(user["groups"], ["hooked", "system:authenticated"])
        done = kubectl("hooks-carol", "auth", "whoami", check=False)
        self.assertNotEqual(done.returncode, 0)
        asked = [review["spec"]["token"] for review in identity.reviews("/tokens")]
        self.assertEqual(asked.count("hook-carol"), 1)

    def test_a_webhook_decides(self):
        self.assertIn("mine", kubectl("hook-dan", "get", "configmaps", "-l", "team=red").stdout)
        refused = kubectl("hook-dan", "get", "configmaps", check=False)
        self.assertIn('User "dan" cannot list resource "configmaps" in API group "" in the namespace "default": not yours',
                      refused.stderr)
        # What it denies is not asked of anybody else: the group would be allowed by its role.
        cluster.kubectl("create", "clusterrolebinding", "hooked", "--clusterrole=cluster-admin", "--group=hooked")
        self.addCleanup(cluster.kubectl, "delete", "clusterrolebinding", "hooked")
        self.assertIn("no secrets for you", kubectl("hook-dan", "get", "secrets", check=False).stderr)
        eventually(lambda: kubectl("hook-dan", "get", "pods", check=False).returncode == 0, 10, what="the role")
        self.assertTrue(
            kubectl("hook-dan", "auth", "can-i", "get", "secrets", check=False).stdout.startswith("no - no secrets for you"))
        users = {review["spec"]["user"] for review in identity.reviews("/access")}
        self.assertLessEqual({"dan"}, users)
        self.assertFalse([user for user in users if user.startswith(("system:", "kubernetes-admin", "oidc:"))])

    def test_the_conditions_may_change(self):
        authorization("'hooked' in request.groups", "request.user == 'nobody'")
        self.addCleanup(authorization, "'hooked' in request.groups", "has(request.resourceAttributes)")
        eventually(lambda: "not yours" not in kubectl("hook-eve", "get", "configmaps", check=False).stderr, 30,
                   what="the new conditions")
        self.assertIn("cannot list", kubectl("hook-eve", "get", "configmaps", check=False).stderr)


class FrontProxy(unittest.TestCase):
    REVIEW = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    PATH = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
    HEADERS = ("-H", "X-Remote-User: fay", "-H", "X-Remote-Group: one", "-H", "X-Remote-Group: two", "-H", "X-Remote-Uid: 9",
               "-H", "X-Remote-Extra-Example.com%2Fteam: blue")

    def test_a_proxy_speaks_for_users(self):
        code, answer = curl(self.PATH, *self.HEADERS, pair="front-proxy-client", body=self.REVIEW)
        self.assertEqual(code, 201)
        self.assertEqual(answer["status"]["userInfo"], {
            "username": "fay", "uid": "9", "groups": ["one", "two", "system:authenticated"],
            "extra": {"example.com/team": ["blue"]}})
        self.assertEqual(curl(self.PATH, pair="front-proxy-client", body=self.REVIEW)[0], 401)

    def test_others_do_not(self):
        code, answer = curl(self.PATH, *self.HEADERS, pair="admin", body=self.REVIEW)
        self.assertEqual((code, answer["status"]["userInfo"]["username"]), (201, "kubernetes-admin"))
        self.assertEqual(curl(self.PATH, *self.HEADERS, body=self.REVIEW)[0], 401)

    def test_extension_servers_are_told(self):
        data = cluster.get("configmap", "extension-apiserver-authentication", "-n", "kube-system")["data"]
        self.assertEqual(json.loads(data["requestheader-allowed-names"]), ["front-proxy-client"])
        self.assertEqual(json.loads(data["requestheader-username-headers"]), ["X-Remote-User"])
        self.assertEqual(json.loads(data["requestheader-uid-headers"]), ["X-Remote-Uid"])
        self.assertIn("BEGIN CERTIFICATE", data["requestheader-client-ca-file"])
        self.assertIn("BEGIN CERTIFICATE", data["client-ca-file"])


if __name__ == "__main__":
    unittest.main()
