# shellcheck shell=bash
# A controller of a dynamic quorum has lost its disk. Its vote belonged to the directory id that is gone (KIP-853), so
# it is formatted without asking anybody, joins as an observer, and gets its copies back.

run_case() {
    local lost
    begin_cluster 4.4.0 3
    name_initial_controllers
    local_ca
    bring_up
    await "producing and consuming" round-trip kept 100
    lost="$(directory_id demo-2)"
    expect "node 2 had the directory id of the settings" grep -q -F -e "$lost" "$FOLDER/cluster.yaml"
    sed -i 's/^formed: false$/formed: true/' "$FOLDER/cluster.yaml"

    stop_node demo-2
    rm -rf "$FOLDER/pods/demo-2/data"
    expect_init 0 demo-2 "$FOLDER/cluster.yaml"
    expect "it says that the node joins as an observer" said demo-2 "is formatted without voters"
    expect "it has another directory id" test "$(directory_id demo-2)" != "$lost"

    start_node demo-2
    await "waiting for 3 brokers" wait 3 120
    await "waiting for node 2's copies of the records" in-sync kept 3 120
    await "consuming everything again" consume kept 100
    await "asking the quorum" quorum
    sed 's/^/    /' "$OUTPUT" >&2
    expect "node 2 is an observer with its new directory id" grep -q -P "^observer\t2\t[0-9]+\t$(directory_id demo-2)\$" "$OUTPUT"
    expect "the vote is still that of the lost directory id" grep -q -P "^voter\t2\t.*\t$lost\$" "$OUTPUT"
}

name_initial_controllers() {
    local node
    printf 'quorum:\n  type: dynamic\n  initialControllers:\n' >>"$FOLDER/cluster.yaml"
    for node in 0 1 2; do
        # A directory id is of the same kind as a cluster id.
        printf '  - {nodeId: %s, directoryId: %s}\n' "$node" "$("$KRAFTLET" cluster-id)" >>"$FOLDER/cluster.yaml"
    done
}

directory_id() {
    sed -n 's/^directory.id=//p' "$FOLDER/pods/$1/data/meta.properties"
}
