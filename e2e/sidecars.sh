# shellcheck shell=bash
# A `kraftlet sidecar` beside each node. Source it after nodes.sh.
#
# Uses KRAFTLET, FOLDER and PODS; SIDECAR_OF holds the process ids.

declare -A SIDECAR_OF=()

start_sidecars() {
    local pod
    for pod in "${PODS[@]}"; do
        start_sidecar "$pod"
    done
    say "started ${#PODS[@]} sidecars"
}

# start_sidecar POD [SETTINGS]
start_sidecar() {
    POD_NAME="$1" POD_NAMESPACE=default "$KRAFTLET" sidecar --settings "${2:-$FOLDER/cluster.yaml}" \
        >>"$FOLDER/$1.sidecar.log" 2>&1 </dev/null &
    SIDECAR_OF[$1]=$!
}

# Stops one and waits for its end, which has to come soon.
stop_sidecar() {
    local tries
    kill "${SIDECAR_OF[$1]}"
    for ((tries = 0; tries < 50; tries++)); do
        kill -0 "${SIDECAR_OF[$1]}" 2>/dev/null || break
        sleep 0.1
    done
    kill -9 "${SIDECAR_OF[$1]}" 2>/dev/null && die 1 "the sidecar of $1 did not end 5 s after SIGTERM"
    wait "${SIDECAR_OF[$1]}" 2>/dev/null || true
    unset "SIDECAR_OF[$1]"
}

# All that are left, when a script ends.
kill_sidecars() {
    local pod
    for pod in "${!SIDECAR_OF[@]}"; do
        kill -9 "${SIDECAR_OF[$pod]}" 2>/dev/null || true
        wait "${SIDECAR_OF[$pod]}" 2>/dev/null || true
    done
    SIDECAR_OF=()
}

all_sidecars_alive() {
    local pod
    for pod in "${PODS[@]}"; do
        kill -0 "${SIDECAR_OF[$pod]}" 2>/dev/null || return 1
    done
}

# The address that a node, and so its sidecar, listens at.
host_of() {
    setting "$1" listeners | sed 's#^[^/]*//##; s#:[0-9]*\(,.*\)*$##'
}

# order POD PATH BODY: gives an order by hand; prints the answer.
order() {
    local host
    host="$(host_of "$1")"
    # shellcheck disable=SC2016  # the inner shell expands it
    timeout 10 bash -c '
        exec 3<>"/dev/tcp/$1/9641"
        printf "POST %s HTTP/1.1\r\nHost: %s\r\nX-Kraftlet: order\r\nContent-Length: %s\r\nConnection: close\r\n\r\n%s" \
            "$2" "$1" "${#3}" "$3" >&3
        cat <&3' order "$host" "$2" "$3"
}

# look POD PATH: what the sidecar answers at its read port.
look() {
    # shellcheck disable=SC2016  # the inner shell expands it
    timeout 10 bash -c '
        exec 3<>"/dev/tcp/$1/9640"
        printf "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n" "$2" "$1" >&3
        sed "1,/^\r\$/d" <&3' look "$(host_of "$1")" "$2"
}

# prestop POD SECONDS: what the kubelet asks before it stops Kafka; prints the answer when it comes, within so long.
prestop() {
    # shellcheck disable=SC2016  # the inner shell expands it
    timeout "$2" bash -c '
        exec 3<>"/dev/tcp/$1/9640"
        printf "GET /v1/prestop HTTP/1.1\r\nHost: %s\r\nX-Kraftlet: prestop\r\nConnection: close\r\n\r\n" "$1" >&3
        cat <&3' prestop "$(host_of "$1")"
}
