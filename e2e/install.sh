# shellcheck shell=bash
# Installs what a fresh Debian or Ubuntu machine lacks: a JDK, Maven, a C compiler and Rust. Source it after lib.sh.

# The release in rust-toolchain.toml, which is the only one this is tested with.
RUST_RELEASE="$(sed -n 's/^channel = "\(.*\)"/\1/p' "$REPO_DIR/rust-toolchain.toml")"

# For the scripts that compile and start no Kafka.
install_compilers() {
    find_rust
    command -v cc >/dev/null || install_packages gcc libc6-dev
}

# Makes sure that everything is there. Says what it installs before it does, and stops with a sentence where it may not.
install_missing() {
    local missing=()
    # Rust is asked first: it cannot come from apt, so nothing should be installed before it is known to be there.
    find_rust
    has_jdk || missing+=(jdk)
    command -v mvn >/dev/null || missing+=(maven)
    command -v cc >/dev/null || missing+=(gcc libc6-dev)
    if ((${#missing[@]} > 0)); then
        install_packages "${missing[@]}"
    fi
    has_jdk || die 2 "there is no JDK 17 or newer on this machine; want java and javac in PATH"
}

# Kafka 4 needs Java 17, and a JDK rather than a JRE because the demo compiles its client against each release.
has_jdk() {
    local version
    command -v java >/dev/null && command -v javac >/dev/null || return 1
    version="$(javac -version 2>&1 | sed -n 's/^javac \([0-9]*\).*/\1/p')"
    ((${version:-0} >= 17))
}

install_packages() {
    local packages=() package log="$CACHE_DIR/apt.log"
    command -v apt-get >/dev/null \
        || die 2 "$* missing, and this is no Debian or Ubuntu (no apt-get); install a JDK 17, Maven and a C compiler"
    update_packages "$*"
    for package in "$@"; do
        [[ "$package" != jdk ]] || package="$(jdk_package)"
        packages+=("$package")
    done
    say "installing with apt: ${packages[*]}"
    try_thrice as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
        "${packages[@]}" >>"$log" 2>&1 || show_and_die "$log" "apt-get could not install ${packages[*]}"
}

# update_packages WHAT: brings apt's lists up to date, because WHAT is missing.
update_packages() {
    local log="$CACHE_DIR/apt.log"
    if [[ "$(id -u)" != 0 ]] && ! command -v sudo >/dev/null; then
        die 2 "$1 missing, and only root may install it (there is no sudo); run as root"
    fi
    say "updating apt's lists ..."
    mkdir -p "$CACHE_DIR"
    try_thrice as_root apt-get update >"$log" 2>&1 || show_and_die "$log" "apt-get update did not work"
}

as_root() {
    if [[ "$(id -u)" == 0 ]]; then
        "$@"
    else
        sudo "$@"
    fi
}

show_and_die() {
    tail -n 15 "$1" >&2
    die 1 "$2; the whole log is $1"
}

# 17 is what Kafka's own images run; newer distributions no longer have it.
jdk_package() {
    local package
    for package in openjdk-17-jdk-headless openjdk-21-jdk-headless; do
        if apt-cache show "$package" >/dev/null 2>&1; then
            printf '%s' "$package"
            return
        fi
    done
    printf 'default-jdk-headless'
}

# Finds the pinned Rust, or has rustup fetch it.
find_rust() {
    if [[ -d "$HOME/.cargo/bin" ]]; then
        PATH="$HOME/.cargo/bin:$PATH"
    fi
    if command -v rustup >/dev/null; then
        if [[ $'\n'"$(rustup toolchain list)" != *$'\n'"$RUST_RELEASE-"* ]]; then
            say "installing Rust $RUST_RELEASE with rustup ..."
            try_thrice rustup toolchain install "$RUST_RELEASE" --profile minimal --component rustfmt --component clippy \
                || die 1 "rustup could not install Rust $RUST_RELEASE"
        fi
        return
    fi
    if ! command -v cargo >/dev/null || [[ "$(cargo --version)" != "cargo $RUST_RELEASE "* ]]; then
        die 2 "Rust $RUST_RELEASE is missing and rustup is not at hand; install rustup, then run this again"
    fi
}
