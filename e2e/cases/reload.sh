# shellcheck shell=bash
# The agent's own client against real Kafka: logins, the Admin API's way to have a node reload its stores, and the
# handshakes that show that it did.

# shellcheck disable=SC2089,SC2090  # the quotes are of the password
PASSWORD='Sesam "öffne" dich'
JAAS='org.apache.kafka.common.security.plain.PlainLoginModule required'

run_case() {
    build_agent
    combined_with_logins
    end_cluster
    dedicated 4.4.0 static told
    end_cluster
    dedicated 3.9.2 dynamic ReloadNeedsRestart
}

build_agent() {
    cargo build --quiet --locked --manifest-path "$REPO_DIR/Cargo.toml" -p kraftlet-e2e --bin agent || die 2 "the agent does not build"
    AGENT="${CARGO_TARGET_DIR:-$REPO_DIR/target}/debug/agent"
}

# Asks with the stores of the first node; what was said is in agent.out and in the log.
agent() {
    local code=0
    "$AGENT" "$FOLDER/pods/${PODS[0]}/run/tls/node" "$@" >"$FOLDER/agent.out" || code=$?
    sed 's/^/    /' "$FOLDER/agent.out" >&2
    return "$code"
}

agent_said() {
    grep -q -F -e "$1" "$FOLDER/agent.out"
}

# A new leaf for the first node: what init does where there is none.
new_leaf() {
    local before
    agent leaf
    before="$(cat "$FOLDER/agent.out")"
    rm "$FOLDER/pods/${PODS[0]}/run/tls/node/keystore.pem"
    init_pod "${PODS[0]}" "$FOLDER/cluster.yaml" || die 1 "init gave no new leaf"
    agent leaf
    expect "the leaf is new" not agent_said "$before"
}

combined_with_logins() {
    local controller client internal
    say "Kafka 4.4.0, combined nodes, logins"
    begin_cluster 4.4.0 3
    printf '%s\n' "$PASSWORD" >"$FOLDER/agent.password"
    cat >>"$FOLDER/cluster.yaml" <<YAML
reload: adminApi
listeners:
- {name: CONTROLLER, port: 9093, for: [controllers], securityProtocol: SASL_SSL, saslMechanisms: [PLAIN]}
- {name: INTERNAL, port: 9091, for: [brokers], clientAuth: requested}
- {name: CLIENT, port: 9092, for: [clients], securityProtocol: SASL_SSL, saslMechanisms: [PLAIN, SCRAM-SHA-256, SCRAM-SHA-512]}
agent: {sasl: {mechanism: PLAIN, username: kafka, passwordFile: "$FOLDER/agent.password"}}
superUsers: ["User:kafka", "User:ada", "User:b=o,b"]
scramUsers:
- {name: ada, mechanism: SCRAM-SHA-256, passwordFile: "$FOLDER/agent.password"}
- {name: "b=o,b", mechanism: SCRAM-SHA-512, passwordFile: "$FOLDER/agent.password", iterations: 16384}
YAML
    local_ca
    # Every node is the user that it knows; quotes within the quotes of JAAS are escaped.
    JAAS="$JAAS username=\"kafka\" password=\"${PASSWORD//\"/\\\"}\" user_kafka=\"${PASSWORD//\"/\\\"}\";"
    export KAFKA_LISTENER_NAME_CONTROLLER_PLAIN_SASL_JAAS_CONFIG="$JAAS" KAFKA_LISTENER_NAME_CLIENT_PLAIN_SASL_JAAS_CONFIG="$JAAS"
    init_pods
    start_nodes
    CLIENT_PROPERTIES="$FOLDER/internal.properties"
    sed 's/:9092/:9091/g; s/SASL_SSL/SSL/; /^sasl/d' "$FOLDER/pods/demo-0/run/client.properties" >"$CLIENT_PROPERTIES"
    await "waiting for 3 brokers" wait 3 120

    controller="$(address_of 0):9093" client="$(address_of 0):9092" internal="$(address_of 0):9091"
    logins "$client"
    an_empty_disk_is_formatted_after_a_question_with_a_login
    LOGIN="PLAIN:kafka:$PASSWORD"
    # shellcheck disable=SC2090
    export LOGIN
    combined_reloads "$internal" "$client" "$controller"
    unset LOGIN
}

logins() {
    LOGIN="PLAIN:kafka:$PASSWORD" expect "PLAIN logs in" agent quorum "$1"
    LOGIN="SCRAM-SHA-256:ada:$PASSWORD" expect "SCRAM-SHA-256 logs in" agent quorum "$1"
    LOGIN="SCRAM-SHA-512:b=o,b:$PASSWORD" expect "SCRAM-SHA-512 logs in" agent quorum "$1"
    LOGIN="PLAIN:kafka:other" expect "another password is refused" not agent quorum "$1"
    expect "Kafka says why" agent_said "SASL_AUTHENTICATION_FAILED"
    LOGIN="SCRAM-SHA-256:ada:other" expect "another SCRAM password is refused" not agent quorum "$1"
    expect "the reason is a word" agent_said "LoginRefused"
    LOGIN="SCRAM-SHA-512:ada:$PASSWORD" expect "a user of another mechanism is refused" not agent quorum "$1"
    LOGIN="SCRAM-SHA-256:ada:$PASSWORD" expect "controllers take no SCRAM" not agent quorum "$(address_of 0):9093"
    expect "the mechanisms that are taken are named" agent_said "does not take the login SCRAM-SHA-256; it takes PLAIN"
    expect "without a login nobody is answered" not agent quorum "$1"
}

an_empty_disk_is_formatted_after_a_question_with_a_login() {
    sed -i 's/^formed: false$/formed: true/' "$FOLDER/cluster.yaml"
    stop_node demo-2
    PODS=(demo-0 demo-1)
    rm -rf "$FOLDER/pods/demo-2/data"
    # Without an answer it would wait for ever.
    expect_init 0 demo-2 "$FOLDER/cluster.yaml"
    expect "the node is formatted again" said demo-2 "demo-2/data becomes a metadata directory"
    PODS=(demo-0 demo-1 demo-2)
    start_node demo-2
    await "waiting for 3 brokers" wait 3 120
}

combined_reloads() {
    local turn
    expect "all listeners serve the leaf" agent verify "$@"
    for turn in 1 2 3; do
        new_leaf
        expect "the node is told" agent reload-itself 0 "$2"
        expect "all listeners serve the new leaf ($turn)" agent verify "$@"
    done
    expect "about another node a broker takes nothing" not agent reload-itself 1 "$2"
}

# Controllers of their own; the first is told by way of whoever leads.
dedicated() {
    local version="$1" quorum="$2" want="$3" controllers=()
    say "Kafka $version, dedicated controllers, $quorum quorum"
    begin_cluster "$version" 2
    dedicated_nodes
    printf 'reload: adminApi\n' >>"$FOLDER/cluster.yaml"
    [[ "$quorum" == static ]] || cat >>"$FOLDER/cluster.yaml" <<YAML
quorum:
  type: dynamic
  initialControllers:
  - {nodeId: 0, directoryId: $("$KRAFTLET" cluster-id)}
  - {nodeId: 1, directoryId: $("$KRAFTLET" cluster-id)}
YAML
    local_ca
    bring_up
    controllers=("$(address_of 0):9093" "$(address_of 1):9093")
    expect "the controller serves the leaf" agent verify "${controllers[0]}"
    new_leaf
    if [[ "$want" == told ]]; then
        expect "the active controller takes the request" agent reload-controller 0 "$version" "${controllers[@]}"
        expect "the controller serves the new leaf" agent verify "${controllers[0]}"
    else
        expect "the active controller does not take the request" not agent reload-controller 0 "$version" "${controllers[@]}"
        expect "the reason is $want" agent_said "$want"
    fi
    expect "a peer trusts the leaf" agent probe "${controllers[1]}"
    expect "it was shown ours and answered" agent_said PeerTrusts
}
