"""A real etcd for a fleet: one member or several, each on a host of its own, with certificates in both directions."""

import os
import time


class Etcd:
    """Members that run, and what a server is told of them."""

    def __init__(self, endpoints, flags, processes, environment):
        #: Client URLs.
        self.endpoints = endpoints
        #: Flags of `apus server`.
        self.flags = flags
        #: One process a member.
        self.processes = processes
        #: What etcdctl needs.
        self.environment = environment

    def __iter__(self):
        return iter((self.endpoints, self.flags))


def certificates(fleet, run, directory):
    """An authority, one certificate for all members and one for clients."""
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    run(["openssl", "req", "-x509", *key, "-subj", "/CN=etcd-ca", "-days", "30", "-keyout", f"{directory}/ca.key",
         "-out", f"{directory}/ca.crt"])
    names = ",".join(f"IP:{host.address}" for host in fleet.hosts) + ",IP:127.0.0.1"
    for name, usage in (("member", "serverAuth,clientAuth"), ("client", "clientAuth")):
        base = f"{directory}/{name}"
        with open(f"{base}.ext", "w") as file:
            file.write(f"extendedKeyUsage={usage}\nsubjectAltName={names}\n")
        run(["openssl", "req", *key, "-subj", f"/CN=etcd-{name}", "-keyout", f"{base}.key", "-out", f"{base}.csr"])
        run(["openssl", "x509", "-req", "-in", f"{base}.csr", "-CA", f"{directory}/ca.crt", "-CAkey",
             f"{directory}/ca.key", "-CAcreateserial", "-days", "30", "-extfile", f"{base}.ext", "-out", f"{base}.crt"])


def start(fleet, run, members, tls):
    """Starts members on the first hosts; returns when all answer."""
    directory = os.path.join(fleet.directory, "etcd")
    os.makedirs(directory)
    scheme = "https" if tls else "http"
    if tls:
        certificates(fleet, run, directory)
    hosts = fleet.hosts[:members]
    cluster = ",".join(f"{host.name}={scheme}://{host.address}:2380" for host in hosts)
    processes = []
    for host in hosts:
        client, peer = f"{scheme}://{host.address}:2379", f"{scheme}://{host.address}:2380"
        command = [
            "etcd", "--name", host.name, "--data-dir", f"{directory}/{host.name}", "--initial-cluster", cluster,
            "--initial-cluster-state", "new", "--listen-client-urls", client, "--advertise-client-urls", client,
            "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer]
        if tls:
            files = ["--trusted-ca-file", f"{directory}/ca.crt", "--cert-file", f"{directory}/member.crt", "--key-file",
                     f"{directory}/member.key"]
            command += ["--client-cert-auth", *files, "--peer-client-cert-auth", *(f.replace("--", "--peer-", 1) for f in files)]
        processes.append(host.spawn(command, log="etcd"))
    endpoints = [f"{scheme}://{host.address}:2379" for host in hosts]
    flags = ["--datastore", ",".join(endpoints)]
    curl = ["curl", "-sS", "-m", "2"]
    environment = {"ETCDCTL_API": "3", "ETCDCTL_ENDPOINTS": ",".join(endpoints)}
    if tls:
        ca, pair = f"{directory}/ca.crt", f"{directory}/client"
        flags += ["--datastore-cafile", ca, "--datastore-certfile", f"{pair}.crt", "--datastore-keyfile", f"{pair}.key"]
        curl += ["--cacert", ca, "--cert", f"{pair}.crt", "--key", f"{pair}.key"]
        environment |= {"ETCDCTL_CACERT": ca, "ETCDCTL_CERT": f"{pair}.crt", "ETCDCTL_KEY": f"{pair}.key"}
    limit = time.time() + 30
    for host, endpoint in zip(hosts, endpoints):
        while '"health":"true"' not in fleet.hosts[0].run([*curl, f"{endpoint}/health"], check=False).stdout:
            if time.time() > limit:
                raise AssertionError(f"etcd on {host.name} does not answer:\n{host.log('etcd', 20)}")
            time.sleep(0.1)
    return Etcd(endpoints, flags, processes, environment)
