#!/usr/bin/env bash
# The agent's page in a real browser: fits a phone, can be read light and dark, and keeps to its own policy. Its pictures
# stay in e2e/cache/logs/page.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=install.sh
. "$E2E_DIR/install.sh"

PICTURES="$CACHE_DIR/logs/page"
PAGES="${CARGO_TARGET_DIR:-$REPO_DIR/target}/tmp/page"
# Name, and what makes the browser prefer it.
SCHEMES=("light preferredColorScheme=1" "dark preferredColorScheme=0")
# Name, and the size of the window. 320 pixels are what WCAG 2.2 (1.4.10) asks for.
WINDOWS=("phone 390,2600" "desk 1200,1400" "small 320,3000")

# Debian's browser without its windows; any other Chromium that is there does too.
find_browser() {
    local name
    for name in chromium-headless-shell chromium google-chrome; do
        BROWSER="$(command -v "$name")" && return
    done
    install_packages chromium-headless-shell fonts-inter
    BROWSER=chromium-headless-shell
}

# browse SCHEME FLAG...: a profile for each scheme. The pages are ours and come from files, so the browser's own sandbox, which root and containers lack, is not needed.
browse() {
    timeout 60 "$BROWSER" --headless --no-sandbox --disable-gpu --hide-scrollbars --allow-file-access-from-files \
        --virtual-time-budget=5000 --user-data-dir="$PROFILE/$1" "${@:2}" 2>"$PROFILE/$1.log"
}

# look PAGE WINDOW SIZE SCHEME SETTING: takes a picture, and asks page.html what is wrong.
look() {
    local page="$1" window="$2" size="$3" scheme="$4" setting="$5" found
    browse "$scheme" --blink-settings="$setting" --window-size="$size" --screenshot="$PICTURES/$page-$window-$scheme.png" \
        "file://$PAGES/$page.html" || die 2 "no picture of $page: $(tail -n 5 "$PROFILE/$scheme.log")"
    found="$(browse "$scheme" --blink-settings="$setting" --window-size=1400,1000 --dump-dom \
        "file://$E2E_DIR/page.html?page=file://$PAGES/$page.html&width=${size%,*}&scheme=$scheme" \
        | sed -n 's/.*<pre id="found">\([^<]*\)<.*/\1/p')"
    [[ "$found" == good ]] || die 1 "page $page, $window, $scheme: $found"
    say "so it is: page $page is good on a $window, $scheme"
}

# look_at_all SCHEME SETTING
look_at_all() {
    local file window name size
    for file in "$PAGES"/*.html; do
        for window in "${WINDOWS[@]}"; do
            read -r name size <<<"$window"
            look "$(basename "$file" .html)" "$name" "$size" "$@"
        done
    done
}

main() {
    local scheme pid looking=() code=0
    case "${1-}" in
        "") ;;
        --help) printf 'usage: e2e/page.sh\n\nLooks at the page of some nodes in Chromium; pictures are in e2e/cache/logs/page.\n' && return 0 ;;
        *) die 64 "unknown argument \"$1\"; see e2e/page.sh --help" ;;
    esac
    install_compilers
    find_browser
    PROFILE="$(mktemp -d)"
    trap 'rm -rf "$PROFILE"' EXIT
    mkdir -p "$PICTURES"
    cargo test --quiet --locked --manifest-path "$REPO_DIR/Cargo.toml" --test it page::
    # Side by side: most of the time of a look goes into starting the browser.
    for scheme in "${SCHEMES[@]}"; do
        # shellcheck disable=SC2086  # a name and its value
        look_at_all $scheme &
        looking+=($!)
    done
    for pid in "${looking[@]}"; do
        wait "$pid" || code=$?
    done
    return "$code"
}

main "$@"
