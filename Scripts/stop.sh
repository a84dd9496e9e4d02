#!/usr/bin/env bash
# Stops the cluster of several machines if one runs, else the one in the given data directory, together with its pods and
# container engine.
set -euo pipefail
cd "$(dirname "$0")/.."
sudo=""; [ "$(id -u)" = 0 ] || sudo=sudo
if [ -e "${APUS_FLEET:-/var/lib/apus-fleet}/fleet.json" ]; then exec $sudo env PATH="$PATH" Scripts/run_fleet.py down; fi
$sudo .build/release/apus stop --data-dir "$1" --pods
