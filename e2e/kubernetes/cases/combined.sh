# shellcheck shell=bash
# A plain StatefulSet with two annotations: a TLS quorum that renews from a Secret, changes its CA and loses its pods,
# while clients notice nothing.

PODS=(events-0 events-1 events-2)

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
    expect "kubectl kraftlet status says so" person status
    expect "its page shows it in a browser" page_shows "3 of 3" "caught up"
    expect "its pods may do nothing at the API server" not rights_of default
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

    change_settings
    expect "every pod says that it waits for a restart" until_true 120 all_pending True "${PODS[@]}"
    person status
    expect "kubectl kraftlet restart restarts those that wait, one after the other" person restart --only-pending
    expect "nobody waits any more" until_true 60 all_pending False "${PODS[@]}"

    for round in 1 2 3; do
        kill_sidecar events-1
        expect "the sidecar of events-1 was restarted ($round)" until_true 120 sidecar_restarts events-1 "$round"
    done
    expect "Kafka was never restarted" test "$(kafka_restarts)" == 0
    expect "no request failed, no record was lost" stop_load
}

# page_shows TEXT...: what kubectl kraftlet page serves to this machine.
page_shows() {
    local text page code=0
    nsenter --net="/run/netns/$CLUSTER_NAMESPACE" -- env PATH="$KUBERNETES_BIN:$PATH" \
        KUBECONFIG="$CLUSTER_FOLDER/admin.kubeconfig" "$KRAFTLET" --kubernetes page --namespace "$NAMESPACE" --port 19645 &
    page=$!
    until_true 20 in_cluster curl -fsS --max-time 15 -o "$FOLDER/page.html" http://127.0.0.1:19645/ || code=1
    for text in "$@"; do
        grep -q -F -e "$text" "$FOLDER/page.html" || code=1
    done
    # nsenter has become kraftlet, which ends well.
    kill -TERM "$page" 2>/dev/null || code=1
    wait "$page" || code=1
    return "$code"
}

# all_trust COUNT POD...
all_trust() {
    local count="$1" pod
    shift
    for pod in "$@"; do
        [[ "$(said "$pod" "len(s['certificates'][0]['trust']['anchors'])")" == "$count" ]] || {
            person renew --pod "$pod" || true
            return 1
        }
    done
}

change_settings() {
    KN get configmap events -o json | sed 's/formed: false/properties: {all: {log.retention.hours: 30}}\\n&/' | KN apply -f -
}

# all_pending TRUTH POD...
all_pending() {
    local truth="$1" pod
    shift
    for pod in "$@"; do
        [[ "$(said "$pod" "s['restartPending']")" == "$truth" ]] || return 1
    done
}
