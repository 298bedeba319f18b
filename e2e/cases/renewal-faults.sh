# shellcheck shell=bash
# What can go wrong with a renewal, one after another on one node that runs all the time: Kafka serves the last good
# leaf, the reason is in the status, the metrics and the log, and when the fault is gone it heals by itself.

# shellcheck source=../sidecars.sh
. "$E2E_DIR/sidecars.sh"

# Where the good leaves are counted, so that each has a name of its own.
LEAVES=0

run_case() {
    local run="$FOLDER/pods/demo-0/run"
    PKI="$FOLDER/pki"
    MOUNTED="$FOLDER/mounted/demo-0"
    begin_cluster 4.4.0 1
    write_openssl_config "$PKI"
    make_root "$PKI" root
    make_root "$PKI" stranger
    make_intermediate "$PKI" root intermediate
    make_intermediate "$PKI" stranger unknown
    mounted
    mount_small_disk "$run"
    new_leaf
    bring_up
    start_sidecars
    expect "the sidecar is content" await_served

    bad_files
    a_folder_that_is_gone
    a_full_disk "$run"
    kafka_that_is_down
    kafka_that_never_answers
    kafka_that_is_killed_meanwhile
    a_sidecar_that_is_killed
    a_second_sidecar
}

# make_late_leaf CA NAME: with a fifth of its life left, for such a leaf is not kept waiting for its turn.
make_late_leaf() {
    make_leaf "$PKI" "$1" "$2" demo-node "IP:$(address_of 0)" -startdate "$(openssl_date '-20 days')" -enddate "$(openssl_date '5 days')"
}

# Mounts a good leaf that has not been there before, and sets GOOD to its fingerprint.
new_leaf() {
    LEAVES=$((LEAVES + 1))
    make_late_leaf intermediate "good-$LEAVES"
    mount_certificate "$PKI" "good-$LEAVES" "$MOUNTED" intermediate root
    GOOD="$(fingerprint <"$PKI/good-$LEAVES.crt")"
}

# What a listener serves to a client that is let in.
served_at() {
    timeout 10 openssl s_client -connect "$(address_of 0):$1" -cert "$PKI/good-1.crt" -key "$PKI/good-1.key" \
        -cert_chain "$PKI/intermediate.crt" </dev/null 2>/dev/null | fingerprint
}

serves() {
    local port
    for port in 9091 9092 9093; do
        [[ "$(served_at "$port")" == "$1" ]] || return 1
    done
}

# Waits until every listener serves the good leaf, and the sidecar says that it is so.
await_served() {
    until_true 180 is_served
}

is_served() {
    serves "$GOOD" && is_content
}

is_content() {
    says 'kraftlet_certificate_state{certificate="node",state="Serving"} 1' /metrics
}

# fault REASON SENTENCE: the reason is given everywhere, and the leaf from before is served.
fault() {
    local reason="$1" sentence="$2"
    expect "$sentence: the metrics say $reason" await_reason "$reason" /metrics
    expect "the status says $reason" await_reason "$reason" /v1/status
    expect "the log says $reason" await_log "$reason"
    expect "Kafka serves the leaf from before" serves "$BEFORE"
}

begin_fault() {
    BEFORE="$GOOD"
    LOG_LINES="$(wc -l <"$FOLDER/demo-0.sidecar.log")"
}

await_reason() {
    until_true 120 says "$1" "$2"
}

says() {
    grep -q -F -e "$1" < <(look demo-0 "$2" 2>/dev/null)
}

# A minute and a half: that Kafka is away is written down only when it lasts, for each of its starts begins so.
await_log() {
    until_true 90 has_logged "$1"
}

has_logged() {
    grep -q -F -e "$1" < <(tail -n "+$((LOG_LINES + 1))" "$FOLDER/demo-0.sidecar.log")
}

heals() {
    new_leaf
    expect "with a good leaf it heals by itself" await_served
}

bad_files() {
    begin_fault
    openssl genrsa -traditional -out "$MOUNTED/tls.key" 2048 2>/dev/null
    fault KeyMismatch "a key of another leaf"
    heals

    begin_fault
    make_leaf "$PKI" intermediate expired demo-node "IP:$(address_of 0)" -startdate 20200101000000Z -enddate 20200131000000Z
    mount_certificate "$PKI" expired "$MOUNTED" intermediate root
    fault CertificateExpired "a leaf that has expired"
    heals

    begin_fault
    make_late_leaf unknown strange
    mount_certificate "$PKI" strange "$MOUNTED" unknown root
    fault ChainIncomplete "a leaf of another CA"
    heals

    begin_fault
    : >"$MOUNTED/tls.crt"
    fault CertificateFileEmpty "an empty file"
    heals

    begin_fault
    head -c 20000000 /dev/zero >"$MOUNTED/tls.crt"
    fault CertificateFileTooLarge "a file of 20 MB"
    heals

    begin_fault
    rm "$MOUNTED/tls.key"
    fault CertificateFileMissing "a file that vanishes"
    heals
}

a_folder_that_is_gone() {
    begin_fault
    rm -r "$MOUNTED"
    fault CertificateFileMissing "a Secret that is deleted"
    heals
}

# Only root may mount; where it may not, a disk cannot be filled without filling somebody else's.
mount_small_disk() {
    mkdir -p "$1"
    if mount -t tmpfs -o size=1m kraftlet-test "$1" 2>/dev/null; then
        SMALL_DISK="$1"
    else
        say "mounting is not permitted here, so the full disk is left out"
    fi
}

a_full_disk() {
    [[ -n "$SMALL_DISK" ]] || return 0
    begin_fault
    dd if=/dev/zero of="$1/filler" bs=4096 2>/dev/null || true
    new_leaf
    fault DiskFull "a run folder that is full"
    rm "$1/filler"
    expect "with room again it heals by itself" await_served
}

kafka_that_is_down() {
    begin_fault
    stop_node demo-0
    new_leaf
    expect "Kafka is down: the metrics say so" await_reason ListenerUnreachable /metrics
    expect "the status says so" await_reason ListenerUnreachable /v1/status
    expect "the log says so" await_log ListenerUnreachable
    start_node demo-0
    expect "with Kafka it heals by itself" await_served
}

# It accepts connections, for that is the kernel's doing, and never says a word.
kafka_that_never_answers() {
    begin_fault
    kill -STOP "${PID_OF[demo-0]}"
    new_leaf
    expect "Kafka never answers: the metrics say so" await_reason ListenerDoesNotAnswer /metrics
    expect "the status says so" await_reason ListenerDoesNotAnswer /v1/status
    expect "the log says so" await_log ListenerDoesNotAnswer
    kill -CONT "${PID_OF[demo-0]}"
    expect "when Kafka answers again it heals by itself" await_served
}

kafka_that_is_killed_meanwhile() {
    new_leaf
    kill -9 "${PID_OF[demo-0]}"
    wait "${PID_OF[demo-0]}" 2>/dev/null || true
    start_node demo-0
    expect "Kafka is killed while it reloads, and it heals by itself" await_served
}

a_sidecar_that_is_killed() {
    local milliseconds
    for milliseconds in 0 20 50 100 200 400 800 1600; do
        new_leaf
        sleep "$(printf '%d.%03d' "$((milliseconds / 1000))" "$((milliseconds % 1000))")"
        kill -9 "${SIDECAR_OF[demo-0]}"
        wait "${SIDECAR_OF[demo-0]}" 2>/dev/null || true
        start_sidecar demo-0
        expect "the sidecar is killed $milliseconds ms after the files have changed, and the next one goes on" await_served
    done
}

a_second_sidecar() {
    local code=0
    POD_NAME=demo-0 POD_NAMESPACE=default timeout 60 "$KRAFTLET" sidecar --settings "$FOLDER/cluster.yaml" \
        >"$FOLDER/second.log" 2>&1 || code=$?
    sed 's/^/    /' "$FOLDER/second.log" >&2
    expect "a second sidecar on the same folder refuses" test "$code" = 1 -o "$code" = 2
    expect "the first one goes on" is_content
}

# clean_up stops the nodes.
stop_others() {
    kill_sidecars
    [[ -z "$SMALL_DISK" ]] || umount -l "$SMALL_DISK"
}

SMALL_DISK=
