# shellcheck shell=bash
# What the cases have in common: settings of a small cluster, and what is looked at. Source it after nodes.sh.
#
# Uses FOLDER, and sets what nodes.sh works with.

# The releases that the cases are run with: the newest, and the oldest that the demo offers.
# shellcheck disable=SC2034
KAFKAS=(4.4.0 3.9.2)

# Sets the cluster up for a Kafka release and so many combined nodes called demo-0 …; its settings begin so in cluster.yaml.
begin_cluster() {
    local version="$1" replicas="$2" ordinal range
    # shellcheck disable=SC2034  # read by nodes.sh, as PODS and BROKERS are
    KAFKA="$version"
    CLASS_PATH="$(java_class_path "$version" ClusterClient)"
    CLIENT_PROPERTIES="$FOLDER/pods/demo-0/run/client.properties"
    PODS=()
    for ((ordinal = 0; ordinal < replicas; ordinal++)); do
        PODS+=("demo-$ordinal")
    done
    BROKERS=("${PODS[@]}")
    range="$(loopback_range)"
    cat >"$FOLDER/cluster.yaml" <<YAML
apiVersion: kraftlet.dev/v1
kind: KafkaCluster
name: demo
clusterId: $("$KRAFTLET" cluster-id)
kafkaVersion: $version
formed: false
pools:
- statefulSet: demo
  roles: [broker, controller]
  replicas: $replicas
host: "$range.{nodeId+1}"
bindHost: "$range.{nodeId+1}"
runFolder: "$FOLDER/pods/{pod}/run"
propertiesFolder: "$FOLDER/properties"
storage:
  logDirs: ["$FOLDER/pods/{pod}/data"]
YAML
}

# Makes dedicated controllers of the nodes of `begin_cluster`, and adds a broker of its own with node id 10.
dedicated_nodes() {
    sed -i 's/^  roles: .*/  roles: [controller]/' "$FOLDER/cluster.yaml"
    # The address of a node ends in its id and one.
    sed -i 's/^  replicas: .*/&\n  nodeIds: {last: 9}/' "$FOLDER/cluster.yaml"
    sed -i 's/^host: /- {statefulSet: broker, roles: [broker], replicas: 1, nodeIds: {first: 10}}\n&/' "$FOLDER/cluster.yaml"
    PODS+=(broker-0)
    BROKERS=(broker-0)
    CLIENT_PROPERTIES="$FOLDER/pods/broker-0/run/client.properties"
}

# The first three numbers of loopback addresses. Each script has a range of its own, taken from its process id, so that
# two may run side by side.
loopback_range() {
    printf '127.%s.%s' "$((1 + $$ % 250))" "$((1 + $$ / 250 % 250))"
}

# The address of a node of `begin_cluster`.
address_of() {
    printf '%s.%s' "$(loopback_range)" "$(($1 + 1))"
}

# The certificate `node` from kraftlet's own CA; further lines of its entry may follow.
local_ca() {
    cat >>"$FOLDER/cluster.yaml" <<YAML
certificates:
  node:
    source:
      localCa:
        folder: "$FOLDER/ca"
YAML
}

# Init, start, and wait until all nodes are there.
bring_up() {
    init_pods
    start_nodes
    await "waiting for ${#BROKERS[@]} brokers" wait "${#BROKERS[@]}" 120
}

# Stops the nodes of a cluster and forgets it, so that another can follow in a folder of its own.
end_cluster() {
    stop_nodes
    PID_OF=()
    rm -rf "$FOLDER/pods"
    rm -f "$FOLDER"/demo-*.log
}

# Runs `kraftlet init` of a pod, which has to end with this code; what it said goes into the log.
expect_init() {
    local want="$1" pod="$2" settings="$3" code=0
    init_pod "$pod" "$settings" || code=$?
    sed "s/^/    /" "$FOLDER/$pod.init.log" >&2
    expect "kraftlet init of $pod ends with $want" test "$code" = "$want"
}

# Whether `kraftlet init` of a pod has said something.
said() {
    grep -q -F -e "$2" "$FOLDER/$1.init.log"
}

# Every file and folder below a path with its content, for comparing before and after.
everything_in() {
    find "$1" -printf '%y %m %p\n' | sort
    find "$1" -type f -exec sha256sum {} + | sort
}

# The certificate `node` from a folder per pod.
mounted() {
    cat >>"$FOLDER/cluster.yaml" <<YAML
certificates:
  node:
    source:
      mounted:
        folder: "$FOLDER/mounted/{pod}"
YAML
}
