#!/usr/bin/env bash
# Measures the given binary as a one-node cluster in namespaces of its own and prints a table for Benchmarks/README.md.
set -euo pipefail
cd "$(dirname "$0")/.."
dpkg-query -W -f='${Status}' nghttp2-client 2>/dev/null | grep -q installed || { apt-get update -qq && apt-get install -y -qq nghttp2-client >/dev/null; }
export APUS_BINARY=$PWD/$1 PATH=$PWD/.build/tools/bin:$PATH
exec python3 Benchmarks/one_node.py
