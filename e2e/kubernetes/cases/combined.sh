# shellcheck shell=bash
# A plain StatefulSet with two annotations: a TLS quorum that renews from a Secret, changes its CA and loses its pods,
# while clients notice nothing.

PODS=(events-0 events-1 events-2)

# The kubelet brings a Secret's files within its sync; then each agent is told to take them now.
renew_all() {
    local leaf="$1" pod
    for pod in "${PODS[@]}"; do
        expect "the files of $pod are the new ones, and it is told to take them" until_true 120 takes "$pod" "$leaf"
    done
    expect "every channel of every pod shows $leaf" until_true 120 all_show "$leaf" "${PODS[@]}"
}

takes() {
    order "$1" /v1/renew
    until_true 10 all_show "$2" "$1"
}

no_rights() {
    local rights
    rights="$(KN auth can-i --list --no-headers --as "system:serviceaccount:$NAMESPACE:default")"
    # What every authenticated user may: ask what he may, and read what the API server publishes about itself.
    ! grep -v -E '^(selfsubject|selfsubjectreviews|\s+\[/|clustertrustbundles|podcertificaterequests)' <<<"$rights" | grep -E '\S' ||
        return 1
}

pod_uid() {
    KN get pod "$1" -o jsonpath='{.metadata.uid}'
}

has_another() {
    [[ "$(pod_uid "$1")" != "$2" ]] && KN wait --for=condition=Ready "pod/$1" --timeout=1s
}

replaced() {
    local pod="$1" uid
    uid="$(pod_uid "$pod")"
    shift
    "$@"
    until_true 180 has_another "$pod" "$uid"
}

evict() {
    K create --raw "/api/v1/namespaces/$NAMESPACE/pods/$1/eviction" -f - >/dev/null <<TEXT
{"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "$1", "namespace": "$NAMESPACE"}}
TEXT
}

kill_sidecar() {
    local id
    id="$(KN get pod "$1" -o jsonpath='{.status.initContainerStatuses[?(@.name=="kraftlet")].containerID}')"
    containers tasks kill -s KILL "${id#containerd://}"
}

sidecar_restarts() {
    [[ "$(KN get pod "$1" -o jsonpath='{.status.initContainerStatuses[?(@.name=="kraftlet")].restartCount}')" -ge "$2" ]]
}

run_case() {
    local hosts first second third leader round
    mapfile -t hosts < <(hosts_of events)
    make_ca ca
    make_ca next
    make_leaf ca node events-node "${hosts[@]}"
    make_leaf ca client load
    put_leaf events-node-tls node ca
    example combined 's/signer: {}/secret: {name: events-node-tls}\n        trust: []/; s/^    clusterId:/    superUsers: ["User:CN=load"]\n&/' | KN apply -f -
    expect "a plain StatefulSet with two annotations becomes ready" until_true 300 await_ready "${PODS[@]}"
    expect "its quorum is healthy, and nobody has anything to say" until_true 60 is_healthy "${PODS[@]}"
    first="$(fingerprint "$FOLDER/node.crt")"
    expect "every channel shows the leaf of the Secret" until_true 60 all_show "$first" "${PODS[@]}"
    expect "its pods may do nothing at the API server" no_rights
    start_load ca next

    make_leaf ca second events-node "${hosts[@]}"
    put_leaf events-node-tls second ca
    second="$(fingerprint "$FOLDER/second.crt")"
    renew_all "$second"

    put_leaf events-node-tls second ca next
    make_leaf next third events-node "${hosts[@]}"
    expect "every pod trusts both CAs" until_true 240 all_trust 2 "${PODS[@]}"
    put_leaf events-node-tls third next ca
    third="$(fingerprint "$FOLDER/third.crt")"
    renew_all "$third"
    expect "Kafka was never restarted" test "$(kafka_restarts)" == 0

    leader="$(leader "${PODS[@]}")"
    expect "the leader, $leader, is deleted and comes back" replaced "$leader" KN delete pod "$leader" --wait=false
    expect "the quorum is healthy again" until_true 120 is_healthy "${PODS[@]}"
    expect "a pod is evicted and comes back" replaced events-0 evict events-0
    expect "the quorum is healthy again" until_true 120 is_healthy "${PODS[@]}"
    KN rollout restart statefulset/events
    expect "a rolling restart ends" KN rollout status statefulset/events --timeout=600s
    expect "the quorum is healthy again" until_true 120 is_healthy "${PODS[@]}"

    for round in 1 2 3; do
        kill_sidecar events-1
        expect "the sidecar of events-1 was restarted ($round)" until_true 120 sidecar_restarts events-1 "$round"
    done
    expect "Kafka was never restarted" test "$(kafka_restarts)" == 0
    expect "no request failed, no record was lost" stop_load
}

# all_trust COUNT POD...
all_trust() {
    local count="$1" pod
    shift
    for pod in "$@"; do
        [[ "$(said "$pod" "len(s['certificates'][0]['trust']['anchors'])")" == "$count" ]] || {
            order "$pod" /v1/renew
            return 1
        }
    done
}
