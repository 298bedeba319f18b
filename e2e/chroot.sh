#!/usr/bin/env bash
# The release binary runs where there is nothing else: no libc, no /etc, no /proc. Needs root, for chroot.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# README promises it; measured in bytes after stripping.
LARGEST_BYTES=$((9 * 1000 * 1000))

main() {
    local bytes command output
    (($# == 0)) || die 64 "usage: e2e/chroot.sh (no arguments)"
    [[ "$(id -u)" == 0 ]] || die 2 "only root may chroot; run as root"
    build_release || die 2 "kraftlet does not build"
    bytes="$(stat -c %s "$RELEASE_BINARY")"
    ROOT="$(mktemp -d)"
    trap 'rm -rf "$ROOT"' EXIT
    cp "$RELEASE_BINARY" "$ROOT/kraftlet"
    for command in --version cluster-id schema new-cluster; do
        output="$(env -i "$(command -v chroot)" "$ROOT" /kraftlet "$command")" || die 1 "kraftlet $command does not run in an empty root"
        [[ -n "$output" ]] || die 1 "kraftlet $command printed nothing in an empty root"
        say "in an empty root, kraftlet $command: ${output%%$'\n'*}"
    done
    env -i "$(command -v chroot)" "$ROOT" /kraftlet new-cluster --name empty --local /cluster >"$ROOT/cluster.yaml"
    mkdir -p "$ROOT/usr/share/kraftlet"
    cp "$(engine_jar)" "$ROOT/usr/share/kraftlet/ssl-engine.jar"
    output="$(env -i POD_NAME=empty-0 "$(command -v chroot)" "$ROOT" /kraftlet init --settings /cluster.yaml)" \
        || die 1 "kraftlet init does not run in an empty root"
    [[ -e "$ROOT/cluster/pods/empty-0/data/meta.properties" ]] || die 1 "kraftlet init formatted nothing in an empty root"
    say "in an empty root, kraftlet init: ${output%%$'\n'*}"
    say "release binary: $bytes bytes; goal: at most $LARGEST_BYTES"
    ((bytes <= LARGEST_BYTES)) || die 1 "the release binary has $bytes bytes; want at most $LARGEST_BYTES"
}

main "$@"
