#!/usr/bin/env bash
# Makes tests/golden/ with Kafka's own storage tool, or compares a fresh run with what is there.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

usage() {
    cat <<'TEXT'
usage: e2e/golden.sh [--check] [--kafka VERSION]...

Formats disks with the real kafka.tools.StorageTool of each release and keeps the files in tests/golden/.
  --check          keep nothing; compare with what is there, but for times, checksums and random ids
  --kafka VERSION  only this release (3.7.2, 3.9.2, 4.1.2, 4.3.1 or 4.4.0); may be given again
TEXT
}

main() {
    local action=make versions=() version work class_path failed=0
    while (($# > 0)); do
        case "$1" in
            --check) action=check ;;
            --kafka) versions+=("${2-}") && shift ;;
            --help) usage && return 0 ;;
            *) usage >&2 && die 64 "unknown argument \"$1\"" ;;
        esac
        shift || die 64 "--kafka wants a version"
    done
    ((${#versions[@]} > 0)) || versions=("${KAFKA_VERSIONS[@]}")
    for version in "${versions[@]}"; do
        [[ " ${KAFKA_VERSIONS[*]} " == *" $version "* ]] || die 64 "no golden files for Kafka \"$version\""
    done
    cargo build --quiet --manifest-path "$REPO_DIR/Cargo.toml" -p kraftlet-e2e --bin golden
    umask 022
    WORK="$(mktemp -d)"
    trap 'rm -rf "$WORK"' EXIT
    for version in "${versions[@]}"; do
        fetch_kafka "$version"
        class_path="$(java_class_path "$version" FormatMany)"
        work="$WORK/$version"
        "${CARGO_TARGET_DIR:-$REPO_DIR/target}/debug/golden" "$action" "$version" "$class_path" "$work" "$REPO_DIR/tests/golden" || failed=1
    done
    return "$failed"
}

main "$@"
