#!/usr/bin/env bash
# All nodes of a cluster under load are stopped one after another, as kubelets do it: each is asked whether it may first.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=install.sh
. "$E2E_DIR/install.sh"
# shellcheck source=nodes.sh
. "$E2E_DIR/nodes.sh"
# shellcheck source=sidecars.sh
. "$E2E_DIR/sidecars.sh"
# shellcheck source=load.sh
. "$E2E_DIR/load.sh"
# shellcheck source=changes.sh
. "$E2E_DIR/changes.sh"
# shellcheck source=verdicts.sh
. "$E2E_DIR/verdicts.sh"

usage() {
    cat <<'TEXT'
usage: e2e/rolling-stop.sh [--kafka VERSION] [--mode MODE] [--quorum QUORUM]

A cluster with clients that count. Each pod is deleted in its turn: GET /v1/prestop, SIGTERM to Kafka when that has
answered, then to the sidecar; init, sidecar and Kafka begin again, and /readyz says when the next may go. At last two
pods are deleted at once: they have to go one after the other. Ends with 1 where a request failed, a record was lost or
came twice, or nobody led for longer than an election takes.
  --kafka VERSION   as for demo.sh (default 4.4.0)
  --mode MODE       combined or dedicated (default combined)
  --quorum QUORUM   static or dynamic (default static)
TEXT
}

KAFKA=4.4.0
MODE=combined
QUORUM=static

RATE=60
# As in renewals.sh.
LEADERLESS_AT_MOST_MS=15000
# What a pod that waits for its turn gets: the other one has to be away and back meanwhile.
PRESTOP_WITHIN_S=260

read_arguments() {
    while (($# > 0)); do
        case "$1" in
            --kafka) KAFKA="$(one_of "$1" "${2-}" "${KAFKA_VERSIONS[@]}")" ;;
            --mode) MODE="$(one_of "$1" "${2-}" combined dedicated)" ;;
            --quorum) QUORUM="$(one_of "$1" "${2-}" static dynamic)" ;;
            --help) usage && exit 0 ;;
            *) die 64 "unknown argument \"$1\"; see e2e/rolling-stop.sh --help" ;;
        esac
        shift 2
    done
}

stop_others() {
    end_watch
    kill_load
    kill_sidecars
}

main() {
    local pod code=0
    read_arguments "$@"
    install_missing
    fetch_and_build "$KAFKA"
    build_helpers
    CLASS_PATH="$(java_class_path "$KAFKA" ClusterClient)"
    CLASS_PATH="$(java_class_path "$KAFKA" LoadClient)"
    make_folder rolling
    # shellcheck disable=SC2034  # read by load.sh
    LOAD="$FOLDER/load"
    say "Kafka $KAFKA, $MODE nodes, $QUORUM quorum, in $FOLDER"
    make_settings --reload engine
    bring_up_all
    watch_verdicts
    begin_load "$RATE"
    all_are_ready
    for pod in "${PODS[@]}"; do
        event "deleting the pod $pod"
        let_go "$pod"
        replace "$pod"
    done
    two_at_once "${BROKERS[2]}" "${BROKERS[0]}"
    stop_load || code=$?
    expect "the load saw no failure" test "$code" = 0
    expect "the quorum was never lost" test "$(load_sum longest_without_leader_ms)" -le "$LEADERLESS_AT_MOST_MS"
    say "done in $SECONDS s"
}

all_are_ready() {
    verdicts 240 1 <<'TABLE'
all livez 200
all readyz 200
all quorum Healthy
all safe-to-stop 200
TABLE
}

# Waits until a pod may stop; its agent says so.
let_go() {
    prestop "$1" "$PRESTOP_WITHIN_S" >"$FOLDER/$1.prestop" || die 1 "prestop of $1 has no answer"
    expect "$1 may stop: $(sed -n 's/^  "sentence": //p' "$FOLDER/$1.prestop")" has_gone "$1"
}

# The others stay ready meanwhile.
replace() {
    local from
    from="$(story_lines)"
    SICK=("$1")
    end_pod "$1"
    begin_pod "$1" "$FOLDER/cluster.yaml"
    all_are_ready
    nobody_else_was_red "$from"
    event "$1 is back"
}

# Both are asked at the same moment. The one that may go first is away for as long as it takes to stop and to come back;
# the other one's answer must not come before it serves again, as its Kafka has written down. Its own agent may need a moment
# more to see that.
two_at_once() {
    local first second times waiting=()
    event "deleting the pods $1 and $2 at once"
    let_go "$1" &
    waiting+=($!)
    let_go "$2" &
    waiting+=($!)
    wait -n "${waiting[@]}" || die 1 "neither may stop"
    first="$2"
    second="$1"
    expect "$first goes first, for its node id is lower" has_gone "$first"
    expect "$second waits" not has_gone "$second"
    SICK=("$first")
    end_pod "$first"
    expect "$second waits while $first is away" not has_gone "$second"
    times="$(times_unfenced "$first")"
    begin_pod "$first" "$FOLDER/cluster.yaml"
    wait "${waiting[0]}" || die 1 "$second may not stop"
    expect "$first serves again when $second goes" test "$(times_unfenced "$first")" -gt "$times"
    replace "$second"
}

# How often a broker was let in (BrokerLifecycleManager).
times_unfenced() {
    grep -c -F -e 'The broker has been unfenced' "$FOLDER/$1.log"
}

has_gone() {
    grep -q -F -e '"safe": true' "$FOLDER/$1.prestop"
}

main "$@"
