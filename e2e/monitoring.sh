#!/usr/bin/env bash
# The alerts and the dashboard, read by Prometheus' own tool: rules, their tests, the example's configuration, and the
# queries of the dashboard.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=install.sh
. "$E2E_DIR/install.sh"

MONITORING="$REPO_DIR/manifests/monitoring"
PROMTOOL="$CACHE_DIR/promtool/usr/bin/promtool"

# Takes promtool alone out of Debian's package: installed, that would start a server on this machine.
find_promtool() {
    local folder="$CACHE_DIR/promtool"
    if command -v promtool >/dev/null; then
        PROMTOOL=promtool
    elif [[ ! -x "$PROMTOOL" ]]; then
        mkdir -p "$folder"
        rm -f "$folder"/*.deb
        cd "$folder"
        apt-get download prometheus 2>/dev/null || {
            update_packages promtool
            apt-get download prometheus || die 1 "apt-get could not download prometheus, which has promtool"
        }
        dpkg-deb --fsys-tarfile "$folder"/prometheus_*.deb | tar -x -C "$folder" ./usr/bin/promtool
    fi
}

main() {
    local made="${CARGO_TARGET_DIR:-$REPO_DIR/target}/tmp/monitoring"
    case "${1-}" in
        "") ;;
        --help) printf 'usage: e2e/monitoring.sh\n\nHas promtool check manifests/monitoring.\n' && return 0 ;;
        *) die 64 "unknown argument \"$1\"; see e2e/monitoring.sh --help" ;;
    esac
    install_compilers
    find_promtool
    cargo test --quiet --locked --manifest-path "$REPO_DIR/Cargo.toml" --test it monitoring::
    "$PROMTOOL" check rules "$MONITORING/alerts.yaml"
    "$PROMTOOL" test rules "$MONITORING/alerts.test.yaml"
    "$PROMTOOL" check rules "$made/queries.yaml"
    # Debian's build knows no Kubernetes; the rest of the file is what it is.
    sed 's/kubernetes_sd_configs: .*/static_configs: []/' "$MONITORING/prometheus.yaml" >"$made/prometheus.yaml"
    cp "$MONITORING/alerts.yaml" "$made"
    "$PROMTOOL" check config "$made/prometheus.yaml"
    "$MONITORING/prometheus-rule.sh" | sed '1,/^spec:/d; s/^  //' >"$made/unwrapped.yaml"
    expect "the PrometheusRule has the same rules" cmp "$made/unwrapped.yaml" "$MONITORING/alerts.yaml"
}

main "$@"
