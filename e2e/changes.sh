# shellcheck shell=bash
# What happens to a cluster while its certificates are renewed. Source it after load.sh.
#
# WINDOWS holds the times in which connections may be interrupted, because a node was away: begin, end, begin, end …

WINDOWS=()
STOPPED=
NEWS_TOLD=0
NEWS_NAMES=

# Nodes and sidecars, and what the clients need. No leaf is older than FIRST_ISSUED_AT.
bring_up_all() {
    make_load
    # shellcheck disable=SC2034  # read by demo.sh
    FIRST_ISSUED_AT="$(date +%s)"
    init_pods
    write_load_properties
    start_nodes
    start_sidecars
    await "waiting for ${#BROKERS[@]} brokers" wait "${#BROKERS[@]}" 120
}

# One line of the story, which happens now.
event() {
    tell "$(load_time)" "$*"
}

# tell TIME TEXT: a line of the story; red where something failed.
tell() {
    local colour=
    [[ "$2" != FAILED* ]] || colour=31
    if [[ -t 1 ]]; then
        # In place of a spinner that may be there.
        printf '\r\033[K\033[2m%s\033[0m  \033[%sm%s\033[0m\n' "${1:11:8}" "$colour" "$2"
    else
        printf '%s  %s\n' "${1:11:8}" "$2"
    fi
}

# The clients begin: so many records a second.
begin_load() {
    start_load "$1"
    event "clients have begun: $1 records a second, acks=all, and a new connection to every broker each second"
    # shellcheck disable=SC2034  # `await` of nodes.sh does it
    MEANWHILE=tell_news
}

# Tells what the load has seen since the last time, a line for each thing: new leaves and leaders, nodes that are gone,
# and whatever failed.
tell_news() {
    local pod at line until
    if [[ -z "$NEWS_NAMES" ]]; then
        for pod in "${PODS[@]}"; do
            NEWS_NAMES+="$(host_of "$pod") $pod $(setting "$pod" node.id) "
        done
    fi
    until="$(load_lines)"
    head -n "$until" "$LOAD.tsv" | awk -F '\t' -v told="$NEWS_TOLD" -v names="$NEWS_NAMES" '
        function tell(text) { if (NR > told) print $1 " " text }
        BEGIN {
            count = split(names, words, " ")
            for (i = 1; i < count; i += 3) { pod_at[words[i]] = words[i + 1]; pod_of[words[i + 2]] = words[i + 1] }
        }
        { pod = $3; sub(/:[0-9]*$/, "", pod); pod = pod_at[pod] }
        $2 == "leaf" {
            if (pod in seen) tell(pod " serves a new leaf, " substr($4, 1, 8) ", until " substr($5, 12, 8))
            seen[pod] = 1; gone[pod] = 0
        }
        $2 == "leader" { tell(pod_of[$3] " leads the quorum, " $4); headless = 0 }
        $2 == "interrupted" { if (!gone[pod]++) tell(pod " cannot be reached") }
        $2 == "no leader answered" { if (!headless++) tell("nobody leads the quorum") }
        $2 == "refused" || $2 == "failed" { tell("FAILED: " $3 " " $4) }
    ' | while read -r at line; do tell "$at" "$line"; done
    NEWS_TOLD="$until"
}

# wait_until EPOCH_SECONDS WHAT: everything has to live meanwhile.
wait_until() {
    event "waiting for $2"
    while (($(date +%s) <= $1)); do
        tell_news
        all_alive || show_failure "waiting for $2"
        all_sidecars_alive || die 1 "a sidecar ended by itself; its log ends with $(tail -q -n 1 "$FOLDER"/*.sidecar.log)"
        kill -0 "$LOAD_PID" 2>/dev/null || die 1 "the load ended by itself: $(tail -n 3 "$LOAD.err")"
        sleep 0.5
    done
}

# The node ids of the controllers.
voters() {
    local pod
    for pod in $(controllers); do
        setting "$pod" node.id
    done
}

# Sets LEADER to the pod that leads the quorum.
find_leader() {
    local id pod
    await "asking the quorum" quorum
    id="$(sed -n 's/^leader\t//p' "$OUTPUT")"
    LEADER=
    for pod in "${PODS[@]}"; do
        [[ "$(setting "$pod" node.id)" != "$id" ]] || LEADER="$pod"
    done
    [[ -n "$LEADER" ]] || die 1 "node $id leads, and no pod has this id"
}

stop_leader() {
    find_leader
    WINDOWS+=("$(load_time)")
    STOPPED="$LEADER"
    event "stopping $STOPPED, which leads the quorum"
    stop_node "$STOPPED"
}

stop_and_start_leader() {
    local lines
    lines="$(load_lines)"
    stop_leader
    await_load "$lines" 60 '	leader	' || die 1 "nobody leads 60 s after $STOPPED was stopped"
    tell_news
    start_node "$STOPPED"
    all_are_back
    event "$STOPPED is back"
}

# What a deleted pod of a StatefulSet goes through: the sidecar ends after Kafka, and init runs again.
restart_pod() {
    WINDOWS+=("$(load_time)")
    event "restarting the pod $1"
    stop_node "$1"
    stop_sidecar "$1"
    init_pod "$1" "$FOLDER/cluster.yaml" || die 1 "kraftlet init refused $1: $(tail -n 3 "$FOLDER/$1.init.log")"
    start_sidecar "$1"
    start_node "$1"
    all_are_back
    event "$1 is back"
}

all_are_back() {
    local ids
    mapfile -t ids < <(voters)
    await "waiting for ${#BROKERS[@]} brokers" wait "${#BROKERS[@]}" 120
    await "waiting for all voters" caught-up 60 "${ids[@]}"
    await "waiting for all replicas" in-sync load 3 120
    WINDOWS+=("$(load_time)")
    tell_news
}

# The other CA takes the place of the one in the folder, which is the next one to come: the clients trust both.
change_ca() {
    local pod deadline issuer
    issuer="$(issuers)"
    cp "$FOLDER/ca/ca.crt" "$FOLDER/old-ca.crt"
    event "the nodes' CA is replaced; it was $issuer"
    swap_ca
    deadline=$((SECONDS + 3 * LIFETIME_S))
    while [[ "$(issuers)" == *"$issuer"* ]]; do
        tell_news
        ((SECONDS < deadline)) || die 1 "some listeners still show leaves of the old CA: $(cut -f 2,5 "$OUTPUT" | tr '\t\n' ' ;')"
    done
    tell_news
    event "every listener shows a leaf of the new CA, $(issuers)"
    for pod in "${PODS[@]}"; do
        order "$pod" /v1/forget-old-trust '{"certificate": "node"}' >"$FOLDER/order.out" \
            || die 1 "the sidecar of $pod takes no order: $(tail -n 1 "$FOLDER/order.out")"
    done
    event "the sidecars are told to forget the old CA"
    until_true "$((deadline - SECONDS))" nobody_trusts "$FOLDER/old-ca.crt" || die 1 "some nodes still trust the old CA"
    event "no node trusts the old CA"
}

# Under the lock that kraftlet takes, for the two files are one CA.
swap_ca() {
    local former="$FOLDER/former-ca"
    mkdir -p "$former"
    cp "$FOLDER/ca/ca.key" "$FOLDER/ca/ca.crt" "$former/"
    flock "$FOLDER/ca" cp "$FOLDER/next/ca/ca.key" "$FOLDER/next/ca/ca.crt" "$FOLDER/ca/"
    mv "$former/ca.key" "$former/ca.crt" "$FOLDER/next/ca/"
}

# Who issued the leaves that are served, each once.
issuers() {
    shake_hands
    cut -f 5 "$OUTPUT" | sort -u | paste -s -d ' '
}

shake_hands() {
    local addresses
    mapfile -t addresses < <(all_addresses)
    await "shaking hands with every listener" leaf "${addresses[@]}" 2>>"$FOLDER/handshakes.log"
}

# Whether no truststore of a node holds this certificate.
nobody_trusts() {
    local middle pod
    middle="$(sed -n 3p "$1")"
    for pod in "${PODS[@]}"; do
        ! grep -q -F -e "$middle" "$FOLDER/pods/$pod/run/tls/node/truststore.pem" || return 1
    done
}

# An independent handshake with every listener, of controllers too; dates in UTC can be compared as text.
every_channel_is_fresh() {
    local now
    shake_hands
    now="$(date -u +%Y-%m-%dT%H:%M:%SZ)"
    expect "each listener shows a leaf that is younger than its two minutes" \
        test -z "$(awk -F '\t' -v now="$now" '$4 <= now' "$OUTPUT")"
}

# Whether `kraftlet status` finds every node healthy, and names for each listener the leaf that the handshake has shown.
# Between the two a node may renew, so it is tried some times.
status_agrees() {
    local tries fingerprint missing
    for ((tries = 0; tries < 5; tries++)); do
        shake_hands
        "$KRAFTLET" status --settings "$FOLDER/cluster.yaml" --all --output json >"$FOLDER/status.json" || continue
        missing=0
        while read -r fingerprint; do
            grep -q -F -e "$fingerprint" "$FOLDER/status.json" || missing=$((missing + 1))
        done < <(cut -f 3 "$OUTPUT")
        ((missing > 0)) || return 0
    done
    return 1
}

# Whether no node says that it or a peer was refused for a certificate; prints who did.
no_refusals() {
    local pod lines found=0
    for pod in "${PODS[@]}"; do
        lines="$(grep -m 2 -E 'certificate_(unknown|expired)|bad_certificate|unknown_ca|PKIX path|CertificateExpired' "$FOLDER/$pod.log")" \
            || continue
        cut -c 1-300 <<<"$lines" >&2
        found=1
    done
    ((found == 0))
}
