"""Several hosts on one machine: `Fleet` and `Host` of Scripts/fleet.py, which `make run NODES=…` uses as well."""

import os
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "Scripts"))

from fleet import OUTSIDE, Fleet, Host, eventually, in_parallel, run  # noqa: E402,F401
