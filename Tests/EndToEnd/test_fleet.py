"""The harness itself: hosts see each other, across the router too, and share nothing that would collide."""

import os
import unittest

from hosts import OUTSIDE, Fleet, eventually


class Hosts(unittest.TestCase):
    def test_two_hosts_behind_a_router(self):
        fleet = Fleet(os.environ["APUS_BINARY"], 2, segments=2)
        self.addCleanup(fleet.close)
        one, two = fleet.hosts
        self.assertEqual((one.address, two.address), ("10.77.0.11", "10.78.0.12"))
        for host, other in ((one, two), (two, one)):
            host.sh(f"busybox ping -c 1 -W 2 {other.address} && busybox ping -c 1 -W 2 {OUTSIDE}")
            self.assertEqual(host.sh("hostname").stdout.strip(), host.name)
        one.sh("touch /run/mine")
        self.assertNotEqual(two.sh("test -e /run/mine", check=False).returncode, 0)
        process = one.spawn(["sleep", "60"])

        def grouped():
            with open(f"/proc/{process.pid}/cgroup") as file:
                return f"{one.cgroup}/host" in file.read()

        eventually(grouped, 10, what="the process in its host's control group")
        self.assertEqual(one.log("nothing"), "")
