#!/usr/bin/env bash
# Three real Kafka nodes form a KRaft quorum with mutual TLS, from nothing but what `kraftlet init` wrote.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=install.sh
. "$E2E_DIR/install.sh"
# shellcheck source=nodes.sh
. "$E2E_DIR/nodes.sh"

usage() {
    cat <<'TEXT'
usage: e2e/demo.sh [--kafka VERSION] [--mode MODE] [--quorum QUORUM] [--once] [--keep]

Installs what is missing, fetches Kafka, builds kraftlet, prepares a cluster in a temporary folder with `kraftlet init`,
starts the nodes on loopback addresses, produces and consumes with mutual TLS, and stays up until Ctrl-C.
  --kafka VERSION   3.7.2, 3.9.2, 4.1.2, 4.3.1 or 4.4.0 (default 4.4.0)
  --mode MODE       combined: 3 nodes; dedicated: 3 controllers and 3 brokers (default combined)
  --quorum QUORUM   static or dynamic (default static)
  --once            end when everything has been shown
  --keep            leave the folder there
TEXT
}

KAFKA=4.4.0
MODE=combined
QUORUM=static
ONCE=no
KEEP=no

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
            --once) ONCE=yes ;;
            --keep) KEEP=yes ;;
            --help) usage && exit 0 ;;
            *) die 64 "unknown argument \"$1\"; see e2e/demo.sh --help" ;;
        esac
        shift
    done
}

clean_up() {
    local code=$?
    trap - EXIT INT TERM
    stop_nodes
    if [[ "$KEEP" == yes ]]; then
        say "kept: $FOLDER"
    else
        rm -rf "$FOLDER"
    fi
    exit "$code"
}

main() {
    read_arguments "$@"
    install_missing
    fetch_and_build "$KAFKA"
    CLASS_PATH="$(java_class_path "$KAFKA" ClusterClient)"
    FOLDER="$(mktemp -d "${TMPDIR:-/tmp}/kraftlet-demo.XXXXXX")"
    trap clean_up EXIT
    # Ctrl-C is the way to end the demo, so it is a success once the cluster has been shown.
    trap 'exit 130' INT TERM

    say "Kafka $KAFKA, $MODE nodes, $QUORUM quorum, in $FOLDER"
    make_settings --reload engine
    init_pods
    start_nodes
    CLIENT_PROPERTIES="$FOLDER/pods/${BROKERS[0]}/run/client.properties"
    await "waiting for ${#BROKERS[@]} brokers" wait "${#BROKERS[@]}" 120
    await "producing and consuming" round-trip demo 100
    show_lines "$OUTPUT"
    await "asking the quorum" quorum
    LEADER="$(sed -n 's/^leader\t//p' "$OUTPUT")"
    show_table
    if [[ "$ONCE" == yes ]]; then
        say "done in $SECONDS s"
        return
    fi
    say "up after $SECONDS s; clients may use $CLIENT_PROPERTIES"
    say "Ctrl-C ends it"
    trap 'exit 0' INT TERM
    watch_nodes
}

main "$@"
