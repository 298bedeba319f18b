# shellcheck shell=bash
# A plain StatefulSet with two annotations: a TLS quorum that renews from a Secret, changes its CA and loses its pods,
# while clients notice nothing.

PODS=(events-0 events-1 events-2)

# Disks of the node, which outlive the pods. Their volumes are claimed by name.
make_disks() {
    local pod
    for pod in "${PODS[@]}"; do
        mkdir -p "$CLUSTER_FOLDER/disks/$NAMESPACE/$pod"
        # Of a run before in a cluster that was kept.
        K delete persistentvolume "$NAMESPACE-$pod" --ignore-not-found
        K apply -f - <<TEXT
apiVersion: v1
kind: PersistentVolume
metadata: {name: $NAMESPACE-$pod}
spec:
  capacity: {storage: 10Gi}
  accessModes: [ReadWriteOnce]
  persistentVolumeReclaimPolicy: Retain
  claimRef: {namespace: $NAMESPACE, name: data-$pod}
  local: {path: $CLUSTER_FOLDER/disks/$NAMESPACE/$pod}
  nodeAffinity:
    required: {nodeSelectorTerms: [{matchExpressions: [{key: kubernetes.io/hostname, operator: In, values: [node1]}]}]}
TEXT
    done
}

pod_uid() {
    KN get pod "$1" -o jsonpath='{.metadata.uid}'
}

pod_uids() {
    KN get pods "${PODS[@]}" -o jsonpath='{range .items[*]}{.metadata.uid}{"\n"}{end}'
}

# all_are_new UIDS: no pod is one of those.
all_are_new() {
    local now
    now="$(pod_uids)" && ! grep -q -F -x -f <(printf '%s\n' "$1") <<<"$now"
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

# A PodDisruptionBudget lets one go at a time.
is_refused_too() {
    local answer
    ! answer="$(evict "$1" 2>&1)" && [[ "$answer" == *"disruption budget"* ]]
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
    local hosts first second third leader round before
    mapfile -t hosts < <(hosts_of events)
    make_ca ca
    make_ca next
    # Ten minutes: of such a leaf a sidecar's turn comes within little more than one.
    LIFE=600 make_leaf ca node events-node "${hosts[@]}"
    make_leaf ca client load
    put_leaf events-node-tls node ca
    make_disks
    DISKS=keep example combined 's/signer: {}/secret: {name: events-node-tls}\n        trust: []/; s/^    clusterId:/    superUsers: ["User:CN=load"]\n&/' | KN apply -f -
    expect "a plain StatefulSet with two annotations becomes ready" until_true 300 await_ready "${PODS[@]}"
    expect "its quorum is healthy, and nobody has anything to say" until_true 60 is_healthy "${PODS[@]}"
    first="$(fingerprint "$FOLDER/node.crt")"
    expect "every channel shows the leaf of the Secret" until_true 60 all_show "$first" "${PODS[@]}"
    be_on_call
    expect "kubectl kraftlet status says so, with the rights of somebody on call" person status
    expect "kubectl kraftlet doctor finds nothing" person doctor
    expect "kubectl kraftlet explain says where a line is from" explains log.dirs /var/lib/kafka/data
    expect "its page shows it in a browser" page_shows "3 of 3" "caught up"
    expect "its pods may do nothing at the API server" may_nothing default
    start_load ca next

    make_leaf ca second events-node "${hosts[@]}"
    put_leaf events-node-tls second ca
    second="$(fingerprint "$FOLDER/second.crt")"
    expect "every pod takes the leaf of ten minutes' successor by itself, on every channel" \
        until_true 240 all_show "$second" "${PODS[@]}"

    put_leaf events-node-tls second ca next
    make_leaf next third events-node "${hosts[@]}"
    expect "every pod trusts both CAs" until_true 240 all_trust 2 "${PODS[@]}"
    put_leaf events-node-tls third next ca
    third="$(fingerprint "$FOLDER/third.crt")"
    renew_all "$third"
    expect "Kafka was never restarted" kafka_never_restarted
    expect "nor were the sidecars" sidecars_never_restarted

    leader="$(leader "${PODS[@]}")"
    expect "the leader, $leader, is deleted and comes back" replaced "$leader" KN delete pod "$leader" --wait=false
    expect "the quorum is healthy again" until_true 120 is_healthy "${PODS[@]}"
    before="$(pod_uid events-0)"
    evict events-0
    expect "while it goes another is not evicted" is_refused_too events-1
    expect "a pod is evicted and comes back" until_true 180 has_another events-0 "$before"
    expect "the quorum is healthy again" until_true 120 is_healthy "${PODS[@]}"
    before="$(pod_uids)"
    KN rollout restart statefulset/events
    expect "a rolling restart ends" KN rollout status statefulset/events --timeout=600s
    expect "every pod is another" until_true 60 all_are_new "$before"
    expect "the quorum is healthy again" until_true 120 is_healthy "${PODS[@]}"

    change_settings
    expect "every pod says that it waits for a restart" until_true 120 all_pending True "${PODS[@]}"
    person status
    expect "a restart that is broken off says how to go on" restart_broken_off
    expect "kubectl kraftlet restart restarts those that still wait, one after the other" person restart --only-pending
    expect "nobody waits any more" until_true 60 all_pending False "${PODS[@]}"

    for round in 1 2 3; do
        kill_sidecar events-1
        expect "the sidecar of events-1 was restarted ($round)" until_true 120 sidecar_restarts events-1 "$round"
    done
    expect "Kafka was never restarted" kafka_never_restarted
    expect "no request failed, no record was lost" stop_load
}

# explains KEY VALUE: so it is in events-0's server.properties.
explains() {
    person explain --pod events-0 2>&1 | grep -F -e "$1" | grep -q -F -e "$2"
}

# Ctrl-C when the first pod has been evicted; the rest is for the next round.
restart_broken_off() {
    local log="$FOLDER/restart.log" round code=0
    nsenter --net="/run/netns/$CLUSTER_NAMESPACE" -- env PATH="$KUBERNETES_BIN:$PATH" KUBECONFIG="$PERSON" \
        "$KRAFTLET" --kubernetes restart --only-pending --namespace "$NAMESPACE" >"$log" 2>&1 &
    round=$!
    until_true 180 grep -q -F -e ": evicted" "$log" || return 1
    # nsenter has become kraftlet.
    kill -INT "$round"
    wait "$round" || code=$?
    say "it ended with $code: $(cat "$log")"
    [[ "$code" == 1 ]] && grep -q -F -e "to go on with this round: kubectl kraftlet restart" "$log"
}

# page_shows TEXT...: what kubectl kraftlet page serves to this machine.
page_shows() {
    local text page code=0
    nsenter --net="/run/netns/$CLUSTER_NAMESPACE" -- env PATH="$KUBERNETES_BIN:$PATH" \
        KUBECONFIG="$PERSON" "$KRAFTLET" --kubernetes page --namespace "$NAMESPACE" --port 19645 &
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
