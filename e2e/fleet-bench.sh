#!/usr/bin/env bash
# What the webhook and the signer do in a second of CPU, how long a review takes, and how much memory they need.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=install.sh
. "$E2E_DIR/install.sh"

usage() {
    cat <<'TEXT'
usage: e2e/fleet-bench.sh [COUNT [SECONDS]]

Builds the two as they are shipped and has them answer COUNT reviews of a pod, SECONDS of 300 reviews a second, and COUNT
requests for certificates (20000 and 20 by default). The API server that they ask is memory, so what is counted is theirs.
TEXT
}

case "${1-}" in
    --help) usage && exit 0 ;;
    *[!0-9]*) usage >&2 && exit 64 ;;
esac
install_compilers
release_build -p kraftlet-e2e --bin fleet
"$RELEASE_FOLDER/fleet" "$@"
