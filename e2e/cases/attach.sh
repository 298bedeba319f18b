# shellcheck shell=bash
# Beside a Kafka that somebody else configures, with stores that other people's tools make: three combined nodes with
# PEM, with PKCS12 and a login, and with JKS beside the PEM of cert-manager and KubeDB; and a broker with PEM in its
# properties. The sidecar tells Kafka of what is good and of nothing else, and writes nothing.

# shellcheck source=../sidecars.sh
. "$E2E_DIR/sidecars.sh"

STORE_PASSWORD=changeit
READ_PORT=9640
ORDERS_PORT=9641

# The order of the nodes: demo-0 and so on. The last one cannot reload.
FORMS=(pem pkcs12 jks inline)

run_case() {
    local id
    # shellcheck disable=SC2034  # read by nodes.sh
    KAFKA=4.4.0
    CLASS_PATH="$(java_class_path "$KAFKA" ClusterClient)"
    CLUSTER_ID="$("$KRAFTLET" cluster-id)"
    PKI="$FOLDER/pki"
    PODS=(demo-0 demo-1 demo-2 demo-3)
    # shellcheck disable=SC2034
    BROKERS=("${PODS[@]}")
    write_openssl_config "$PKI"
    make_root "$PKI" root
    make_all_leaves
    make_truststores
    for id in 0 1 2 3; do
        write_properties "$id"
        put "$id" good-1
    done
    for id in 0 1 2 3; do
        format "$id" &
    done
    wait
    # An agent that sees Kafka start knows what it was started with.
    start_sidecars
    start_nodes
    make_jks_stores
    CLIENT_PROPERTIES="$FOLDER/client.properties"
    write_client_properties
    await "waiting for 4 brokers" wait 4 180
    for id in 0 1 2; do
        expect "${FORMS[id]}: every listener shows the leaf" await_content "$id" good-1
    done
    inline_is_not_reloadable

    keep_account
    renewed good-2
    the_raft_client_needs_a_restart
    bad_sets
    a_sidecar_that_starts_beside_a_bad_set
    people_can_read_it
}

# make_all_leaves: for each node the good ones, and the ones that nobody should be told of.
make_all_leaves() {
    local id names
    for id in 0 1 2 3; do
        names="IP:$(address_of "$id"),DNS:node-$id"
        late_leaf "$id" good-1 node "$names"
        ((id < 3)) || continue
        late_leaf "$id" good-2 node "$names"
        late_leaf "$id" good-3 node "$names"
        late_leaf "$id" subject somebody "$names"
        late_leaf "$id" names node "IP:$(address_of "$id")"
        make_leaf "$PKI" root "$id-expired" node "$names" -startdate 20200101000000Z -enddate 20200131000000Z
        pkcs12_of "$id" expired
    done
}

# late_leaf ID NAME COMMON_NAME ALTERNATIVE_NAMES: so late that a new leaf does not wait for its turn.
late_leaf() {
    make_leaf "$PKI" root "$1-$2" "$3" "$4" -startdate "$(openssl_date '-20 days')" -enddate "$(openssl_date '6 days')"
    pkcs12_of "$1" "$2"
}

openssl_date() {
    date -u -d "$1" +%Y%m%d%H%M%SZ
}

pkcs12_of() {
    openssl pkcs12 -export -name node -inkey "$PKI/$1-$2.key" -in "$PKI/$1-$2.crt" -passout "pass:$STORE_PASSWORD" \
        -out "$PKI/$1-$2.p12"
}

# A truststore for Java names each certificate as trusted, which only Java's own tool writes.
make_truststores() {
    local form
    for form in pkcs12 jks; do
        keytool -importcert -noprompt -alias ca -file "$PKI/root.crt" -storetype "$form" -storepass "$STORE_PASSWORD" \
            -keystore "$PKI/truststore.$form" 2>/dev/null
    done
    jks_of good-1
}

# The rest, while Kafka starts.
make_jks_stores() {
    local name
    for name in good-2 good-3 subject names expired; do
        jks_of "$name"
    done
}

jks_of() {
    keytool -importkeystore -noprompt -srckeystore "$PKI/2-$1.p12" -srcstoretype PKCS12 -srcstorepass "$STORE_PASSWORD" \
        -destkeystore "$PKI/2-$1.jks" -deststoretype JKS -deststorepass "$STORE_PASSWORD" 2>/dev/null
}

folder_of() {
    printf '%s/foreign/%s' "$FOLDER" "${FORMS[$1]}"
}

# put ID NAME: replaces the stores of a node, each at once.
put() {
    local id="$1" leaf="$PKI/$1-$2" folder
    folder="$(folder_of "$id")"
    case "${FORMS[id]}" in
        pem)
            # Kafka's key has to be PKCS#8.
            { openssl pkcs8 -topk8 -nocrypt -in "$leaf.key" && cat "$leaf.crt"; } >"$FOLDER/new.pem"
            replace "$FOLDER/new.pem" "$folder/keystore.pem"
            ;;
        pkcs12) replace "$leaf.p12" "$folder/keystore.p12" ;;
        jks)
            replace "$leaf.jks" "$folder/server.keystore.jks"
            replace "$leaf.crt" "$folder/tls.crt"
            replace "$leaf.key" "$folder/tls.key"
            ;;
        inline) ;;
    esac
}

replace() {
    cp "$1" "$2.new"
    mv "$2.new" "$2"
}

# keystore_of ID: the file that Kafka reads.
keystore_of() {
    local names=(keystore.pem keystore.p12 server.keystore.jks)
    printf '%s/%s' "$(folder_of "$1")" "${names[$1]}"
}

# write_properties ID: as a person might, in the place where nodes.sh looks for them.
write_properties() {
    local id="$1" address folder pods="$FOLDER/pods/demo-$1/run" listeners roles=broker,controller
    address="$(address_of "$id")"
    folder="$(folder_of "$id")"
    mkdir -p "$folder" "$pods"
    : >"$FOLDER/demo-$id.init.log"
    listeners="INTERNAL://$address:9091,CLIENT://$address:9092"
    [[ "${FORMS[id]}" != pkcs12 ]] || listeners="CLIENT://$address:9092,INTERNAL://$address:9091"
    cat >"$folder/server.properties" <<PROPERTIES
node.id=$id
advertised.listeners=$listeners
inter.broker.listener.name=INTERNAL
controller.listener.names=CONTROLLER
controller.quorum.voters=0@$(address_of 0):9093,1@$(address_of 1):9093,2@$(address_of 2):9093
log.dirs=$FOLDER/pods/demo-$id/data
offsets.topic.replication.factor=3
ssl.client.auth=required
PROPERTIES
    if [[ "${FORMS[id]}" == inline ]]; then
        roles=broker
    else
        listeners="$listeners,CONTROLLER://$address:9093"
    fi
    printf '%s\n' "process.roles=$roles" "listeners=$listeners" >>"$folder/server.properties"
    store_lines "$id" "$folder" >>"$folder/server.properties"
    ln -s "$folder/server.properties" "$pods/server.properties"
}

store_lines() {
    local id="$1" folder="$2" protocols=CONTROLLER:SSL,INTERNAL:SSL,CLIENT:SSL
    case "${FORMS[id]}" in
        pem)
            cp "$PKI/root.crt" "$folder/ca.crt"
            printf '%s\n' "ssl.keystore.type=PEM" "ssl.keystore.location=$folder/keystore.pem" "ssl.truststore.type=PEM" \
                "ssl.truststore.location=$folder/ca.crt"
            ;;
        pkcs12)
            protocols=CONTROLLER:SSL,INTERNAL:SSL,CLIENT:SASL_SSL
            cp "$PKI/truststore.pkcs12" "$folder/truststore.p12"
            printf '%s\n' "ssl.keystore.type=PKCS12" "ssl.keystore.location=$folder/keystore.p12" \
                "ssl.keystore.password=$STORE_PASSWORD" "ssl.truststore.type=PKCS12" \
                "ssl.truststore.location=$folder/truststore.p12" "ssl.truststore.password=$STORE_PASSWORD" \
                "listener.name.client.sasl.enabled.mechanisms=PLAIN" \
                "listener.name.client.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_kraftlet=\"sesame\";"
            printf 'sesame\n' >"$FOLDER/password"
            ;;
        jks)
            cp "$PKI/truststore.jks" "$folder/server.truststore.jks"
            cp "$PKI/root.crt" "$folder/ca.crt"
            printf '%s\n' "ssl.keystore.type=JKS" "ssl.keystore.location=$folder/server.keystore.jks" \
                "ssl.keystore.password=$STORE_PASSWORD" "ssl.key.password=$STORE_PASSWORD" "ssl.truststore.type=JKS" \
                "ssl.truststore.location=$folder/server.truststore.jks" "ssl.truststore.password=$STORE_PASSWORD"
            ;;
        inline)
            printf '%s\n' "ssl.keystore.type=PEM" "ssl.truststore.type=PEM"
            printf 'ssl.keystore.key=%s\n' "$(openssl pkcs8 -topk8 -nocrypt -in "$PKI/$id-good-1.key" | in_one_line)"
            printf 'ssl.keystore.certificate.chain=%s\n' "$(in_one_line <"$PKI/$id-good-1.crt")"
            printf 'ssl.truststore.certificates=%s\n' "$(in_one_line <"$PKI/root.crt")"
            ;;
    esac
    printf 'listener.security.protocol.map=%s\n' "$protocols"
}

# A property is a line; `\n` in it ends a line of PEM.
in_one_line() {
    awk '{ printf "%s\\n", $0 }'
}

format() {
    java "${JVM[@]}" "$(kafka_logging "$KAFKA")" -cp "$CLASS_PATH" kafka.tools.StorageTool format \
        -t "$CLUSTER_ID" -c "$(folder_of "$1")/server.properties" >>"$FOLDER/demo-$1.log" 2>&1 || die 2 "Kafka did not format demo-$1"
}

write_client_properties() {
    cat >"$CLIENT_PROPERTIES" <<PROPERTIES
bootstrap.servers=$(address_of 0):9091
security.protocol=SSL
ssl.keystore.type=PEM
ssl.keystore.location=$FOLDER/client.pem
ssl.truststore.type=PEM
ssl.truststore.location=$PKI/root.crt
PROPERTIES
    cp "$(folder_of 0)/keystore.pem" "$FOLDER/client.pem"
}

# In place of the one of sidecars.sh.
start_sidecar() {
    local id="${1#demo-}" login=()
    [[ "${FORMS[id]}" != pkcs12 ]] \
        || login=(--sasl-mechanism PLAIN --sasl-username kraftlet --sasl-password-file "$FOLDER/password")
    "$KRAFTLET" sidecar --attach "$(folder_of "$id")/server.properties" --bind "$(address_of "$id")" --port "$READ_PORT" \
        --orders-port "$ORDERS_PORT" --kafka-version "$KAFKA" "${login[@]}" >>"$FOLDER/$1.sidecar.log" 2>&1 </dev/null &
    SIDECAR_OF[$1]=$!
}

status_of() {
    # It ends with 1 where something hurts already, which is no failure of the question.
    { "$KRAFTLET" status --address "$(address_of "$1"):$READ_PORT" --output json 2>/dev/null || true; } | tr -d ' \n'
}

served_at() {
    timeout 10 openssl s_client -connect "$(address_of "$1"):$2" -cert "$PKI/$1-good-1.crt" -key "$PKI/$1-good-1.key" \
        </dev/null 2>/dev/null | fingerprint
}

# Each of a listener's three threads has its own leaf.
serves() {
    local port want
    want="$(fingerprint <"$PKI/$1-$2.crt")"
    for port in 9091 9091 9091 9092 9092 9092 9093 9093 9093; do
        [[ "$(served_at "$1" "$port")" == "$want" ]] || return 1
    done
}

status_says() {
    grep -q -F -e "$2" < <(status_of "$1")
}

# The installed leaf is this one, it is served, and none of the faults is a condition any more.
is_content() {
    local status leaf
    status="$(status_of "$1")"
    leaf="$(fingerprint <"$PKI/$1-$2.crt")"
    [[ "$status" == *"\"installed\":{\"anchor\":"*"\"fingerprint\":\"$leaf\""* && "$status" == *'"state":"Serving"'* ]] \
        && look "demo-$1" /metrics >"$FOLDER/metrics" \
        && not grep -q -E '^kraftlet_conditions.*(Expired|Mismatch|WouldBe|NotOpened|Empty|Missing|Unknown)' "$FOLDER/metrics"
}

await_content() {
    until_true 60 is_content "$1" "$2" && serves "$1" "$2"
}

inline_is_not_reloadable() {
    expect "inline: the status says that it cannot be reloaded" until_true 30 status_says 3 InlinePemNotReloadable
}

# Whatever lies in somebody else's folders.
keep_account() {
    mkdir -p "$FOLDER/account"
    for id in 0 1 2 3; do
        everything_in "$(folder_of "$id")" >"$FOLDER/account/$id"
    done
}

# untouched ID: nothing has changed there since the account was made.
untouched() {
    diff "$FOLDER/account/$1" <(everything_in "$(folder_of "$1")") >&2
}

# renewed NAME: all three nodes get it.
renewed() {
    local id
    for id in 0 1 2; do
        put "$id" "$1"
    done
    keep_account
    for id in 0 1 2; do
        expect "${FORMS[id]}: $1 is shown by every listener" await_content "$id" "$1"
        expect "the status says ListenersRenewed" status_says "$id" '"reason":"ListenersRenewed"'
        expect "nothing was written" untouched "$id"
    done
}

the_raft_client_needs_a_restart() {
    local id
    for id in 0 1 2; do
        expect "${FORMS[id]}: the raft client keeps its leaf until Kafka is restarted" until_true 20 status_says "$id" '"standing":"inUseUntilRestart"'
        expect "the status says by when" status_says "$id" '"restartNeededBy":"20'
    done
}

# fault ID REASON WORDS: the reason is given, Kafka was not told, and serves what it had. What is looked at in the log
# begins after LOG_LINES.
fault() {
    local id="$1" reason="$2" words="$3"
    expect "${FORMS[id]}: $words: the status says $reason" until_true 40 status_says "$id" "$reason"
    expect "the log says $reason" until_true 10 log_says "$id" "$reason"
    expect "Kafka was not told" test "$(told "$id")" = "${TOLD[id]}"
    expect "Kafka serves the last good leaf" serves "$id" "$GOOD"
    expect "nothing was written" untouched "$id"
}

log_says() {
    grep -q -F -e "$2" < <(tail -n "+$((LOG_LINES[$1] + 1))" "$FOLDER/demo-$1.sidecar.log")
}

# How often Kafka was told: each request makes it log this.
told() {
    grep -c -F -e "Reconfiguring org.apache.kafka.common.network.SslChannelBuilder" "$FOLDER/demo-$1.log" || true
}

begin_faults() {
    local id
    for id in 0 1 2; do
        LOG_LINES[id]="$(wc -l <"$FOLDER/demo-$id.sidecar.log")"
        TOLD[id]="$(told "$id")"
    done
}

declare -a LOG_LINES=() TOLD=()

# bad_set NAME REASON WORDS: the same in all three forms.
bad_set() {
    local id
    begin_faults
    for id in 0 1 2; do
        put "$id" "$1"
    done
    keep_account
    for id in 0 1 2; do
        fault "$id" "$2" "$3"
    done
}

bad_sets() {
    local id
    GOOD=good-2
    bad_set expired CertificateExpired "a leaf that has expired"
    bad_set subject SubjectWouldChange "another subject"
    bad_set names NamesWouldBeLost "a name that is missing"

    begin_faults
    openssl genrsa -out "$FOLDER/other.key" 2048 2>/dev/null
    { openssl pkcs8 -topk8 -nocrypt -in "$FOLDER/other.key" && cat "$PKI/0-good-2.crt"; } >"$FOLDER/new.pem"
    replace "$FOLDER/new.pem" "$(keystore_of 0)"
    # openssl makes no PKCS12 of a pair that does not match; another password is what may happen there.
    openssl pkcs12 -export -name node -inkey "$PKI/1-good-2.key" -in "$PKI/1-good-2.crt" -passout pass:other -out "$FOLDER/other.p12"
    replace "$FOLDER/other.p12" "$(keystore_of 1)"
    put 2 good-2
    replace "$FOLDER/other.key" "$(folder_of 2)/tls.key"
    keep_account
    fault 0 KeyMismatch "a key of another leaf"
    fault 1 StoreNotOpened "another password"
    fault 2 KeyMismatch "a key of another leaf"
    # What was good before is good again.
    renewed_back good-2

    begin_faults
    for id in 0 1 2; do
        : >"$(keystore_of "$id")"
    done
    keep_account
    for id in 0 1 2; do
        fault "$id" CertificateFileEmpty "an empty file"
    done
    renewed good-3
}

renewed_back() {
    local id
    for id in 0 1 2; do
        put "$id" "$1"
    done
    for id in 0 1 2; do
        expect "${FORMS[id]}: with the set from before it heals by itself" await_content "$id" "$1"
    done
}

# Kafka must not be told by an agent that knows no better leaf.
a_sidecar_that_starts_beside_a_bad_set() {
    stop_sidecar demo-0
    begin_faults
    # shellcheck disable=SC2034  # read by `fault`
    GOOD=good-3
    put 0 expired
    keep_account
    start_sidecar demo-0
    fault 0 CertificateExpired "a sidecar that starts beside a leaf that has expired"
    renewed_back good-3
}

people_can_read_it() {
    local id
    for id in 0 3; do
        "$KRAFTLET" status --address "$(address_of "$id"):$READ_PORT" >&2 || true
    done
}

# clean_up stops the nodes.
stop_others() {
    kill_sidecars
}
