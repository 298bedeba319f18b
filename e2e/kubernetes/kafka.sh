# shellcheck shell=bash
# Kafka clusters in the cluster: their manifests, certificates, agents and clients. Source it after lib.sh.
#
# Uses NAMESPACE, FOLDER and KRAFTLET. A case whose brokers are called otherwise says so.

BROKERS=events
SERVICE=events
# Who `person` is: a kubeconfig.
PERSON="$CLUSTER_FOLDER/admin.kubeconfig"

# KN ARGUMENT...: kubectl in the case's namespace.
KN() {
    K -n "$NAMESPACE" "$@"
}

# example NAME CHANGE...: the manifests of manifests/examples/NAME, fit for a small machine, and each CHANGE (a sed
# script) done to them. With DISKS=keep its pods have disks that outlive them.
example() {
    local name="$1" change changes=(-e "")
    shift
    for change in "$@"; do
        changes+=(-e "$change")
    done
    K kustomize "$REPO_DIR/manifests/examples/$name" | python3 "$KUBERNETES_DIR/small.py" "${DISKS-memory}" | sed "${changes[@]}"
}

# settings_with LIFETIME PERCENT: a change for `example`. Leaves live for so long and are renewed then; clients show none, so
# that the nodes' CA is the only one.
settings_with() {
    local open="superUsers: [\"User:ANONYMOUS\"]\\n    listeners:\\n"
    open+="    - {name: CONTROLLER, port: 9093, for: [controllers]}\\n    - {name: INTERNAL, port: 9091, for: [brokers]}\\n"
    open+="    - {name: CLIENT, port: 9092, for: [clients], clientAuth: none}"
    printf '%s' "s/^    formed:.*/    $open/; s/lifetime: .*/lifetime: $1\\n        renewAtPercent: $2/"
}

# make_ca NAME: a root in FOLDER.
make_ca() {
    openssl ecparam -name prime256v1 -genkey -noout -out "$FOLDER/$1.key"
    openssl req -x509 -new -key "$FOLDER/$1.key" -subj "/CN=$1" -days 2 -out "$FOLDER/$1.crt" 2>/dev/null
}

# sign CA REQUEST LEAF SECONDS [EXTENSIONS]: `openssl x509 -req` knows whole days only.
sign() {
    local home
    home="$(mktemp -d "$FOLDER/ca.XXXXXX")"
    : >"$home/index.txt"
    cat >"$home/ca.cnf" <<TEXT
[ca]
default_ca = one
[one]
database = $home/index.txt
new_certs_dir = $home
rand_serial = yes
default_md = sha256
policy = any
preserve = yes
copy_extensions = copyall
[any]
commonName = optional
TEXT
    openssl ca -batch -notext -config "$home/ca.cnf" -cert "$FOLDER/$1.crt" -keyfile "$FOLDER/$1.key" -in "$2" -out "$3" \
        -startdate "$(date -u -d '-1 minute' +%y%m%d%H%M%SZ)" -enddate "$(date -u -d "+$4 seconds" +%y%m%d%H%M%SZ)" \
        ${5:+-extfile "$5"} 2>"$home/log" || { cat "$home/log" >&2 && return 1; }
    rm -r "$home"
}

# make_leaf CA NAME COMMON_NAME HOST...: NAME.key and NAME.crt in FOLDER. It lives for a day, or for LIFE seconds.
make_leaf() {
    local ca="$1" name="$2" subject="$3" host hosts=""
    shift 3
    for host in "$@"; do
        hosts+="DNS:$host,"
    done
    openssl ecparam -name prime256v1 -genkey -noout | openssl pkcs8 -topk8 -nocrypt -out "$FOLDER/$name.key"
    {
        echo "extendedKeyUsage=serverAuth,clientAuth"
        [[ -z "$hosts" ]] || echo "subjectAltName=${hosts%,}"
    } >"$FOLDER/$name.ext"
    openssl req -new -key "$FOLDER/$name.key" -subj "/CN=$subject" -out "$FOLDER/$name.csr"
    sign "$ca" "$FOLDER/$name.csr" "$FOLDER/$name.crt" "${LIFE:-86400}" "$FOLDER/$name.ext"
}

# put_leaf SECRET NAME CA...: what cert-manager would keep in it.
put_leaf() {
    local secret="$1" name="$2" ca
    shift 2
    for ca in "$@"; do
        cat "$FOLDER/$ca.crt"
    done >"$FOLDER/$secret.trust"
    KN create secret generic "$secret" --from-file=tls.crt="$FOLDER/$name.crt" --from-file=tls.key="$FOLDER/$name.key" \
        --from-file=ca.crt="$FOLDER/$secret.trust" --dry-run=client -o yaml | KN apply -f - >/dev/null
}

# The fully qualified names of a StatefulSet's pods.
hosts_of() {
    local ordinal
    for ordinal in 0 1 2; do
        printf '%s-%s.%s.%s.svc.cluster.local\n' "$1" "$ordinal" "$SERVICE" "$NAMESPACE"
    done
}

# person COMMAND...: kubectl kraftlet, with the person's own rights.
person() {
    in_cluster env PATH="$KUBERNETES_BIN:$PATH" KUBECONFIG="$PERSON" NO_COLOR=1 \
        "$KRAFTLET" --kubernetes "$@" --namespace "$NAMESPACE" >&2
}

# From now on the person is somebody on call, with the rights that manifests/README.md says and no other.
be_on_call() {
    local config="$FOLDER/on-call.kubeconfig" token
    KN create serviceaccount on-call
    KN apply -f - <<TEXT
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: on-call}
rules:
- {apiGroups: [""], resources: [pods], verbs: [list]}
- {apiGroups: [""], resources: [pods/portforward], verbs: [get, create]}
- {apiGroups: [""], resources: [pods/eviction], verbs: [create]}
- {apiGroups: [""], resources: [configmaps], verbs: [get]}
- {apiGroups: [""], resources: [events], verbs: [list]}
- {apiGroups: [apps], resources: [statefulsets], verbs: [get]}
TEXT
    KN create rolebinding on-call --role=on-call --serviceaccount="$NAMESPACE:on-call"
    cp "$CLUSTER_FOLDER/admin.kubeconfig" "$config"
    token="$(KN create token on-call)"
    K --kubeconfig "$config" config set-credentials on-call --token="$token" >/dev/null
    K --kubeconfig "$config" config set-context --current --user=on-call >/dev/null
    PERSON="$config"
}

# in_pod POD COMMAND...: with the pod's address.
in_pod() {
    local id pid
    id="$(KN get pod "$1" -o jsonpath='{.status.containerStatuses[0].containerID}')" || return 1
    pid="$(containers tasks ls | awk -v id="${id#containerd://}" '$1 == id { print $2 }')"
    [[ -n "$pid" ]] || return 1
    shift
    nsenter --net="/proc/$pid/ns/net" -- "$@"
}

# await_ready POD...: all of them ready, as the kubelet and so the agents say.
await_ready() {
    KN wait --for=condition=Ready "${@/#/pod/}" --timeout=300s
}

# ask POD PATH: the agent's read port.
ask() {
    in_cluster curl -fsS --max-time 5 "http://$(KN get pod "$1" -o jsonpath='{.status.podIP}'):9640$2"
}

# said POD EXPRESSION: a Python expression over its status, which is called s.
said() {
    ask "$1" /v1/status | python3 -c "import json, sys; s = json.load(sys.stdin); print($2)"
}

# The leaf that all TLS listeners of a pod have shown, or nothing.
shown() {
    said "$1" "(lambda l: l.pop()[:8] if len(l) == 1 else '')(set(c['leaf']['fingerprint'] if c['leaf'] else '' for c in s['channels']))"
}

# The short fingerprint of a certificate's file.
fingerprint() {
    openssl x509 -in "$1" -outform der | sha256sum | cut -c1-8
}

# all_show LEAF POD...
all_show() {
    local leaf="$1" pod
    shift
    for pod in "$@"; do
        [[ "$(shown "$pod")" == "$leaf" ]] || return 1
    done
}

# leader POD...: the pod whose node leads the quorum, as the first that answers says.
leader() {
    local pod id
    for pod in "$@"; do
        id="$(said "$pod" "s['quorum']['leader']")" || continue
        printf '%s\n' "$@" | grep -e "-$id\$" && return
    done
    return 1
}

# is_healthy POD...
is_healthy() {
    local pod
    for pod in "$@"; do
        [[ "$(said "$pod" "s['quorum']['state'], s['conditions']")" == "Healthy []" ]] || return 1
    done
}

# Whether no Kafka of PODS has been restarted; a pod that was made anew has another container.
kafka_never_restarted() {
    no_restarts "$(KN get pods -l app=events -o jsonpath='{.items[*].status.containerStatuses[*].restartCount}')"
}

# Whether none of their sidecars has been.
sidecars_never_restarted() {
    no_restarts "$(KN get pods -l app=events \
        -o jsonpath='{.items[*].status.initContainerStatuses[?(@.name=="kraftlet")].restartCount}')"
}

# no_restarts COUNTS: a zero for each of PODS.
no_restarts() {
    say "restarts: $1"
    [[ "$1" == "${PODS[*]//*/0}" ]]
}

# start_load CA...: clients that trust these CAs, with the certificate `client` of FOLDER where there is one.
start_load() {
    local ca
    for ca in "$@"; do
        cat "$FOLDER/$ca.crt"
    done >"$FOLDER/load.trust"
    : >"$FOLDER/load.pem"
    [[ ! -e "$FOLDER/client.crt" ]] || cat "$FOLDER/client.key" "$FOLDER/client.crt" >"$FOLDER/load.pem"
    {
        printf 'bootstrap.servers=%s\n' "$(hosts_of "$BROKERS" | sed 's/$/:9092/' | paste -s -d ,)"
        printf 'security.protocol=SSL\n'
        [[ ! -s "$FOLDER/load.pem" ]] || printf 'ssl.keystore.type=PEM\nssl.keystore.location=/load/load.pem\n'
        printf 'ssl.truststore.type=PEM\nssl.truststore.location=/load/load.trust\n'
    } >"$FOLDER/load.properties"
    KN create secret generic load --from-file="$FOLDER/load.properties" --from-file="$FOLDER/load.pem" \
        --from-file="$FOLDER/load.trust" >/dev/null
    KN apply -f "$KUBERNETES_DIR/load.yaml" >/dev/null
    until_true 180 load_says '	leader	' || die 1 "the load did not begin: $(KN logs load | tail -n 5)"
}

load_says() {
    KN exec load -- /bin/busybox grep -c -F -e "$1" /tmp/load.tsv >/dev/null 2>&1
}

# Ends the load and prints its sums; fails where a request failed, where a new connection was refused, and where none was
# ever made.
stop_load() {
    # The container may end before the command in it.
    KN exec load -- /bin/busybox kill -TERM 1 || true
    until_true 60 load_has_ended || die 1 "the load does not end"
    KN logs load | tee "$FOLDER/load.log"
    [[ "$(KN get pod load -o jsonpath='{.status.containerStatuses[0].state.terminated.exitCode}')" == 0 ]] || return 1
    awk '$1 == "probes" { made = $2 } $1 == "refused" { refused = $2 } END { exit !(made > 0 && refused == 0) }' \
        "$FOLDER/load.log" || return 1
    KN delete pod/load secret/load >/dev/null
}

load_has_ended() {
    [[ -n "$(KN get pod load -o jsonpath='{.status.containerStatuses[0].state.terminated.reason}')" ]]
}

# renew_all LEAF: what was put into the Secret reaches each pod within the kubelet's sync, and is taken.
renew_all() {
    local pod
    for pod in "${PODS[@]}"; do
        expect "the files of $pod are the new ones, and it is told to take them" until_true 120 takes "$pod" "$1"
    done
    expect "every channel of every pod shows $1" until_true 120 all_show "$1" "${PODS[@]}"
}

takes() {
    person renew --pod "$1" || true
    until_true 10 all_show "$2" "$1"
}

# The leaf of each pod; fails as long as one shows none, or several.
leaves() {
    local pod leaf all=()
    for pod in "${PODS[@]}"; do
        leaf="$(shown "$pod")" && [[ -n "$leaf" ]] || return 1
        all+=("$leaf")
    done
    printf '%s\n' "${all[@]}"
}

# all_are_others LEAVES: each pod shows one leaf on all its channels, and another than it showed before.
all_are_others() {
    local index text now before
    text="$(leaves)" || return 1
    mapfile -t now <<<"$text"
    mapfile -t before <<<"$1"
    for index in "${!PODS[@]}"; do
        [[ -n "${before[index]-}" && "${now[index]}" != "${before[index]}" ]] || return 1
    done
}

# has_outcome POD REASON: what became of its last renewal.
has_outcome() {
    [[ "$(said "$1" "s['certificates'][0]['lastOutcome']['reason']")" == "$2" ]]
}

# event_of NAME REASON: there is such an Event of it.
event_of() {
    KN get events.events.k8s.io -o jsonpath="{range .items[?(@.regarding.name==\"$1\")]}{.reason}{\"\\n\"}{end}" | grep -x -F -e "$2" >/dev/null
}

# rights_of ACCOUNT: what it may do beyond what everybody may, who is somebody: ask what he may, read what the API server
# publishes about itself, and the objects of pod certificates that are for all to read.
rights_of() {
    local rights
    rights="$(KN auth can-i --list --no-headers --as "system:serviceaccount:$NAMESPACE:$1")" || return 1
    grep -v -E -e '^(selfsubject|\s+\[/|clustertrustbundles|podcertificaterequests)' -e '^\s*$' <<<"$rights" || true
}

# may_nothing ACCOUNT: it has none of those.
may_nothing() {
    local rights
    rights="$(rights_of "$1")" || return 1
    [[ -z "$rights" ]] || { say "$rights" && return 1; }
}

# What the pods of a namespace are and said.
show_pods() {
    local pod
    K -n "$1" get pods -o wide
    K -n "$1" get events --sort-by=.lastTimestamp | tail -n 40
    for pod in $(K -n "$1" get pods -o name); do
        echo "--- $pod"
        K -n "$1" logs "$pod" --all-containers --prefix --tail=25 2>&1 | cut -c1-400
    done
}
