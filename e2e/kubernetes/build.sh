#!/usr/bin/env bash
# Builds the programs of a Kubernetes cluster from their Go modules, once; with `packages` only installs what the cluster
# needs of the distribution.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=../install.sh
. "$E2E_DIR/install.sh"

PACKAGES=(etcd-server containerd runc containernetworking-plugins iptables iproute2 busybox-static python3 openssl curl)

install_runtime() {
    local package missing=()
    for package in "${PACKAGES[@]}"; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -c '^install ok' >/dev/null || missing+=("$package")
    done
    ((${#missing[@]} == 0)) || install_packages "${missing[@]}"
}

# Compiled without optimising, which takes a fifth less and costs the cluster two seconds.
build() {
    local base=k8s.io/component-base/version k=k8s.io/kubernetes/cmd
    local version="v$KUBERNETES_VERSION"
    command -v go >/dev/null || die 2 "there is no Go on this machine; want go 1.26 or newer in PATH"
    mkdir -p "$KUBERNETES_BIN"
    cd "$KUBERNETES_DIR/module"
    try_thrice go mod download >&2 || die 1 "the Go modules of Kubernetes $version could not be fetched"
    CGO_ENABLED=0 go build -buildvcs=false -trimpath "-gcflags=all=-N -l -dwarf=false" \
        -ldflags "-s -w -X $base.gitVersion=$version -X $base.gitMajor=1 -X $base.gitMinor=$(cut -d. -f2 <<<"$version") -X $base.gitTreeState=archive -X $base.gitCommit=unknown" \
        -o "$KUBERNETES_BIN/" "$k/kube-apiserver" "$k/kubectl" "$k/kube-controller-manager" "$k/kube-scheduler" \
        "$k/kubelet" "$k/kube-proxy" ./cmd/coredns ./cmd/pause
    touch "$KUBERNETES_BIN/.complete"
}

case "${1-}" in
    packages) install_runtime ;;
    "")
        install_runtime
        [[ -e "$KUBERNETES_BIN/.complete" ]] || build
        say "Kubernetes $KUBERNETES_VERSION is in $KUBERNETES_BIN"
        ;;
    *) die 64 "usage: e2e/kubernetes/build.sh [packages]" ;;
esac
