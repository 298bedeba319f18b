# shellcheck shell=bash
# Three controllers and three brokers with certificates from kraftlet's signer: the key is made in the pod, the names follow
# from the settings, nobody gets another's.

PODS=(events-broker-{0,1,2} events-controller-{0,1,2})
# shellcheck disable=SC2034  # read by kafka.sh
BROKERS=events-broker

signer_address() {
    K -n kraftlet-system get service kraftlet-signer -o jsonpath='{.spec.clusterIP}'
}

# ask_signer POD TOKEN CSR: what it answers whoever is at the pod's address, the status on the last line. One of the two
# replicas leads.
ask_signer() {
    local answer
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        answer="$(in_pod "$1" curl -sS --max-time 10 --cacert "$FOLDER/serving.crt" -w '\n%{http_code}\n' \
            --connect-to "kraftlet-signer.kraftlet-system.svc:9643:$(signer_address):9643" \
            -H "Authorization: Bearer $2" --data-binary "@$3" "https://kraftlet-signer.kraftlet-system.svc:9643/v1/sign")"
        [[ "$answer" == *NotLeading* ]] || break
    done
    say "the signer: $(tr '\n' ' ' <<<"$answer" | cut -c1-300)"
    printf '%s\n' "$answer"
}

# refuses WORD POD TOKEN CSR
refuses() {
    local answer
    answer="$(ask_signer "$2" "$3" "$4")"
    [[ "$answer" == *"\"$1\""* && "${answer##*$'\n'}" != 200 ]]
}

# signs POD TOKEN CSR
signs() {
    [[ "$(ask_signer "$1" "$2" "$3" | tail -n 1)" == 200 ]]
}

# token_of POD AUDIENCE
token_of() {
    KN create token default --audience "$2" --bound-object-kind Pod --bound-object-name "$1" \
        --bound-object-uid "$(KN get pod "$1" -o jsonpath='{.metadata.uid}')"
}

# csr NAME SUBJECT [EXTENSION]
csr() {
    openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout "$FOLDER/$1.key" \
        -subj "$2" ${3:+-addext "$3"} -out "$FOLDER/$1.csr" 2>/dev/null
}

no_signer() {
    [[ -z "$(K -n kraftlet-system get pods -l kraftlet.dev/component=signer -o name)" ]]
}

run_case() {
    local before token
    example dedicated "$(settings_with 4m 40)" | KN apply -f -
    expect "plain StatefulSets of controllers and brokers become ready" until_true 300 await_ready "${PODS[@]}"
    expect "their quorum is healthy" until_true 60 is_healthy "${PODS[@]}"
    expect "kubectl kraftlet status says so" person status
    expect "their pods may do nothing at the API server" may_nothing default
    KN get configmap kraftlet-trust -o jsonpath='{.data.events\.crt}' >"$FOLDER/trust.crt"
    start_load trust
    before="$(until_true 60 leaves)"

    # Who asks for what is not his.
    K -n kraftlet-system get configmap kraftlet-serving-ca -o jsonpath='{.data.ca\.crt}' >"$FOLDER/serving.crt"
    csr bare /
    csr named "/CN=events-broker-1"
    csr authority / "basicConstraints=critical,CA:TRUE"
    csr other / "subjectAltName=DNS:events-broker-1.events.$NAMESPACE.svc.cluster.local"
    token="$(token_of events-broker-0 kraftlet-signer)"
    expect "a pod's own token and a bare key get a certificate" signs events-broker-0 "$token" "$FOLDER/bare.csr"
    expect "a subject is refused" refuses RequestAsksForMore events-broker-0 "$token" "$FOLDER/named.csr"
    expect "CA:TRUE is refused" refuses RequestAsksForMore events-broker-0 "$token" "$FOLDER/authority.csr"
    expect "the name of another pod is refused" refuses RequestAsksForMore events-broker-0 "$token" "$FOLDER/other.csr"
    expect "the refusals are Events of the pod" until_true 30 event_of events-broker-0 RequestAsksForMore
    expect "a stolen token is refused elsewhere" refuses CallerAddressOther events-broker-1 "$token" "$FOLDER/bare.csr"
    expect "that is an Event of the pod it was stolen from" until_true 30 event_of events-broker-0 CallerAddressOther
    expect "a token for somebody else is refused" \
        refuses TokenRefused events-broker-0 "$(token_of events-broker-0 other)" "$FOLDER/bare.csr"
    expect "that is an Event of the signer's Lease" until_true 30 event_of_signer TokenRefused
    expect "a pod of no StatefulSet is refused" \
        refuses PodWithoutStatefulSet load "$(token_of load kraftlet-signer)" "$FOLDER/bare.csr"
    expect "that is an Event of the pod" until_true 30 event_of load PodWithoutStatefulSet
    expect "a forged request for a pod certificate is denied" forged_is_denied
    expect "that is an Event of the request" until_true 30 event_of forged PodUnknown
    expect "one that names another's account is left without" forged_account_is_left
    expect "that is an Event of the pod it names" until_true 30 event_of events-broker-0 PodDiffers

    expect "every pod renews by itself, on every channel" until_true 240 all_are_others "$before"
    before="$(until_true 60 leaves)"
    expect "a person renews them all" person renew --all
    expect "each pod has another leaf" all_are_others "$before"
    K -n kraftlet-system scale deployment kraftlet-signer --replicas 0
    expect "the signer is away" until_true 60 no_signer
    expect "a renewal that is due says so, and is tried again" until_true 180 has_outcome events-broker-0 SignerUnreachable
    expect "it says until when its leaf lasts" is_announced events-broker-0
    expect "its pod serves on" KN wait --for=condition=Ready pod/events-broker-0 --timeout=1s
    K -n kraftlet-system scale deployment kraftlet-signer --replicas 2
    before="$(until_true 60 leaves)"
    expect "with the signer back, every pod renews" until_true 240 all_are_others "$before"
    expect "Kafka was never restarted" kafka_never_restarted
    expect "nor were the sidecars" sidecars_never_restarted
    expect "no request failed, no record was lost" stop_load

    token="$(token_of events-broker-2 kraftlet-signer)"
    KN delete pod events-broker-2 --force --grace-period=0
    expect "the token of a pod that is gone is refused" until_true 20 refuses TokenRefused events-broker-0 "$token" "$FOLDER/bare.csr"
}

event_of_signer() {
    [[ "$(K -n kraftlet-system get events.events.k8s.io -o jsonpath='{.items[?(@.regarding.kind=="Lease")].reason}')" == *"$1"* ]]
}

# is_announced POD: that nobody signs matters when the installed leaf ends.
is_announced() {
    [[ "$(said "$1" "[c['mattersAt'] for c in s['conditions'] if c['reason'] == 'SignerUnreachable'] == [s['certificates'][0]['installed']['notAfter']]")" == True ]]
}

# forge NAME POD_UID ACCOUNT: somebody with the right to make such requests makes one in the name of events-broker-0, with a
# key of his own.
forge() {
    csr "$1" /
    KN apply -f - <<TEXT
apiVersion: certificates.k8s.io/v1
kind: PodCertificateRequest
metadata: {name: $1}
spec:
  signerName: kraftlet.dev/kafka-node
  podName: events-broker-0
  podUID: $2
  serviceAccountName: $3
  serviceAccountUID: $(KN get serviceaccount default -o jsonpath='{.metadata.uid}')
  nodeName: node1
  nodeUID: $(K get node node1 -o jsonpath='{.metadata.uid}')
  maxExpirationSeconds: 3600
  stubPKCS10Request: $(openssl req -in "$FOLDER/$1.csr" -outform der | base64 -w0)
TEXT
}

forged_is_denied() {
    forge forged 00000000-0000-0000-0000-000000000000 default && until_true 30 is_denied forged
}

# The pod runs, so nothing is denied: to its kubelet that would be the last word.
forged_account_is_left() {
    forge other-account "$(KN get pod events-broker-0 -o jsonpath='{.metadata.uid}')" kafka
    until_true 30 event_of events-broker-0 PodDiffers && ! is_denied other-account && ! is_issued other-account
}

is_issued() {
    [[ -n "$(KN get podcertificaterequest "$1" -o jsonpath='{.status.certificateChain}')" ]]
}

is_denied() {
    [[ "$(KN get podcertificaterequest "$1" -o jsonpath='{.status.conditions[?(@.type=="Denied")].status}')" == True ]]
}
