#!/usr/bin/env bash
# `kraftlet init` on an empty disk beside the real `kafka-storage format` of the same node: wall time and peak memory.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=install.sh
. "$E2E_DIR/install.sh"

# The goals, on a machine with nothing else to do. That of memory is missed by a little since the agent renews and looks
# at the quorum: of what init takes at its peak, nine tenths are the binary's own pages, and the binary has grown. With
# --floor only a third of the speed is asked, so that a busy machine does not fail a change that has not made anything
# slower.
TIMES_FASTER=100
TIMES_LESS_MEMORY=20

# In each round both are measured, so that whatever else the machine does hits both alike.
ROUNDS=7
KRAFTLET_RUNS=31

usage() {
    cat <<'TEXT'
usage: e2e/bench.sh [--kafka VERSION] [--floor]

Measures both on an empty disk, prints a table and the ratios, and ends with 1 where a goal is missed.
  --floor   ask for a third of the speed only, for a machine that is busy with other things
kraftlet does more: it also writes server.properties, issues and checks a certificate. Its CA is there already, as
Kafka's class path is in the page cache.
TEXT
}

main() {
    local kafka=4.4.0 class_path round
    while (($# > 0)); do
        case "$1" in
            --kafka) kafka="${2-}" && shift ;;
            --floor) TIMES_FASTER=30 && TIMES_LESS_MEMORY=15 ;;
            --help) usage && return 0 ;;
            *) usage >&2 && die 64 "unknown argument \"$1\"" ;;
        esac
        shift || die 64 "--kafka wants a version"
    done
    [[ " ${KAFKA_VERSIONS[*]} " == *" $kafka "* ]] || die 64 "--kafka is \"$kafka\"; want one of: ${KAFKA_VERSIONS[*]}"
    install_missing
    fetch_kafka "$kafka"
    say "building the release binary and the measuring program ..."
    build_release || die 2 "kraftlet does not build"
    cargo build --quiet --locked --manifest-path "$REPO_DIR/Cargo.toml" -p kraftlet-e2e --bin measure \
        || die 2 "the measuring program does not build"
    FOLDER="$(mktemp -d "${TMPDIR:-/tmp}/kraftlet-bench.XXXXXX")"
    trap 'rm -rf "$FOLDER"' EXIT
    class_path="$(kafka_libs "$kafka")/*"
    KRAFTLET_ENGINE_JAR="$(engine_jar)"
    export KRAFTLET_ENGINE_JAR
    prepare "$kafka"
    say "measuring kraftlet init and kafka-storage format in turn, $ROUNDS rounds ..."
    for ((round = 0; round < ROUNDS; round++)); do
        measure_kraftlet >>"$FOLDER/kraftlet.tsv"
        measure_kafka "$class_path" >>"$FOLDER/kafka.tsv"
    done
    report "$(middle "$FOLDER/kraftlet.tsv")" "$(middle "$FOLDER/kafka.tsv")"
}

# A node of a static cluster, initialised once, so that there is a server.properties for Kafka's tool and a CA.
prepare() {
    "$RELEASE_BINARY" new-cluster --name bench --local "$FOLDER" --kafka-version "$1" >"$FOLDER/cluster.yaml"
    POD_NAME=bench-0 POD_NAMESPACE=default "$RELEASE_BINARY" init --settings "$FOLDER/cluster.yaml" >/dev/null
    POD="$FOLDER/pods/bench-0"
    cp "$POD/run/server.properties" "$FOLDER/server.properties"
    CLUSTER_ID="$(sed -n 's/^cluster.id=//p' "$POD/data/meta.properties")"
}

measure() {
    "${CARGO_TARGET_DIR:-$REPO_DIR/target}/debug/measure" "$@"
}

measure_kraftlet() {
    POD_NAME=bench-0 POD_NAMESPACE=default measure "$KRAFTLET_RUNS" "rm -rf '$POD'" \
        "$RELEASE_BINARY" init --settings "$FOLDER/cluster.yaml"
}

# With the flags of Kafka's own script, kafka-run-class.sh, for tools.
measure_kafka() {
    measure 1 "rm -rf '$POD/data' && mkdir -p '$POD/data'" \
        java -Xmx256M -server -XX:+UseG1GC -XX:MaxGCPauseMillis=20 -XX:InitiatingHeapOccupancyPercent=35 \
        -XX:+ExplicitGCInvokesConcurrent -Djava.awt.headless=true -cp "$1" \
        kafka.tools.StorageTool format --config "$FOLDER/server.properties" --cluster-id "$CLUSTER_ID"
}

# The round in the middle by time, with the largest memory of all rounds.
middle() {
    sort -n "$1" | awk -F '\t' '{ time[NR] = $1; if ($2 > memory) memory = $2 }
        END { printf "%s\t%s", time[int((NR + 1) / 2)], memory }'
}

# Both arguments: microseconds, tab, kilobytes.
report() {
    awk -v ours="$1" -v theirs="$2" -v faster="$TIMES_FASTER" -v smaller="$TIMES_LESS_MEMORY" 'BEGIN {
        split(ours, a, "\t"); split(theirs, b, "\t")
        printf "%-24s %14s %16s\n", "", "median ms", "peak memory MB"
        printf "%-24s %14.2f %16.1f\n", "kraftlet init", a[1] / 1000, a[2] / 1024
        printf "%-24s %14.2f %16.1f\n", "kafka-storage format", b[1] / 1000, b[2] / 1024
        printf "%-24s %13.0fx %15.1fx\n", "ratio", b[1] / a[1], b[2] / a[2]
        printf "%-24s %13.0fx %15.0fx\n", "goal", faster, smaller
        exit !(b[1] / a[1] >= faster && b[2] / a[2] >= smaller)
    }' || die 1 "a goal is missed"
}

main "$@"
