#!/usr/bin/env bash
# Makes kraftlet's image without a daemon, twice, and sees that both are the same.
set -euo pipefail
# shellcheck source=../e2e/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../e2e/lib.sh"

MOST_BYTES=$((10 * 1000 * 1000))

usage() {
    cat <<'TEXT'
usage: images/build.sh OUT.tar [NAME:TAG]

Writes the image of the release binary (KRAFTLET, or built here) and the engine's jar (KRAFTLET_ENGINE_JAR, or built
here) as an archive for `ctr images import` or `docker load`, and beside it OUT.tar.sbom.json, what is in it (CycloneDX).
The name is by default the one that manifests/install has, docker.io/library/kraftlet with the version.
TEXT
}

# What is linked, as CycloneDX 1.5: names, versions, licences. Macros are not, the libraries of C and Rust are.
bill_of_materials() {
    cd "$REPO_DIR"
    cargo tree --locked -p kraftlet --edges normal,no-proc-macro --target "$(uname -m)-unknown-linux-gnu" \
        --prefix none --format '{p}|{l}' |
        python3 images/sbom.py "$(getconf GNU_LIBC_VERSION)|LGPL-2.1-or-later" \
            "libgcc $(gcc -dumpfullversion)|GPL-3.0-or-later WITH GCC-exception-3.1" \
            "rust-std $(rustc --version | cut -d ' ' -f 2)|MIT OR Apache-2.0"
}

check_bill_of_materials() {
    local name
    for name in aws-lc-sys glibc libgcc rust-std rustls ssl-engine tokio; do
        grep -q "\"name\": \"$name\"" "$1" || die 2 "$1 does not list $name"
    done
    for name in proc-macro2 serde_derive syn; do
        ! grep -q "\"name\": \"$name\"" "$1" || die 2 "$1 lists $name, of which nothing is linked"
    done
}

main() {
    local out="${1-}" name version first second
    case "$out" in
        --help) usage && return 0 ;;
        "" | -*) usage >&2 && exit 64 ;;
    esac
    version="$(sed -n 's/^version = "\(.*\)"/\1/p' "$REPO_DIR/Cargo.toml" | head -n 1)"
    name="${2-docker.io/library/kraftlet:$version}"
    if [[ -z "${KRAFTLET-}" ]]; then
        build_release
        KRAFTLET="$RELEASE_BINARY"
    fi
    refuse_paths
    CONTEXT="$(mktemp -d)"
    trap 'rm -rf "$CONTEXT"' EXIT
    cp "$KRAFTLET" "$CONTEXT/kraftlet"
    cp "$(engine_jar)" "$CONTEXT/ssl-engine.jar"
    mkdir -p "$(dirname "$out")"
    first="$(archive "$out.again" "$name" "$version")"
    second="$(archive "$out" "$name" "$version")"
    rm "$out.again"
    [[ "$first" == "$second" ]] || die 2 "the image is not the same twice: $first, $second"
    ((${first% *} <= MOST_BYTES)) || die 2 "the image has ${first% *} bytes; want at most $MOST_BYTES"
    (bill_of_materials) >"$out.sbom.json"
    check_bill_of_materials "$out.sbom.json"
    say "$name: ${first% *} bytes, ${first#* }"
}

# A binary that knows where it was made is another one on every machine. `.cargo` is where a KRAFTLET of elsewhere has it.
refuse_paths() {
    local path
    for path in "$(realpath "$REPO_DIR")/src/" "$(target_folder)/" "$(cargo_home)/registry/" \
        "$(rust_sysroot)/lib/rustlib/" /.cargo/registry/; do
        ! grep -q -a -F -e "$path" "$KRAFTLET" || die 2 "$KRAFTLET has the path $path in it"
    done
}

archive() {
    python3 "$REPO_DIR/images/archive.py" "$1" "$2" --architecture "$(image_architecture)" \
        --dockerfile "$REPO_DIR/images/Dockerfile" --build-arg "VERSION=$3" --context "$CONTEXT"
}

main "$@"
