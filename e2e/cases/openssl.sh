# shellcheck shell=bash
# Certificates as other people's tools make them: by openssl, from a root and an intermediate CA. Source it.

# One CA of `openssl ca`, whose leaf can begin and end at any time; kraftlet's own CA makes none that has expired.
write_openssl_config() {
    local folder="$1"
    mkdir -p "$folder/issued"
    : >"$folder/index.txt"
    cat >"$folder/openssl.cnf" <<CONFIG
[ca]
default_ca = default
[default]
dir = $folder
database = $folder/index.txt
new_certs_dir = $folder/issued
rand_serial = yes
default_md = sha256
policy = any
unique_subject = no
[any]
commonName = supplied
[req]
distinguished_name = name
prompt = no
[name]
CN = kraftlet case
[root]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
[intermediate]
basicConstraints = critical,CA:TRUE,pathlen:0
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
CONFIG
}

# make_root FOLDER NAME: FOLDER/NAME.crt and FOLDER/NAME.key.
make_root() {
    openssl req -x509 -newkey rsa:2048 -nodes -config "$1/openssl.cnf" -extensions root -days 30 -subj "/CN=$2" \
        -keyout "$1/$2.key" -out "$1/$2.crt" 2>/dev/null
}

# make_intermediate FOLDER ROOT NAME: signed by FOLDER/ROOT.
make_intermediate() {
    openssl req -newkey rsa:2048 -nodes -config "$1/openssl.cnf" -subj "/CN=$3" -keyout "$1/$3.key" -out "$1/$3.csr" 2>/dev/null
    sign "$1" "$2" "$3" "$1/openssl.cnf" intermediate -days 30
}

# make_leaf FOLDER CA NAME COMMON_NAME ALTERNATIVE_NAMES WHEN...: an RSA 2048 key in PKCS#1 and its leaf. WHEN are
# arguments of `openssl ca`.
make_leaf() {
    local folder="$1" ca="$2" name="$3" common_name="$4" alternative_names="$5"
    shift 5
    openssl genrsa -traditional -out "$folder/$name.key" 2048 2>/dev/null
    openssl req -new -config "$folder/openssl.cnf" -key "$folder/$name.key" -subj "/CN=$common_name" -out "$folder/$name.csr"
    cat >"$folder/$name.cnf" <<CONFIG
[leaf]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature,keyEncipherment
extendedKeyUsage = serverAuth,clientAuth
subjectAltName = $alternative_names
authorityKeyIdentifier = keyid
CONFIG
    sign "$folder" "$ca" "$name" "$folder/$name.cnf" leaf "$@"
}

# sign FOLDER CA NAME EXTENSIONS_FILE SECTION WHEN...
sign() {
    local folder="$1" ca="$2" name="$3" extensions="$4" section="$5"
    shift 5
    openssl ca -batch -notext -config "$folder/openssl.cnf" -cert "$folder/$ca.crt" -keyfile "$folder/$ca.key" \
        -in "$folder/$name.csr" -out "$folder/$name.crt" -extfile "$extensions" -extensions "$section" "$@" 2>"$folder/$name.log" \
        || die 2 "openssl did not sign $name: $(tail -n 3 "$folder/$name.log")"
}

# mount_certificate FOLDER NAME TARGET INTERMEDIATE CA...: what cert-manager mounts in TARGET.
mount_certificate() {
    local folder="$1" name="$2" target="$3" chain="$4" ca
    shift 4
    mkdir -p "$target"
    cp "$folder/$name.key" "$target/tls.key"
    cat "$folder/$name.crt" "$folder/$chain.crt" >"$target/tls.crt"
    for ca in "$@"; do
        cat "$folder/$ca.crt"
    done >"$target/ca.crt"
}

# openssl_date WHEN: as `openssl ca` wants it.
openssl_date() {
    date -u -d "$1" +%Y%m%d%H%M%SZ
}

# The SHA-256 of the first certificate of standard input, as kraftlet writes it.
fingerprint() {
    openssl x509 -noout -fingerprint -sha256 2>/dev/null | sed 's/.*=//; s/://g' | tr '[:upper:]' '[:lower:]'
}
