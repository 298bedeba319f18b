#!/usr/bin/env bash
# Every test there is, in one command. A part that fails does not keep the others from running.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=install.sh
. "$E2E_DIR/install.sh"

CARGO_DENY_VERSION=0.20.2
LOGS="$CACHE_DIR/logs"

# Each real cluster that is only brought up: release, mode, quorum.
CLUSTERS=(
    "3.7.2 dedicated static"
    "3.9.2 dedicated dynamic"
    "4.3.1 combined dynamic"
)

# Clusters that renew for four minutes, two of them side by side: they mostly wait. Two of one release would compile the
# same classes at once. 4.4.0 renews by its engine in Kubernetes, combined and dedicated.
RENEWALS=(
    "3.9.2 combined static engine"
    "4.3.1 dedicated dynamic engine"
    "4.4.0 combined static admin-api"
)

# Clusters whose nodes are killed, frozen, refused and emptied, side by side.
QUORUMS=(
    "4.4.0 combined static"
    "3.9.2 dedicated dynamic"
)

PASSED=0
FAILED=0
TOOLS=()

usage() {
    cat <<'TEXT'
usage: e2e/test.sh

Runs format check, lints, all Rust tests, the tests against real Kafka, renewing clusters two at a time, clusters with
sick nodes, a rolling stop, the release binary, a real Kubernetes with real Kafka in containers, the benchmarks, cargo-deny,
and the demo on a bare Debian. Prints how long each part took and ends with "N passed, N failed"; the exit code is 1 if
any failed.
The whole output of each part is in e2e/cache/logs.
TEXT
}

# part NAME COMMAND...: runs it with its output in a log, prints one line, and the end of the log if it failed.
# A part that ran Rust tests counts as so many tests, any other as one.
part() {
    run_part "$@"
    tell_part "$1"
}

log_of() {
    printf '%s/%s.log' "$LOGS" "${1//[^a-zA-Z0-9.]/-}"
}

run_part() {
    local log started=$SECONDS code=0
    log="$(log_of "$1")"
    shift
    "$@" >"$log" 2>&1 </dev/null || code=$?
    printf '%s %s\n' "$code" "$((SECONDS - started))" >"$log.ended"
}

tell_part() {
    local name="$1" log code took tests broken
    log="$(log_of "$name")"
    read -r code took <"$log.ended"
    tests="$(sum_of passed "$log")"
    broken="$(sum_of failed "$log")"
    if ((code == 0)); then
        ((tests > 0)) || tests=1
        printf 'ok      %5d s  %s (%d)\n' "$took" "$name" "$tests"
    else
        ((broken > 0)) || broken=1
        printf 'FAILED  %5d s  %s; the last lines of %s:\n' "$took" "$name" "$log"
        tail -n 40 "$log" | sed 's/^/        /'
    fi
    PASSED=$((PASSED + tests))
    FAILED=$((FAILED + broken))
}

# pairs NAME SCRIPT CLUSTER...: a part for each cluster, two at a time.
pairs() {
    local name="$1" script="$2" cluster version mode quorum reload pids
    shift 2
    while (($# > 0)); do
        pids=()
        for cluster in "${@:1:2}"; do
            read -r version mode quorum reload <<<"$cluster"
            run_part "$name $cluster" "$script" --kafka "$version" --mode "$mode" --quorum "$quorum" \
                ${reload:+--reload "$reload"} &
            pids+=($!)
        done
        wait "${pids[@]}"
        for cluster in "${@:1:2}"; do
            tell_part "$name $cluster"
        done
        shift "$(($# < 2 ? $# : 2))"
    done
}

# Adds up what cargo's closing lines say.
sum_of() {
    sed -n "s/^test result: .* \([0-9]*\) $1.*/\1/p" "$2" | awk '{ sum += $1 } END { print sum + 0 }'
}

# The downloads and the tools that come through the network, while the first parts compile.
fetch_in_background() {
    (
        for version in "${KAFKA_VERSIONS[@]}"; do
            fetch_kafka "$version"
        done
    ) >"$LOGS/fetch.log" 2>&1 &
    TOOLS+=($!)
}

# The release binary takes minutes to link, Kubernetes and cargo-deny to compile, and all are needed late: they are built
# in the time that clusters leave. Whoever needs one builds it again, in no time if this went well.
build_in_background() {
    (renice -n 19 -p "$BASHPID" && build_release && "$E2E_DIR/kubernetes/build.sh" && build_fleet && install_deny) >"$LOGS/release.log" 2>&1 &
    TOOLS+=($!)
}

tools_ended() {
    local pid code=0
    for pid in "${TOOLS[@]}"; do
        wait "$pid" || code=1
    done
    TOOLS=()
    return "$code"
}

# What only the tests need: strace kills init at each of its system calls.
install_tools() {
    local tool missing=()
    for tool in strace shellcheck; do
        command -v "$tool" >/dev/null || missing+=("$tool")
    done
    ((${#missing[@]} == 0)) || install_packages "${missing[@]}"
    # Not in the background: two of apt at once are one too many.
    "$E2E_DIR/kubernetes/build.sh" packages
}

shell_scripts() {
    shellcheck -x "$E2E_DIR"/*.sh "$E2E_DIR"/cases/*.sh "$E2E_DIR"/kubernetes/*.sh "$E2E_DIR"/kubernetes/cases/*.sh \
        "$E2E_DIR"/kubernetes/cert-manager/*.sh "$E2E_DIR"/kubernetes/kubedb-like/*.sh "$REPO_DIR"/tests/it/kubectl/kubectl "$REPO_DIR"/images/*.sh "$REPO_DIR"/manifests/*/*.sh "$REPO_DIR/.ci/run"
}

install_deny() {
    DENY="$CACHE_DIR/cargo-deny-$CARGO_DENY_VERSION/bin/cargo-deny"
    # The dev profile: it runs for a second and would compile for minutes.
    [[ -x "$DENY" ]] ||
        try_thrice cargo install --quiet --locked --debug --root "${DENY%/bin/*}" "cargo-deny@$CARGO_DENY_VERSION"
}

# Bans, licences and sources are always checked; advisories only where their database can be reached.
deny() {
    install_deny
    cd "$REPO_DIR"
    "$DENY" --all-features check bans licenses sources || return 1
    if timeout 60 "$DENY" fetch db >/dev/null 2>&1; then
        "$DENY" --all-features check advisories
    else
        echo "the database of advisories cannot be reached; advisories are not checked"
    fi
}

main() {
    local cluster version mode quorum name
    case "${1-}" in
        "") ;;
        --help) usage && return 0 ;;
        *) die 64 "unknown argument \"$1\"; see e2e/test.sh --help" ;;
    esac
    mkdir -p "$LOGS"
    install_missing
    install_tools
    cd "$REPO_DIR"
    fetch_in_background
    # Whatever ends the script, no further download begins without it.
    trap 'kill "${TOOLS[@]}" 2>/dev/null || true' EXIT
    try_thrice cargo fetch --quiet --locked || die 1 "cargo could not fetch crates"

    part "format" cargo fmt --all --check
    part "shell scripts" shell_scripts
    part "lints" cargo clippy --quiet --locked --workspace --all-targets -- -D warnings
    part "tests: unit, golden, law, io, program, tidy" cargo test --locked --no-fail-fast
    part "Kafka from Maven" tools_ended
    part "the page in a browser" "$E2E_DIR/page.sh"
    part "alerts and dashboard" "$E2E_DIR/monitoring.sh"
    part "the engine's own tests" run_maven -f "$REPO_DIR/images/ssl-engine/pom.xml" test
    part "the engine in real Kafka" "$E2E_DIR/engine.sh"
    part "golden files made again" "$E2E_DIR/golden.sh" --check
    part "tests against Java" cargo test --locked --no-fail-fast -p kraftlet-e2e
    build_in_background
    for cluster in "${CLUSTERS[@]}"; do
        read -r version mode quorum <<<"$cluster"
        part "real cluster $version $mode $quorum" "$E2E_DIR/demo.sh" --brief --kafka "$version" --mode "$mode" --quorum "$quorum"
    done
    for name in "${CASES[@]}"; do
        part "case $name" "$E2E_DIR/cases.sh" --case "$name"
    done
    pairs "renewals" "$E2E_DIR/renewals.sh" "${RENEWALS[@]}"
    pairs "sick nodes" "$E2E_DIR/quorum.sh" "${QUORUMS[@]}"
    part "rolling stop" "$E2E_DIR/rolling-stop.sh"
    part "fuzzing" "$E2E_DIR/fuzz.sh" --seconds 6
    part "release binary, Kubernetes, cargo-deny" tools_ended
    part "release binary in an empty root" "$E2E_DIR/chroot.sh"
    part "Kubernetes" "$E2E_DIR/kubernetes.sh"
    part "benchmark" "$E2E_DIR/bench.sh" --floor
    # Fifty renewals, half of them in each mode; a hundred in each, as by default, take a quarter of an hour.
    part "benchmark of renewals" "$E2E_DIR/renew-bench.sh" --floor --rounds 25
    part "benchmark of probes" "$E2E_DIR/probe-bench.sh" --floor
    part "benchmark of the fleet" "$E2E_DIR/fleet-bench.sh" --floor 10000 10
    part "bans, licences, sources" deny
    part "the demo on a bare Debian" "$E2E_DIR/bare-machine.sh" --brief

    sed -n '/median ms/,/^goal/p' "$LOGS/benchmark.log"
    sed -n '/^FROM THE NEW FILE/,$p' "$LOGS/benchmark-of-renewals.log"
    sed -n '/^KAFKA /,$p' "$LOGS/benchmark-of-probes.log"
    cat "$LOGS/benchmark-of-the-fleet.log"
    grep -h '^ok ' "$LOGS"/sick-nodes-*.log "$LOGS/Kubernetes.log" || true
    printf 'all parts took %d s\n' "$SECONDS"
    printf '%d passed, %d failed\n' "$PASSED" "$FAILED"
    ((FAILED == 0))
}

main "$@"
