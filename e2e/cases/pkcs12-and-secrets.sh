# shellcheck shell=bash
# Passwords: that of a PKCS12 store from a file, and a login from the environment. Kafka has to find both, and nobody
# else may: they are in secrets.properties alone.

STORE_PASSWORD='store-password-81f3'
LOGIN_PASSWORD='login-password-c2a7'
JAAS='org.apache.kafka.common.security.plain.PlainLoginModule required'

run_case() {
    keep_secrets_on 4.4.0
    end_cluster
    keep_secrets_on 3.9.2
}

keep_secrets_on() {
    say "Kafka $1"
    begin_cluster "$1" 1
    printf '%s\n' "$STORE_PASSWORD" >"$FOLDER/store.password"
    cat >>"$FOLDER/cluster.yaml" <<YAML
listeners:
- {name: CONTROLLER, port: 9093, for: [controllers]}
- {name: INTERNAL, port: 9091, for: [brokers]}
- {name: CLIENT, port: 9092, for: [clients]}
- {name: LOGIN, port: 9094, for: [clients], securityProtocol: SASL_SSL, saslMechanisms: [PLAIN]}
superUsers: ["User:alice"]
YAML
    local_ca
    cat >>"$FOLDER/cluster.yaml" <<YAML
    store: pkcs12
    storePasswordFile: "$FOLDER/store.password"
YAML
    # The environment is that of the init container only; Kafka is started without it.
    KAFKA_LISTENER_NAME_LOGIN_PLAIN_SASL_JAAS_CONFIG="$JAAS user_alice=\"$LOGIN_PASSWORD\";" init_pods
    for_people explain
    for_people explain --output json
    expect "the run folder holds PKCS12 stores" test -s "$FOLDER/pods/demo-0/run/tls/node/keystore.p12"
    start_nodes
    await "waiting for 1 broker with client.properties" wait 1 120
    await "producing and consuming with client.properties" round-trip by-certificate 100
    no_secret_is_seen

    log_in_as_alice "$LOGIN_PASSWORD"
    await "producing and consuming with a login" round-trip by-login 100
    log_in_as_alice 'login-password-0000'
    expect "another password is refused" refused
}

# What is shown to people names where a password comes from, and not the password.
for_people() {
    local shown="$FOLDER/shown.out"
    KAFKA_LISTENER_NAME_LOGIN_PLAIN_SASL_JAAS_CONFIG="$JAAS user_alice=\"$LOGIN_PASSWORD\";" \
        "$KRAFTLET" "$@" --settings "$FOLDER/cluster.yaml" --pod-name demo-0 >"$shown" 2>&1
    expect "kraftlet $* shows the key" grep -q -F listener.name.login.plain.sasl.jaas.config "$shown"
    expect "kraftlet $* shows no login" not grep -q -F -e "$LOGIN_PASSWORD" "$shown"
    expect "kraftlet $* shows no store password" not grep -q -F -e "$STORE_PASSWORD" "$shown"
}

no_secret_is_seen() {
    local run="$FOLDER/pods/demo-0/run" secret pid
    expect "secrets.properties is for Kafka's user and group" test "$(stat -c %a "$run/secrets.properties")" = 440
    for secret in "$STORE_PASSWORD" "$LOGIN_PASSWORD"; do
        expect "secrets.properties holds ${secret%-*}" grep -q -F -e "$secret" "$run/secrets.properties"
        expect "no other file of the node or the log of init or of Kafka does" \
            test "$(files_with "$secret")" = "$run/secrets.properties"
        expect "Kafka's command line can be read" seen_in cmdline "${PID_OF[demo-0]}" kafka.Kafka
        expect "Kafka's command line does not" not seen_in cmdline "${PID_OF[demo-0]}" "$secret"
        expect "Kafka's environment does not" not seen_in environ "${PID_OF[demo-0]}" "$secret"
    done
    # A client that lives long enough to be looked at.
    client_command in-sync by-certificate 9 3
    "${CLIENT_COMMAND[@]}" >/dev/null 2>&1 &
    CLIENT_PID=$!
    pid=$CLIENT_PID
    expect "the client has begun" await_seen cmdline "$pid" ClusterClient
    for secret in "$STORE_PASSWORD" "$LOGIN_PASSWORD"; do
        expect "the client's command line does not" not seen_in cmdline "$pid" "$secret"
    done
    wait "$pid" || true
    CLIENT_PID=
}

# Files of the node and logs with a secret in them, one a line.
files_with() {
    grep -r -l -a -F -e "$1" "$FOLDER"/pods "$FOLDER"/demo-0.log "$FOLDER"/demo-0.init.log || true
}

seen_in() {
    grep -q -F -e "$3" < <(tr '\0' '\n' <"/proc/$2/$1")
}

# A moment after `&` the process may still be this shell.
await_seen() {
    until_true 5 seen_in "$@"
}

# client.properties, turned to the other listener.
log_in_as_alice() {
    CLIENT_PROPERTIES="$FOLDER/alice.properties"
    sed -e 's/:9092/:9094/' -e 's/\\:9092/\\:9094/' -e 's/^security.protocol=.*/security.protocol=SASL_SSL/' \
        "$FOLDER/pods/demo-0/run/client.properties" >"$CLIENT_PROPERTIES"
    printf 'sasl.mechanism=PLAIN\nsasl.jaas.config=%s username="alice" password="%s";\n' "$JAAS" "$1" >>"$CLIENT_PROPERTIES"
}

# Whether the broker says that it is the login.
refused() {
    local code=0
    client wait 1 3 >"$FOLDER/refused.out" 2>&1 || code=$?
    sed 's/^/    /' "$FOLDER/refused.out" >&2
    ((code == 1)) && grep -q 'SaslAuthenticationException' "$FOLDER/refused.out"
}
