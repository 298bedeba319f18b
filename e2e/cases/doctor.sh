# shellcheck shell=bash
# What the doctor says of a cluster that is well, which is nothing, and of one thing after another that is not: the right
# thing first, with the exit code of it, and nothing again once it is put right.

# shellcheck source=../sidecars.sh
. "$E2E_DIR/sidecars.sh"

run_case() {
    begin_cluster 4.4.0 3
    local_ca
    bring_up
    start_sidecars
    expect "a healthy cluster has no finding" is_healthy
    expect "what was checked is one line" test "$(wc -l <"$FOLDER/doctor.out")" = 1
    expect "one node by itself, as in a pod, is well too" is_healthy --pod-name demo-2

    a_sidecar_that_is_gone
    a_property_that_was_changed
    the_keystore_of_another_node
    a_kafka_that_is_frozen
    kafkas_that_are_down
    all_is_well_in_the_end
}

stop_others() {
    kill_sidecars
}

# doctor ARGUMENT…: what it says is in doctor.out and in the log, its exit code in CODE.
doctor() {
    CODE=0
    POD_NAMESPACE=default "$KRAFTLET" doctor --settings "$FOLDER/cluster.yaml" "$@" \
        >"$FOLDER/doctor.out" 2>"$FOLDER/doctor.err" || CODE=$?
    sed 's/^/    /' "$FOLDER/doctor.out" "$FOLDER/doctor.err" >&2
}

# is_healthy [ARGUMENT…]: agents and Kafkas that have just started, or have something to make good, get a minute and a
# half.
is_healthy() {
    local until=$((SECONDS + 90))
    while ((SECONDS < until)); do
        doctor "${@:---all}"
        if ((CODE == 0)) && grep -q '^healthy: ' "$FOLDER/doctor.out"; then
            return 0
        fi
        sleep 1
    done
    return 1
}

# finds CODE FIRST [OTHER…]: until the exit code is this, the first finding is this, and the others are among the rest.
finds() {
    local want="$1" first="$2" other until=$((SECONDS + 60)) is_so
    shift 2
    while ((SECONDS < until)); do
        doctor --all
        is_so=yes
        [[ "$CODE" == "$want" && "$(head -n 1 "$FOLDER/doctor.out")" == "$first" ]] || is_so=no
        for other in "$@"; do
            grep -q -F -x -e "$other" "$FOLDER/doctor.out" || is_so=no
        done
        [[ "$is_so" == no ]] || return 0
        sleep 1
    done
    return 1
}

said_by_doctor() {
    grep -q -F -e "$1" "$FOLDER/doctor.out"
}

a_sidecar_that_is_gone() {
    stop_sidecar demo-1
    expect "a sidecar that is gone is named" finds 1 "hurts  demo-1: agent  AgentDown"
    expect "nothing else is found" said_by_doctor "1 finding: "
    expect "the sentence on standard error says the same" grep -q 'demo-1: agent: no agent is there' "$FOLDER/doctor.err"
    start_sidecar demo-1
    expect "with it all is well" is_healthy
}

a_property_that_was_changed() {
    cp "$FOLDER/cluster.yaml" "$FOLDER/cluster.before"
    printf 'properties: {all: {num.io.threads: "3"}}\n' >>"$FOLDER/cluster.yaml"
    expect "a restart that is pending hurts nobody yet" finds 0 \
        "later  demo-0: $FOLDER/pods/demo-0/run/server.properties  RestartPending"
    expect "the property is named" said_by_doctor "num.io.threads is nothing; want 3"
    mv "$FOLDER/cluster.before" "$FOLDER/cluster.yaml"
    expect "as it was, all is well" is_healthy
}

the_keystore_of_another_node() {
    local keystore="$FOLDER/pods/demo-0/run/tls/node/keystore.pem"
    stop_sidecar demo-0
    cp -p "$keystore" "$FOLDER/keystore.before"
    cp -p "$FOLDER/pods/demo-1/run/tls/node/keystore.pem" "$keystore.new"
    mv "$keystore.new" "$keystore"
    expect "the certificate of another node is named before all that follows from it" finds 1 \
        "hurts  demo-0: certificate node  HostNotCovered" "hurts  demo-0: agent  AgentDown"
    mv "$FOLDER/keystore.before" "$keystore"
    start_sidecar demo-0
    expect "with its own all is well" is_healthy
}

a_kafka_that_is_frozen() {
    kill -STOP "${PID_OF[demo-1]}"
    expect "a Kafka that is frozen is named" finds 1 "hurts  demo-1: Kafka  KafkaDoesNotAnswer" \
        "hurts  controller quorum  QuorumDegraded"
    kill -CONT "${PID_OF[demo-1]}"
    expect "when it goes on all is well" is_healthy
}

kafkas_that_are_down() {
    stop_node demo-2
    expect "a Kafka that is down is named, and what it means for the quorum after it" finds 1 \
        "hurts  demo-2: Kafka  KafkaDown" "hurts  controller quorum  QuorumDegraded"
    kill -9 "${PID_OF[demo-1]}"
    wait "${PID_OF[demo-1]}" 2>/dev/null || true
    unset "PID_OF[demo-1]"
    expect "a majority that is lost comes before those that are down" finds 1 \
        "outage  controller quorum  QuorumMajorityLost" "hurts  demo-1: Kafka  KafkaDown" "hurts  demo-2: Kafka  KafkaDown"
}

all_is_well_in_the_end() {
    start_node demo-1
    start_node demo-2
    await "waiting for 3 brokers" wait 3 120
    expect "all is well in the end" is_healthy
    doctor --all --output json
    expect "and the same in JSON" grep -q '"findings": \[\]' "$FOLDER/doctor.out"
}
