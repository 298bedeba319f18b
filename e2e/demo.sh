#!/usr/bin/env bash
# Three real Kafka nodes form a KRaft quorum with mutual TLS, from nothing but what `kraftlet init` wrote, and get new
# certificates each minute while clients are at work.
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
usage: e2e/demo.sh [--kafka VERSION] [--mode MODE] [--quorum QUORUM] [--reload MODE] [--once] [--brief] [--keep]
       e2e/demo.sh --kubernetes [--once] [--keep]

Installs what is missing, fetches Kafka, builds kraftlet, prepares a cluster in a temporary folder with `kraftlet init`,
starts the nodes on loopback addresses with a sidecar beside each, produces and consumes with mutual TLS. Then clients
keep going while two-minute leaves are renewed; when the first have expired, the leader of the quorum is stopped and
started, and the nodes get a new CA. Stays up until Ctrl-C.
  --kafka VERSION   3.7.2, 3.9.2, 4.1.2, 4.3.1 or 4.4.0 (default 4.4.0)
  --mode MODE       combined: 3 nodes; dedicated: 3 controllers and 3 brokers (default combined)
  --quorum QUORUM   static or dynamic (default static)
  --reload MODE     engine (default); admin-api: ends with what cannot be renewed so, and until when it will do
  --once            end when everything has been shown, with a summary
  --brief           end when the nodes have been shown, before anything is renewed
  --keep            leave the folder there
  --kubernetes      in pods of a real Kubernetes instead (needs root and Go 1.26)
TEXT
}

KAFKA=4.4.0
MODE=combined
QUORUM=static
RELOAD=engine
ONCE=no
BRIEF=no

LIFETIME_S=120
# Records each second.
RATE=60

read_arguments() {
    while (($# > 0)); do
        case "$1" in
            --kafka)
                KAFKA="$(one_of --kafka "${2-}" "${KAFKA_VERSIONS[@]}")"
                shift
                ;;
            --mode)
                MODE="$(one_of --mode "${2-}" combined dedicated)"
                shift
                ;;
            --quorum)
                QUORUM="$(one_of --quorum "${2-}" static dynamic)"
                shift
                ;;
            --reload)
                RELOAD="$(one_of --reload "${2-}" engine admin-api)"
                shift
                ;;
            --once) ONCE=yes ;;
            --brief) BRIEF=yes ;;
            --keep) KEEP=yes ;;
            --help) usage && exit 0 ;;
            *) die 64 "unknown argument \"$1\"; see e2e/demo.sh --help" ;;
        esac
        shift
    done
}

stop_others() {
    kill_load
    kill_sidecars
}

main() {
    if [[ "${1-}" == --kubernetes ]]; then
        exec "$E2E_DIR/kubernetes/demo.sh" "${@:2}"
    fi
    read_arguments "$@"
    install_missing
    fetch_and_build "$KAFKA"
    CLASS_PATH="$(java_class_path "$KAFKA" ClusterClient)"
    CLASS_PATH="$(java_class_path "$KAFKA" LoadClient)"
    make_folder demo
    LOAD="$FOLDER/load"
    say "Kafka $KAFKA, $MODE nodes, $QUORUM quorum, reload by $RELOAD, in $FOLDER"
    make_settings --lifetime "${LIFETIME_S}s" --reload "$RELOAD"
    bring_up_all
    FIRST_EXPIRED_AT=$(($(date +%s) + LIFETIME_S))
    await "producing and consuming" round-trip demo 100
    show_lines "$OUTPUT"
    find_leader
    show_table
    if [[ "$BRIEF" == yes ]]; then
        see_topics
        say "done in $SECONDS s"
        return
    fi
    begin_load "$RATE"
    if [[ "$RELOAD" == engine ]]; then
        show_renewals
    else
        show_deadline
    fi
    if [[ "$ONCE" == no ]]; then
        say "up after $SECONDS s; clients may use $CLIENT_PROPERTIES"
        say "Ctrl-C ends it"
        # Then it is the way to end the demo, and a success.
        trap 'exit 0' INT TERM
        go_on
    fi
    show_summary
    say "done in $SECONDS s"
}

# The agent's own questions about topics, whatever the release calls them.
see_topics() {
    cargo build --quiet --locked --manifest-path "$REPO_DIR/Cargo.toml" -p kraftlet-e2e --bin agent || die 2 "the agent does not build"
    "${CARGO_TARGET_DIR:-$REPO_DIR/target}/debug/agent" "$FOLDER/pods/${BROKERS[0]}/run/tls/node" topics \
        "$(addresses_of "${BROKERS[0]}" | grep ':9091$')" >"$FOLDER/topics.out" || die 1 "topics: $(cat "$FOLDER/topics.out")"
    expect "the agent sees 3 partitions of demo, all in sync" \
        test "$(grep -c $'^ok\tdemo-[0-2]\tled, 3 replicas, 3 in sync, 2 must be$' "$FOLDER/topics.out")" = 3
}

show_renewals() {
    wait_until "$FIRST_EXPIRED_AT" "the first leaves to expire"
    stop_and_start_leader
    change_ca
    find_leader
    show_table
}

# Listeners are renewed by a request; for the raft client a date is given by which Kafka has to be restarted.
show_deadline() {
    # Each is due at two thirds of its life.
    wait_until "$((FIRST_ISSUED_AT + LIFETIME_S * 5 / 6))" "every node to renew once"
    event "kraftlet status:"
    "$KRAFTLET" status --settings "$FOLDER/cluster.yaml" --all || true
}

# Until Ctrl-C, or until something ends by itself.
go_on() {
    wait_until "$(($(date +%s) + 100 * 365 * 86400))" "Ctrl-C"
}

show_summary() {
    local code=0
    stop_load || code=$?
    expect "no request failed, and nothing was lost or came twice" test "$code" = 0
}

main "$@"
