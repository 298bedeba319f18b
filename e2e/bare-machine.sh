#!/usr/bin/env bash
# Proves the installing part of the demo: a bare Debian root with Rust and nothing else runs it.
#
# The root is made by debootstrap from this machine's own apt sources. Lent to it are the Rust toolchain, and the
# folders in which Maven and cargo keep downloads, so that nothing is fetched twice. Needs root.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=install.sh
. "$E2E_DIR/install.sh"

usage() {
    cat <<'TEXT'
usage: e2e/bare-machine.sh [ARGUMENT OF demo.sh]...

Runs `e2e/demo.sh --once ARGUMENT...` in a bare root of this machine's Debian release. Needs root.
TEXT
}

clean_up() {
    local code=$? index
    trap - EXIT
    for ((index = ${#MOUNTED[@]} - 1; index >= 0; index--)); do
        # Deleting below a mount that is still there would delete this machine's own files.
        umount "${MOUNTED[index]}" || die 2 "cannot unmount ${MOUNTED[index]}; $ROOT is left there"
    done
    rm -rf --one-file-system "$ROOT"
    exit "$code"
}

# lend FROM TO: FROM of this machine is seen as TO below the root.
lend() {
    mkdir -p "$ROOT$2"
    mount --bind "$1" "$ROOT$2"
    MOUNTED+=("$ROOT$2")
}

make_root() {
    local suite mirror
    suite="$(. /etc/os-release && printf '%s' "$VERSION_CODENAME")"
    # shellcheck disable=SC2016  # apt fills in $(REPO_URI), not the shell
    mirror="$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' "Codename: $suite" | head -n 1)"
    [[ -n "$mirror" ]] || die 2 "apt on this machine has no source for $suite; run apt-get update"
    if ! command -v debootstrap >/dev/null; then
        say "installing with apt: debootstrap"
        apt-get install -y -qq debootstrap >/dev/null || die 1 "apt-get could not install debootstrap"
    fi
    say "making a bare $suite root in $ROOT ..."
    try_thrice debootstrap --variant=minbase "$suite" "$ROOT" "$mirror" >"$ROOT.log" 2>&1 \
        || { tail -n 20 "$ROOT.log" >&2 && die 1 "debootstrap did not work; the whole log is $ROOT.log"; }
    rm -f "$ROOT.log"
}

# What belongs to the place rather than to the machine: where packages come from, names, and whom this network trusts.
copy_surroundings() {
    rm -f "$ROOT/etc/apt/sources.list"
    cp -rL /etc/apt/sources.list.d /etc/apt/apt.conf.d "$ROOT/etc/apt/"
    [[ ! -e /etc/apt/sources.list ]] || cp /etc/apt/sources.list "$ROOT/etc/apt/"
    cp -L /etc/resolv.conf /etc/hosts "$ROOT/etc/"
    mkdir -p "$ROOT/usr/local/share/ca-certificates"
    cp -rL /usr/local/share/ca-certificates/. "$ROOT/usr/local/share/ca-certificates/"
}

lend_rust() {
    local toolchain
    find_rust
    command -v rustup >/dev/null || die 2 "rustup is not on this machine; the bare root is lent its toolchain"
    toolchain="$(cd "$REPO_DIR" && rustc --print sysroot)"
    mkdir -p "$ROOT/root/.cargo/bin" "$HOME/.cargo/registry" "$HOME/.m2"
    cp -a "$HOME/.cargo/bin/." "$ROOT/root/.cargo/bin/"
    mkdir -p "$ROOT/root/.rustup/toolchains"
    cp "$HOME/.rustup/settings.toml" "$ROOT/root/.rustup/"
    lend "$toolchain" "/root/.rustup/toolchains/$RUST_RELEASE-$(uname -m)-unknown-linux-gnu"
    lend "$HOME/.cargo/registry" /root/.cargo/registry
    lend "$HOME/.m2" /root/.m2
}

in_root() {
    env -i HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin TERM="${TERM:-dumb}" \
        chroot "$ROOT" "$@"
}

main() {
    local tool
    [[ "${1-}" != --help ]] || { usage && return 0; }
    [[ "$(id -u)" == 0 ]] || die 2 "only root may make another root; run as root"
    ROOT="$(mktemp -d "${TMPDIR:-/tmp}/kraftlet-bare.XXXXXX")"
    MOUNTED=()
    trap clean_up EXIT
    trap 'exit 130' INT TERM
    chmod 0755 "$ROOT"
    make_root
    copy_surroundings
    lend /proc /proc
    lend /dev /dev
    lend_rust
    mkdir -p "$ROOT/root/kraftlet"
    git -C "$REPO_DIR" archive HEAD | tar -x -C "$ROOT/root/kraftlet"
    for tool in java javac mvn cc; do
        if in_root sh -c "command -v $tool" >/dev/null; then
            die 1 "the bare root has $tool already, so it proves nothing"
        fi
        say "the bare root has no $tool"
    done
    in_root bash -c 'cd /root/kraftlet && exec ./e2e/demo.sh --once "$@"' demo "$@"
    say "a bare root ran the demo; all of it took $SECONDS s"
}

main "$@"
