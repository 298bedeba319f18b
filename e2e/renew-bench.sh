#!/usr/bin/env bash
# A hundred renewals in a row under load, by the engine and by the Admin API in turn, beside the time that Kafka itself
# takes; then what the sidecar costs.
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

usage() {
    cat <<'TEXT'
usage: e2e/renew-bench.sh [--rounds N] [--floor]

Two nodes with clients at work, one that follows its files by the engine, one that is told by the Admin API. In each
round both renew: the time is from the new file to the last handshake that showed its leaf on every listener. Then Kafka
alone does the same, without kraftlet. Prints a table with the goals, and ends with 1 where one is missed.
  --rounds N   how often each renews (default 100)
  --floor      allow three times the goals of time and CPU, for a machine that is busy with other things
TEXT
}

KAFKA=4.4.0
ROUNDS=100
RATE=30

# The goals. Times are shares of Kafka's own, in hundredths: the Admin API's at most 1.2 of it, the engine's a tenth.
ADMIN_API_AT_MOST=120
ENGINE_AT_MOST=10
IDLE_KB_AT_MOST=$((10 * 1024))
PEAK_KB_AT_MOST=$((14 * 1024))
# Millionths of a core, over IDLE_S.
IDLE_CPU_AT_MOST=1000
IDLE_S=60

# Each is the name of a cluster of one node.
MODES=(engine admin-api)

FOLDER=
LOADS=()

read_arguments() {
    while (($# > 0)); do
        case "$1" in
            --rounds)
                ROUNDS="${2-}"
                [[ "$ROUNDS" =~ ^[1-9][0-9]{0,3}$ ]] || die 64 "--rounds is \"$ROUNDS\"; want a number"
                shift
                ;;
            --floor)
                ADMIN_API_AT_MOST=$((3 * ADMIN_API_AT_MOST))
                ENGINE_AT_MOST=$((3 * ENGINE_AT_MOST))
                IDLE_CPU_AT_MOST=$((3 * IDLE_CPU_AT_MOST))
                ;;
            --help) usage && exit 0 ;;
            *) die 64 "unknown argument \"$1\"; see e2e/renew-bench.sh --help" ;;
        esac
        shift
    done
}

stop_others() {
    for LOAD_PID in "${LOADS[@]}"; do
        kill_load
    done
    kill_sidecars
}

main() {
    local round mode
    read_arguments "$@"
    install_missing
    fetch_kafka "$KAFKA"
    say "building the release binary ..."
    build_release || die 2 "kraftlet does not build"
    KRAFTLET="$RELEASE_BINARY"
    KRAFTLET_ENGINE_JAR="$(engine_jar)" || exit
    export KRAFTLET_ENGINE_JAR
    CLASS_PATH="$(java_class_path "$KAFKA" ClusterClient)"
    CLASS_PATH="$(java_class_path "$KAFKA" LoadClient)"
    CLASS_PATH="$(java_class_path "$KAFKA" ReloadTimer)"
    make_folder bench
    begin
    measure_idle
    for ((round = 1; round <= ROUNDS; round++)); do
        for mode in "${MODES[@]}"; do
            renew "$mode"
        done
        ((round % 20 != 0)) || say "$round of $ROUNDS rounds are done"
    done
    measure_peak
    measure_kafka
    end_loads
    report
}

# One settings file and one node for each mode, in one folder with one CA.
begin() {
    local mode
    for mode in "${MODES[@]}"; do
        "$KRAFTLET" new-cluster --name "$mode" --replicas 1 --reload "$mode" --kafka-version "$KAFKA" --local "$FOLDER" \
            >"$FOLDER/$mode.yaml"
        init_pod "$mode-0" "$FOLDER/$mode.yaml" || die 2 "kraftlet init refused: $(tail -n 3 "$FOLDER/$mode-0.init.log")"
        PODS+=("$mode-0")
        start_node "$mode-0"
        start_sidecar "$mode-0" "$FOLDER/$mode.yaml"
    done
    for mode in "${MODES[@]}"; do
        CLIENT_PROPERTIES="$FOLDER/pods/$mode-0/run/client.properties"
        await "waiting for the node of $mode" wait 1 120
        LOAD="$FOLDER/$mode"
        start_load "$RATE"
        LOADS+=("$LOAD_PID")
    done
}

renew() {
    if "$KRAFTLET" renew --settings "$FOLDER/$1.yaml" --pod-name "$1-0" --wait >"$FOLDER/renew.out" 2>&1; then
        look "$1-0" /metrics | sed -n 's/^kraftlet_last_verify_duration_seconds{.*} //p' >>"$FOLDER/$1.seconds"
    else
        sed "s/^/    $1: /" "$FOLDER/renew.out" >&2
        printf 'failed\n' >>"$FOLDER/$1.failures"
    fi
}

# The sidecar of the engine's node, when nothing is to be done.
measure_idle() {
    local pid="${SIDECAR_OF[engine-0]}" before after
    say "looking at an idle sidecar for $IDLE_S s ..."
    before="$(cpu_ns "$pid")"
    sleep "$IDLE_S"
    after="$(cpu_ns "$pid")"
    IDLE_CPU=$(((after - before) / IDLE_S / 1000))
    IDLE_KB="$(memory_kb VmRSS "$pid")"
}

# The larger of both, at its largest.
measure_peak() {
    local mode kb
    PEAK_KB=0
    for mode in "${MODES[@]}"; do
        kb="$(memory_kb VmHWM "${SIDECAR_OF[$mode-0]}")"
        ((kb <= PEAK_KB)) || PEAK_KB="$kb"
    done
}

cpu_ns() {
    cat "/proc/$1/task"/*/schedstat | awk '{ sum += $1 } END { printf "%d", sum }'
}

memory_kb() {
    awk -v key="$1:" '$1 == key { print $2 }' "/proc/$2/status"
}

# The same node, the same load, no sidecar: its last two keystores in turn.
measure_kafka() {
    local tls="$FOLDER/pods/admin-api-0/run/tls/node" addresses rounds=$((ROUNDS < 30 ? ROUNDS : 30))
    cp "$tls/keystore.pem" "$FOLDER/one.pem"
    renew admin-api
    cp "$tls/keystore.pem" "$FOLDER/other.pem"
    stop_sidecar admin-api-0
    mapfile -t addresses < <(addresses_of admin-api-0)
    say "measuring Kafka alone, $rounds rounds ..."
    java "${JVM[@]}" "$(client_logging)" -cp "$CLASS_PATH" ReloadTimer "$FOLDER/pods/admin-api-0/run/client.properties" \
        "$tls/keystore.pem" "$FOLDER/one.pem" "$FOLDER/other.pem" "$rounds" 0 "${addresses[@]}" \
        | awk '{ print $1 / 1000 }' >"$FOLDER/kafka.seconds" || die 1 "Kafka alone did not reload"
}

end_loads() {
    local index code
    for index in "${!MODES[@]}"; do
        LOAD="$FOLDER/${MODES[index]}"
        LOAD_PID="${LOADS[index]}"
        code=0
        say "the clients of ${MODES[index]}:"
        stop_load >&2 || code=$?
        expect "they saw no failure" test "$code" = 0
    done
    LOADS=()
}

# percentile FILE HUNDREDTHS: in milliseconds.
percentile() {
    sort -n "$1" | awk -v share="$2" '{ value[NR] = $1 }
        END { index_ = int((NR * share + 99) / 100); printf "%.1f", 1000 * value[index_ < 1 ? 1 : index_] }'
}

lines() {
    if [[ -e "$1" ]]; then
        wc -l <"$1"
    else
        printf 0
    fi
}

report() {
    local name rows=("FROM THE NEW FILE TO EVERY LISTENER|RENEWALS|FAILURES|P50 MS|P99 MS") missed=0
    for name in engine admin-api kafka; do
        rows+=("$name|$(lines "$FOLDER/$name.seconds")|$(lines "$FOLDER/$name.failures")|$(percentile "$FOLDER/$name.seconds" 50)|$(percentile "$FOLDER/$name.seconds" 99)")
    done
    print_columns "${rows[@]}"
    printf '\n'
    rows=("GOAL|FOUND|WANTED|")
    goal "failures of $((2 * ROUNDS + 1))" "$(($(lines "$FOLDER/engine.failures") + $(lines "$FOLDER/admin-api.failures")))" 0 1 ""
    goal "Admin API, share of Kafka's own time" "$(share admin-api)" "$ADMIN_API_AT_MOST" 100 ""
    goal "engine, share of Kafka's own time" "$(share engine)" "$ENGINE_AT_MOST" 100 ""
    goal "sidecar's memory, idle" "$IDLE_KB" "$IDLE_KB_AT_MOST" 1024 MB
    goal "sidecar's memory, at its largest" "$PEAK_KB" "$PEAK_KB_AT_MOST" 1024 MB
    goal "sidecar's CPU, idle" "$IDLE_CPU" "$IDLE_CPU_AT_MOST" 10000 "% of a core"
    print_columns "${rows[@]}"
    ((missed == 0)) || die 1 "$missed goals are missed"
}

# goal NAME FOUND AT_MOST UNIT UNIT_NAME: a row; FOUND and AT_MOST are whole numbers.
goal() {
    local word=ok
    if (($2 > $3)); then
        word=MISSED
        missed=$((missed + 1))
    fi
    rows+=("$1|$(divided "$2" "$4") $5|$(divided "$3" "$4") $5|$word")
}

divided() {
    awk -v value="$1" -v unit="$2" 'BEGIN { printf unit == 1 ? "%d" : "%.2f", value / unit }'
}

# A median as a share of Kafka's own, in hundredths.
share() {
    awk -v ours="$(percentile "$FOLDER/$1.seconds" 50)" -v theirs="$(percentile "$FOLDER/kafka.seconds" 50)" \
        'BEGIN { printf "%d", 100 * ours / theirs + 0.5 }'
}

main "$@"
