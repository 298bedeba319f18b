# shellcheck shell=bash
# Pod certificates (KEP-4317): the kubelet makes the key and asks, our signer signs, our sidecar takes what comes. No such
# certificate lives for less than an hour, and none is renewed within its first ten minutes; but a kubelet that begins asks
# for all of its pods.

PODS=(events-0 events-1 events-2)

run_case() {
    local before
    example pod-certificates "$(settings_with 1h 17)" | KN apply -f -
    expect "a plain StatefulSet with pod certificates becomes ready" until_true 300 await_ready "${PODS[@]}"
    expect "its quorum is healthy" until_true 60 is_healthy "${PODS[@]}"
    expect "its pods may do nothing at the API server" may_nothing default
    KN get configmap kraftlet-trust -o jsonpath='{.data.events\.crt}' >"$FOLDER/trust.crt"
    start_load trust
    before="$(until_true 60 leaves)"
    [[ -n "$PATIENT" ]] || "$KUBERNETES_DIR/up.sh" kubelet
    expect "the kubelet has asked again for every pod" until_true 1080 kubelet_renewed 6
    # By itself each node takes it in its turn, within ten minutes.
    expect "every pod takes what the kubelet has brought" until_true 180 takes_new "$before"
    expect "the quorum is healthy" until_true 60 is_healthy "${PODS[@]}"
    expect "Kafka was never restarted" kafka_never_restarted
    expect "nor were the sidecars" sidecars_never_restarted
    expect "no request failed, no record was lost" stop_load
}

# kubelet_renewed COUNT: so many certificates have been issued.
kubelet_renewed() {
    [[ "$(KN get podcertificaterequests -o jsonpath='{.items[*].status.notAfter}' | wc -w)" -ge "$1" ]]
}

# The kubelet writes the files a little later.
takes_new() {
    person renew --all || true
    all_are_others "$1"
}
