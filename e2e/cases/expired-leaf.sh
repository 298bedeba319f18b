# shellcheck shell=bash
# No agent was there to renew, and what the listeners serve has expired. With the Admin API, a dedicated controller takes
# a new leaf all the same; the listener between brokers does not, in no way, and the agent says that it needs a restart.

# shellcheck source=../sidecars.sh
. "$E2E_DIR/sidecars.sh"

# Long enough for a reload on a busy machine.
LIFE_SECONDS=40

CONTROLLER=demo-0
BROKER=broker-0

run_case() {
    PKI="$FOLDER/pki"
    write_openssl_config "$PKI"
    make_root "$PKI" root
    make_intermediate "$PKI" root intermediate
    begin_cluster 4.4.0 1
    dedicated_nodes
    printf 'reload: adminApi\n' >>"$FOLDER/cluster.yaml"
    mounted
    mount_leaves first "+5 days"
    bring_up
    start_sidecars
    expect "the agents are content" until_true 120 all_are_serving
    mount_leaves short "+$LIFE_SECONDS seconds"
    expect "the controller takes a leaf that ends soon" until_true "$LIFE_SECONDS" serves 0 9093 "$CONTROLLER-short"
    expect "the broker takes a leaf that ends soon" until_true "$LIFE_SECONDS" serves 10 9091 "$BROKER-short"
    kill_sidecars
    expect "it expires" until_true "$LIFE_SECONDS" has_expired "$PKI/$BROKER-short.crt"

    mount_leaves last "+5 days"
    start_sidecars
    expect "the controller takes a new leaf" until_true 120 serves 0 9093 "$CONTROLLER-last"
    expect "the broker is said to need a restart" until_true 120 status_says "$BROKER" ReloadNeedsRestart
    expect "for it serves the old leaf" serves 10 9091 "$BROKER-short"
    stop_node "$BROKER"
    start_node "$BROKER"
    expect "after a restart the broker serves the new leaf" until_true 120 serves 10 9091 "$BROKER-last"
    expect "the agents are content again" until_true 120 all_are_serving
}

# mount_leaves NAME END: one of each node, late enough in its life not to be kept waiting for its turn.
mount_leaves() {
    mount_leaf "$CONTROLLER" 0 "$@"
    mount_leaf "$BROKER" 10 "$@"
}

# mount_leaf POD NODE_ID NAME END
mount_leaf() {
    make_leaf "$PKI" intermediate "$1-$3" demo-node "IP:$(address_of "$2")" \
        -startdate "$(openssl_date '-20 days')" -enddate "$(openssl_date "$4")"
    mount_certificate "$PKI" "$1-$3" "$FOLDER/mounted/$1" intermediate root
}

has_expired() {
    ! openssl x509 -checkend 0 -noout -in "$1" >/dev/null
}

# serves NODE_ID PORT NAME: whether a listener serves this leaf; who asks shows none, and sees it all the same.
serves() {
    local served
    served="$(timeout 10 openssl s_client -connect "$(address_of "$1"):$2" </dev/null 2>/dev/null | fingerprint)"
    [[ "$served" == "$(fingerprint <"$PKI/$3.crt")" ]]
}

status_says() {
    grep -q -F -e "$2" < <(look "$1" /v1/status 2>/dev/null)
}

all_are_serving() {
    local pod
    for pod in "${PODS[@]}"; do
        grep -q -F -e 'kraftlet_certificate_state{certificate="node",state="Serving"} 1' < <(look "$pod" /metrics 2>/dev/null) || return 1
    done
}

# clean_up stops the nodes.
stop_others() {
    kill_sidecars
}
