#!/usr/bin/env bash
# The engine inside real Kafka: every channel follows the files, says so, and nothing else of Kafka is changed by it.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=install.sh
. "$E2E_DIR/install.sh"
# shellcheck source=nodes.sh
. "$E2E_DIR/nodes.sh"
# shellcheck source=cases/setting.sh
. "$E2E_DIR/cases/setting.sh"
# shellcheck source=cases/openssl.sh
. "$E2E_DIR/cases/openssl.sh"

VERSIONS=(3.9.2 4.3.1 4.4.0)

# One node of each kind, for a broker's raft client is the channel that Kafka itself never reloads.
CONTROLLER=controller-0
BROKER=broker-0

usage() {
    cat <<TEXT
usage: e2e/engine.sh [--kafka VERSION]

Starts a controller and a broker of each release, ${VERSIONS[*]}, and replaces their files while they run: new
leaves, bad files, another CA. Handshakes and the engine's own report have to show what has become of it.
  --kafka VERSION   only this release
TEXT
}

read_arguments() {
    while (($# > 0)); do
        case "$1" in
            --kafka)
                VERSIONS=("$(one_of --kafka "${2-}" "${KAFKA_VERSIONS[@]}")")
                shift
                ;;
            --help) usage && exit 0 ;;
            *) die 64 "unknown argument \"$1\"; see e2e/engine.sh --help" ;;
        esac
        shift
    done
}

write_settings() {
    local range
    range="$(loopback_range)"
    cat >"$FOLDER/cluster.yaml" <<YAML
apiVersion: kraftlet.dev/v1
kind: KafkaCluster
name: demo
clusterId: $("$KRAFTLET" cluster-id)
kafkaVersion: $KAFKA
pools:
- {statefulSet: controller, roles: [controller], replicas: 1, nodeIds: {first: 100}}
- {statefulSet: broker, roles: [broker], replicas: 1, nodeIds: {first: 0, last: 99}}
host: "$range.{nodeId+1}"
bindHost: "$range.{nodeId+1}"
runFolder: "$FOLDER/pods/{pod}/run"
storage:
  logDirs: ["$FOLDER/pods/{pod}/data"]
YAML
    mounted
}

# Makes a leaf for each node, signed by a CA, and installs it with this trust as init does at a start.
install() {
    local ca="$1" pod
    shift
    SERIAL=$((SERIAL + 1))
    for pod in "${PODS[@]}"; do
        make_leaf "$PKI" "$ca" "$pod-$SERIAL" demo-node "IP:$(address "$pod")" -days 20
        mount_certificate "$PKI" "$pod-$SERIAL" "$FOLDER/mounted/$pod" "$ca" "$@"
        init_pod "$pod" "$FOLDER/cluster.yaml" || die 1 "kraftlet init refused $pod: $(tail -n 3 "$FOLDER/$pod.init.log")"
    done
}

address() {
    case "$1" in
        "$CONTROLLER") address_of 100 ;;
        *) address_of 0 ;;
    esac
}

# The listeners that a node has, and one that it only connects to: name and port.
ports_of() {
    case "$1" in
        "$CONTROLLER") printf '9093\n' ;;
        *) printf '9091\n9092\n' ;;
    esac
}

keystore() {
    printf '%s' "$FOLDER/pods/$1/run/tls/node/keystore.pem"
}

installed_leaf() {
    fingerprint <"$(keystore "$1")"
}

# Of the sorted fingerprints of all anchors, one behind another.
installed_trust() {
    local number count file="$FOLDER/pods/$1/run/tls/node/truststore.pem"
    count="$(grep -c 'BEGIN CERTIFICATE' "$file")"
    for ((number = 1; number <= count; number++)); do
        awk -v wanted="$number" '/BEGIN CERTIFICATE/ { block++ } block == wanted' "$file" | fingerprint
    done | sort -u | tr -d '\n' | sha256sum | cut -d ' ' -f 1
}

# The leaf that a port of a node serves, seen by a client that has the broker's newest leaf.
served() {
    openssl s_client -connect "$(address "$1"):$2" -cert "$FOLDER/mounted/$BROKER/tls.crt" -key "$FOLDER/mounted/$BROKER/tls.key" \
        </dev/null 2>/dev/null | fingerprint 2>/dev/null
}

# Every listener of a node serves this leaf. One handshake each: the engine is asked at each of them.
serves() {
    local port
    for port in $(ports_of "$1"); do
        [[ "$(served "$1" "$port")" == "$2" ]] || return 1
    done
}

report() {
    printf '%s' "$FOLDER/pods/$1/run/engine/status.jsonl"
}

# What the engines of a node report for a listener and a side, without the head.
reported() {
    grep -E "\"listener\":\"$2\",\"side\":\"$3\"" "$(report "$1")"
}

# All engines of a node report this leaf and trust, and no error.
has_loaded() {
    local states
    states="$(tail -n +2 "$(report "$1")")"
    [[ -n "$states" ]] && ! grep -v -F -e "\"leaf\":\"$2\",\"trust\":\"$3\"" <<<"$states" >/dev/null \
        && ! grep -v -F -e '"error":null' <<<"$states" >/dev/null
}

# Every line of a node's report has this in its error.
has_refused() {
    ! tail -n +2 "$(report "$1")" | grep -v -E "\"error\":\"[^\"]*$2" >/dev/null
}

# until_so SENTENCE COMMAND...: within 20 s it is so.
until_so() {
    local sentence="$1"
    shift
    until_true 20 "$@" || die 1 "not within 20 s: $sentence; $(cat "$(report "$BROKER")")"
    say "so it is: $sentence"
}

# What is installed is taken by all channels of all nodes. Only one listener is called before they have said so.
expect_all_follow() {
    local pod leaf trust
    for pod in "${PODS[@]}"; do
        leaf="$(installed_leaf "$pod")"
        trust="$(installed_trust "$pod")"
        served "$pod" "$(ports_of "$pod" | head -n 1)" >/dev/null || true
        until_so "$1: all engines of $pod have loaded it" has_loaded "$pod" "$leaf" "$trust"
        until_so "$1: all listeners of $pod serve it" serves "$pod" "$leaf"
    done
}

# expect_refused WHAT ERROR: the bytes on standard input as the broker's keystore change nothing but the report.
expect_refused() {
    local store leaf
    store="$(keystore "$BROKER")"
    leaf="$(installed_leaf "$BROKER")"
    cp "$store" "$FOLDER/good.pem"
    cat >"$store.new"
    mv -f "$store.new" "$store"
    expect "$1: the listeners go on with the old leaf" serves "$BROKER" "$leaf"
    until_so "$1: the engines say why" has_refused "$BROKER" "$2"
    expect "$1: the old leaf stays" serves "$BROKER" "$leaf"
    cp "$FOLDER/good.pem" "$store.new"
    mv -f "$store.new" "$store"
    expect_all_follow "after $1"
}

# Kafka's own requests work as without the engine: other values build another one, others change nothing.
expect_requests_work() {
    local key=listener.name.client.ssl.keystore.location other="$FOLDER/other.pem" leaf
    leaf="$(installed_leaf "$BROKER")"
    await "a request to reload" alter 0 "$key"
    expect "the leaf is as before" serves "$BROKER" "$leaf"
    make_leaf "$PKI" next other demo-node "IP:$(address "$BROKER")" -days 20
    { openssl pkcs8 -topk8 -nocrypt -in "$PKI/other.key" && cat "$PKI/other.crt" "$PKI/next.crt"; } >"$other"
    await "a request to take another file" alter 0 "$key" "$other"
    until_so "the client listener serves the other file" serves_other "$(fingerprint <"$other")"
    await "a request to take it back" alter 0 "$key"
    until_so "all listeners serve what is installed" serves "$BROKER" "$leaf"
    install next next
    expect_all_follow "new leaves after the requests"
}

serves_other() {
    [[ "$(served "$BROKER" 9092)" == "$1" ]]
}

# Kafka's own tool, which has no jar of ours.
expect_tools_work() {
    local id
    id="$(sed -n 's/^cluster.id=//p' "$FOLDER/pods/$BROKER/data/meta.properties")"
    expect "kafka-storage format works without the jar" java "${JVM[@]}" -cp "$(kafka_libs "$KAFKA")/*" \
        kafka.tools.StorageTool format --ignore-formatted --cluster-id "$id" \
        --config "$FOLDER/pods/$BROKER/run/server.properties"
}

run_release() {
    KAFKA="$1"
    make_folder engine
    PKI="$FOLDER/pki"
    SERIAL=0
    PODS=("$CONTROLLER" "$BROKER")
    BROKERS=("$BROKER")
    PID_OF=()
    # shellcheck disable=SC2034  # read by nodes.sh
    CLASS_PATH="$(java_class_path "$KAFKA" ClusterClient)"
    CLIENT_PROPERTIES="$FOLDER/pods/$BROKER/run/client.properties"
    say "--- Kafka $KAFKA in $FOLDER"
    write_openssl_config "$PKI"
    make_root "$PKI" first
    make_root "$PKI" next
    write_settings
    install first first
    bring_up
    expect "the broker reports the listener for clients" reported "$BROKER" client server
    expect "the broker reports the listener between brokers" reported "$BROKER" internal both
    expect "the broker reports its raft client" reported "$BROKER" controller client
    expect "the controller reports its listener" reported "$CONTROLLER" controller "(server|both)"
    expect_all_follow "the first leaves"
    install first first
    expect_all_follow "new leaves"
    head -c 700 "$(keystore "$BROKER")" | expect_refused "half a file" .
    { sed '/END PRIVATE KEY/q' "$(keystore "$CONTROLLER")"; sed '1,/END PRIVATE KEY/d' "$(keystore "$BROKER")"; } \
        | expect_refused "a key of another leaf" "does not belong to its leaf"
    install first first next
    expect_all_follow "trust in both CAs"
    install next first next
    expect_all_follow "leaves of the next CA"
    install next next
    expect_all_follow "trust in the next CA only"
    stop_node "$CONTROLLER"
    start_node "$CONTROLLER"
    # The broker's raft client finds it again only with what it has loaded while it ran.
    await "waiting for the broker" wait 1 120
    await "producing and consuming" round-trip engine 100
    expect_requests_work
    expect_tools_work
    # While there is a controller that can let it go.
    stop_node "$BROKER"
    expect "engines that are closed are not reported" grep -q '"lines":0}' "$(report "$BROKER")"
    stop_nodes
    rm -rf "$FOLDER"
    FOLDER=
}

main() {
    local version
    read_arguments "$@"
    install_missing
    command -v openssl >/dev/null || install_packages openssl
    fetch_and_build "${VERSIONS[@]}"
    for version in "${VERSIONS[@]}"; do
        run_release "$version"
    done
    say "done in $SECONDS s"
}

main "$@"
