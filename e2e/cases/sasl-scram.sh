# shellcheck shell=bash
# A user logs in with SCRAM whose password was hashed into the cluster's first metadata when its disk was formatted.

# shellcheck disable=SC2016  # nothing is to be expanded, here or in a properties file
PASSWORD='Rosen=Tür, "fünf" ${x}'

run_case() {
    log_in_to 4.4.0 static
    end_cluster
    log_in_to 3.9.2 dynamic
}

log_in_to() {
    say "Kafka $1, $2 quorum"
    begin_cluster "$1" 1
    # A file written by `echo`: the line break at its end is not of the password.
    printf '%s\n' "$PASSWORD" >"$FOLDER/admin.password"
    cat >>"$FOLDER/cluster.yaml" <<YAML
quorum: {type: $2}
listeners:
- {name: CONTROLLER, port: 9093, for: [controllers]}
- {name: INTERNAL, port: 9091, for: [brokers]}
- {name: CLIENT, port: 9092, for: [clients], securityProtocol: SASL_SSL, saslMechanisms: [SCRAM-SHA-512]}
scramUsers:
- {name: admin, mechanism: SCRAM-SHA-512, passwordFile: "$FOLDER/admin.password"}
superUsers: ["User:admin"]
YAML
    local_ca
    init_pods
    start_nodes

    log_in_as admin "$PASSWORD"
    await "waiting for 1 broker" wait 1 120
    await "producing and consuming as a super user" round-trip "scram-$2" 100
    expect "another password is refused" refused admin 'Rosen=Tuer'
    expect "another user is refused" refused nobody "$PASSWORD"
}

# client.properties as it is, and the login that a person adds.
log_in_as() {
    CLIENT_PROPERTIES="$FOLDER/$1.properties"
    cp "$FOLDER/pods/demo-0/run/client.properties" "$CLIENT_PROPERTIES"
    printf 'sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required username="%s" password="%s";\n' \
        "$(escaped "$1")" "$(escaped "$2")" >>"$CLIENT_PROPERTIES"
}

# A text within the quotes of JAAS, within a properties file (ISO-8859-1): each has escapes of its own.
escaped() {
    local text="$1"
    text="${text//\\/\\\\}"
    text="${text//\"/\\\"}"
    text="${text//\\/\\\\}"
    text="${text//ü/\\u00fc}"
    printf '%s' "$text"
}

# Whether the broker says that it is the login.
refused() {
    local code=0
    log_in_as "$1" "$2"
    client wait 1 3 >"$FOLDER/refused.out" 2>&1 || code=$?
    sed 's/^/    /' "$FOLDER/refused.out" >&2
    ((code == 1)) && grep -q 'SaslAuthenticationException' "$FOLDER/refused.out"
}
