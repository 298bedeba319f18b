#!/usr/bin/env bash
# What the demo does not show, on real Kafka: lost disks, logins, passwords, other people's certificates, refusals.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=install.sh
. "$E2E_DIR/install.sh"
# shellcheck source=nodes.sh
. "$E2E_DIR/nodes.sh"
# shellcheck source=cases/setting.sh
. "$E2E_DIR/cases/setting.sh"
# shellcheck source=cases/openssl.sh
. "$E2E_DIR/cases/openssl.sh"

usage() {
    cat <<TEXT
usage: e2e/cases.sh [--case NAME]

Runs each case against real Kafka on loopback addresses, one after another, and prints one line for each: ok or
FAILED. The exit code is 1 if any failed. What a case said is in e2e/cache/logs/case-NAME.log; where it failed, its
folder with the logs of Kafka is kept and named there.
  --case NAME   only this one: ${CASES[*]}
TEXT
}

# The case that is running; it cleans up after itself when it is asked to end.
RUNNING=
FAILED=0

read_arguments() {
    while (($# > 0)); do
        case "$1" in
            --case)
                [[ " ${CASES[*]} " == *" ${2-} "* ]] || die 64 "--case is \"${2-}\"; want one of: ${CASES[*]}"
                CASES=("$2")
                shift
                ;;
            --help) usage && exit 0 ;;
            *) die 64 "unknown argument \"$1\"; see e2e/cases.sh --help" ;;
        esac
        shift
    done
}

interrupted() {
    trap - INT TERM
    if [[ -n "$RUNNING" ]]; then
        kill "$RUNNING" 2>/dev/null || true
        wait "$RUNNING" 2>/dev/null || true
    fi
    exit 130
}

# Runs a case with its output in a log, in a shell of its own, and prints one line.
show_case() {
    local name="$1" log="$CACHE_DIR/logs/case-$1.log" started=$SECONDS code=0
    run_alone "$name" >"$log" 2>&1 </dev/null &
    RUNNING=$!
    wait "$RUNNING" || code=$?
    RUNNING=
    if ((code == 0)); then
        printf 'ok      %5d s  %s\n' "$((SECONDS - started))" "$name"
        return 0
    fi
    FAILED=$((FAILED + 1))
    printf 'FAILED  %5d s  %s; see %s\n' "$((SECONDS - started))" "$name" "$log"
    tail -n 20 "$log" | sed 's/^/        /' >&2
}

# `set -e` ends it at the first thing that goes wrong, and the trap says what that was.
run_alone() {
    set -E
    trap 'say "error: ${BASH_SOURCE[0]##*/}, line $LINENO: $BASH_COMMAND"' ERR
    make_folder case
    # shellcheck source=/dev/null
    . "$E2E_DIR/cases/$1.sh"
    run_case
}

main() {
    local name
    read_arguments "$@"
    install_missing
    # It makes the certificates of some cases.
    command -v openssl >/dev/null || install_packages openssl
    mkdir -p "$CACHE_DIR/logs"
    fetch_and_build "${KAFKAS[@]}"
    trap interrupted INT TERM
    for name in "${CASES[@]}"; do
        # In no condition: in whatever that calls, `set -e` would be off.
        show_case "$name"
    done
    ((FAILED == 0)) || exit 1
}

main "$@"
