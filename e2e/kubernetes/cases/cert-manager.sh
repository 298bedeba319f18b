# shellcheck shell=bash
# A CertificateRequest of cert-manager for each pod, with a small issuer in cert-manager's place: signed, denied, and left
# alone.

# shellcheck source=../cert-manager/issuer.sh
. "$KUBERNETES_DIR/cert-manager/issuer.sh"

PODS=(events-0 events-1 events-2)

run_case() {
    local before
    make_ca ca
    make_leaf ca client load
    K apply -f "$KUBERNETES_DIR/cert-manager/crd.yaml"
    K wait --for=condition=Established crd/certificaterequests.cert-manager.io --timeout=30s
    start_issuer
    # Events of its own a pod writes where its owner says so.
    KN create role events-of-pods --verb=create --resource=events.events.k8s.io
    KN create rolebinding events-of-pods --role=events-of-pods --serviceaccount="$NAMESPACE:events"
    example cert-manager 's/^    clusterId:/    superUsers: ["User:CN=load"]\n    agent: {events: true}\n&/' \
        's/lifetime: .*/lifetime: 8m\n        renewAtPercent: 25/' | KN apply -f -
    expect "a plain StatefulSet with cert-manager's certificates becomes ready" until_true 300 await_ready "${PODS[@]}"
    expect "its quorum is healthy" until_true 60 is_healthy "${PODS[@]}"
    expect "its pods may ask cert-manager and write Events, and nothing else" may_only_ask
    start_load ca
    before="$(until_true 60 leaves)"
    expect "every pod renews by itself, on every channel" until_true 240 all_are_others "$before"
    expect "that is an Event of a pod" until_true 30 event_of events-0 Renewed
    before="$(until_true 60 leaves)"
    expect "every pod is given another leaf" person renew --all
    expect "every channel of every pod shows it" until_true 60 all_are_others "$before"

    before="$(until_true 60 leaves)"
    echo deny >"$FOLDER/issuer"
    expect "a request that is denied is no renewal" not person renew --pod events-0 --wait
    expect "the status says so" until_true 60 has_outcome events-0 CertificateRequestDenied
    expect "that is an Event of the pod" until_true 30 event_of events-0 CertificateRequestDenied
    echo nothing >"$FOLDER/issuer"
    expect "nor is one that nobody answers" not person renew --pod events-1 --wait
    expect "the status says so" until_true 60 has_outcome events-1 CertificateRequestPending
    expect "they serve what they had" test "$(leaves)" == "$before"
    echo sign >"$FOLDER/issuer"
    expect "with the issuer back, every pod renews" person renew --all
    expect "every channel of every pod shows it" until_true 60 all_are_others "$before"
    expect "Kafka was never restarted" kafka_never_restarted
    expect "nor were the sidecars" sidecars_never_restarted
    expect "no request failed, no record was lost" stop_load
    end_issuer
}

may_only_ask() {
    local rights
    rights="$(rights_of events)"
    say "$rights"
    [[ "$(sort <<<"$rights" | tr -s ' ')" == "certificaterequests.cert-manager.io [] [] [create get]"$'\n'"events.events.k8s.io [] [] [create]" ]]
}
