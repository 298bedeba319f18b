#!/usr/bin/env bash
# What the webhook and the signer do in a second of CPU, how long a review takes, and how much memory they need.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=install.sh
. "$E2E_DIR/install.sh"

# What is wanted of: reviews and certificates (kept connections, a handshake for each) per CPU second; a review's p99 in
# ms; memory in kB.
GOALS=(8000 5000 1500 1 15000)
# What holds on a busy machine too.
FLOORS=(3000 2500 800 20 15000)

usage() {
    cat <<'TEXT'
usage: e2e/fleet-bench.sh [--floor] [COUNT [SECONDS]]

Builds the two as they are shipped and has them answer COUNT reviews of a pod, SECONDS of 300 reviews a second, and COUNT
requests for certificates (20000 and 20 by default). The API server that they ask is memory, so what is counted is theirs.
The exit code is 1 where a goal is not met; with --floor, where less is met than holds on a busy machine.
TEXT
}

# judge RESULTS WANTED...
judge() {
    awk -v wanted="${*:2}" '
        BEGIN { split(wanted, want, " ") }
        function check(what, found, limit, most) {
            seen++
            if (most ? found + 0 > limit + 0 : found + 0 < limit + 0) {
                printf "not met: %s %s; want %s %s\n", found, what, most ? "at most" : "at least", limit
                bad = 1
            }
        }
        /^reviews of/ { check("reviews per CPU second", $8, want[1], 0) }
        /^certificates, kept/ { check("certificates per CPU second", $4, want[2], 0) }
        /^certificates, a/ { check("certificates per CPU second, with handshakes", $6, want[3], 0) }
        /^at 300/ { check("ms at the 99th percentile", $9, want[4], 1) }
        /memory/ { check("kB", $(NF - 3), want[5], 1) }
        END { exit bad || seen != 6 }' "$1"
}

main() {
    local wanted=("${GOALS[@]}") results="$CACHE_DIR/fleet.out"
    if [[ "${1-}" == --floor ]]; then
        wanted=("${FLOORS[@]}")
        shift
    fi
    case "${1-}" in
        --help) usage && return 0 ;;
        *[!0-9]*) usage >&2 && exit 64 ;;
    esac
    install_compilers
    build_fleet
    mkdir -p "$CACHE_DIR"
    "$RELEASE_FOLDER/fleet" "$@" | tee "$results"
    judge "$results" "${wanted[@]}"
}

main "$@"
