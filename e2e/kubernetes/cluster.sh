# shellcheck shell=bash
# A cluster with manifests/install in it. Source it; it changes nothing by itself.

# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=../install.sh
. "$E2E_DIR/install.sh"

# Whether it is left, and one that was left is used.
KEEP_CLUSTER=

# Installs what is missing, builds Kubernetes and kraftlet, makes the images.
prepare() {
    [[ "$(id -u)" == 0 ]] || die 2 "only root may make network namespaces and containers; run as root"
    mkdir -p "$CACHE_DIR/logs"
    install_missing
    "$KUBERNETES_DIR/build.sh"
    if [[ -z "${KRAFTLET-}" ]]; then
        build_release
        export KRAFTLET="$RELEASE_BINARY"
    fi
    "$KUBERNETES_DIR/images.sh"
}

# Whoever calls it ends it with down.sh.
begin_cluster() {
    if [[ -n "$KEEP_CLUSTER" && -d "$CLUSTER_FOLDER" ]]; then
        load_images
    else
        "$KUBERNETES_DIR/up.sh"
    fi
    install_kraftlet
}

install_kraftlet() {
    K apply -k "$KUBERNETES_DIR/install" >&2
    # Of a cluster that was kept, with the images of now.
    [[ -z "$KEEP_CLUSTER" ]] || K -n kraftlet-system rollout restart deployment >&2
    K -n kraftlet-system rollout status deployment --timeout 120s >&2 || {
        show_pods kraftlet-system
        die 1 "manifests/install did not come up"
    }
}
