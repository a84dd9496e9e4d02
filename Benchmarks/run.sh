#!/usr/bin/env bash
# Measures the given binary in namespaces of its own and prints tables for Benchmarks/README.md: a one-node cluster, then
# both stores, several servers and an agent, then every kind of write, then scheduling. A second argument picks one of them.
set -euo pipefail
cd "$(dirname "$0")/.."
dpkg-query -W -f='${Status}' nghttp2-client 2>/dev/null | grep -q installed || { apt-get update -qq && apt-get install -y -qq nghttp2-client >/dev/null; }
export APUS_BINARY=$PWD/$1 PATH=$PWD/.build/tools/bin:$PATH
for part in ${2:-one_node whole_map operations scheduling}; do python3 "Benchmarks/$part.py"; done
