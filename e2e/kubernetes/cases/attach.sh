# shellcheck shell=bash
# Beside a Kafka that somebody else configures, laid out as KubeDB does: JKS stores in a Secret, beside PEM. Only the sidecar
# comes into the pods. Listeners follow a renewed Secret by Admin API; what no release reloads is announced.

PODS=(events-0 events-1 events-2)
# shellcheck disable=SC2034  # read by kafka.sh
SERVICE=events-pods

run_case() {
    local hosts leaf pod
    mapfile -t hosts < <(hosts_of events)
    make_ca ca
    make_leaf ca client load
    make_leaf ca first events-node "${hosts[@]}"
    put_stores first
    expect "it is applied" KN apply -f <(kubedb_like)
    expect "a StatefulSet as KubeDB's becomes ready, by the agent's word" until_true 300 await_ready "${PODS[@]}"
    expect "only the sidecar was added" only_sidecar events-0
    leaf="$(fingerprint "$FOLDER/first.crt")"
    expect "every channel shows the leaf of the Secret" until_true 60 all_show "$leaf" "${PODS[@]}"
    expect "its pods may do nothing at the API server" may_nothing default
    start_load ca

    make_leaf ca second events-node "${hosts[@]}"
    put_stores second
    leaf="$(fingerprint "$FOLDER/second.crt")"
    for pod in "${PODS[@]}"; do
        expect "the listeners of $pod take the new leaf" until_true 120 listeners_take "$pod" "$leaf"
        expect "its raft client does not, and the status says by when Kafka must be restarted" until_true 30 raft_is_announced "$pod"
    done
    person status || true
    expect "Kafka was never restarted" kafka_never_restarted
    expect "nor were the sidecars" sidecars_never_restarted
    expect "no request failed, no record was lost" stop_load
}

kubedb_like() {
    K kustomize "$KUBERNETES_DIR/kubedb-like" | python3 "$KUBERNETES_DIR/small.py" |
        sed 's#image: kubedb/kafka:4.4.0#image: localhost/apache/kafka:4.4.0#'
}

# put_stores NAME: what KubeDB keeps in the Secret, of cert-manager's leaf.
put_stores() {
    local name="$1"
    openssl pkcs12 -export -name node -inkey "$FOLDER/$name.key" -in "$FOLDER/$name.crt" -passout pass:changeit \
        -out "$FOLDER/$name.p12"
    rm -f "$FOLDER/server.keystore.jks" "$FOLDER/server.truststore.jks"
    keytool -importkeystore -noprompt -srckeystore "$FOLDER/$name.p12" -srcstoretype PKCS12 -srcstorepass changeit \
        -destkeystore "$FOLDER/server.keystore.jks" -deststoretype JKS -deststorepass changeit 2>/dev/null
    keytool -importcert -noprompt -alias ca -file "$FOLDER/ca.crt" -storetype JKS -storepass changeit \
        -keystore "$FOLDER/server.truststore.jks" 2>/dev/null
    KN create secret generic events-server-cert --from-file=tls.crt="$FOLDER/$name.crt" --from-file=tls.key="$FOLDER/$name.key" \
        --from-file=ca.crt="$FOLDER/ca.crt" --from-file="$FOLDER/server.keystore.jks" \
        --from-file="$FOLDER/server.truststore.jks" --dry-run=client -o yaml | KN apply -f - >/dev/null
}

only_sidecar() {
    [[ "$(KN get pod "$1" -o jsonpath='{.spec.initContainers[*].name} {.spec.containers[*].name}')" == "configure kraftlet kafka" ]]
}

# The raft client is a channel too, so not all channels show it.
listeners_take() {
    person renew --pod "$1" || true
    until_true 10 listeners_show "$1" "$2"
}

listeners_show() {
    [[ "$(said "$1" "set(c['leaf']['fingerprint'][:8] for c in s['channels'] if c['leaf'] and c['standing'] != 'inUseUntilRestart')")" == "{'$2'}" ]]
}

raft_is_announced() {
    [[ "$(said "$1" "[c['restartNeededBy'][:2] for c in s['channels'] if c['standing'] == 'inUseUntilRestart']")" == "['20'"* ]]
}
