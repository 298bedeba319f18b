#!/usr/bin/env bash
# What every agent says while nodes are killed, frozen, refused and emptied: each node's verdict at each moment.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=install.sh
. "$E2E_DIR/install.sh"
# shellcheck source=nodes.sh
. "$E2E_DIR/nodes.sh"
# shellcheck source=sidecars.sh
. "$E2E_DIR/sidecars.sh"
# shellcheck source=verdicts.sh
. "$E2E_DIR/verdicts.sh"
# shellcheck source=scenarios.sh
. "$E2E_DIR/scenarios.sh"

usage() {
    cat <<TEXT
usage: e2e/quorum.sh [--kafka VERSION] [--mode MODE] [--quorum QUORUM] [--only SCENARIO]...

Three nodes (or three controllers and three brokers) with a sidecar beside each; one scenario after another makes some of
them sick. At each moment it is known what every agent has to answer: that is waited for, and then it has to hold. All the
while every agent is asked four times a second: /livez must never be red, nor /readyz of a node that is not the sick one.
  --kafka VERSION    as for demo.sh (default 4.4.0)
  --mode MODE        combined or dedicated (default combined)
  --quorum QUORUM    static or dynamic (default static)
  --only SCENARIO    may be repeated. Combined by default: ${OF_COMBINED[*]}.
                     Dedicated by default: ${OF_DEDICATED[*]}
TEXT
}

KAFKA=4.4.0
MODE=combined
QUORUM=static
ONLY=()

read_arguments() {
    while (($# > 0)); do
        case "$1" in
            --kafka) KAFKA="$(one_of "$1" "${2-}" "${KAFKA_VERSIONS[@]}")" ;;
            --mode) MODE="$(one_of "$1" "${2-}" combined dedicated)" ;;
            --quorum) QUORUM="$(one_of "$1" "${2-}" static dynamic)" ;;
            --only) ONLY+=("$(one_of "$1" "${2-}" "${OF_COMBINED[@]}" "${OF_DEDICATED[@]}")") ;;
            --help) usage && exit 0 ;;
            *) die 64 "unknown argument \"$1\"; see e2e/quorum.sh --help" ;;
        esac
        shift 2
    done
    if ((${#ONLY[@]} == 0)); then
        if [[ "$MODE" == combined ]]; then
            ONLY=("${OF_COMBINED[@]}")
        else
            ONLY=("${OF_DEDICATED[@]}")
        fi
    fi
}

stop_others() {
    end_watch
    kill_sidecars
}

main() {
    local name
    read_arguments "$@"
    install_missing
    fetch_and_build "$KAFKA"
    build_helpers
    CLASS_PATH="$(java_class_path "$KAFKA" ClusterClient)"
    make_folder quorum
    say "Kafka $KAFKA, $MODE nodes, $QUORUM quorum, in $FOLDER"
    make_settings --reload engine
    # A broker whose heartbeat hangs with a frozen controller asks another one when the request has timed out. With twelve
    # JVMs on two cores that may take more than the nine seconds that Kafka gives it, and it is fenced, truly.
    printf 'properties:\n  all: {broker.session.timeout.ms: 18000}\n' >>"$FOLDER/cluster.yaml"
    CLIENT_PROPERTIES="$FOLDER/pods/${BROKERS[0]}/run/client.properties"
    init_pods
    start_sidecars
    watch_verdicts
    a_cluster_is_born
    # As a person does then: from here on an empty disk is not formatted blindly, and no quorum is taken for a new one.
    sed -i 's/^formed: false/formed: true/' "$FOLDER/cluster.yaml"
    for name in "${ONLY[@]}"; do
        play "$name"
    done
    say "done in $SECONDS s"
}

# Runs a scenario and says how long it took.
play() {
    local from started=$SECONDS
    from="$(story_lines)"
    say "$1"
    SICK=()
    "scenario_${1//-/_}"
    nobody_else_was_red "$from"
    printf 'ok  %4d s  %s\n' "$((SECONDS - started))" "$1"
}

main "$@"
