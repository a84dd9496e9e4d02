"""Stock clients in Python against the API server: the official one, lightkube, kr8s, and an operator in kopf."""

import os
import sys
import unittest

from cluster import Cluster
from hosts import ROOT

PYTHON = os.environ.get("APUS_CLIENTS", os.path.join(ROOT, ".build/tools/clients/bin/python"))
cluster = None


def setUpModule():
    global cluster
    cluster = Cluster.ready()


def tearDownModule():
    cluster.close()


class Clients(unittest.TestCase):
    """In order: the first defines a kind that the others use."""

    def work(self, name):
        program = os.path.join(os.path.dirname(os.path.abspath(__file__)), "clients.py")
        done = cluster.host.run(["env", f"KUBECONFIG={cluster.kubeconfig}", f"HOME={cluster.directory}", PYTHON, program, name],
                                check=False, timeout=120)
        self.assertEqual(done.returncode, 0, f"{done.stdout}\n{done.stderr}")
        self.assertIn("well", done.stdout)

    def test_1_kubernetes(self):
        self.work("kubernetes")

    def test_2_lightkube(self):
        self.work("lightkube")

    def test_3_kr8s(self):
        self.work("kr8s")

    def test_4_kopf(self):
        self.work("kopf")


if __name__ == "__main__":
    sys.exit(unittest.main())
