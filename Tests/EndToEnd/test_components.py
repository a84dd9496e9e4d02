"""Each component as a process of its own, as users of upstream's binaries run them: etcd with TLS, API server, two
schedulers and two controller managers that elect a leader, kubelet on a containerd, proxy. Nothing but certificates,
kubeconfigs and flags passes between them, and each has the role that upstream gives it and no more."""

import json
import os
import unittest

from hosts import Fleet, eventually, run

BINARY = os.environ.get("APUS_BINARY", "apus")
PODS = "10.244.0.0/16"
SERVICES = "10.96.0.0/16"
SERVICE = "10.96.0.50"
NODE = "node-1"

CONTAINERD = """
version = 2
root = "{directory}/engine"
state = "/run/containerd"
disabled_plugins = ["io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs"]
[grpc]
  address = "/run/containerd/containerd.sock"
[plugins."io.containerd.internal.v1.opt"]
  path = "{directory}/engine/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "apus.local/pause:1"
  disable_apparmor = true
  restrict_oom_score_adj = true
  tolerate_missing_hugetlb_controller = true
  disable_hugetlb_controller = true
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{directory}/cni"
"""

NETWORK = {
    "cniVersion": "0.4.0", "name": "test", "plugins": [{
        "type": "bridge", "bridge": "cni0", "isGateway": True, "isDefaultGateway": True, "hairpinMode": True,
        "ipMasq": False, "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.244.0.0/24"}]]}}]}

WEB = f"""
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web, namespace: default}}
spec:
  replicas: 2
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - name: main
        image: apus.local/busybox:1
        imagePullPolicy: Never
        command: [sh, -c, "mkdir /www; hostname > /www/index.html; exec httpd -f -p 8080 -h /www"]
---
apiVersion: v1
kind: Service
metadata: {{name: web, namespace: default}}
spec:
  clusterIP: {SERVICE}
  selector: {{app: web}}
  ports: [{{port: 80, targetPort: 8080}}]
"""


EXTENDER = """
import http.server, json, os, sys

class Handler(http.server.BaseHTTPRequestHandler):
    def answer(self, value):
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.answer({})

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        nodes = asked["Nodes"]["items"]
        if self.path == "/extend/prioritize":
            return self.answer([{"Host": node["metadata"]["name"], "Score": 7} for node in nodes])
        good = nodes if os.path.exists(sys.argv[1]) else []
        self.answer({"Nodes": {"items": good}, "FailedNodes": {
            node["metadata"]["name"]: "not to our taste" for node in nodes if node not in good}})

http.server.ThreadingHTTPServer(("127.0.0.1", 8899), Handler).serve_forever()
"""


class PKI:
    """Certificates as kubeadm makes them."""

    def __init__(self, directory, address):
        self.directory = directory
        os.makedirs(directory)
        self.key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        run(["openssl", "req", "-x509", *self.key, "-subj", "/CN=kubernetes", "-days", "30", "-keyout", self("ca.key"),
             "-out", self("ca.crt")])
        run(["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", self("sa.key")])
        run(["openssl", "ec", "-in", self("sa.key"), "-pubout", "-out", self("sa.pub")])
        names = f"DNS:kubernetes,DNS:kubernetes.default.svc,DNS:localhost,IP:10.96.0.1,IP:127.0.0.1,IP:{address}"
        self.leaf("apiserver", "/CN=kube-apiserver", f"extendedKeyUsage=serverAuth\nsubjectAltName={names}\n")
        self.leaf("kubelet", f"/O=system:nodes/CN=system:node:{NODE}",
                  f"extendedKeyUsage=serverAuth\nsubjectAltName=DNS:{NODE},IP:{address}\n")
        for name, subject in (
                ("admin", "/O=system:masters/CN=kubernetes-admin"),
                ("apiserver-kubelet-client", "/O=system:masters/CN=kube-apiserver-kubelet-client"),
                ("controller-manager", "/CN=system:kube-controller-manager"),
                ("scheduler", "/CN=system:kube-scheduler"), ("proxy", "/CN=system:kube-proxy"),
                ("node", f"/O=system:nodes/CN=system:node:{NODE}"), ("nobody", "/CN=nobody")):
            self.leaf(name, subject, "extendedKeyUsage=clientAuth\n")
            self.kubeconfig(name)

    def __call__(self, name):
        return os.path.join(self.directory, name)

    def leaf(self, name, subject, extensions):
        with open(self(f"{name}.ext"), "w") as file:
            file.write(extensions)
        run(["openssl", "req", *self.key, "-subj", subject, "-keyout", self(f"{name}.key"), "-out", self(f"{name}.csr")])
        run(["openssl", "x509", "-req", "-in", self(f"{name}.csr"), "-CA", self("ca.crt"), "-CAkey", self("ca.key"),
             "-CAcreateserial", "-days", "30", "-extfile", self(f"{name}.ext"), "-out", self(f"{name}.crt")])

    def kubeconfig(self, name):
        with open(self(f"{name}.conf"), "w") as file:
            json.dump({
                "apiVersion": "v1", "kind": "Config", "current-context": "test",
                "clusters": [{"name": "test", "cluster": {
                    "server": "https://127.0.0.1:6443", "certificate-authority": self("ca.crt")}}],
                "users": [{"name": "test", "user": {
                    "client-certificate": self(f"{name}.crt"), "client-key": self(f"{name}.key")}}],
                "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}]}, file)


class ComponentsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.fleet = Fleet(BINARY, 1)
        try:
            cls.start()
        except BaseException:
            cls.fleet.close()
            raise

    @classmethod
    def start(cls):
        cls.host = host = cls.fleet.hosts[0]
        cls.pki = pki = PKI(os.path.join(host.directory, "pki"), host.address)
        host.kubeconfig = pki("admin.conf")
        etcd = cls.fleet.etcd()
        store = os.path.join(cls.fleet.directory, "etcd")
        cls.engine()
        cls.component(
            "kube-apiserver", f"--etcd-servers={','.join(etcd.endpoints)}", f"--etcd-cafile={store}/ca.crt",
            f"--etcd-certfile={store}/client.crt", f"--etcd-keyfile={store}/client.key",
            f"--advertise-address={host.address}", f"--service-cluster-ip-range={SERVICES}",
            f"--tls-cert-file={pki('apiserver.crt')}", f"--tls-private-key-file={pki('apiserver.key')}",
            f"--client-ca-file={pki('ca.crt')}", f"--service-account-key-file={pki('sa.pub')}",
            f"--service-account-signing-key-file={pki('sa.key')}",
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
            "--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction",
            "--enable-bootstrap-token-auth=true", "--allow-privileged=true", "--anonymous-auth",
            f"--kubelet-client-certificate={pki('apiserver-kubelet-client.crt')}",
            f"--kubelet-client-key={pki('apiserver-kubelet-client.key')}",
            f"--kubelet-certificate-authority={pki('ca.crt')}",
            "--kubelet-preferred-address-types=InternalIP,ExternalIP,Hostname")
        eventually(lambda: cls.fleet.kubectl("get", "--raw", "/readyz", check=False).stdout == "ok", 30, what="readyz")
        cls.first = cls.scheduler(10259)
        cls.second = None
        cls.component(
            "kube-controller-manager", f"--kubeconfig={pki('controller-manager.conf')}",
            f"--authentication-kubeconfig={pki('controller-manager.conf')}",
            f"--authorization-kubeconfig={pki('controller-manager.conf')}", "--leader-elect=true",
            "--use-service-account-credentials=true", "--controllers=*,bootstrapsigner,tokencleaner",
            f"--cluster-cidr={PODS}", f"--service-cluster-ip-range={SERVICES}", "--allocate-node-cidrs=true",
            f"--cluster-signing-cert-file={pki('ca.crt')}", f"--cluster-signing-key-file={pki('ca.key')}",
            f"--root-ca-file={pki('ca.crt')}", f"--service-account-private-key-file={pki('sa.key')}",
            "--bind-address=127.0.0.1")
        kubelet = os.path.join(host.directory, "kubelet.yaml")
        with open(kubelet, "w") as file:
            json.dump({
                "apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
                "authentication": {"x509": {"clientCAFile": pki("ca.crt")}, "anonymous": {"enabled": False},
                                   "webhook": {"enabled": True}},
                "tlsCertFile": pki("kubelet.crt"), "tlsPrivateKeyFile": pki("kubelet.key"),
                "cgroupDriver": "cgroupfs", "cgroupRoot": host.cgroup, "failSwapOn": False,
                "clusterDNS": ["10.96.0.10"], "clusterDomain": "cluster.local"}, file)
        cls.component(
            "kubelet", f"--config={kubelet}", f"--kubeconfig={pki('node.conf')}", f"--hostname-override={NODE}",
            f"--node-ip={host.address}", f"--root-dir={host.data}/kubelet",
            "--container-runtime-endpoint=unix:///run/containerd/containerd.sock", "--node-labels=disk=ssd")
        proxy = os.path.join(host.directory, "proxy.yaml")
        with open(proxy, "w") as file:
            json.dump({
                "apiVersion": "kubeproxy.config.k8s.io/v1alpha1", "kind": "KubeProxyConfiguration", "mode": "nftables",
                "clientConnection": {"kubeconfig": pki("proxy.conf")}, "clusterCIDR": PODS}, file)
        cls.component("kube-proxy", f"--config={proxy}", f"--hostname-override={NODE}")

    @classmethod
    def component(cls, name, *flags, log=None):
        return cls.host.spawn([cls.fleet.binary, name, *flags, "-v=4"], log=log or name)

    @classmethod
    def scheduler(cls, port):
        conf = cls.pki("scheduler.conf")
        file = f"{cls.host.directory}/scheduler.yaml"
        with open(file, "w") as profiles:
            json.dump({"apiVersion": "kubescheduler.config.k8s.io/v1", "kind": "KubeSchedulerConfiguration", "extenders": [
                {"urlPrefix": "http://127.0.0.1:8899/extend", "filterVerb": "filter", "prioritizeVerb": "prioritize", "weight": 2,
                 "managedResources": [{"name": "example.com/taste", "ignoredByScheduler": True}]}], "profiles": [
                {"schedulerName": "default-scheduler"},
                {"schedulerName": "picky", "pluginConfig": [{"name": "NodeAffinity", "args": {"addedAffinity": {
                    "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{"matchExpressions": [
                        {"key": "disk", "operator": "In", "values": ["tape"]}]}]}}}}]}]}, profiles)
        return cls.component(
            "kube-scheduler", f"--config={file}", f"--kubeconfig={conf}", f"--authentication-kubeconfig={conf}",
            f"--authorization-kubeconfig={conf}", "--leader-elect", "--leader-elect-lease-duration=4s",
            "--leader-elect-renew-deadline=3s", "--leader-elect-retry-period=500ms", f"--secure-port={port}",
            log=f"kube-scheduler-{port}")

    @classmethod
    def engine(cls):
        """A containerd as an administrator sets it up, with a bridge network and two images."""
        host = cls.host
        os.makedirs(f"{host.directory}/cni", exist_ok=True)
        with open(f"{host.directory}/cni/10-test.conflist", "w") as file:
            json.dump(NETWORK, file)
        config = os.path.join(host.directory, "containerd.toml")
        with open(config, "w") as file:
            file.write(CONTAINERD.format(directory=host.directory))
        host.spawn(["containerd", "--config", config], log="containerd")
        eventually(lambda: host.sh("ctr version", check=False).returncode == 0, 20, what="containerd")
        host.sh("echo 1 > /proc/sys/net/ipv4/ip_forward")
        host.run(["ctr", "-n", "k8s.io", "images", "import", cls.fleet.image])
        host.run(["ctr", "-n", "k8s.io", "images", "import", cls.pause()])

    @classmethod
    def pause(cls):
        """A sandbox image: what it takes for a busybox has one applet, which waits to be ended."""
        program, archive = os.path.join(cls.host.directory, "pause"), os.path.join(cls.host.directory, "pause.tar")
        source = """
            #include <signal.h>
            #include <stdio.h>
            #include <unistd.h>
            static void end(int number) { _exit(0); }
            int main(int count, char **words) {
                if (count > 1) return puts("sh") < 0;
                signal(SIGTERM, end);
                for (;;) pause();
            }"""
        run(["cc", "-static", "-Os", "-x", "c", "-o", program, "-"], input=source)
        run([cls.fleet.binary, "image", "build-busybox", "--name", "apus.local/pause:1", "--busybox", program,
             "--output", archive])
        return archive

    @classmethod
    def tearDownClass(cls):
        if cls.host.processes:
            cls.fleet.kubectl("delete", "deployment", "--all", "--wait=false", check=False)
        cls.fleet.close()

    # Helpers

    def logs(self):
        names = ("kube-apiserver", "kube-controller-manager", "kubelet", "kube-scheduler-10259", "kube-proxy")
        return "\n".join(f"--- {name}\n{self.host.log(name, 15)}" for name in names)

    def curl(self, url, *options):
        """Status code and body."""
        done = self.host.run(["curl", "-sS", "-m", "10", "-k", "-w", "\n%{http_code}", url, *options])
        body, _, code = done.stdout.rpartition("\n")
        return int(code), body

    def certificate(self, name):
        return ["--cert", self.pki(f"{name}.crt"), "--key", self.pki(f"{name}.key")]

    def holder(self, lease):
        return self.fleet.out("get", "lease", lease, "-n", "kube-system", "-o", "jsonpath={.spec.holderIdentity}")

    # Tests

    def test_1_roll_out(self):
        """All components together bring a Deployment behind a Service."""
        self.fleet.wait_nodes_ready(1, timeout=60)
        self.assertEqual(self.fleet.get("node", NODE)["metadata"]["labels"]["disk"], "ssd")
        self.fleet.kubectl("apply", "-f", "-", input=WEB)
        try:
            self.fleet.kubectl("rollout", "status", "deployment/web", "--timeout=60s", timeout=70)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.fleet.out('describe', 'pods')[-3000:]}\n{self.logs()}") from None
        pods = {p["metadata"]["name"] for p in self.fleet.get("pods", "-l", "app=web")["items"]}
        self.assertEqual(len(pods), 2)
        answer = eventually(
            lambda: self.host.run(["curl", "-sS", "-m", "3", f"http://{SERVICE}"], check=False).stdout.strip(), 30,
            what="the Service's answer")
        self.assertIn(answer, pods)
        name = sorted(pods)[0]
        self.assertEqual(self.fleet.out("exec", name, "--", "hostname"), name)

    def test_2_controllers_have_their_own_accounts(self):
        accounts = {a["metadata"]["name"] for a in self.fleet.get("sa", "-n", "kube-system")["items"]}
        self.assertLessEqual(
            {"deployment-controller", "replicaset-controller", "endpointslice-controller", "node-controller",
             "generic-garbage-collector"}, accounts)
        bindings = self.fleet.get("clusterrolebindings")["items"]
        self.assertFalse([
            b["metadata"]["name"] for b in bindings
            if b["roleRef"]["name"] == "cluster-admin" and b["metadata"]["name"] != "cluster-admin"])
        self.fleet.kubectl("create", "namespace", "short")
        self.fleet.kubectl("create", "job", "once", "-n", "short", "--image=apus.local/busybox:1", "--", "true")
        self.fleet.kubectl("wait", "-n", "short", "--for=condition=complete", "job/once", "--timeout=30s")
        self.fleet.kubectl("delete", "namespace", "short", "--timeout=40s")
        pods = self.fleet.get("pods", "-l", "app=web")["items"]
        self.fleet.kubectl("delete", "pod", pods[0]["metadata"]["name"], "--wait=false")
        self.fleet.kubectl("rollout", "status", "deployment/web", "--timeout=30s")
        self.assertNotIn("orbidden", self.host.log("kube-controller-manager", 10000))

    def test_3_a_second_scheduler_takes_over(self):
        type(self).second = self.scheduler(10260)
        eventually(lambda: self.curl("https://127.0.0.1:10260/healthz")[0] == 200, 20, what="the second's health")
        before = self.holder("kube-scheduler")
        self.host.kill(self.first)
        eventually(lambda: self.holder("kube-scheduler") not in ("", before), 20, what="another leader")
        self.fleet.kubectl("scale", "deployment/web", "--replicas=3")
        self.fleet.kubectl("rollout", "status", "deployment/web", "--timeout=30s")
        metrics = self.curl("https://127.0.0.1:10260/metrics", *self.certificate("admin"))[1]
        self.assertIn('leader_election_master_status{name="kube-scheduler"} 1', metrics)

    def test_4_health_and_metrics(self):
        for port in (10257, 10260):
            base = f"https://127.0.0.1:{port}"
            for path in ("healthz", "livez", "readyz"):
                self.assertEqual(self.curl(f"{base}/{path}"), (200, "ok"))
            self.assertIn("[+]ping ok", self.curl(f"{base}/healthz?verbose")[1])
            self.assertEqual(self.curl(f"{base}/metrics")[0], 403)
            self.assertEqual(self.curl(f"{base}/metrics", "-H", "Authorization: Bearer wrong")[0], 401)
            self.assertEqual(self.curl(f"{base}/metrics", *self.certificate("nobody"))[0], 403)
            self.assertEqual(self.curl(f"{base}/metrics", *self.certificate("admin"))[0], 200)
            self.assertIn("Binary version: 1.36.", self.curl(f"{base}/statusz", *self.certificate("admin"))[1])
            self.assertIn(f"\nsecure-port={port}\n", self.curl(f"{base}/flagz", *self.certificate("admin"))[1])
        self.fleet.kubectl("create", "serviceaccount", "watcher")
        self.fleet.kubectl(
            "create", "clusterrolebinding", "watcher", "--clusterrole=system:monitoring", "--serviceaccount=default:watcher")
        bearer = ["-H", f"Authorization: Bearer {self.fleet.out('create', 'token', 'watcher')}"]
        code, metrics = self.curl("https://127.0.0.1:10257/metrics", *bearer)
        self.assertEqual(code, 200)
        self.assertIn('leader_election_master_status{name="kube-controller-manager"} 1', metrics)
        self.assertEqual(self.curl("https://127.0.0.1:10257/configz", *bearer)[0], 403)
        self.assertEqual(self.curl("http://127.0.0.1:10248/healthz"), (200, "ok"))
        self.assertEqual(self.curl("http://127.0.0.1:10256/healthz")[0], 200)
        self.assertEqual(self.curl("http://127.0.0.1:10249/metrics")[0], 200)
        published = self.fleet.get("cm", "extension-apiserver-authentication", "-n", "kube-system")["data"]
        with open(self.pki("ca.crt")) as file:
            self.assertEqual(published["client-ca-file"], file.read())

    def test_4_pods_choose_a_profile(self):
        self.fleet.kubectl("apply", "-f", "-", input=json.dumps({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "picky"}, "spec": {
                "schedulerName": "picky", "containers": [{"name": "main", "image": "apus.local/busybox:1"}]}}))
        eventually(lambda: "didn't match scheduler-enforced node affinity" in self.fleet.out(
            "get", "pod", "picky", "-o", "jsonpath={.status.conditions[0].message}"), 20, what="a refusal")
        self.fleet.kubectl("delete", "pod", "picky", "--wait=false")

    def test_4_an_extender_is_heard(self):
        program = f"{self.host.directory}/extender.py"
        with open(program, "w") as file:
            file.write(EXTENDER)
        taste = f"{self.host.directory}/taste"
        extender = self.host.spawn(["python3", program, taste], log="extender")
        self.addCleanup(self.host.kill, extender)
        eventually(lambda: self.curl("http://127.0.0.1:8899/")[0] == 200, 20, what="the extender")
        self.fleet.kubectl("apply", "-f", "-", input=json.dumps({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "tasteful"}, "spec": {"containers": [{
                "name": "main", "image": "apus.local/busybox:1", "command": ["sleep", "3600"],
                "resources": {"requests": {"example.com/taste": "1"}, "limits": {"example.com/taste": "1"}}}]}}))

        def told(path):
            return self.fleet.out("get", "pod", "tasteful", "-o", f"jsonpath={{{path}}}")

        eventually(lambda: "1 not to our taste" in told(".status.conditions[0].message"), 20, what="the extender's refusal")
        open(taste, "w").close()
        # News of the node is a reason to ask again.
        self.fleet.kubectl("label", "node", NODE, "taste=good")
        eventually(lambda: told(".spec.nodeName") == NODE, 30, what="a node that is to its taste")
        self.fleet.kubectl("delete", "pod", "tasteful", "--wait=false")

    def test_5_flags(self):
        def refusal(*arguments):
            done = self.host.apus(*arguments, check=False)
            self.assertNotEqual(done.returncode, 0, arguments)
            return done.stderr

        self.assertIn("--cloud-config is not served by apus: run apus cloud-controller-manager",
                      refusal("kube-controller-manager", "--cloud-config=/x"))
        self.assertIn("unknown flag: --nonsense", refusal("kube-scheduler", "--nonsense"))
        self.assertIn('invalid argument "maybe" for "--leader-elect" flag', refusal("kube-scheduler", "--leader-elect=maybe"))
        self.assertIn('"depoyment" is not in the list of known controllers',
                      refusal("kube-controller-manager", "--controllers=depoyment"))
        self.assertIn("nftables", refusal("kube-proxy", "--proxy-mode=ipvs"))
        self.assertRegex(self.host.apus("kube-apiserver", "--version").stdout, r"^Kubernetes v1\.36\.")


if __name__ == "__main__":
    unittest.main()
