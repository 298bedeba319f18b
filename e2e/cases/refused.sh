# shellcheck shell=bash
# Certificates with which Kafka would exit, never become ready, or start and fail at every handshake: init ends with 2,
# so that the pod never gets to Kafka, and there is nothing from which Kafka could be started.

run_case() {
    local pki="$FOLDER/pki" own
    begin_cluster 4.4.0 1
    mounted
    write_openssl_config "$pki"
    make_root "$pki" root
    make_root "$pki" stranger
    make_intermediate "$pki" root intermediate
    own="IP:$(address_of 0)"

    make_leaf "$pki" intermediate expired demo-node "$own" -startdate 20200101000000Z -enddate 20200131000000Z
    refused expired intermediate root CertificateExpired
    make_leaf "$pki" intermediate early demo-node "$own" -startdate 20990101000000Z -enddate 20990131000000Z
    refused early intermediate root CertificateNotYetValid
    make_leaf "$pki" intermediate nameless demo-node "IP:$(address_of 7)" -days 20
    refused nameless intermediate root HostNotCovered
    make_leaf "$pki" intermediate nobody demo-nobody "$own" -days 20
    refused nobody intermediate root PrincipalNotSuperUser
    make_leaf "$pki" intermediate good demo-node "$own" -days 20
    taken good intermediate root
    refused good intermediate stranger ChainIncomplete
    openssl genrsa -traditional -out "$pki/good.key" 2048 2>/dev/null
    refused good intermediate root KeyMismatch
}

# Made in the same way, a good one is taken: it is for their faults that the others are refused.
taken() {
    mount_certificate "$FOLDER/pki" "$1" "$FOLDER/mounted/demo-0" "$2" "$3"
    expect_init 0 demo-0 "$FOLDER/cluster.yaml"
    expect "server.properties is written" test -s "$FOLDER/pods/demo-0/run/server.properties"
}

# refused LEAF INTERMEDIATE CA REASON
refused() {
    local code=0
    say "$4:"
    rm -rf "$FOLDER/mounted" "$FOLDER/pods"
    mount_certificate "$FOLDER/pki" "$1" "$FOLDER/mounted/demo-0" "$2" "$3"
    # What a pod does: Kafka's container starts only after an init container that ended with 0.
    { init_pod demo-0 "$FOLDER/cluster.yaml" && start_node demo-0; } || code=$?
    sed 's/^/    /' "$FOLDER/demo-0.init.log" >&2
    expect "it ends with 2" test "$code" = 2
    expect "it says why, once" test "$(grep -c -F -e "[$4]" "$FOLDER/demo-0.init.log")" = 1
    expect "it says nothing else" test "$(grep -c . "$FOLDER/demo-0.init.log")" = 1
    expect "Kafka was not started" test "${#PID_OF[@]}" = 0
    expect "nothing was written" test ! -e "$FOLDER/pods"
}
