#!/usr/bin/env python3
"""Writes the generated Swift sources from the facts in Tools/facts.

Usage: Tools/generate.py            (rewrites Sources/*/Generated; the output is deterministic)
"""
import json
import os
import shutil
import sys

here = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, here)
sys.dont_write_bytecode = True

from generator import kinds, model, resources, schema  # noqa: E402


def main():
    root = os.path.dirname(here)
    facts = {}
    for name in ("types", "resources", "columns"):
        with open(os.path.join(here, "facts", name + ".json")) as f:
            facts[name] = json.load(f)
    files = {}
    world = model.World(facts["types"], facts["resources"])
    kinds.generate(world, files)
    schema.generate(facts["types"], files)
    resources.generate(facts["resources"], facts["columns"], files)
    for room in ("APIMeta", "APICore", "APIGroups", "APISchema", "API", "APITests"):
        folder = "Tests" if room.endswith("Tests") else "Sources"
        shutil.rmtree(os.path.join(root, folder, room, "Generated"), ignore_errors=True)
    for path in sorted(files):
        full = os.path.join(root, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "w") as f:
            f.write(files[path])
    print("%d files, %d lines" % (len(files), sum(t.count("\n") for t in files.values())))


main()
