#!/usr/bin/env bash
# kraftlet on a real Kubernetes with real Kafka in real containers: one node in a network namespace of its own.
set -euo pipefail
# shellcheck source=kubernetes/cluster.sh
. "$(dirname "${BASH_SOURCE[0]}")/kubernetes/cluster.sh"
# shellcheck source=kubernetes/kafka.sh
. "$KUBERNETES_DIR/kafka.sh"

# Each is a file of the same name in e2e/kubernetes/cases, with a function `run_case`, in a namespace of its own.
KUBERNETES_CASES=(admission combined signer pod-certificates cert-manager attach)
RUNNING=
FAILED=0
# Whether the kubelet is left to renew pod certificates by itself.
PATIENT=

usage() {
    cat <<TEXT
usage: e2e/kubernetes.sh [--case NAME] [--patient] [--keep]

Builds Kubernetes from its Go modules (once, ten minutes), makes the images, starts a cluster, applies
manifests/install, and runs each case there. Needs root. Prints a line for each case; the exit code is 1 if any failed.
What a case said is in e2e/cache/logs/kubernetes-NAME.log, and where it failed, what its pods said.
  --case NAME   only this one, or several: ${KUBERNETES_CASES[*]}
  --patient     let the kubelet renew pod certificates by itself, which takes a quarter of an hour, and not as it begins
  --keep        leave the cluster up, or use the one that was left; e2e/kubernetes/down.sh ends it
TEXT
}

read_arguments() {
    local cases=()
    while (($# > 0)); do
        case "$1" in
            --case)
                [[ " ${KUBERNETES_CASES[*]} " == *" ${2-} "* ]] \
                    || die 64 "--case is \"${2-}\"; want one of: ${KUBERNETES_CASES[*]}"
                cases+=("$2")
                shift
                ;;
            --patient)
                # shellcheck disable=SC2034  # read by a case
                PATIENT=yes
                ;;
            --keep) KEEP_CLUSTER=yes ;;
            --help) usage && exit 0 ;;
            *) die 64 "unknown argument \"$1\"; see e2e/kubernetes.sh --help" ;;
        esac
        shift
    done
    ((${#cases[@]} == 0)) || KUBERNETES_CASES=("${cases[@]}")
}

clean_up() {
    local code=$?
    trap - EXIT INT TERM
    [[ -z "$RUNNING" ]] || kill "$RUNNING" 2>/dev/null || true
    [[ -n "$KEEP_CLUSTER" ]] || "$KUBERNETES_DIR/down.sh"
    exit "$code"
}

show_case() {
    local name="$1" log="$CACHE_DIR/logs/kubernetes-$1.log" started=$SECONDS code=0
    run_alone "$name" >"$log" 2>&1 </dev/null &
    RUNNING=$!
    wait "$RUNNING" || code=$?
    RUNNING=
    if ((code == 0)); then
        printf 'ok      %5d s  %s\n' "$((SECONDS - started))" "$name"
        end_case "$name" || true
        return 0
    fi
    FAILED=$((FAILED + 1))
    (show_pods "$name") >>"$log" 2>&1 || true
    # The next one is not to fail for what this one had taken away.
    K apply -k "$KUBERNETES_DIR/install" >>"$log" 2>&1 || true
    [[ -n "$KEEP_CLUSTER" ]] || end_case "$name" || true
    printf 'FAILED  %5d s  %s; see %s\n' "$((SECONDS - started))" "$name" "$log"
    grep -E '^(error|so it is|not so)' "$log" | tail -n 20 | sed 's/^/        /' >&2 || true
}

end_case() {
    # A quorum that ends as a whole would wait for its turn as long as it may.
    K -n "$1" delete statefulset --all >/dev/null
    K -n "$1" delete pods --all --force --grace-period=0 >/dev/null 2>&1
    K delete namespace "$1" --wait=false >/dev/null
}

# `set -e` ends it at the first thing that goes wrong, and the trap says what that was.
run_alone() {
    local name="$1"
    set -E
    trap 'say "error: ${BASH_SOURCE[0]##*/}, line $LINENO: $BASH_COMMAND"' ERR
    FOLDER="$(mktemp -d "/tmp/kraftlet-$name.XXXXXX")"
    # shellcheck disable=SC2064  # this very folder
    trap "rm -rf '$FOLDER'" EXIT
    NAMESPACE="$name"
    K create namespace "$NAMESPACE"
    K label namespace "$NAMESPACE" pod-security.kubernetes.io/enforce=restricted
    # shellcheck source=/dev/null
    . "$KUBERNETES_DIR/cases/$name.sh"
    run_case
}

main() {
    local name
    read_arguments "$@"
    prepare
    trap clean_up EXIT
    trap 'exit 130' INT TERM
    begin_cluster
    for name in "${KUBERNETES_CASES[@]}"; do
        # In no condition: in whatever that calls, `set -e` would be off.
        show_case "$name"
    done
    ((FAILED == 0)) || exit 1
}

main "$@"
