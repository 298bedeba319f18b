# shellcheck shell=bash
# Clients that keep going, and watch. Source it after nodes.sh.
#
# Uses KRAFTLET, FOLDER, CLASS_PATH and PODS; LOAD is where its files begin. Sets LOAD_PID. The clients have a CA of their own, as people's clients
# mostly do, so that a change of the nodes' CA takes nothing from them; their truststore holds the CA that the nodes
# will change to from the beginning, which is what a person sees to before such a change.

LOAD_PID=

# The clients' certificate and the nodes' next CA, and in the cluster's settings what lets the clients in. The last
# lines of cluster.yaml have to be those of the certificate `node`, as new-cluster writes them.
make_load() {
    local name
    for name in clients next; do
        "$KRAFTLET" new-cluster --name "$name" --replicas 1 --reload admin-api --local "$FOLDER/$name" >"$FOLDER/$name.yaml"
        "$KRAFTLET" init --pod-name "$name-0" --settings "$FOLDER/$name.yaml" >/dev/null || die 2 "kraftlet init refused $name-0"
    done
    {
        printf '    trust: ["%s"]\n' "$FOLDER/clients/ca/ca.crt"
        printf 'superUsers: ["User:CN=clients-node"]\n'
    } >>"$FOLDER/cluster.yaml"
}

# What the clients use, once the nodes' CA is there. Sets CLIENT_PROPERTIES.
write_load_properties() {
    local stores="$FOLDER/clients/pods/clients-0/run/tls/node"
    CLIENT_PROPERTIES="$FOLDER/load.properties"
    cat "$FOLDER/ca/ca.crt" "$FOLDER/next/ca/ca.crt" >"$FOLDER/load.truststore.pem"
    {
        grep -E '^(bootstrap.servers|security.protocol)=' "$FOLDER/pods/${BROKERS[0]}/run/client.properties"
        printf 'ssl.keystore.type=PEM\nssl.keystore.location=%s\n' "$stores/keystore.pem"
        printf 'ssl.truststore.type=PEM\nssl.truststore.location=%s\n' "$FOLDER/load.truststore.pem"
    } >"$CLIENT_PROPERTIES"
}

# What a JVM among nine others may take on two cores until a leader has answered it.
LOAD_BEGINS_WITHIN_S=240

# start_load RECORDS_PER_SECOND: its lines are in $LOAD.tsv, its sums in $LOAD.out.
start_load() {
    java -Xmx160m -Xms32m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -XX:-UsePerfData "$(client_logging)" -cp "$CLASS_PATH" \
        LoadClient "$CLIENT_PROPERTIES" load "$1" "$LOAD.tsv" >"$LOAD.out" 2>"$LOAD.err" </dev/null &
    LOAD_PID=$!
    await_load 0 "$LOAD_BEGINS_WITHIN_S" '	leader	' || die 1 "the load did not begin: $(tail -q -n 3 "$LOAD.err" "$LOAD.tsv")"
}

# How many lines the load has written: where to look for what comes next.
load_lines() {
    wc -l 2>/dev/null <"$LOAD.tsv" || printf 0
}

# await_load AFTER SECONDS TEXT: whether the load writes a line with this text, after that many lines.
await_load() {
    local deadline=$((SECONDS + $2))
    while ((SECONDS < deadline)); do
        kill -0 "$LOAD_PID" 2>/dev/null || return 1
        ! grep -q -F -e "$3" < <(tail -n "+$(($1 + 1))" "$LOAD.tsv" 2>/dev/null) || return 0
        sleep 0.2
    done
    return 1
}

# Ends the load and prints its sums; the code is the load's own.
stop_load() {
    local code=0
    kill "$LOAD_PID" 2>/dev/null || true
    wait "$LOAD_PID" || code=$?
    LOAD_PID=
    print_load <"$LOAD.out"
    return "$code"
}

# When a script ends.
kill_load() {
    [[ -n "$LOAD_PID" ]] || return 0
    kill -9 "$LOAD_PID" 2>/dev/null || true
    wait "$LOAD_PID" 2>/dev/null || true
}

print_load() {
    awk -F '\t' '{ printf "  %-28s %s\n", $1, $2 }'
}

# A value of the load's sums.
load_sum() {
    sed -n "s/^$1\t//p" "$LOAD.out"
}

# Events of a kind outside of the given windows, each "BEGIN END" in the times of the load.
load_events_outside() {
    local kind="$1"
    shift
    awk -F '\t' -v kind="$kind" -v windows="$*" '
        BEGIN { count = split(windows, edges, " ") }
        $2 == kind {
            for (i = 1; i < count; i += 2) if ($1 >= edges[i] && $1 <= edges[i + 1]) next
            print
        }' "$LOAD.tsv"
}

# Now, as the load writes it.
load_time() {
    date -u +%Y-%m-%dT%H:%M:%S.%3NZ
}
