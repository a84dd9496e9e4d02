"""Plain requests to the servers of a fleet, as the admin, from outside of all hosts."""

import ctypes
import http.client
import json
import os
import ssl
import threading
import time

CLONE_NEWNET = 0x40000000
LIBC = ctypes.CDLL(None, use_errno=True)


class Api:
    """Requests by address. To be used in threads that `inside` started: they see the fleet's network."""

    def __init__(self, fleet):
        self.fleet = fleet
        pki = os.path.join(fleet.hosts[0].data, "pki")
        self.context = ssl.create_default_context(cafile=f"{pki}/ca.crt")
        self.context.load_cert_chain(f"{pki}/admin.crt", f"{pki}/admin.key")
        self.local = threading.local()

    def inside(self, *works):
        """Runs every work in a thread of its own in the switch's network; returns their results, raises their errors."""
        results = [None] * len(works)
        errors = []

        def one(index, work):
            try:
                with open(f"/proc/{self.fleet.switch}/ns/net") as namespace:
                    if LIBC.setns(namespace.fileno(), CLONE_NEWNET) != 0:
                        raise OSError(ctypes.get_errno(), "setns")
                results[index] = work()
            except BaseException as error:
                errors.append(error)
            finally:
                for connection in self.local.__dict__.pop("connections", {}).values():
                    connection.close()

        threads = [threading.Thread(target=one, args=item) for item in enumerate(works)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if errors:
            raise errors[0]
        return results

    def request(self, host, method, path, body=None, kind="application/json", timeout=3):
        """Status code and object, over a connection that the thread keeps."""
        kept = self.local.__dict__.setdefault("connections", {})
        connection = kept.pop(host.address, None) or http.client.HTTPSConnection(
            host.address, 6443, context=self.context, timeout=timeout)
        try:
            connection.request(
                method, path, body=None if body is None else json.dumps(body), headers={"Content-Type": kind})
            answer = connection.getresponse()
            content = answer.read()
        except BaseException:
            connection.close()
            raise
        kept[host.address] = connection
        return answer.status, json.loads(content or b"null")


class Writer:
    """A client with several addresses: creates one object after the other, and goes to the next server when one fails."""

    def __init__(self, api, hosts, name):
        self.api, self.hosts, self.name = api, list(hosts), name
        self.acknowledged = []
        self.longest = 0
        self.failures = []

    def run(self, until):
        last = time.monotonic()
        number = 0
        while not until.is_set():
            name = f"{self.name}-{number}"
            body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}
            try:
                status, answer = self.api.request(
                    self.hosts[0], "POST", "/api/v1/namespaces/default/configmaps", body)
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(f"{self.hosts[0].name}: {error!r}")
                self.hosts.append(self.hosts.pop(0))
                continue
            # A write whose answer was lost is there when it is tried again.
            if status in (201, 409):
                now = time.monotonic()
                self.longest = max(self.longest, now - last)
                last = now
                self.acknowledged.append(name)
                number += 1
            else:
                self.failures.append(f"{self.hosts[0].name}: {status} {answer.get('message')}")
                self.hosts.append(self.hosts.pop(0))
                time.sleep(0.05)
