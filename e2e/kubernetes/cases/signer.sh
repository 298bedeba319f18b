# shellcheck shell=bash
# Three controllers and three brokers with certificates from kraftlet's signer: the key is made in the pod, the names follow
# from the settings, nobody gets another's.

PODS=(events-broker-{0,1,2} events-controller-{0,1,2})
# shellcheck disable=SC2034  # read by kafka.sh
BROKERS=events-broker

signer_address() {
    K -n kraftlet-system get service kraftlet-signer -o jsonpath='{.spec.clusterIP}'
}

# ask_signer TOKEN CSR: what it answers, the status on the last line. One of the two replicas leads.
ask_signer() {
    local answer
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        answer="$(in_cluster curl -sS --max-time 10 --cacert "$FOLDER/serving.crt" -w '\n%{http_code}\n' \
            --connect-to "kraftlet-signer.kraftlet-system.svc:9643:$(signer_address):9643" \
            -H "Authorization: Bearer $1" --data-binary "@$2" "https://kraftlet-signer.kraftlet-system.svc:9643/v1/sign")"
        [[ "$answer" == *NotLeading* ]] || break
    done
    say "the signer: $(tr '\n' ' ' <<<"$answer" | cut -c1-300)"
    printf '%s\n' "$answer"
}

# refuses WORD TOKEN CSR
refuses() {
    local answer
    answer="$(ask_signer "$2" "$3")"
    [[ "$answer" == *"\"$1\""* && "${answer##*$'\n'}" != 200 ]]
}

signs() {
    [[ "$(ask_signer "$1" "$2" | tail -n 1)" == 200 ]]
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

# Events about a pod with this reason.
event_of() {
    [[ "$(KN get events.events.k8s.io -o jsonpath="{range .items[?(@.regarding.name==\"$1\")]}{.reason}{\"\\n\"}{end}")" == *"$2"* ]]
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
    expect "their pods may do nothing at the API server" not rights_of default
    KN get configmap kraftlet-trust -o jsonpath='{.data.events\.crt}' >"$FOLDER/trust.crt"
    start_load trust
    before="$(leaves)"

    # Who asks for what is not his.
    K -n kraftlet-system get configmap kraftlet-serving-ca -o jsonpath='{.data.ca\.crt}' >"$FOLDER/serving.crt"
    csr bare /
    csr named "/CN=events-broker-1"
    csr authority / "basicConstraints=critical,CA:TRUE"
    csr other / "subjectAltName=DNS:events-broker-1.events.$NAMESPACE.svc.cluster.local"
    token="$(token_of events-broker-0 kraftlet-signer)"
    expect "a pod's own token and a bare key get a certificate" signs "$token" "$FOLDER/bare.csr"
    expect "a subject is refused" refuses RequestAsksForMore "$token" "$FOLDER/named.csr"
    expect "CA:TRUE is refused" refuses RequestAsksForMore "$token" "$FOLDER/authority.csr"
    expect "the name of another pod is refused" refuses RequestAsksForMore "$token" "$FOLDER/other.csr"
    expect "the refusals are events of the pod" until_true 30 event_of events-broker-0 RequestAsksForMore
    expect "a token for somebody else is refused" refuses TokenRefused "$(token_of events-broker-0 other)" "$FOLDER/bare.csr"
    expect "a pod of no StatefulSet is refused" refuses PodWithoutStatefulSet "$(token_of load kraftlet-signer)" "$FOLDER/bare.csr"
    expect "a forged request for a pod certificate is denied" forged_is_denied

    expect "every pod renews by itself, on every channel" until_true 240 all_are_others "$before"
    before="$(leaves)"
    expect "a person renews them all" person renew --all
    expect "each pod has another leaf" all_are_others "$before"
    K -n kraftlet-system scale deployment kraftlet-signer --replicas 0
    expect "the signer is away" until_true 60 no_signer
    expect "a renewal that is due says so, and is tried again" until_true 180 has_outcome events-broker-0 SignerUnreachable
    expect "its pod serves on" KN wait --for=condition=Ready pod/events-broker-0 --timeout=1s
    K -n kraftlet-system scale deployment kraftlet-signer --replicas 2
    before="$(leaves)"
    expect "with the signer back, every pod renews" until_true 240 all_are_others "$before"
    expect "Kafka was never restarted" test "$(kafka_restarts)" == 0
    expect "no request failed, no record was lost" stop_load

    token="$(token_of events-broker-2 kraftlet-signer)"
    KN delete pod events-broker-2 --force --grace-period=0
    expect "the token of a pod that is gone is refused" until_true 20 refuses TokenRefused "$token" "$FOLDER/bare.csr"
}

# Somebody with the right to make such requests makes one in the name of a pod, with a key of his own.
forged_is_denied() {
    csr forged /
    KN apply -f - <<TEXT
apiVersion: certificates.k8s.io/v1
kind: PodCertificateRequest
metadata: {name: forged}
spec:
  signerName: kraftlet.dev/kafka-node
  podName: events-broker-0
  podUID: 00000000-0000-0000-0000-000000000000
  serviceAccountName: default
  serviceAccountUID: $(KN get serviceaccount default -o jsonpath='{.metadata.uid}')
  nodeName: node1
  nodeUID: $(K get node node1 -o jsonpath='{.metadata.uid}')
  maxExpirationSeconds: 3600
  stubPKCS10Request: $(openssl req -in "$FOLDER/forged.csr" -outform der | base64 -w0)
TEXT
    until_true 30 is_denied forged
}

is_denied() {
    [[ "$(KN get podcertificaterequest "$1" -o jsonpath='{.status.conditions[?(@.type=="Denied")].status}')" == True ]]
}
