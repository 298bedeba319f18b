# shellcheck shell=bash
# A voter of a static quorum has lost its disk. It votes by its number alone, so an empty log may only join where the
# others hold every record, and nobody but their leader can say so.

TOPIC=kept
RECORDS=100

run_case() {
    begin_cluster 4.4.0 3
    local_ca
    bring_up
    await "producing and consuming" round-trip "$TOPIC" "$RECORDS"
    sed -i 's/^formed: false$/formed: true/' "$FOLDER/cluster.yaml"

    others_are_healthy
    others_cannot_elect
    a_person_accepts_the_loss
}

# Stops a node, and takes it from the list of those that have to live.
lose_node() {
    local pod rest=()
    stop_node "$1"
    for pod in "${PODS[@]}"; do
        [[ "$pod" == "$1" ]] || rest+=("$pod")
    done
    PODS=("${rest[@]}")
}

others_are_healthy() {
    lose_node demo-2
    rm -rf "$FOLDER/pods/demo-2/data"
    await "waiting for a quorum of the others" caught-up 60 0 1
    say "the others' quorum: $(tr '\t\n' '= ' <"$OUTPUT")"

    a_stranger_gets_no_answer
    # The node would wait for ever (EmptyDiskNoLeader) if no controller had answered: that is the case above.
    expect_init_soon demo-2
    expect "node 2 is formatted again" said demo-2 "demo-2/data becomes a metadata directory"
    expect "nobody had to accept a loss" not said demo-2 "without asking"
    expect "each controller asks for a certificate" all_ask_for_a_certificate

    PODS=(demo-0 demo-1 demo-2)
    start_node demo-2
    await "waiting for 3 brokers" wait 3 120
    await "waiting for node 2 to catch up with the quorum" caught-up 60 0 1 2
    say "the quorum: $(tr '\t\n' '= ' <"$OUTPUT")"
    await "waiting for node 2's copies of the records" in-sync "$TOPIC" 3 120
    await "consuming everything again" consume "$TOPIC" "$RECORDS"
}

# The same node with a leaf of another CA, which trusts the controllers although they do not trust it: it has to learn
# nothing. So the answer that the real one gets was given over TLS on both sides.
a_stranger_gets_no_answer() {
    local before after
    # A CA that is there already: one that this init would have to make is known to nobody, so nobody would be asked.
    "$KRAFTLET" new-cluster --name stranger --replicas 1 --local "$FOLDER/stranger" >"$FOLDER/stranger.yaml"
    "$KRAFTLET" init --pod-name stranger-0 --settings "$FOLDER/stranger.yaml" >/dev/null
    sed -e "s#folder: \"$FOLDER/ca\"#folder: \"$FOLDER/stranger/ca\"#" \
        -e "s#^runFolder: .*#runFolder: \"$FOLDER/stranger/run\"#" "$FOLDER/cluster.yaml" >"$FOLDER/stranger.yaml"
    printf '    trust: ["%s"]\n' "$FOLDER/ca/ca.crt" >>"$FOLDER/stranger.yaml"
    before="$(everything_in "$FOLDER/pods/demo-2")"
    expect_init 1 demo-2 "$FOLDER/stranger.yaml"
    after="$(everything_in "$FOLDER/pods/demo-2")"
    expect "the controllers told a stranger nothing" said demo-2 "EmptyDiskNoLeader"
    expect "they refused its certificate" said demo-2 "alert"
    expect "nothing was written for a stranger" test "$before" = "$after" -a ! -e "$FOLDER/stranger/run"
}

others_cannot_elect() {
    local before after
    lose_node demo-2
    lose_node demo-1
    # Until a leader has heard nothing from node 1 for some seconds, it knows that node 1 has everything, and so it says.
    expect "node 0 leads no longer" await_line demo-0 'Did not receive fetch request from the majority of the voters'
    rm -rf "$FOLDER/pods/demo-2/data"
    mkdir "$FOLDER/pods/demo-2/data"
    before="$(everything_in "$FOLDER/pods/demo-2")"
    expect_init 1 demo-2 "$FOLDER/cluster.yaml"
    after="$(everything_in "$FOLDER/pods/demo-2")"
    expect "it says that there is no leader" said demo-2 "EmptyDiskNoLeader"
    expect "it says which directory of which node" said demo-2 "$FOLDER/pods/demo-2/data of node.id 2"
    expect "it says where node 0 was asked" said demo-2 "$(address_of 0):9093"
    expect "it says where node 1 was asked" said demo-2 "$(address_of 1):9093"
    expect "the data directory is still empty" test -z "$(ls -A "$FOLDER/pods/demo-2/data")"
    expect "nothing at all was written" test "$before" = "$after"
}

a_person_accepts_the_loss() {
    sed 's/^storage:$/&\n  formatEmptyDiskOf: [demo-2]/' "$FOLDER/cluster.yaml" >"$FOLDER/accepted.yaml"
    expect_init 0 demo-2 "$FOLDER/accepted.yaml"
    expect "it says that the loss is accepted" said demo-2 "without asking the other voters, as the settings accept"
    expect "node 2 is formatted" said demo-2 "demo-2/data becomes a metadata directory"

    # Node 0 holds every record, so it leads, and the cluster is whole again.
    PODS=(demo-0 demo-2)
    start_node demo-2
    await "waiting for 2 brokers" wait 2 120
    PODS=(demo-0 demo-1 demo-2)
    start_node demo-1
    await "waiting for 3 brokers" wait 3 120
    await "waiting for all copies of the records" in-sync "$TOPIC" 3 120
    await "consuming everything again" consume "$TOPIC" "$RECORDS"
}

# A pod's init container is started again where it ends with 1, for example because a busy machine answered late.
expect_init_soon() {
    local attempt code
    for attempt in 1 2 3 4 5; do
        code=0
        init_pod "$1" "$FOLDER/cluster.yaml" || code=$?
        sed 's/^/    /' "$FOLDER/$1.init.log" >&2
        ((code == 1)) || break
        sleep 1
    done
    expect "attempt $attempt of kraftlet init of $1 ends with 0" test "$code" = 0
}

# Waits until a node's log has a line with this text.
await_line() {
    # Many times the 3 s of LeaderState.checkQuorumTimeoutMs.
    until_true 20 grep -q -F -e "$2" "$FOLDER/$1.log"
}

all_ask_for_a_certificate() {
    local pod
    for pod in demo-0 demo-1; do
        [[ "$(setting "$pod" listener.name.controller.ssl.client.auth)" == required ]] || return 1
    done
}
