# shellcheck shell=bash
# What the scripts of this folder share: where the cluster is, and how it is asked.
#
# Source it; it changes nothing by itself.

KUBERNETES_DIR="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
# shellcheck source=../lib.sh
. "$KUBERNETES_DIR/../lib.sh"

KUBERNETES_VERSION="$(sed -n 's/^\tk8s.io\/kubernetes v//p' "$KUBERNETES_DIR/module/go.mod")"
KUBERNETES_BIN="$CACHE_DIR/kubernetes-$KUBERNETES_VERSION"
# shellcheck disable=SC2034  # read by the scripts that source this file
IMAGES="$CACHE_DIR/images"
CLUSTER_FOLDER="${CLUSTER_FOLDER:-/tmp/kraftlet-cluster}"
CLUSTER_NAMESPACE="${CLUSTER_NAMESPACE:-kraftlet}"

# Runs a command in the cluster's network. Not by `ip netns exec`, which hides the cgroups.
in_cluster() {
    nsenter --net="/run/netns/$CLUSTER_NAMESPACE" -- "$@"
}

K() {
    in_cluster "$KUBERNETES_BIN/kubectl" --kubeconfig "$CLUSTER_FOLDER/admin.kubeconfig" "$@"
}

containers() {
    ctr --address "$CLUSTER_FOLDER/containerd.sock" --namespace k8s.io "$@"
}

# Lets the node have the images that were made.
load_images() {
    local image
    for image in "$IMAGES"/*.tar; do
        containers images import --no-unpack "$image" >/dev/null
    done
}

# is_dead PID: it has ended, or is only waited for.
is_dead() {
    [[ ! -d "/proc/$1" ]] || grep -q '^State:.Z' "/proc/$1/status" 2>/dev/null
}
