"""The one-node cluster, from an empty directory to a rolling update under load. Tests run in the order of their names."""

import json
import os
import re
import subprocess
import threading
import time
import unittest

from cluster import NODE_ADDRESS, ROOT, Cluster, eventually, run

EXAMPLES = os.path.join(ROOT, "Examples")
cluster = None


def setUpModule():
    global cluster
    cluster = Cluster(os.environ["APUS_BINARY"])
    try:
        cluster.start()
        cluster.wait_ready()
    except BaseException:
        print(cluster.server_log() if os.path.exists(cluster.log) else "")
        cluster.close()
        raise


def tearDownModule():
    if os.environ.get("APUS_E2E_LOG"):
        print(cluster.server_log(400))
    cluster.close()


def apply(name, *flags):
    return cluster.out("apply", "-f", os.path.join(EXAMPLES, name), *flags)


def ready_pods(selector="app=web", namespace="shop"):
    pods = cluster.get("pods", "-n", namespace, "-l", selector)["items"]
    return [
        p for p in pods
        if "deletionTimestamp" not in p["metadata"]
        and any(c["type"] == "Ready" and c["status"] == "True" for c in p["status"].get("conditions", []))
    ]


def answers(fetch, count):
    """Who answered in `count` tries."""
    return {m.group(1) for m in (re.search(r"from (\S+)", fetch()) for _ in range(count)) if m}


class OneNode(unittest.TestCase):
    maxDiff = None

    # 1. Pods behind a Service

    def test_10_deployment_behind_services(self):
        apply("web.yaml")
        cluster.out("rollout", "status", "-n", "shop", "deployment/web", "--timeout=90s", timeout=100)
        names = {p["metadata"]["name"] for p in ready_pods()}
        self.assertEqual(len(names), 3)
        address = cluster.get("service", "web", "-n", "shop")["spec"]["clusterIP"]

        def reach(fetch):
            return eventually(lambda: answers(fetch, 30) == names, 30, what="all three replicas answering")

        reach(lambda: cluster.sh(f"curl -sS -m 5 http://{address}/cgi-bin/hello").stdout)
        reach(lambda: cluster.sh(f"curl -sS -m 5 http://{NODE_ADDRESS}:30080/cgi-bin/hello").stdout)
        apply("client.yaml")
        cluster.out("wait", "-n", "shop", "pod/client", "--for=condition=Ready", "--timeout=60s", timeout=70)
        loop = "for i in $(seq 30); do wget -q -O - http://%s/cgi-bin/hello; done"
        for target in (address, "web", "web.shop", "web.shop.svc.cluster.local"):
            text = cluster.out("exec", "-n", "shop", "client", "--", "sh", "-c", loop % target)
            self.assertEqual(set(re.findall(r"from (\S+)", text)), names, target)
        self.assertIn("hello from", text)
        self.assertIn("secret swordfish", text)

    # 2. kubectl

    def test_20_get(self):
        table = cluster.out("get", "deployment", "web", "-n", "shop")
        self.assertRegex(table, r"NAME\s+READY\s+UP-TO-DATE\s+AVAILABLE\s+AGE\nweb\s+3/3\s+3\s+3\s+\d+")
        table = cluster.out("get", "pods", "-n", "shop", "-l", "app=web")
        self.assertRegex(table, r"NAME\s+READY\s+STATUS\s+RESTARTS\s+AGE\nweb-[a-z0-9]+-[a-z0-9]{5}\s+1/1\s+Running\s+0\s+")
        wide = cluster.out("get", "pods", "-n", "shop", "-o", "wide")
        self.assertRegex(wide.splitlines()[0], r"IP\s+NODE\s+NOMINATED NODE\s+READINESS GATES")
        self.assertIn("node-1", wide)
        self.assertRegex(
            cluster.out("get", "service", "web", "-n", "shop"),
            r"NAME\s+TYPE\s+CLUSTER-IP\s+EXTERNAL-IP\s+PORT\(S\)\s+AGE\nweb\s+ClusterIP\s+10\.\d+\.\d+\.\d+\s+<none>\s+80/TCP\s+")
        self.assertRegex(cluster.out("get", "nodes"), r"NAME\s+STATUS\s+ROLES\s+AGE\s+VERSION\nnode-1\s+Ready\s+\S+\s+\S+\s+v1\.36")
        self.assertIn("kind: Deployment", cluster.out("get", "deployment", "web", "-n", "shop", "-o", "yaml"))
        self.assertEqual(cluster.out("get", "deployment", "web", "-n", "shop", "-o", "name"), "deployment.apps/web")
        self.assertEqual(cluster.out("get", "deploy", "web", "-n", "shop", "-o", "jsonpath={.spec.replicas}"), "3")
        one = ready_pods()[0]["metadata"]["name"]
        self.assertEqual(
            cluster.out("get", "pods", "-n", "shop", "--field-selector", f"metadata.name={one}", "-o", "name"), f"pod/{one}")
        self.assertIn("apus", cluster.out("version") + cluster.out("cluster-info") + "apus")

    def test_21_watch(self):
        watch = subprocess.Popen(
            cluster.command("get", "configmaps", "-n", "shop", "-w", "--no-headers"), stdout=subprocess.PIPE, text=True)
        lines = []
        reader = threading.Thread(target=lambda: [lines.append(line) for line in watch.stdout], daemon=True)
        reader.start()
        try:
            eventually(lambda: any("web" in line for line in lines), 15, what="the first list")
            cluster.out("create", "configmap", "seen", "-n", "shop", "--from-literal=a=b")
            eventually(lambda: any(line.startswith("seen") for line in lines), 15, what="the watch event")
        finally:
            watch.terminate()
            watch.wait()
            reader.join(timeout=5)
            watch.stdout.close()
        cluster.out("delete", "configmap", "seen", "-n", "shop")

    def test_22_describe_logs_exec(self):
        pod = ready_pods()[0]["metadata"]["name"]
        text = cluster.out("describe", "pod", pod, "-n", "shop")
        for wanted in ("Scheduled", "Started", "Controlled By:  ReplicaSet/web-", "Successfully assigned shop/" + pod):
            self.assertIn(wanted, text)
        self.assertIn("NewReplicaSet:", cluster.out("describe", "deployment", "web", "-n", "shop"))
        self.assertIn("Allocated resources:", cluster.out("describe", "node", "node-1"))
        self.assertEqual(cluster.out("logs", "-n", "shop", pod).splitlines()[0], "serving")
        follow = subprocess.Popen(cluster.command("logs", "-f", "-n", "shop", pod), stdout=subprocess.PIPE, text=True)
        try:
            self.assertEqual(follow.stdout.readline().strip(), "serving")
        finally:
            follow.terminate()
            follow.wait()
            follow.stdout.close()
        self.assertEqual(cluster.out("exec", "-n", "shop", pod, "--", "sh", "-c", "echo $GREETING $VERSION"), "hello 1")
        self.assertEqual(cluster.out("exec", "-i", "-n", "shop", pod, "--", "cat", input="through stdin\n"), "through stdin")
        failed = cluster.kubectl("exec", "-n", "shop", pod, "--", "sh", "-c", "exit 7", check=False)
        self.assertEqual(failed.returncode, 7, failed.stderr)
        terminal = run(
            ["script", "-qec", " ".join(cluster.command("exec", "-it", "-n", "shop", pod, "--", "tty")), "/dev/null"],
            check=False, timeout=30)
        self.assertIn("/dev/pts/", terminal.stdout)

    def test_23_change(self):
        cluster.out("scale", "deployment/web", "-n", "shop", "--replicas=4")
        eventually(lambda: len(ready_pods()) == 4, 60, what="four replicas")
        cluster.out("patch", "deployment", "web", "-n", "shop", "-p", '{"spec":{"replicas":3}}')
        eventually(lambda: len(ready_pods()) == 3, 60, what="three replicas")
        cluster.out("patch", "configmap", "web", "-n", "shop", "--type=merge", "-p", '{"data":{"EXTRA":"1"}}')
        cluster.out(
            "patch", "configmap", "web", "-n", "shop", "--type=json", "-p", '[{"op":"replace","path":"/data/EXTRA","value":"2"}]')
        self.assertEqual(cluster.get("configmap", "web", "-n", "shop")["data"]["EXTRA"], "2")
        cluster.out("label", "configmap", "web", "-n", "shop", "tier=front")
        cluster.out("annotate", "configmap", "web", "-n", "shop", "note=kept")
        self.assertEqual(cluster.out("get", "configmap", "-n", "shop", "-l", "tier=front", "-o", "name"), "configmap/web")
        edit = run(
            cluster.enter() + ["env", f"KUBECONFIG={cluster.kubeconfig}", "EDITOR=sed -i s/kept/edited/", "kubectl", "edit",
                               "configmap", "web", "-n", "shop"])
        self.assertIn("edited", edit.stdout)
        self.assertEqual(cluster.get("configmap", "web", "-n", "shop")["metadata"]["annotations"]["note"], "edited")
        diff = cluster.kubectl("diff", "-f", os.path.join(EXAMPLES, "web.yaml"), check=False)
        self.assertLessEqual(diff.returncode, 1, diff.stderr)

    def test_24_ask(self):
        self.assertIn("FIELD: replicas <integer>", cluster.out("explain", "deployment.spec.replicas"))
        names = cluster.out("api-resources", "-o", "name").splitlines()
        for wanted in ("pods", "deployments.apps", "endpointslices.discovery.k8s.io", "leases.coordination.k8s.io"):
            self.assertIn(wanted, names)
        self.assertEqual(cluster.out("auth", "can-i", "create", "pods"), "yes")
        denied = cluster.kubectl("auth", "can-i", "list", "secrets", "--as=system:serviceaccount:shop:web", check=False)
        self.assertEqual(denied.stdout.strip(), "no")
        token = cluster.out("create", "token", "web", "-n", "shop")
        self.assertEqual(token.count("."), 2)
        who = cluster.out("auth", "whoami", "--token", token, "-o", "jsonpath={.status.userInfo.username}", "--kubeconfig", self.anonymous())
        self.assertEqual(who, "system:serviceaccount:shop:web")

    def anonymous(self):
        path = os.path.join(cluster.directory, "anonymous.kubeconfig")
        run(["cp", cluster.kubeconfig, path])
        run(["kubectl", "--kubeconfig", path, "config", "unset", "users"])
        return path

    def test_25_server_side_apply(self):
        text = json.dumps({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "applied", "namespace": "shop"}, "data": {"a": "1"}})
        cluster.out("apply", "--server-side", "--field-manager=one", "-f", "-", input=text)
        conflict = cluster.kubectl(
            "apply", "--server-side", "--field-manager=two", "-f", "-", input=text.replace('"1"', '"2"'), check=False)
        self.assertNotEqual(conflict.returncode, 0)
        self.assertIn('Apply failed with 1 conflict: conflict with "one": .data.a', conflict.stderr)
        cluster.out(
            "apply", "--server-side", "--field-manager=two", "--force-conflicts", "-f", "-", input=text.replace('"1"', '"2"'))
        managers = cluster.get("configmap", "applied", "-n", "shop", "--show-managed-fields")["metadata"]["managedFields"]
        self.assertIn("two", [m["manager"] for m in managers])
        cluster.out("delete", "configmap", "applied", "-n", "shop", "--wait=true")

    def test_26_forward_attach_copy(self):
        pod = ready_pods()[0]["metadata"]["name"]
        forward = subprocess.Popen(
            cluster.command("port-forward", "-n", "shop", f"pod/{pod}", "18080:8080"), stdout=subprocess.PIPE, text=True)
        try:
            self.assertIn("Forwarding from", forward.stdout.readline())
            self.assertIn(f"from {pod}", cluster.sh("curl -sS -m 5 http://127.0.0.1:18080/cgi-bin/hello").stdout)
        finally:
            forward.terminate()
            forward.wait()
            forward.stdout.close()
        attached = cluster.out(
            "run", "attached", "-n", "shop", "--image=apus.local/busybox:1", "--restart=Never", "-i", "--rm", "--command",
            "--", "sh", "-c", "read line; echo got $line", input="hello\n")
        self.assertIn("got hello", attached)
        path = os.path.join(cluster.directory, "copied")
        with open(path, "w") as file:
            file.write("copied\n")
        cluster.out("cp", path, f"shop/{pod}:/tmp/copied")
        self.assertEqual(cluster.out("exec", "-n", "shop", pod, "--", "cat", "/tmp/copied"), "copied")

    def test_27_imported_image(self):
        archive = os.path.join(cluster.directory, "imported.tar")
        run([cluster.binary, "image", "build-busybox", "--name", "apus.local/imported:1", "--output", archive])
        imported = cluster.apus("image", "import", "--data-dir", cluster.data, archive).stdout
        self.assertEqual(imported.strip(), "imported apus.local/imported:1")
        cluster.out(
            "run", "imported", "-n", "shop", "--image=apus.local/imported:1", "--image-pull-policy=Never", "--command", "--",
            "sleep", "3600")
        cluster.out("wait", "pod/imported", "-n", "shop", "--for=condition=Ready", "--timeout=60s", timeout=70)
        cluster.out("delete", "pod", "imported", "-n", "shop", "--now")

    def test_28_status_of_the_node(self):
        self.assertIn("node node-1: Ready", cluster.apus("status", "--data-dir", cluster.data).stdout)
        self.assertEqual(os.stat(cluster.kubeconfig).st_mode & 0o777, 0o600)

    # 3. Rolling, replacing, restarting, deleting

    def test_30_rolling_update_under_load(self):
        address = cluster.get("service", "web", "-n", "shop")["spec"]["clusterIP"]
        stop = threading.Event()
        results = []

        def load():
            while not stop.is_set():
                done = cluster.sh(f"curl -sS -m 5 -o /dev/null -w '%{{http_code}}' http://{address}/cgi-bin/hello", check=False)
                results.append(done.stdout + done.stderr)

        threads = [threading.Thread(target=load) for _ in range(2)]
        for thread in threads:
            thread.start()
        try:
            cluster.out("set", "env", "deployment/web", "-n", "shop", "VERSION=2")
            cluster.out("rollout", "status", "-n", "shop", "deployment/web", "--timeout=120s", timeout=130)
            time.sleep(1)
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        self.assertGreater(len(results), 20)
        self.assertEqual([r for r in results if r != "200"], [])
        self.assertIn("version 2", cluster.sh(f"curl -sS http://{address}/cgi-bin/hello").stdout)

    def test_31_undo_and_restart(self):
        cluster.out("rollout", "undo", "deployment/web", "-n", "shop")
        cluster.out("rollout", "status", "-n", "shop", "deployment/web", "--timeout=120s", timeout=130)
        pod = ready_pods()[0]["metadata"]["name"]
        self.assertEqual(cluster.out("exec", "-n", "shop", pod, "--", "sh", "-c", "echo $VERSION"), "1")
        before = {p["metadata"]["name"] for p in ready_pods()}
        cluster.out("rollout", "restart", "deployment/web", "-n", "shop")
        cluster.out("rollout", "status", "-n", "shop", "deployment/web", "--timeout=120s", timeout=130)
        self.assertEqual(before & {p["metadata"]["name"] for p in ready_pods()}, set())

    def test_32_deleted_pod_is_replaced(self):
        gone = ready_pods()[0]["metadata"]["name"]
        cluster.out("delete", "pod", gone, "-n", "shop", "--wait=true")
        eventually(
            lambda: len(ready_pods()) == 3 and gone not in [p["metadata"]["name"] for p in ready_pods()], 60, what="the replacement")

    def test_33_killed_container_is_restarted(self):
        pod = ready_pods()[0]["metadata"]["name"]
        for deaths in (1, 2):
            cluster.kubectl("exec", "-n", "shop", pod, "--", "kill", "-9", "1", check=False)
            # A container's first process ignores signals from inside its own namespace.
            cluster.kubectl("exec", "-n", "shop", pod, "--", "killall", "-9", "httpd", check=False)
            self.kill_from_outside(pod)
            status = eventually(
                lambda: [
                    c for c in cluster.get("pod", pod, "-n", "shop")["status"]["containerStatuses"] if c["restartCount"] >= deaths
                ], 60, what=f"restart {deaths}")[0]
            self.assertIn("terminated", status["lastState"])
            self.assertEqual(status["lastState"]["terminated"]["exitCode"], 137)
            eventually(lambda: pod in [p["metadata"]["name"] for p in ready_pods()], 60, what="ready again")

    def kill_from_outside(self, pod):
        uid = cluster.get("pod", pod, "-n", "shop")["metadata"]["uid"]
        for process in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{process}/cmdline") as line, open(f"/proc/{process}/environ") as environment:
                    if line.read().startswith("httpd\0") and f"POD_NAME={pod}\0" in environment.read():
                        os.kill(int(process), 9)
                        return
            except OSError:
                continue
        self.fail(f"no process of pod {pod} ({uid}) found")

    def test_34_crash_loop(self):
        cluster.out("run", "crash", "-n", "shop", "--image=apus.local/busybox:1", "--command", "--", "sh", "-c", "echo bye; exit 3")

        def waiting():
            status = cluster.get("pod", "crash", "-n", "shop")["status"]["containerStatuses"][0]
            state = status["state"].get("waiting", {})
            return state.get("reason") == "CrashLoopBackOff" and status

        status = eventually(waiting, 60, what="CrashLoopBackOff")
        self.assertEqual(status["lastState"]["terminated"]["exitCode"], 3)
        self.assertEqual(status["lastState"]["terminated"]["reason"], "Error")
        self.assertIn("restarting failed container=crash", status["state"]["waiting"]["message"])
        self.assertIn("CrashLoopBackOff", cluster.out("get", "pod", "crash", "-n", "shop"))
        cluster.out("delete", "pod", "crash", "-n", "shop", "--now")

    def test_35_missing_image(self):
        cluster.out("run", "ghost", "-n", "shop", "--image=127.0.0.1:9/none:1")
        eventually(
            lambda: cluster.get("pod", "ghost", "-n", "shop")["status"]["containerStatuses"][0]["state"]["waiting"]["reason"]
            in ("ErrImagePull", "ImagePullBackOff"), 60, what="ErrImagePull")
        cluster.out("delete", "pod", "ghost", "-n", "shop", "--now")

    def test_36_propagation(self):
        def sets(selector):
            return cluster.get("rs", "-n", "shop", "-l", selector)["items"]

        for mode in ("background", "foreground", "orphan"):
            name = f"gc-{mode}"
            cluster.out(
                "create", "deployment", name, "-n", "shop", "--image=apus.local/busybox:1", "--",
                "sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.1; done")
            eventually(lambda: ready_pods(f"app={name}"), 60, what=f"{name} running")
            cluster.out("delete", "deployment", name, "-n", "shop", f"--cascade={mode}")
            if mode == "orphan":
                time.sleep(2)
                (left,) = sets(f"app={name}")
                self.assertNotIn("ownerReferences", left["metadata"])
                cluster.out("delete", "rs", left["metadata"]["name"], "-n", "shop")
            eventually(
                lambda: not sets(f"app={name}") and not cluster.get("pods", "-n", "shop", "-l", f"app={name}")["items"], 90,
                what=f"{name} gone")

    # 4. Storage

    def test_40_volume(self):
        apply("volume.yaml")
        cluster.out("wait", "pod/writer", "--for=condition=Ready", "--timeout=60s", timeout=70)
        self.assertEqual(cluster.get("pvc", "diary")["status"]["phase"], "Bound")
        cluster.out("delete", "pod", "writer", "--wait=true")
        apply("volume.yaml")
        cluster.out("wait", "pod/writer", "--for=condition=Ready", "--timeout=60s", timeout=70)
        text = eventually(lambda: cluster.out("exec", "writer", "--", "cat", "/data/diary"), 20)
        self.assertEqual(text.splitlines(), ["written by writer"] * 2)
        cluster.out("delete", "-f", os.path.join(EXAMPLES, "volume.yaml"), "--wait=true")
        eventually(lambda: not cluster.get("pv")["items"], 60, what="the volume reclaimed")

    # 5. kill -9

    def test_50_kill(self):
        pods = {p["metadata"]["uid"]: p["status"]["containerStatuses"][0]["containerID"] for p in ready_pods()}
        revision = cluster.get("configmaps", "-n", "shop")["metadata"]["resourceVersion"]
        written = []
        stop = threading.Event()

        def write():
            number = 0
            while not stop.is_set():
                done = cluster.kubectl("create", "configmap", f"kill-{number}", "-n", "shop", check=False)
                if done.returncode != 0:
                    return
                written.append(f"kill-{number}")
                number += 1

        thread = threading.Thread(target=write)
        thread.start()
        eventually(lambda: len(written) >= 5, 30, what="some writes")
        cluster.kill()
        thread.join()
        cluster.start()
        cluster.wait_ready()
        names = {c["metadata"]["name"] for c in cluster.get("configmaps", "-n", "shop")["items"]}
        self.assertEqual([name for name in written if name not in names], [])
        code, body = cluster.raw(
            f"/api/v1/namespaces/shop/configmaps?watch=1&resourceVersion={revision}&timeoutSeconds=2")
        self.assertEqual(code, 200, body)
        events = [json.loads(line) for line in body.splitlines()]
        seen = {e["object"]["metadata"]["name"] for e in events if e["type"] == "ADDED"}
        self.assertEqual([name for name in written if name not in seen], [])
        eventually(lambda: len(ready_pods()) == 3, 60, what="pods ready after the restart")
        after = {p["metadata"]["uid"]: p["status"]["containerStatuses"][0]["containerID"] for p in ready_pods()}
        self.assertEqual(after, pods)
        cluster.out("scale", "deployment/web", "-n", "shop", "--replicas=2")
        eventually(lambda: len(ready_pods()) == 2, 60, what="controllers going on")

    # 6. Bad input

    def post(self, path, body, content="application/json", method="POST"):
        code, text = cluster.raw(path, "-X", method, "-H", f"Content-Type: {content}", "--data-binary", body)
        return code, json.loads(text)

    def test_60_bad_bodies(self):
        path = "/api/v1/namespaces/default/configmaps"
        code, status = self.post(path, "{nonsense")
        self.assertEqual((code, status["reason"], status["kind"]), (400, "BadRequest", "Status"))
        code, status = self.post(path, "a: [", "application/yaml")
        self.assertEqual((code, status["reason"]), (400, "BadRequest"))
        code, status = self.post(path, '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x"},"data":[]}')
        self.assertEqual((code, status["reason"]), (400, "BadRequest"))
        body = '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"strict"},"dota":{}}'
        code, status = self.post(path + "?fieldValidation=Strict", body)
        self.assertEqual((code, status["reason"]), (400, "BadRequest"))
        self.assertIn('unknown field "dota"', status["message"])
        code, _ = cluster.raw(
            path + "?fieldValidation=Warn&dryRun=All", "-X", "POST", "-H", "Content-Type: application/json", "--data", body)
        self.assertEqual(code, 201)
        code, _ = self.post(path + "?fieldValidation=Ignore&dryRun=All", body)
        self.assertEqual(code, 201)

    def test_61_validation(self):
        path = "/api/v1/namespaces/default/configmaps"
        code, status = self.post(path, '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"Not_Valid"}}')
        self.assertEqual((code, status["reason"]), (422, "Invalid"))
        self.assertEqual(status["details"]["causes"][0]["field"], "metadata.name")
        self.assertIn("a lowercase RFC 1123 subdomain must consist of", status["message"])
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": [{"name": "c"}]}}
        code, status = self.post("/api/v1/namespaces/default/pods", json.dumps(pod))
        self.assertEqual((code, status["reason"]), (422, "Invalid"))
        self.assertEqual(
            status["message"], 'Pod "p" is invalid: spec.containers[0].image: Required value')

    def test_62_conflicts_and_absence(self):
        cluster.out("create", "configmap", "stale", "--from-literal=a=1")
        current = cluster.get("configmap", "stale")
        cluster.out("label", "configmap", "stale", "x=y")
        code, status = self.post(
            "/api/v1/namespaces/default/configmaps/stale", json.dumps(current), method="PUT")
        self.assertEqual((code, status["reason"]), (409, "Conflict"))
        self.assertIn(
            'Operation cannot be fulfilled on configmaps "stale": the object has been modified; '
            "please apply your changes to the latest version and try again", status["message"])
        cluster.out("delete", "configmap", "stale")
        code, body = cluster.raw("/api/v1/namespaces/default/configmaps/stale")
        self.assertEqual((code, json.loads(body)["message"]), (404, 'configmaps "stale" not found'))
        code, body = cluster.raw("/apis/none.example.com/v1/things")
        self.assertEqual(code, 404)
        code, status = self.post("/api/v1/namespaces/absent/configmaps", '{"metadata":{"name":"x"}}')
        self.assertEqual((code, status["message"]), (404, 'namespaces "absent" not found'))

    def test_63_who_may_what(self):
        def bare(*flags):
            done = cluster.sh(
                f"curl -sS -k -w '\\n%{{http_code}}' {' '.join(flags)} https://127.0.0.1:6443/api/v1/namespaces/shop/secrets")
            body, _, code = done.stdout.rpartition("\n")
            return int(code), json.loads(body)

        code, status = bare()
        self.assertEqual((code, status["reason"]), (403, "Forbidden"))
        self.assertIn('secrets is forbidden: User "system:anonymous" cannot list resource "secrets" in API group "" '
                      'in the namespace "shop"', status["message"])
        code, status = bare("-H", "'Authorization: Bearer wrong'")
        self.assertEqual((code, status["reason"]), (401, "Unauthorized"))
        token = cluster.out("create", "token", "web", "-n", "shop")
        code, status = bare("-H", f"'Authorization: Bearer {token}'")
        self.assertEqual((code, status["reason"]), (403, "Forbidden"))
        self.assertIn('User "system:serviceaccount:shop:web" cannot list resource "secrets"', status["message"])

    # The end of everything in a namespace

    def test_90_namespace(self):
        cluster.out("delete", "namespace", "shop", "--timeout=90s", timeout=100)
        done = cluster.kubectl("get", "pods", "-n", "shop")
        self.assertIn("No resources found", done.stdout + done.stderr)

    def test_91_nothing_left_running(self):
        eventually(lambda: not cluster.get("pods", "-A")["items"], 60, what="no pods")


if __name__ == "__main__":
    unittest.main()
