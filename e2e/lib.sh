# shellcheck shell=bash
# What the scripts of this folder share: messages, downloads, and the way to start Java.
#
# Source it; it changes nothing by itself. The scripts set `set -euo pipefail`.

E2E_DIR="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
# shellcheck disable=SC2034  # read by the scripts that source this file
REPO_DIR="$(dirname "$E2E_DIR")"
CACHE_DIR="$E2E_DIR/cache"

# The releases that the golden files are made with, and that the demo offers.
# shellcheck disable=SC2034
KAFKA_VERSIONS=(3.7.2 3.9.2 4.1.2 4.3.1 4.4.0)

# What cases.sh runs: each is a file of the same name in e2e/cases, with a function `run_case`.
# shellcheck disable=SC2034
CASES=(empty-disk empty-disk-dynamic sasl-scram pkcs12-and-secrets mounted-pki refused reload renewal-faults attach expired-leaf doctor)

# One line of progress. It goes to standard error, so that standard output stays the result.
say() {
    printf '%s\n' "$*" >&2
}

# Ends the script: the first argument is the exit code (64 usage, 1 may pass if tried again, 2 a person must act).
die() {
    local code="$1"
    shift
    say "error: $*"
    exit "$code"
}

# Prints the value of a flag if it is one of those allowed.
one_of() {
    local flag="$1" value="$2" allowed
    shift 2
    for allowed in "$@"; do
        if [[ "$value" == "$allowed" ]]; then
            printf '%s' "$value"
            return
        fi
    done
    die 64 "$flag is \"$value\"; want one of: $*"
}

# Says what is expected, and ends the script where the command does not agree.
expect() {
    local sentence="$1"
    shift
    "$@" || die 1 "not so: $sentence"
    say "so it is: $sentence"
}

# The opposite of a command; `!` is no command that `expect` could run.
not() {
    ! "$@"
}

# until_true SECONDS COMMAND...: runs a command again and again until it succeeds; fails when the time is up.
until_true() {
    local deadline=$((SECONDS + $1))
    shift
    until "$@"; do
        ((SECONDS < deadline)) || return 1
        sleep 0.2
    done
}

# Runs a command that needs the network, three times at most: a registry that does not answer once often does the
# second time, and one that is down does not come back in a few seconds.
try_thrice() {
    local attempt
    for attempt in 1 2 3; do
        if "$@"; then
            return 0
        fi
        say "attempt $attempt of 3 did not work: $1 ${2-}"
    done
    return 1
}

# The folder of a release's jars.
kafka_libs() {
    printf '%s/kafka-%s/libs' "$CACHE_DIR" "$1"
}

# Makes sure that the jars of a Kafka release are in the cache. A folder is complete once its mark `.complete` is
# there, so that a download that was interrupted is done again; then no network is needed.
fetch_kafka() {
    local version="$1" target output
    target="$CACHE_DIR/kafka-$version"
    if [[ -e "$target/.complete" ]]; then
        return 0
    fi
    say "fetching Kafka $version from Maven ..."
    mkdir -p "$target"
    output="$target/maven.log"
    if ! try_thrice copy_jars "$version" "$target" >"$output" 2>&1; then
        tail -n 15 "$output" >&2
        die 1 "Maven could not fetch Kafka $version; the whole log is $output"
    fi
    touch "$target/.complete"
    say "fetched Kafka $version: $(find "$target/libs" -name '*.jar' | wc -l) jars"
}

copy_jars() {
    mvn --batch-mode --no-transfer-progress -f "$E2E_DIR/java/pom.xml" "-Pkafka-${1%%.*}" "-Dkafka.version=$1" \
        "-DoutputDirectory=$2/libs" -DincludeScope=runtime dependency:copy-dependencies
}

# The JVM's logging flag for a release, which changed from log4j 1 to 2 with Kafka 4.0.
kafka_logging() {
    case "$1" in
        3.*) printf -- '-Dlog4j.configuration=file:%s/java/log4j.properties' "$E2E_DIR" ;;
        *) printf -- '-Dlog4j2.configurationFile=file:%s/java/log4j2.properties' "$E2E_DIR" ;;
    esac
}

# Compiles one of the classes of e2e/java/src against a release, once per change of its source. A JDK is needed, not
# only a JRE. A class may use one that was compiled before it. Prints the class path that runs it.
java_class_path() {
    local version="$1" class="$2" libs classes
    libs="$(kafka_libs "$version")"
    classes="$CACHE_DIR/kafka-$version/classes"
    mkdir -p "$classes"
    if [[ "$E2E_DIR/java/src/$class.java" -nt "$classes/$class.class" ]]; then
        javac -encoding UTF-8 -nowarn -Xlint:none -cp "$classes:$libs/*" -d "$classes" "$E2E_DIR/java/src/$class.java" >&2 \
            || die 2 "cannot compile e2e/java/src/$class.java against Kafka $version"
    fi
    printf '%s:%s/*' "$classes" "$libs"
}

# Builds the jar of images/ssl-engine, once per change of its source, unless KRAFTLET_ENGINE_JAR names one. Prints its
# path.
engine_jar() {
    local source="$REPO_DIR/images/ssl-engine" target="$CACHE_DIR/ssl-engine" jar="${KRAFTLET_ENGINE_JAR:-}"
    if [[ -z "$jar" ]]; then
        jar="$target/ssl-engine.jar"
        if [[ ! -e "$jar" || -n "$(find "$source/pom.xml" "$source/src/main" -newer "$jar")" ]]; then
            say "building the engine ..."
            mkdir -p "$target"
            try_thrice run_maven -f "$source/pom.xml" -Dmaven.test.skip=true clean package >"$target.log" 2>&1 || {
                tail -n 15 "$target.log" >&2
                die 2 "the engine does not build; the whole log is $target.log"
            }
        fi
    fi
    printf '%s' "$jar"
}

run_maven() {
    mvn --quiet --batch-mode --no-transfer-progress "-Dbuild.folder=$CACHE_DIR/ssl-engine" "$@"
}

# Fetches these Kafka releases and builds kraftlet and its engine meanwhile, unless KRAFTLET names a binary and
# KRAFTLET_ENGINE_JAR a jar. Sets both.
fetch_and_build() {
    local fetching
    fetch_all "$@" &
    fetching=$!
    if [[ -z "${KRAFTLET:-}" ]]; then
        say "building kraftlet ..."
        try_thrice cargo fetch --quiet --locked --manifest-path "$REPO_DIR/Cargo.toml" || die 1 "cargo could not fetch crates"
        cargo build --quiet --locked --manifest-path "$REPO_DIR/Cargo.toml" || die 2 "kraftlet does not build"
        KRAFTLET="${CARGO_TARGET_DIR:-$REPO_DIR/target}/debug/kraftlet"
    fi
    wait "$fetching" || exit 1
    KRAFTLET_ENGINE_JAR="$(engine_jar)" || exit
    export KRAFTLET_ENGINE_JAR
}

fetch_all() {
    local version
    for version in "$@"; do
        fetch_kafka "$version"
    done
}

# Builds the binary that is shipped: static, so that it runs in an image of its own. Sets RELEASE_BINARY.
#
# Its relocations are packed (RELR), which glibc 2.36 and newer can read. It has no unwinding tables: a panic ends the
# process, and nobody walks its stack. On x86-64, where Rust links with lld, equal functions are kept once. Together that
# is a fifth of the file, and of the pages that `init` touches.
build_release() {
    release_build --bin kraftlet || return
    # shellcheck disable=SC2034  # read by the scripts that source this file
    RELEASE_BINARY="$RELEASE_FOLDER/kraftlet"
}

# The fleet's benchmark, of the same code.
build_fleet() {
    release_build -p kraftlet-e2e --bin fleet
}

# release_build ARGUMENT...: builds what cargo is told to, as the release is built, from the checkout's folder: there cargo
# finds the toolchain and .cargo/config.toml. Sets RELEASE_FOLDER.
release_build() {
    local target=x86_64-unknown-linux-gnu flags="-C target-feature=+crt-static" glibc folder
    [[ "$(uname -m)" == x86_64 ]] || target=aarch64-unknown-linux-gnu
    glibc="$(getconf GNU_LIBC_VERSION)"
    if [[ "$(printf '%s\n' "glibc 2.36" "$glibc" | sort -V | head -n 1)" == "glibc 2.36" ]]; then
        flags+=" -C link-arg=-Wl,-z,pack-relative-relocs"
    fi
    flags+=" -C link-arg=-Wl,--no-eh-frame-hdr -C link-arg=-Wl,-T,$REPO_DIR/images/no-unwinding.ld"
    [[ "$target" != x86_64-* ]] || flags+=" -C link-arg=-Wl,--icf=all"
    folder="$(target_folder)"
    flags+="$(without_paths)"
    RELEASE_FOLDER="$folder/$target/release"
    (cd "$REPO_DIR" && RUSTFLAGS="$flags" cargo build --quiet --locked --release --target "$target" --target-dir "$folder" "$@")
}

# Flags that keep this machine's folders out of the messages of panics, so that equal sources give equal bytes: crates,
# what their build scripts wrote to the target folder, and the standard library where its source is installed. The last
# that fits a path counts. AWS-LC does the same for its C.
without_paths() {
    local commit
    commit="$(cd "$REPO_DIR" && rustc --version --verbose | sed -n 's/^commit-hash: //p')"
    printf ' --remap-path-prefix=%s' "$(realpath "$REPO_DIR")=kraftlet" "$(cargo_home)=cargo" \
        "$(rust_sysroot)/lib/rustlib/src/rust=/rustc/$commit" "$(target_folder)=target"
}

target_folder() {
    realpath -m "${CARGO_TARGET_DIR:-$REPO_DIR/target}"
}

cargo_home() {
    printf '%s' "${CARGO_HOME:-$HOME/.cargo}"
}

rust_sysroot() {
    (cd "$REPO_DIR" && rustc --print sysroot)
}

# This machine's processor by the name that images have for it.
image_architecture() {
    case "$(uname -m)" in
        x86_64) printf amd64 ;;
        aarch64) printf arm64 ;;
        *) die 2 "no image is made for $(uname -m)" ;;
    esac
}
