# shellcheck shell=bash
# What happens to a cluster in e2e/quorum.sh, and what everybody has to say of it. Source it after verdicts.sh.
#
# Times: a voter counts as silent after controller.quorum.fetch.timeout.ms (2 s), a broker as fenced after
# broker.session.timeout.ms (18 s here); six JVMs on two cores need some of them several times over.

# shellcheck disable=SC2034  # read by quorum.sh
OF_COMBINED=(follower-killed leader-killed majority-killed controller-frozen disk-emptied slow-start)
# shellcheck disable=SC2034
OF_DEDICATED=(controller-frozen majority-killed broker-frozen brokers-killed controller-untrusted)

# For how many seconds, asked four times in each, a verdict has to hold.
HOLD=3

# How long a verdict may take to be there, and a cluster to be well again, in seconds: three times what two clusters side
# by side on two cores have needed.
SEEN_WITHIN=90
WELL_WITHIN=240

# The topic with min.insync.replicas=2 and three replicas.
TOPIC=kept

# Nothing runs but the agents: they live, they do not wait for Kafka, and they know nothing good. Then Kafka comes.
a_cluster_is_born() {
    local started=$SECONDS
    SICK=("${PODS[@]}")
    verdicts "$SEEN_WITHIN" 1 <<'TABLE'
all livez 200
all readyz 503 .*
all startupz 503 .*
all quorum Forming
TABLE
    start_nodes
    all_is_well
    client round-trip "$TOPIC" 100 >"$FOLDER/client.out" || die 1 "no records could be produced and consumed"
    printf 'ok  %4d s  a cluster is born\n' "$((SECONDS - started))"
}

all_is_well() {
    verdicts "$WELL_WITHIN" "$HOLD" <<'TABLE'
all livez 200
all readyz 200
all startupz 200
all safe-to-stop 200
all quorum Healthy
all spare 1
all conditions none
TABLE
}

# The voters that do not lead.
followers() {
    local leader
    leader="$(leading_pod)"
    controllers | grep -v -x -F -e "$leader"
}

scenario_follower_killed() {
    SICK=("$(followers | head -n 1)")
    kill_node "${SICK[0]}"
    one_voter_is_gone
    [[ "$MODE" == dedicated ]] || its_replicas_are_gone
    start_node "${SICK[0]}"
    all_is_well
}

# It has taken a replica of each partition with it: out of the ISR when its session ends, and agents look at partitions
# every ten seconds.
its_replicas_are_gone() {
    local pod
    verdicts "$SEEN_WITHIN" "$HOLD" <<'TABLE'
rest safe-to-stop 503 .*QuorumNeedsIt.*WouldFallUnderMinIsr.*
TABLE
    for pod in $(all_but "${SICK[@]}"); do
        expect "$pod may not stop because of $TOPIC" may_not_stop_because_of "$pod" "$TOPIC"
    done
}

scenario_leader_killed() {
    local leader
    leader="$(leading_pod)"
    SICK=("$leader")
    kill_node "$leader"
    one_voter_is_gone
    expect "another one leads than $leader" test "$(leading_pod)" != "$leader"
    start_node "$leader"
    all_is_well
}

# One of three voters, the sick one, does not run, or as good as: its own agent says so, and the others' agents say
# that no other may go.
one_voter_is_gone() {
    verdicts "$SEEN_WITHIN" "$HOLD" <<'TABLE'
all livez 200
sick readyz 503 .*
sick member Silent
rest readyz 200
all quorum Degraded
all spare 0
voters safe-to-stop 503 .*QuorumNeedsIt.*
observers safe-to-stop 200
TABLE
}

may_not_stop_because_of() {
    grep -q -F -e "$2" < <(look "$1" /v1/safe-to-stop)
}

# A broker or a combined node serves on without a quorum, and may not stop, for nobody could take over; a controller alone
# has nothing to serve.
scenario_majority_killed() {
    local leader other last
    leader="$(leading_pod)"
    other="$(followers | head -n 1)"
    last="$(followers | tail -n 1)"
    SICK=("$leader" "$other")
    kill_node "$leader"
    kill_node "$other"
    if [[ "$MODE" == dedicated ]]; then
        SICK+=("$last")
    fi
    verdicts "$SEEN_WITHIN" "$HOLD" <<'TABLE'
all livez 200
all quorum MajorityLost
all spare null
sick readyz 503 .*
rest readyz 200
rest safe-to-stop 503 .*LeadersCannotMove.*
TABLE
    start_node "$leader"
    start_node "$other"
    all_is_well
}

# Its port takes connections and nothing answers. It leads, so that the others have to notice and to elect.
scenario_controller_frozen() {
    local leader
    leader="$(leading_pod)"
    SICK=("$leader")
    freeze_node "$leader"
    verdicts "$SEEN_WITHIN" "$HOLD" <<'TABLE'
all livez 200
sick readyz 503 .*
sick member Silent|Wedged
rest readyz 200
all quorum Degraded
all spare 0
voters safe-to-stop 503 .*QuorumNeedsIt.*
observers safe-to-stop 200
TABLE
    thaw_node "$leader"
    all_is_well
}

# The others' readiness is not changed, and only brokers are held back: the quorum has all its voters.
scenario_broker_frozen() {
    local pod
    SICK=("${BROKERS[1]}")
    freeze_node "${SICK[0]}"
    verdicts "$SEEN_WITHIN" "$HOLD" <<TABLE
all livez 200
sick readyz 503 .*
sick broker Frozen|Fenced
rest readyz 200
all quorum Healthy
all spare 1
${BROKERS[0]} safe-to-stop 503 .*
${BROKERS[2]} safe-to-stop 503 .*
TABLE
    for pod in $(controllers); do
        expect "the controller $pod may stop" test "$(said_last "$pod" safe-to-stop)" = 200
    done
    thaw_node "${SICK[0]}"
    all_is_well
}

# Two of three replicas are away, and the controllers take them out of the ISR: the broker that is left says that nobody
# can produce, and it is ready all the same. With combined nodes there is no quorum then that could shrink an ISR.
scenario_brokers_killed() {
    local left="${BROKERS[0]}"
    SICK=("${BROKERS[1]}" "${BROKERS[2]}")
    kill_node "${BROKERS[1]}"
    kill_node "${BROKERS[2]}"
    verdicts "$SEEN_WITHIN" "$HOLD" <<TABLE
all livez 200
sick readyz 503 .*
rest readyz 200
all quorum Healthy
all spare 1
$left conditions .*PartitionsUnderMinIsr.*
$left safe-to-stop 503 .*
TABLE
    expect "$left says it of $TOPIC" says_under_min_isr "$left" "$TOPIC"
    start_node "${BROKERS[1]}"
    start_node "${BROKERS[2]}"
    all_is_well
}

says_under_min_isr() {
    grep -q -F -e 'fewer replicas in sync than min.insync.replicas' < <(look "$1" /v1/status | grep -F -e "$2")
}

# The pod comes back with another CA than its peers, in keystore and truststore, as from a wrong Secret. What was issued
# before is gone with the pod, as an emptyDir is.
scenario_controller_untrusted() {
    local pod lines settings="$FOLDER/foreign.yaml"
    pod="$(followers | head -n 1)"
    SICK=("$pod")
    sed "s#folder: \"$FOLDER/ca\"#folder: \"$FOLDER/foreign-ca\"#" "$FOLDER/cluster.yaml" >"$settings"
    expect "the settings name another CA" not cmp -s "$settings" "$FOLDER/cluster.yaml"
    end_pod "$pod"
    rm -rf "$FOLDER/pods/$pod/run/tls"
    lines="$(log_lines "$pod")"
    begin_pod "$pod" "$settings"
    await_log "$pod" "$lines" 'authentication error|Failed authentication'
    # For longer than an election may take, within which nothing is said to be worse than it was.
    verdicts "$SEEN_WITHIN" $((3 * HOLD)) <<'TABLE'
all livez 200
sick readyz 503 .*
sick quorum Unknown
sick conditions .*QuorumUnknown.*
rest readyz 200
rest quorum Degraded
rest spare 0
TABLE
    end_pod "$pod"
    rm -rf "$FOLDER/pods/$pod/run/tls"
    begin_pod "$pod" "$FOLDER/cluster.yaml"
    all_is_well
}

# A volume is replaced. A static voter is formatted when the others can do without its vote; a dynamic one comes back as
# an observer, and its vote is lost with its directory id until a person acts: that is the last scenario then.
scenario_disk_emptied() {
    local pod lines
    pod="$(followers | head -n 1)"
    SICK=("$pod")
    end_pod "$pod"
    rm -rf "$FOLDER/pods/$pod/data"
    verdicts "$SEEN_WITHIN" "$HOLD" <<'TABLE'
rest livez 200
rest readyz 200
rest quorum Degraded
rest spare 0
voters safe-to-stop 503 .*QuorumNeedsIt.*
TABLE
    lines="$(log_lines "$pod")"
    begin_pod "$pod" "$FOLDER/cluster.yaml"
    if [[ "$QUORUM" == static ]]; then
        all_is_well
    else
        await_log "$pod" "$lines" 'Kafka Server started'
        verdicts "$SEEN_WITHIN" "$HOLD" <<'TABLE'
all livez 200
sick member LostIdentity
sick readyz 503 .*
rest readyz 200
rest quorum Degraded
TABLE
    fi
}

# A log that was not closed is read again before the broker serves: meanwhile nobody may lose patience. The process is
# frozen in the middle of it, so that it takes as long as with a slow disk and a log that is much larger.
scenario_slow_start() {
    local pod lines
    pod="$(followers | head -n 1)"
    client fill large "$(setting "$pod" node.id)" 200 100 >"$FOLDER/client.out" || die 1 "the large log could not be written"
    SICK=("$pod")
    kill_node "$pod"
    verdicts "$SEEN_WITHIN" 1 <<'TABLE'
sick readyz 503 .*
sick startupz 503 NoMetadata
sick recovery null
rest readyz 200
TABLE
    lines="$(log_lines "$pod")"
    start_node "$pod"
    await_log "$pod" "$lines" 'partition=large-.*Recovering unflushed segment'
    freeze_node "$pod"
    verdicts "$SEEN_WITHIN" "$HOLD" <<'TABLE'
all livez 200
sick readyz 503 .*
sick startupz 503 LogRecovery,NoMetadata
sick recovery [1-9][0-9]*
rest readyz 200
TABLE
    thaw_node "$pod"
    all_is_well
    expect "no recovery is shown any more" test "$(said_last "$pod" recovery)" = null
}

# await_log POD LINES PATTERN: until the log of its Kafka has a line like this, after so many lines.
await_log() {
    local deadline=$((SECONDS + SEEN_WITHIN))
    until grep -q -E -e "$3" < <(tail -n "+$(($2 + 1))" "$FOLDER/$1.log"); do
        ((SECONDS < deadline)) || die 1 "the log of $1 does not say \"$3\" within $SEEN_WITHIN s"
        sleep 0.05
    done
}

log_lines() {
    wc -l <"$FOLDER/$1.log"
}
