#!/usr/bin/env bash
# Runs the end-to-end tests against the given binary: real containers, real nftables, real kubectl.
set -euo pipefail
cd "$(dirname "$0")/.."
export APUS_BINARY=$PWD/$1 PATH=$PWD/.build/tools/bin:$PATH
[ "$(id -u)" = 0 ] || { echo "the end-to-end tests need root: they make namespaces and containers" >&2; exit 1; }
exec python3 -m unittest discover -v -f -s Tests/EndToEnd -p 'test_*.py'
