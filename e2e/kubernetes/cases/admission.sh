# shellcheck shell=bash
# What is let in, what is refused, and in which words; who is asked, and who is not.

# The one who would have this refused reads the reason on his terminal.
refused_with() {
    local sentence="$1" output code=0
    output="$(KN apply -f - 2>&1)" || code=1
    say "$output"
    ((code == 1)) && [[ "$output" == *"$sentence"* ]]
}

set_of() {
    example combined | python3 -c 'import sys; print(next(d for d in sys.stdin.read().split("---\n") if "kind: StatefulSet" in d))'
}

settings_of() {
    example combined 's/signer: {}/secret: {name: node}/' |
        python3 -c 'import sys; print(next(d for d in sys.stdin.read().split("---\n") if "kind: ConfigMap" in d))'
}

denied_event() {
    [[ "$(KN get events -o jsonpath='{range .items[?(@.reason=="FailedCreate")]}{.message}{"\n"}{end}')" == *"$1"* ]]
}

# At admission a pod's own facts and the API server's defaults are there; what we added must be the same.
same_as_inject() {
    KN get pod "$1" -o json | python3 "$KUBERNETES_DIR/added.py" >"$FOLDER/by-webhook"
    example combined 's/signer: {}/secret: {name: node}/' |
        "$KRAFTLET" inject -f - -n "$NAMESPACE" --image localhost/kraftlet:test >"$FOLDER/injected.yaml"
    K apply --dry-run=client -o json -f "$FOLDER/injected.yaml" | python3 "$KUBERNETES_DIR/added.py" >"$FOLDER/by-inject"
    diff "$FOLDER/by-webhook" "$FOLDER/by-inject"
}

# Every example is what the API server and Pod Security take, and what the webhook lets in.
example_is_taken() {
    local output
    output="$(K kustomize "$REPO_DIR/manifests/examples/$1" | KN apply --dry-run=server -f - 2>&1)" || {
        say "$output"
        return 1
    }
    say "$output"
    [[ "$output" != *"would violate"* ]]
}

run_case() {
    local wrong name
    K label namespace "$NAMESPACE" pod-security.kubernetes.io/warn=restricted
    for name in "$REPO_DIR"/manifests/examples/*/; do
        name="$(basename "$name")"
        expect "manifests/examples/$name is taken, under Pod Security restricted" example_is_taken "$name"
    done
    expect "settings that make no cluster are refused as they are applied, with line and column" \
        refused_with 'cluster.yaml:5:1: ' < <(settings_of | sed 's/kafkaVersion: .*/kafkaversion: 4.4.0/')
    expect "a StatefulSet is let in before its settings, with a warning" \
        applied_with_warning "there is no ConfigMap events" < <(set_of)
    expect "its pods are refused, and the event says why" until_true 60 denied_event "there is no ConfigMap events"
    KN delete statefulset events
    settings_of | KN apply -f -
    wrong="$(settings_of | sed 's/clusterId: .*/clusterId: AAAAzSbHQm6oXGrJv8mYmA/')"
    expect "another cluster id is refused" refused_with "can never change" <<<"$wrong"
    expect "more voters than the settings have are refused" refused_with "the voters are those of the settings" \
        < <(set_of | sed 's/replicas: 3/replicas: 4/')
    expect "an image that nobody knows is refused" refused_with "is not known, nor" \
        < <(set_of | sed -e 's#image: .*#image: localhost/mine:1#' -e '/runAsUser/d')
    expect "the wrong Service is refused" refused_with "by which its pods would be called in vain" \
        < <(set_of | sed 's/serviceName: events/serviceName: kafka/')

    make_ca ca
    mapfile -t hosts < <(hosts_of events)
    make_leaf ca node events-node "${hosts[@]}"
    put_leaf node node ca
    set_of | KN apply -f -
    expect "a pod is made" until_true 60 KN get pod events-0
    expect "what the webhook added is what kraftlet inject adds" same_as_inject events-0
    KN delete statefulset events --wait=true

    K -n kraftlet-system scale deployment kraftlet-webhook --replicas 0
    expect "the webhook is away" until_true 60 no_webhook
    expect "a pod that asks for kraftlet is refused meanwhile" lone_pod_is_refused "failed calling webhook"
    expect "one that does not ask is not kept" KN apply -f <(lone_pod false)
    expect "nor is a ConfigMap of somebody else" KN create configmap other --from-literal=a=b
    K -n kraftlet-system scale deployment kraftlet-webhook --replicas 2
    K -n kraftlet-system rollout status deployment/kraftlet-webhook --timeout 120s
    expect "it is asked again" until_true 60 lone_pod_is_refused "of no StatefulSet"
    policies_do_the_same
}

# Without a webhook: what kraftlet inject --as-policy prints.
policies_do_the_same() {
    K delete mutatingwebhookconfiguration kraftlet
    example combined 's/signer: {}/secret: {name: node}/' |
        "$KRAFTLET" inject -f - -n "$NAMESPACE" --image localhost/kraftlet:test --as-policy >"$FOLDER/policies.yaml"
    K apply -f "$FOLDER/policies.yaml"
    expect "a policy refuses a pod that asks and got nothing" until_true 60 lone_pod_is_refused "no policy gave it"
    set_of | KN apply -f -
    expect "a pod is made" until_true 60 KN get pod events-0
    expect "what the policy added is what kraftlet inject adds" same_as_inject events-0
    KN delete statefulset events --wait=true
    K delete -f "$FOLDER/policies.yaml"
    K apply -k "$KUBERNETES_DIR/install"
    expect "the webhook is asked again" until_true 60 lone_pod_is_refused "of no StatefulSet"
}

applied_with_warning() {
    local output
    output="$(KN apply -f - 2>&1)" && [[ "$output" == *"Warning: $1"* ]]
}

no_webhook() {
    [[ -z "$(K -n kraftlet-system get pods -l kraftlet.dev/component=webhook -o name)" ]]
}

# Only asked, so that it can be asked again.
lone_pod_is_refused() {
    local output code=0
    output="$(lone_pod true | KN create --dry-run=server -f - 2>&1)" || code=1
    say "$output"
    ((code == 1)) && [[ "$output" == *"$1"* ]]
}

lone_pod() {
    cat <<TEXT
apiVersion: v1
kind: Pod
metadata:
  name: lone-$1
  annotations: {$([[ "$1" == true ]] && printf 'kraftlet.dev/inject: "true", kraftlet.dev/cluster: events')}
spec:
  securityContext: {runAsNonRoot: true, runAsUser: 1000, seccompProfile: {type: RuntimeDefault}}
  containers:
  - name: kafka
    image: localhost/apache/kafka:4.4.0
    command: [/bin/busybox, sleep, "1000"]
    volumeMounts: []
    securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
TEXT
}
