#!/usr/bin/env bash
# How fast the agent answers probes, while its Kafka is up, down and frozen, and what a thousand a second cost it.
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

usage() {
    cat <<'TEXT'
usage: e2e/probe-bench.sh [--floor] [--seconds N]

One node with its sidecar. /livez, /readyz and /startupz are asked 1000 times a second in turn, nine of ten on connections
that are kept; times count from when a request was due. Prints a table with the goals, and ends with 1 where one is missed.
  --floor       p99 of 5 ms instead of 1 ms, and what a thread that asks nobody is late is taken off: for a machine that
                is busy with other things
  --seconds N   how long with Kafka up, how long down and how long frozen (default 30)
TEXT
}

KAFKA=4.4.0
MODE=combined
QUORUM=static
RATE=1000
SECONDS_EACH=30

P99_US_AT_MOST=1000
# Whether the machine may be late by itself.
BUSY=no
MEMORY_KB_AT_MOST=$((10 * 1024))

read_arguments() {
    while (($# > 0)); do
        case "$1" in
            --floor)
                P99_US_AT_MOST=5000
                BUSY=yes
                ;;
            --seconds)
                SECONDS_EACH="${2-}"
                [[ "$SECONDS_EACH" =~ ^[1-9][0-9]{0,3}$ ]] || die 64 "--seconds is \"$SECONDS_EACH\"; want a number"
                shift
                ;;
            --help) usage && exit 0 ;;
            *) die 64 "unknown argument \"$1\"; see e2e/probe-bench.sh --help" ;;
        esac
        shift
    done
}

stop_others() {
    end_watch
    kill_sidecars
}

main() {
    read_arguments "$@"
    install_missing
    fetch_kafka "$KAFKA"
    if [[ -z "${KRAFTLET:-}" ]]; then
        say "building the release binary ..."
        build_release || die 2 "kraftlet does not build"
        KRAFTLET="$RELEASE_BINARY"
    fi
    KRAFTLET_ENGINE_JAR="$(engine_jar)" || exit
    export KRAFTLET_ENGINE_JAR
    build_helpers
    make_folder probes
    CLASS_PATH="$(java_class_path "$KAFKA" ClusterClient)"
    make_settings --replicas 1
    PODS=(demo-0)
    init_pods
    start_sidecars
    watch_verdicts
    start_nodes
    await_readyz 200
    probe "up"
    freeze_node demo-0
    await_readyz '503 .*'
    probe "frozen"
    thaw_node demo-0
    await_readyz 200
    kill_node demo-0
    await_readyz '503 .*'
    probe "down"
    report | tee "$FOLDER/report"
    not grep -q MISSED "$FOLDER/report" || die 1 "goals are missed"
}

await_readyz() {
    verdicts 240 1 <<<"all readyz $1"
}

# probe WORD: asks while Kafka is so; the result is in $FOLDER/WORD.tsv.
probe() {
    local before after
    before="$(resident_kb)"
    say "$RATE probes a second for $SECONDS_EACH s while Kafka is $1 ..."
    "$HELPERS/probes" "$(host_of demo-0):9640" "$RATE" "$SECONDS_EACH" >"$FOLDER/$1.tsv"
    after="$(resident_kb)"
    printf '%s\t%s\n' "$before" "$after" >"$FOLDER/$1.kb"
}

resident_kb() {
    awk '$1 == "VmRSS:" { print $2 }' "/proc/${SIDECAR_OF[demo-0]}/status"
}

report() {
    local word path count errors p50 p99 longest before after verdict most
    local rows=("KAFKA|PATH|PROBES|ERRORS|P50 MS|P99 MS|LONGEST MS|")
    for word in up down frozen; do
        most="$P99_US_AT_MOST"
        [[ "$BUSY" == no ]] || most=$((most + $(awk -F '\t' '$1 == "machine" { print $5 }' "$FOLDER/$word.tsv")))
        while IFS=$'\t' read -r path count errors p50 p99 longest; do
            [[ "$path" == /* ]] && verdict="$(within "$((p99 > most || errors > 0))")" || verdict=
            rows+=("$word|$path|$count|$errors|$(ms "$p50")|$(ms "$p99")|$(ms "$longest")|$verdict")
        done <"$FOLDER/$word.tsv"
    done
    print_columns "${rows[@]}"
    printf '\n'
    rows=("KAFKA|MEMORY BEFORE KB|AFTER|")
    for word in up down frozen; do
        IFS=$'\t' read -r before after <"$FOLDER/$word.kb"
        rows+=("$word|$before|$after|$(within "$((after > MEMORY_KB_AT_MOST))")")
    done
    print_columns "${rows[@]}"
    word=
    [[ "$BUSY" == no ]] || word=" more than the machine itself is late"
    printf 'goals: p99 at most %s ms%s, no error, memory at most %s KB\n' "$(ms "$P99_US_AT_MOST")" "$word" "$MEMORY_KB_AT_MOST"
}

ms() {
    awk -v us="$1" 'BEGIN { printf "%.2f", us / 1000 }'
}

# within MISSED
within() {
    if (($1)); then
        printf 'MISSED'
    else
        printf 'ok'
    fi
}

main "$@"
