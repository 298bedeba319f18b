#!/usr/bin/env bash
# The renewal test for as long as one likes: the leader's end, a pod's restart and a new CA again and again.
set -euo pipefail
exec "$(dirname "${BASH_SOURCE[0]}")/renewals.sh" --minutes 60 "$@"
