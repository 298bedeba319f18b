#!/usr/bin/env bash
# Feeds everything that reads bytes from outside with bytes that nobody would send by accident (fuzz/, libFuzzer).
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=install.sh
. "$E2E_DIR/install.sh"

FUZZ="$REPO_DIR/fuzz"
TARGET_FOLDER="${CARGO_TARGET_DIR:-$REPO_DIR/target}"
# Kept, so that each run goes on where the last one ended; what a target cannot bear is in `found`.
CORPUS="$CACHE_DIR/fuzz"

# Longer than any file or answer has to be for everything in it to happen, and short enough for thousands each second.
MOST_BYTES=4096
# A length that is believed wants more than this at once; libFuzzer itself and its corpus take far less.
MOST_KIB=$((2 * 1024 * 1024))

SECONDS_EACH=10
TARGETS=()

mapfile -t ALL < <(find "$FUZZ/fuzz_targets" -name '*.rs' -printf '%f\n' | sed 's/\.rs$//' | sort)

usage() {
    cat <<TEXT
usage: e2e/fuzz.sh [--seconds N] [TARGET...]

Runs each target for so many seconds, two at a time, and prints a line for each: how many inputs it was given and how
many parts of the program they reached. The exit code is 1 if one of them was too much for it; that input is kept, and
belongs into fuzz/seeds/TARGET once the program bears it.
  --seconds N  for each target (default $SECONDS_EACH)
  TARGET       only these: ${ALL[*]}
TEXT
}

read_arguments() {
    while (($# > 0)); do
        case "$1" in
            --seconds)
                [[ "${2-}" =~ ^[1-9][0-9]{0,5}$ ]] || die 64 "--seconds is \"${2-}\"; want a whole number from 1 to 999999"
                SECONDS_EACH="$2"
                shift
                ;;
            --help) usage && exit 0 ;;
            *)
                [[ " ${ALL[*]} " == *" $1 "* ]] || die 64 "unknown target \"$1\"; want one of: ${ALL[*]}"
                TARGETS+=("$1")
                ;;
        esac
        shift
    done
    ((${#TARGETS[@]} > 0)) || TARGETS=("${ALL[@]}")
}

# In the folder of the tests' own build, so that only kraftlet and libFuzzer are compiled again.
build() {
    local args=() target
    for target in "${TARGETS[@]}"; do
        args+=(--bin "$target")
    done
    try_thrice cargo fetch --quiet --locked --manifest-path "$FUZZ/Cargo.toml" \
        || die 1 "cargo could not fetch crates; where Cargo.toml has changed, run: cargo update --workspace --manifest-path fuzz/Cargo.toml"
    # From the folder whose .cargo/config.toml the tests are built with.
    cd "$REPO_DIR"
    RUSTC_WRAPPER="$FUZZ/rustc-with-counters" CARGO_TARGET_DIR="$TARGET_FOLDER" \
        cargo build --quiet --locked --manifest-path "$FUZZ/Cargo.toml" "${args[@]}" || die 2 "the fuzz targets do not build"
}

# What a target begins with: real files from the tests, and fuzz/seeds.
seeds_of() {
    local tests="$REPO_DIR/tests"
    case "$1" in
        checkpoint) find "$tests/golden" -name '*.checkpoint' ;;
        jks) find "$tests/fixtures/stores" -name '*.jks' ;;
        meta_properties) find "$tests/golden" -name meta.properties ;;
        pem) find "$tests/fixtures" -name '*.pem' -o -name '*.crt' -o -name '*.key' ;;
        properties) find "$tests/fixtures/attach" -name '*.properties' ;;
        status) printf '%s\n' "$tests/fixtures/status.json" ;;
    esac
    [[ ! -d "$FUZZ/seeds/$1" ]] || find "$FUZZ/seeds/$1" -type f
}

# Runs one target, prints its line, and fails where it found something.
run_target() {
    local target="$1" log="$CORPUS/$1.log" seeds="$CORPUS/seeds/$1" code=0 index=0 file fuzzer
    rm -rf "$seeds"
    mkdir -p "$CORPUS/corpus/$target" "$CORPUS/found" "$seeds"
    while read -r file; do
        cp "$file" "$seeds/$((index += 1))"
    done < <(seeds_of "$target")
    (
        ulimit -v "$MOST_KIB"
        exec "$TARGET_FOLDER/debug/$target" -max_total_time="$SECONDS_EACH" -max_len="$(longest "$seeds")" -timeout=5 \
            -rss_limit_mb=512 -print_final_stats=1 -artifact_prefix="$CORPUS/found/$target-" \
            "$CORPUS/corpus/$target" "$seeds"
    ) >"$log" 2>&1 </dev/null &
    fuzzer=$!
    trap 'kill "$fuzzer" 2>/dev/null || true; exit 143' TERM
    wait "$fuzzer" || code=$?
    if ((code != 0)); then
        printf 'FOUND   %-16s see %s\n' "$target" "$log"
        grep -E 'panicked|ERROR|Test unit written|^memory' -A 1 "$log" | sed 's/^/        /' | head -n 12
        return 1
    fi
    printf 'ok      %-16s %s inputs, %s parts reached\n' "$target" \
        "$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")" "$(sed -n 's/.* cov: \([0-9]*\).*/\1/p' "$log" | tail -n 1)"
}

# No seed is cut.
longest() {
    find "$1" -type f -printf '%s\n' | awk -v most="$MOST_BYTES" '$1 > most { most = $1 } END { print most + 0 }'
}

# Two at a time.
main() {
    local target failed=0 running=()
    read_arguments "$@"
    install_compilers
    # libFuzzer is C++.
    command -v c++ >/dev/null || install_packages g++
    mkdir -p "$CORPUS"
    build
    trap 'kill "${running[@]}" 2>/dev/null || true; exit 130' INT TERM
    for target in "${TARGETS[@]}"; do
        run_target "$target" &
        running+=($!)
        if ((${#running[@]} == 2)); then
            wait "${running[0]}" || failed=$((failed + 1))
            running=("${running[1]}")
        fi
    done
    wait "${running[0]}" || failed=$((failed + 1))
    ((failed == 0)) || exit 1
}

main "$@"
