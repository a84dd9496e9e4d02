#!/usr/bin/env bash
# Stops the cluster in the given data directory together with its pods and container engine.
set -euo pipefail
cd "$(dirname "$0")/.."
sudo=""; [ "$(id -u)" = 0 ] || sudo=sudo
$sudo .build/release/apus stop --data-dir "$1" --pods
