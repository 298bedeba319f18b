# shellcheck shell=bash
# The nodes of a cluster: prepared by kraftlet, run by Java, watched and stopped. Source it after lib.sh.
#
# Uses KAFKA, MODE, QUORUM, KRAFTLET, CLASS_PATH, FOLDER and CLIENT_PROPERTIES of demo.sh or cases.sh; sets PODS and
# BROKERS.

PODS=()
BROKERS=()
declare -A PID_OF=()
declare -A STARTED_AGAIN=()
CLIENT_PID=

# The script's own, removed at its end.
FOLDER=

# Whether the folder stays there in any case.
KEEP=no

# What is done each second while something is waited for.
MEANWHILE=:

# Small JVMs that are ready soon: six of them share two cores, and none lives long enough for the second compiler. A
# broker's log cleaner alone takes 128 MB by default, so 256 MB are too few.
JVM=(-Xmx512m -Xms64m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -XX:-UsePerfData)

# make_folder NAME: sets FOLDER, and from then on has the script clean up at its end. Ctrl-C ends it too.
make_folder() {
    FOLDER="$(mktemp -d "${TMPDIR:-/tmp}/kraftlet-$1.XXXXXX")"
    trap clean_up EXIT
    trap 'exit 130' INT TERM
}

# Stops what the script has started. Where something went wrong its folder stays, unless somebody interrupted it.
clean_up() {
    local code=$?
    trap - EXIT INT TERM
    # A script may have started more than nodes.
    ! declare -F stop_others >/dev/null || stop_others
    stop_nodes
    if [[ -n "$FOLDER" ]] && { [[ "$KEEP" == yes ]] || ((0 < code && code <= 128)); }; then
        say "kept: $FOLDER"
    else
        rm -rf "$FOLDER"
    fi
    exit "$code"
}

# The settings of a cluster on one machine, as kraftlet proposes them; further flags may be given.
make_settings() {
    "$KRAFTLET" new-cluster --name demo --local "$FOLDER" --kafka-version "$KAFKA" --mode "$MODE" --quorum "$QUORUM" "$@" \
        >"$FOLDER/cluster.yaml" || die 2 "kraftlet new-cluster refused"
    if [[ "$MODE" == combined ]]; then
        BROKERS=(demo-0 demo-1 demo-2)
        PODS=("${BROKERS[@]}")
    else
        BROKERS=(demo-broker-0 demo-broker-1 demo-broker-2)
        PODS=(demo-controller-0 demo-controller-1 demo-controller-2 "${BROKERS[@]}")
    fi
}

# What the init container of each pod does.
init_pods() {
    local pod started ended
    for pod in "${PODS[@]}"; do
        started="$(date +%s%N)"
        init_pod "$pod" "$FOLDER/cluster.yaml" || {
            tail -n 20 "$FOLDER/$pod.init.log" >&2
            die 2 "kraftlet init refused $pod"
        }
        ended="$(date +%s%N)"
        say "kraftlet init $pod: $(((ended - started) / 1000000)) ms"
    done
}

# Runs `kraftlet init` for a pod with these settings; what it says is in the pod's init.log.
init_pod() {
    POD_NAME="$1" POD_NAMESPACE=default "$KRAFTLET" init --settings "$2" >"$FOLDER/$1.init.log" 2>&1
}

# The value of a key in a node's server.properties.
setting() {
    sed -n "s/^$2=//p" "$FOLDER/pods/$1/run/server.properties" | tail -n 1
}

# The pods that vote.
controllers() {
    local pod
    for pod in "${PODS[@]}"; do
        [[ "$(setting "$pod" process.roles)" != *controller* ]] || printf '%s\n' "$pod"
    done
}

start_nodes() {
    local pod
    for pod in "${PODS[@]}"; do
        start_node "$pod"
    done
    say "started ${#PODS[@]} Kafka processes"
}

start_node() {
    local pod="$1"
    java "${JVM[@]}" "$(kafka_logging "$KAFKA")" "-Dkafka.logs.dir=$FOLDER/pods/$pod" \
        -cp "$(engine_class_path "$pod")$CLASS_PATH" kafka.Kafka "$FOLDER/pods/$pod/run/server.properties" >>"$FOLDER/$pod.log" 2>&1 </dev/null &
    PID_OF[$pod]=$!
}

# What Kafka's own scripts make of the variable CLASSPATH that init asks for: the front of the class path.
engine_class_path() {
    sed -n 's/.* environment variable CLASSPATH=\(.*\)$/\1:/p' "$FOLDER/$1.init.log"
}

# Stops one node and waits for its end.
stop_node() {
    local pod="$1" tries
    kill "${PID_OF[$pod]}"
    # Half a minute: a broker first hands its partitions over.
    for ((tries = 0; tries < 150; tries++)); do
        kill -0 "${PID_OF[$pod]}" 2>/dev/null || break
        sleep 0.2
    done
    kill -9 "${PID_OF[$pod]}" 2>/dev/null && say "$pod did not stop by itself"
    wait "${PID_OF[$pod]}" 2>/dev/null || true
    unset "PID_OF[$pod]"
    say "stopped $pod"
}

# Runs our client with its arguments.
client() {
    client_command "$@"
    "${CLIENT_COMMAND[@]}"
}

client_command() {
    CLIENT_COMMAND=(java "${JVM[@]}" "$(client_logging)" -cp "$CLASS_PATH" ClusterClient "$CLIENT_PROPERTIES" "$@")
}

# The client's own warnings (a broker that is not up yet) belong to nobody's screen.
client_logging() {
    case "$KAFKA" in
        3.*) printf -- '-Dlog4j.configuration=file:%s/java/log4j-quiet.properties' "$E2E_DIR" ;;
        *) printf -- '-Dlog4j2.level=OFF' ;;
    esac
}

# Runs our client in the background with a spinner (a plain line where there is no terminal). Its standard output goes
# to the file named in OUTPUT. Ends the script if the client does not succeed or a node dies meanwhile.
await() {
    local text="$1" working frame=0 frames='|/-+' started=$SECONDS code=0
    shift
    OUTPUT="$FOLDER/client.out"
    client_command "$@"
    "${CLIENT_COMMAND[@]}" >"$OUTPUT" 2>"$FOLDER/client.err" &
    working=$!
    CLIENT_PID=$working
    [[ -t 2 ]] || say "$text ..."
    while kill -0 "$working" 2>/dev/null; do
        frame=$((frame + 1))
        if [[ -t 2 ]]; then
            printf '\r\033[36m%s\033[0m %s (%s s) ' "${frames:frame % 4:1}" "$text" "$((SECONDS - started))" >&2
        fi
        ((frame % 5 > 0)) || "$MEANWHILE"
        if ! all_alive; then
            kill "$working" 2>/dev/null || true
            wait "$working" 2>/dev/null || true
            break
        fi
        sleep 0.2
    done
    [[ ! -t 2 ]] || printf '\r\033[K' >&2
    wait "$working" || code=$?
    CLIENT_PID=
    if ((code != 0)); then
        show_failure "$text"
    fi
    say "$text: done after $((SECONDS - started)) s"
}

all_alive() {
    local pod
    for pod in "${PODS[@]}"; do
        kill -0 "${PID_OF[$pod]}" 2>/dev/null || start_again "$pod" || return 1
    done
}

# What the kubelet does for a broker that a fault of Kafka's own has ended, once for each. In a dynamic quorum that is
# new, a broker may have fetched the first record of the voters from a leader that lost its office at once. It cuts its
# log back, forgets the voters, and does not read them a second time (KRaftControlRecordStateMachine.truncateNewEntries
# leaves nextOffset where it was; seen with 3.9.2). So it knows no controller to register with, and gives up after
# initial.broker.registration.timeout.ms, a minute. At its next start it reads the voters from its log.
start_again() {
    [[ "${QUORUM-}" == dynamic && -z "${STARTED_AGAIN[$1]-}" ]] || return 1
    grep -q 'unable to register with the controller quorum' "$FOLDER/$1.log" || return 1
    STARTED_AGAIN[$1]=yes
    say "$1 ended, for it could not register with the quorum; started again, as the kubelet would"
    start_node "$1"
}

# The last lines of the log of each node that ended, or of all where none did, and the end of the demo.
show_failure() {
    local pod dead=()
    KEEP=yes
    tail -n 5 "$FOLDER/client.err" >&2 || true
    for pod in "${PODS[@]}"; do
        kill -0 "${PID_OF[$pod]}" 2>/dev/null || dead+=("$pod")
    done
    for pod in "${dead[@]}"; do
        say "--- $pod ended; the last errors in $FOLDER/$pod.log"
        grep -v -E '^\[.*\] (INFO|WARN) |^[[:space:]]+at ' "$FOLDER/$pod.log" | tail -n 15 | cut -c1-400 >&2 || true
    done
    ((${#dead[@]} > 0)) || for pod in "${PODS[@]}"; do
        say "--- $pod is alive; its last warnings in $FOLDER/$pod.log"
        grep -E '^\[.*\] (WARN|ERROR|FATAL) ' "$FOLDER/$pod.log" | tail -n 5 | cut -c1-400 >&2 || true
    done
    die 1 "$1: did not succeed"
}

show_lines() {
    sed 's/\t/: /' "$1"
}

# One row for each node, with the leaf that each of its listeners really served.
show_table() {
    local pod rows=() id addresses
    mapfile -t addresses < <(all_addresses)
    await "shaking hands with every listener" leaf "${addresses[@]}"
    rows+=("NODE|ID|ROLES|LISTENERS|LEAF|NOT AFTER|LEADER")
    for pod in "${PODS[@]}"; do
        id="$(setting "$pod" node.id)"
        rows+=("$pod|$id|$(setting "$pod" process.roles)|$(listener_names "$pod")|$(served "$pod")|$([[ "$pod" != "$LEADER" ]] || printf 'leader')")
    done
    print_columns "${rows[@]}"
}

listener_names() {
    setting "$1" listeners | tr ',' '\n' | sed 's#://.*:#:#' | paste -s -d ' '
}

# HOST:PORT of every listener of a node.
addresses_of() {
    setting "$1" listeners | tr ',' '\n' | sed 's#.*://##'
}

all_addresses() {
    local pod
    for pod in "${PODS[@]}"; do
        addresses_of "$pod"
    done
}

# "FINGERPRINT|NOT AFTER" of a node: the first eight digits, as everywhere in kraftlet, if all its listeners agree.
served() {
    local address lines=()
    while read -r address; do
        lines+=("$(awk -F'\t' -v address="$address" '$2 == address { print substr($3, 1, 8) "|" $4 }' "$OUTPUT")")
    done < <(addresses_of "$1")
    printf '%s\n' "${lines[@]}" | sort -u | paste -s -d '!' | sed 's/^\(.*\)!.*$/different leaves|\1/'
}

print_columns() {
    local row cells=() widths=() index
    for row in "$@"; do
        IFS='|' read -r -a cells <<<"$row"
        for index in "${!cells[@]}"; do
            ((${#cells[index]} <= ${widths[index]:-0})) || widths[index]=${#cells[index]}
        done
    done
    for row in "$@"; do
        IFS='|' read -r -a cells <<<"$row"
        for index in "${!cells[@]}"; do
            printf '%-*s  ' "${widths[index]}" "${cells[index]}"
        done | sed 's/ *$//'
        printf '\n'
    done
}

# Asks every node to stop, and after three seconds makes it: the folder is about to go anyway.
stop_nodes() {
    local pod tries
    [[ -z "$CLIENT_PID" ]] || kill "$CLIENT_PID" 2>/dev/null || true
    ((${#PID_OF[@]} > 0)) || return 0
    kill "${PID_OF[@]}" 2>/dev/null || true
    for ((tries = 0; tries < 15; tries++)); do
        any_alive || break
        sleep 0.2
    done
    for pod in "${!PID_OF[@]}"; do
        kill -9 "${PID_OF[$pod]}" 2>/dev/null || true
        wait "${PID_OF[$pod]}" 2>/dev/null || true
    done
}

any_alive() {
    local pod
    for pod in "${!PID_OF[@]}"; do
        ! kill -0 "${PID_OF[$pod]}" 2>/dev/null || return 0
    done
    return 1
}
