#!/usr/bin/env bash
# Leaves of two minutes on a real cluster under load: renewed again and again, through the end of a leader, a restart
# and a change of CA.
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

usage() {
    cat <<'TEXT'
usage: e2e/renewals.sh [--kafka VERSION] [--mode MODE] [--quorum QUORUM] [--reload MODE] [--minutes N]

Three nodes (or three controllers and three brokers) with leaves of two minutes, a sidecar beside each, and clients that
count. When the first leaves have expired, the leader is stopped and started, another pod is restarted, and the nodes get
a new CA. Ends with 1 where a request failed, a record was lost or came twice, nobody led for longer than an election
takes, or a channel shows an old leaf.
  --kafka VERSION   as for demo.sh (default 4.4.0)
  --mode MODE       combined or dedicated (default combined)
  --quorum QUORUM   static or dynamic (default static)
  --reload MODE     engine (default); admin-api: Kafka's raft client keeps its first leaf, so the end of the leader has
                    to be the end of the quorum. It is the test of this test.
  --minutes N       how long to go on (default 4, and at least as long as all this takes)
TEXT
}

KAFKA=4.4.0
MODE=combined
QUORUM=static
RELOAD=engine
MINUTES=4

LIFETIME_S=120
# Records each second: enough that no second is without some, and little enough for two clusters on two cores.
RATE=60
# An election takes a second or two; six JVMs on two busy cores, of which one is starting, take longer.
LEADERLESS_AT_MOST_MS=15000
# How long the quorum is watched after it has lost its leader for good.
LOST_FOR_S=60

read_arguments() {
    while (($# > 0)); do
        case "$1" in
            --kafka) KAFKA="$(one_of "$1" "${2-}" "${KAFKA_VERSIONS[@]}")" ;;
            --mode) MODE="$(one_of "$1" "${2-}" combined dedicated)" ;;
            --quorum) QUORUM="$(one_of "$1" "${2-}" static dynamic)" ;;
            --reload) RELOAD="$(one_of "$1" "${2-}" engine admin-api)" ;;
            --minutes)
                MINUTES="${2-}"
                [[ "$MINUTES" =~ ^[1-9][0-9]{0,3}$ ]] || die 64 "--minutes is \"$MINUTES\"; want a number"
                ;;
            --help) usage && exit 0 ;;
            *) die 64 "unknown argument \"$1\"; see e2e/renewals.sh --help" ;;
        esac
        shift 2
    done
}

stop_others() {
    kill_load
    kill_sidecars
}

main() {
    read_arguments "$@"
    install_missing
    fetch_and_build "$KAFKA"
    CLASS_PATH="$(java_class_path "$KAFKA" ClusterClient)"
    CLASS_PATH="$(java_class_path "$KAFKA" LoadClient)"
    make_folder renewals
    LOAD="$FOLDER/load"
    say "Kafka $KAFKA, $MODE nodes, $QUORUM quorum, reload by $RELOAD, in $FOLDER"
    make_settings --lifetime "${LIFETIME_S}s" --reload "$RELOAD"
    [[ "$RELOAD" == engine ]] || close_idle_connections
    bring_up_all
    begin_load "$RATE"
    FIRST_EXPIRED_AT=$(($(date +%s) + LIFETIME_S))
    ENDS_AT=$(($(date +%s) + 60 * MINUTES))
    if [[ "$RELOAD" == admin-api ]]; then
        without_the_engine
    else
        with_the_engine
    fi
    say "done in $SECONDS s"
}

with_the_engine() {
    local code=0 strange
    wait_until "$FIRST_EXPIRED_AT" "the first leaves to expire"
    while true; do
        stop_and_start_leader
        restart_pod "${BROKERS[1]}"
        change_ca
        (($(date +%s) + 60 < ENDS_AT)) || break
        wait_until "$(($(date +%s) + 60))" "the next round"
    done
    wait_until "$ENDS_AT" "the end"
    every_channel_is_fresh
    expect "kraftlet status says the same, and that all is well" status_agrees
    stop_load || code=$?
    expect "the load saw no failure" test "$code" = 0
    strange="$(load_events_outside interrupted "${WINDOWS[@]}")"
    expect "nothing was interrupted but by the nodes that were stopped${strange:+: $strange}" test -z "$strange"
    expect "the quorum was never lost" test "$(load_sum longest_without_leader_ms)" -le "$LEADERLESS_AT_MOST_MS"
    expect "the clients saw each broker renew" test "$(load_sum leaves_seen)" -ge "$((${#BROKERS[@]} * MINUTES / 2))"
    expect "no node refused a peer" no_refusals
}

# Connections between controllers that are left from the first election carry votes as well, whatever has expired since.
# Kafka closes them after ten minutes in which they were not used; two minutes are all there is here.
close_idle_connections() {
    {
        printf 'properties:\n  all:\n    connections.max.idle.ms: "20000"\n'
        cat "$FOLDER/cluster.yaml"
    } >"$FOLDER/cluster.new"
    mv "$FOLDER/cluster.new" "$FOLDER/cluster.yaml"
}

# What kraftlet's engine is for.
without_the_engine() {
    local ids
    wait_until "$FIRST_EXPIRED_AT" "the first leaves to expire"
    stop_leader
    start_node "$STOPPED"
    mapfile -t ids < <(voters)
    # The one that was started has read a new leaf and may be elected, again and again; nobody can follow it.
    expect "the voters do not come together again, for $LOST_FOR_S s" not client caught-up "$LOST_FOR_S" "${ids[@]}"
    expect "the nodes refuse each other's leaves" not no_refusals
}

main "$@"
