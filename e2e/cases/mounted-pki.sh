# shellcheck shell=bash
# Certificates of somebody else's PKI, mounted as cert-manager does it: RSA keys in PKCS#1, an intermediate CA, and
# several CAs in ca.crt. Kafka itself reads none of these keys.

run_case() {
    local pki="$FOLDER/pki" node served
    begin_cluster 4.4.0 3
    write_openssl_config "$pki"
    make_root "$pki" root
    make_root "$pki" older-root
    make_intermediate "$pki" root intermediate
    for node in 0 1 2; do
        make_leaf "$pki" intermediate "node-$node" demo-node "IP:$(address_of "$node")" -days 20
        expect "the key is PKCS#1" grep -q 'BEGIN RSA PRIVATE KEY' "$pki/node-$node.key"
        mount_certificate "$pki" "node-$node" "$FOLDER/mounted/demo-$node" intermediate older-root root
    done
    mounted
    bring_up
    await "producing and consuming" round-trip mounted 100
    for node in 0 1 2; do
        await "shaking hands with node $node" leaf "$(address_of "$node"):9091" "$(address_of "$node"):9092" "$(address_of "$node"):9093"
        served="$(cut -f3 "$OUTPUT" | sort -u)"
        expect "node $node serves the mounted leaf on every listener" test "$served" = "$(fingerprint <"$pki/node-$node.crt")"
    done
    expect "the truststore holds both CAs" test "$(grep -c 'BEGIN CERTIFICATE' "$FOLDER/pods/demo-0/run/tls/node/truststore.pem")" = 2
}
