#!/usr/bin/env bash
# The demo on a real Kubernetes: e2e/demo.sh --kubernetes.
set -euo pipefail
# shellcheck source=cluster.sh
. "$(dirname "${BASH_SOURCE[0]}")/cluster.sh"
# shellcheck source=kafka.sh
. "$KUBERNETES_DIR/kafka.sh"

usage() {
    cat <<'TEXT'
usage: e2e/demo.sh --kubernetes [--once] [--keep]

Builds Kubernetes 1.37 from its Go modules (once, ten minutes), starts a one-node cluster in a network namespace, applies
manifests/install and manifests/examples/combined with four-minute leaves, and shows with clients at work: every pod renews
by itself, the leader of the quorum is deleted, a person renews all pods. Stays up until Ctrl-C. Needs root and Go 1.26.
  --once   end when everything has been shown, with a summary
  --keep   leave the cluster up; e2e/kubernetes/down.sh ends it
TEXT
}

ONCE=no
NAMESPACE=demo
PODS=(events-0 events-1 events-2)

read_arguments() {
    while (($# > 0)); do
        case "$1" in
            --once) ONCE=yes ;;
            --keep) KEEP_CLUSTER=yes ;;
            --help) usage && exit 0 ;;
            *) die 64 "unknown argument \"$1\"; see e2e/demo.sh --kubernetes --help" ;;
        esac
        shift
    done
}

clean_up() {
    local code=$?
    trap - EXIT INT TERM
    ((code == 0)) || show_pods "$NAMESPACE" >&2 2>/dev/null || true
    [[ -n "$KEEP_CLUSTER" ]] || "$KUBERNETES_DIR/down.sh"
    rm -rf "$FOLDER"
    exit "$code"
}

# A line of the story.
event() {
    printf '%s  %s\n' "$(date -u +%H:%M:%S)" "$*"
}

status() {
    event "kubectl kraftlet status"
    person status 2>&1
}

# Each pod's new leaf, as it comes.
watch_renewals() {
    local index now before left=${#PODS[@]} deadline=$((SECONDS + 300))
    mapfile -t before < <(until_true 60 leaves)
    while ((left > 0)); do
        ((SECONDS < deadline)) || die 1 "not every pod has renewed in five minutes"
        mapfile -t now < <(leaves)
        for index in "${!PODS[@]}"; do
            if [[ -n "${now[index]-}" && "${now[index]}" != "${before[index]}" ]]; then
                event "${PODS[index]} shows a new leaf, ${now[index]}, on every channel"
                before[index]="${now[index]}"
                left=$((left - 1))
            fi
        done
        sleep 0.5
    done
}

replace_leader() {
    local old
    old="$(leader "${PODS[@]}")" || die 1 "there is no leader"
    event "kubectl delete pod $old, which leads the quorum"
    KN delete pod "$old" --wait=true >/dev/null
    event "$old has gone, $(leader "${PODS[@]}") leads"
    until_true 180 await_ready "$old" >/dev/null 2>&1 || die 1 "$old did not come back"
    until_true 120 is_healthy "${PODS[@]}" || die 1 "the quorum did not become healthy"
    event "$old is back, the quorum is healthy"
}

show() {
    event "kubectl apply -k manifests/install"
    begin_cluster 2>"$FOLDER/install.log" || { cat "$FOLDER/install.log" >&2 && exit 1; }
    K create namespace "$NAMESPACE" >/dev/null
    K label namespace "$NAMESPACE" pod-security.kubernetes.io/enforce=restricted >/dev/null
    event "kubectl apply -k manifests/examples/combined, with leaves of four minutes"
    example combined "$(settings_with 4m 40)" | KN apply -f - >/dev/null
    until_true 300 await_ready "${PODS[@]}" >/dev/null 2>&1 || die 1 "the pods did not become ready"
    until_true 60 is_healthy "${PODS[@]}" || die 1 "the quorum did not become healthy"
    event "three pods are ready, the quorum is healthy"
    KN get configmap kraftlet-trust -o jsonpath='{.data.events\.crt}' >"$FOLDER/trust.crt"
    start_load trust
    event "clients produce and consume"
    status
    watch_renewals
    replace_leader
    event "kubectl kraftlet renew --all"
    person renew --all 2>&1
    status
}

main() {
    read_arguments "$@"
    FOLDER="$(mktemp -d /tmp/kraftlet-demo.XXXXXX)"
    prepare
    trap clean_up EXIT
    trap 'exit 130' INT TERM
    show
    if [[ "$ONCE" == no ]]; then
        event "up after $SECONDS s; ask it with: nsenter --net=/run/netns/$CLUSTER_NAMESPACE $KUBERNETES_BIN/kubectl --kubeconfig $CLUSTER_FOLDER/admin.kubeconfig"
        event "Ctrl-C ends it"
        trap 'exit 0' INT TERM
        while true; do
            watch_renewals
        done
    fi
    stop_load >"$FOLDER/sums" || { cat "$FOLDER/sums" >&2 && die 1 "a request failed"; }
    grep -E '^(sent|failed|lost|probes|leaves_seen|leaders)' "$FOLDER/sums"
    kafka_never_restarted 2>/dev/null || die 1 "a Kafka was restarted"
    event "done in $SECONDS s: no request failed, nothing was lost, no container was restarted"
}

main "$@"
