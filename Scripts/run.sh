#!/usr/bin/env bash
# Starts a cluster in the background, waits for its nodes and says how to talk to it: one server, or SERVERS servers and
# NODES further nodes, each a machine of its own made of namespaces.
set -euo pipefail
cd "$(dirname "$0")/.."
data=$1
apus=$PWD/.build/release/apus
log=/tmp/apus-server.log
sudo=""; [ "$(id -u)" = 0 ] || sudo=sudo

if [ -n "${NODES:-}${SERVERS:-}" ]; then
  exec $sudo env PATH="$PATH" Scripts/run_fleet.py up "$apus" --servers "${SERVERS:-1}" --agents "${NODES:-0}"
fi

if $sudo "$apus" status --data-dir "$data" >/dev/null 2>&1; then
  echo "a cluster is already running in $data"
else
  $sudo mkdir -p "$data"
  $sudo setsid "$apus" server --data-dir "$data" </dev/null >"$log" 2>&1 &
fi
if ! $sudo "$apus" status --data-dir "$data" --wait 120; then
  echo "the cluster did not become ready; the last lines of $log:" >&2
  tail -n 20 "$log" >&2
  exit 1
fi
echo
echo "The cluster is ready. Talk to it with:"
echo
echo "  export KUBECONFIG=$data/admin.kubeconfig PATH=$PWD/.build/tools/bin:\$PATH"
echo "  kubectl get nodes,pods -A"
