# shellcheck shell=bash
# Pod certificates (KEP-4317): the kubelet makes the key and asks, our signer signs, our sidecar takes what comes. No such
# certificate lives for less than an hour, and none is renewed within its first ten minutes: this case mostly waits.

PODS=(events-0 events-1 events-2)

# Clients show no certificate here, so that the nodes' CA is the only one.
SETTINGS='s/^    formed:.*/    superUsers: ["User:ANONYMOUS"]\n    listeners:\n    - {name: CONTROLLER, port: 9093, for: [controllers]}\n    - {name: INTERNAL, port: 9091, for: [brokers]}\n    - {name: CLIENT, port: 9092, for: [clients], clientAuth: none}/; s/lifetime: .*/lifetime: 1h\n        renewAtPercent: 17/'

run_case() {
    local before
    example pod-certificates "$SETTINGS" | KN apply -f -
    expect "a plain StatefulSet with pod certificates becomes ready" until_true 300 await_ready "${PODS[@]}"
    expect "its quorum is healthy" until_true 60 is_healthy "${PODS[@]}"
    expect "its pods may do nothing at the API server" not rights_of default
    KN get configmap kraftlet-trust -o jsonpath='{.data.events\.crt}' >"$FOLDER/trust.crt"
    start_load trust
    before="$(leaves)"
    expect "the kubelet renews, and every channel of every pod shows it" until_true 1200 all_are_others "$before"
    expect "the quorum is healthy" until_true 60 is_healthy "${PODS[@]}"
    expect "Kafka was never restarted" test "$(kafka_restarts)" == 0
    expect "no request failed, no record was lost" stop_load
}
