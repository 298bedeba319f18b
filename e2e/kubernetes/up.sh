#!/usr/bin/env bash
# A real one-node Kubernetes in a network namespace of its own, which has no way out.
#
# etcd, kube-apiserver, kube-controller-manager, kube-scheduler, containerd, kubelet, kube-proxy and CoreDNS: ten seconds. With
# the argument `kubelet` it ends the kubelet of such a cluster, and starts another.
#
# State is in CLUSTER_FOLDER. Every process that is started has its pid there, and down.sh ends it.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

NODE=node1
# On a bridge with no ports, inside the namespace.
NODE_IP=172.30.0.2
SERVICES=10.96.0.0/16
API_IP=10.96.0.1
DNS_IP=10.96.0.10
PODS=10.244.0.0/24
PKI="$CLUSTER_FOLDER/pki"
ETC="$CLUSTER_FOLDER/etc"

# start NAME COMMAND...: in the background and in the cluster's network, its pid kept.
start() {
    local name="$1"
    shift
    setsid nsenter --net="/run/netns/$CLUSTER_NAMESPACE" -- "$@" >"$CLUSTER_FOLDER/log/$name.log" 2>&1 </dev/null &
    echo $! >"$CLUSTER_FOLDER/pid/$name"
}

wait_for() {
    local seconds="$1" what="$2"
    shift 2
    until_true "$seconds" quietly "$@" || die 1 "$what did not come within $seconds s; logs are in $CLUSTER_FOLDER/log"
    say "  $what"
}

quietly() {
    "$@" >/dev/null 2>&1
}

make_network() {
    ip netns add "$CLUSTER_NAMESPACE"
    in_cluster ip link set lo up
    in_cluster ip link add node0 type bridge
    in_cluster ip addr add "$NODE_IP/24" dev node0
    in_cluster ip link set node0 up
    # The node answers on DNS's address itself, and for the time before kube-proxy on the API server's.
    in_cluster ip addr add "$DNS_IP/32" dev node0
    # Where the node itself calls a Service, kube-proxy has the last word; it only needs a route to begin with.
    in_cluster ip route add "$SERVICES" dev node0
    in_cluster sysctl -qw net.ipv4.ip_forward=1
}

make_key() {
    openssl ecparam -name prime256v1 -genkey -noout -out "$1"
}

# certificate NAME SUBJECT USAGE [NAMES] [CA]
certificate() {
    local ca="${5:-ca}"
    make_key "$1.key"
    {
        echo "extendedKeyUsage=$3"
        echo "keyUsage=digitalSignature"
        [[ -z "${4:-}" ]] || echo "subjectAltName=$4"
    } >"$1.ext"
    openssl req -new -key "$1.key" -subj "$2" |
        openssl x509 -req -CA "$ca.crt" -CAkey "$ca.key" -CAcreateserial -days 2 -extfile "$1.ext" -out "$1.crt" 2>/dev/null
}

make_certificates() {
    cd "$PKI"
    make_key ca.key
    make_key front.key
    openssl req -x509 -new -key ca.key -subj "/CN=cluster" -days 2 -out ca.crt
    openssl req -x509 -new -key front.key -subj "/CN=front" -days 2 -out front.crt
    openssl genrsa -out accounts.key 2048 2>/dev/null
    certificate apiserver /CN=kube-apiserver serverAuth \
        "DNS:localhost,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local,IP:127.0.0.1,IP:$NODE_IP,IP:$API_IP"
    certificate apiserver-kubelet /O=system:masters/CN=kube-apiserver-kubelet-client clientAuth
    certificate front-proxy /CN=front-proxy-client clientAuth "" front
    certificate admin /O=system:masters/CN=admin clientAuth
    certificate controller-manager /CN=system:kube-controller-manager clientAuth
    certificate scheduler /CN=system:kube-scheduler clientAuth
    certificate proxy /CN=system:kube-proxy clientAuth
    certificate coredns /CN=coredns clientAuth
    certificate kubelet "/O=system:nodes/CN=system:node:$NODE" clientAuth
    certificate kubelet-serving "/O=system:nodes/CN=system:node:$NODE" serverAuth "DNS:$NODE,IP:$NODE_IP"
    cd - >/dev/null
    local name
    for name in admin controller-manager scheduler proxy coredns kubelet; do
        cat >"$CLUSTER_FOLDER/$name.kubeconfig" <<TEXT
apiVersion: v1
kind: Config
clusters: [{name: test, cluster: {server: "https://127.0.0.1:6443", certificate-authority: $PKI/ca.crt}}]
users: [{name: me, user: {client-certificate: $PKI/$name.crt, client-key: $PKI/$name.key}}]
contexts: [{name: test, context: {cluster: test, user: me}}]
current-context: test
TEXT
    done
}

ask_api() {
    in_cluster curl -fsS --cacert "$PKI/ca.crt" --cert "$PKI/admin.crt" --key "$PKI/admin.key" "https://127.0.0.1:6443$1"
}

start_api() {
    start etcd env ETCD_UNSUPPORTED_ARCH= etcd --name test --data-dir "$CLUSTER_FOLDER/etcd" --logger zap --log-level warn \
        --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379 \
        --listen-peer-urls http://127.0.0.1:2380 --initial-advertise-peer-urls http://127.0.0.1:2380 \
        --initial-cluster test=http://127.0.0.1:2380 --unsafe-no-fsync
    start apiserver "$KUBERNETES_BIN/kube-apiserver" --etcd-servers http://127.0.0.1:2379 \
        --bind-address 0.0.0.0 --secure-port 6443 --advertise-address "$NODE_IP" \
        --service-cluster-ip-range "$SERVICES" --authorization-mode Node,RBAC --enable-admission-plugins NodeRestriction \
        --client-ca-file "$PKI/ca.crt" --tls-cert-file "$PKI/apiserver.crt" --tls-private-key-file "$PKI/apiserver.key" \
        --service-account-issuer https://kubernetes.default.svc --service-account-key-file "$PKI/accounts.key" \
        --service-account-signing-key-file "$PKI/accounts.key" \
        --kubelet-client-certificate "$PKI/apiserver-kubelet.crt" --kubelet-client-key "$PKI/apiserver-kubelet.key" \
        --kubelet-certificate-authority "$PKI/ca.crt" --kubelet-preferred-address-types InternalIP \
        --requestheader-client-ca-file "$PKI/front.crt" --requestheader-allowed-names front-proxy-client \
        --requestheader-username-headers X-Remote-User --requestheader-group-headers X-Remote-Group \
        --requestheader-extra-headers-prefix X-Remote-Extra- \
        --proxy-client-cert-file "$PKI/front-proxy.crt" --proxy-client-key-file "$PKI/front-proxy.key" \
        --enable-aggregator-routing=true
    wait_for 120 "the API server is ready" ask_api /readyz
}

start_control() {
    start controller-manager "$KUBERNETES_BIN/kube-controller-manager" \
        --kubeconfig "$CLUSTER_FOLDER/controller-manager.kubeconfig" \
        --authentication-kubeconfig "$CLUSTER_FOLDER/controller-manager.kubeconfig" \
        --authorization-kubeconfig "$CLUSTER_FOLDER/controller-manager.kubeconfig" \
        --bind-address 127.0.0.1 --leader-elect=false --use-service-account-credentials=true \
        --root-ca-file "$PKI/ca.crt" --service-account-private-key-file "$PKI/accounts.key" \
        --cluster-signing-cert-file "$PKI/ca.crt" --cluster-signing-key-file "$PKI/ca.key" \
        --kube-api-qps 200 --kube-api-burst 400
    start scheduler "$KUBERNETES_BIN/kube-scheduler" --kubeconfig "$CLUSTER_FOLDER/scheduler.kubeconfig" \
        --authentication-kubeconfig "$CLUSTER_FOLDER/scheduler.kubeconfig" \
        --authorization-kubeconfig "$CLUSTER_FOLDER/scheduler.kubeconfig" \
        --bind-address 127.0.0.1 --leader-elect=false
    wait_for 60 "there are service accounts" ask_api /api/v1/namespaces/default/serviceaccounts/default
}

start_dns() {
    cat >"$ETC/Corefile" <<TEXT
cluster.local:53 in-addr.arpa:53 {
    bind $DNS_IP
    errors
    ready 127.0.0.1:8181
    kubernetes cluster.local in-addr.arpa {
        kubeconfig $CLUSTER_FOLDER/coredns.kubeconfig test
        pods insecure
        ttl 5
    }
}
# There is no upstream: any other name does not exist. (With no answer here CoreDNS says REFUSED.)
.:53 {
    bind $DNS_IP
    template ANY ANY . {
        rcode NXDOMAIN
    }
}
TEXT
    K apply -f "$KUBERNETES_DIR/dns-rbac.yaml" >/dev/null
    start coredns "$KUBERNETES_BIN/coredns" -conf "$ETC/Corefile"
}

start_containerd() {
    mkdir -p "$ETC/cni"
    cat >"$ETC/cni/10-bridge.conflist" <<TEXT
{"cniVersion": "0.4.0", "name": "bridge", "plugins": [
  {"type": "bridge", "bridge": "cni0", "isGateway": true, "isDefaultGateway": true, "hairpinMode": true,
   "ipam": {"type": "host-local", "dataDir": "$CLUSTER_FOLDER/cni", "ranges": [[{"subnet": "$PODS"}]]}}]}
TEXT
    # Where the machine may not lower an oom_score_adj, no container would start without restrict_oom_score_adj.
    cat >"$ETC/containerd.toml" <<TEXT
version = 2
root = "$CLUSTER_FOLDER/containerd"
state = "$CLUSTER_FOLDER/containerd-state"
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.aufs"]
[grpc]
  address = "$CLUSTER_FOLDER/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/pause:1"
  disable_apparmor = true
  netns_mounts_under_state_dir = true
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "$ETC/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = false
TEXT
    start containerd containerd --config "$ETC/containerd.toml" --log-level warn
    wait_for 60 "containerd answers" containers version
    load_images
    say "  images are there"
}

# A parent of its own in every hierarchy, so that nothing else on the machine is moved or limited.
make_cgroups() {
    local hierarchy
    for hierarchy in /sys/fs/cgroup/*/; do
        hierarchy="${hierarchy%/}"
        [[ "$hierarchy" != */unified ]] || continue
        mkdir -p "$hierarchy/$CLUSTER_NAMESPACE"
        if [[ -f "$hierarchy/$CLUSTER_NAMESPACE/cpuset.cpus" ]]; then
            cat "$hierarchy/cpuset.cpus" >"$hierarchy/$CLUSTER_NAMESPACE/cpuset.cpus"
            cat "$hierarchy/cpuset.mems" >"$hierarchy/$CLUSTER_NAMESPACE/cpuset.mems"
        fi
    done
}

prepare_kubelet() {
    make_cgroups
    # The kubelet changes these for the whole machine; down.sh puts them back.
    sysctl vm.overcommit_memory vm.panic_on_oom kernel.panic kernel.panic_on_oops kernel.keys.root_maxkeys \
        kernel.keys.root_maxbytes >"$CLUSTER_FOLDER/sysctl.before"
    printf 'nameserver %s\n' "$DNS_IP" >"$ETC/resolv.conf"
    cat >"$ETC/kubelet.yaml" <<TEXT
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: 0.0.0.0
failCgroupV1: false
cgroupDriver: cgroupfs
cgroupRoot: /$CLUSTER_NAMESPACE
containerRuntimeEndpoint: unix://$CLUSTER_FOLDER/containerd.sock
failSwapOn: false
authentication: {anonymous: {enabled: false}, x509: {clientCAFile: $PKI/ca.crt}, webhook: {enabled: true}}
authorization: {mode: Webhook}
tlsCertFile: $PKI/kubelet-serving.crt
tlsPrivateKeyFile: $PKI/kubelet-serving.key
clusterDNS: [$DNS_IP]
clusterDomain: cluster.local
resolvConf: $ETC/resolv.conf
syncFrequency: 2s
imageGCHighThresholdPercent: 100
evictionHard: {memory.available: 100Mi, nodefs.available: 1Gi, nodefs.inodesFree: "1%", imagefs.available: 1Gi, imagefs.inodesFree: "1%"}
podLogsDir: $CLUSTER_FOLDER/pod-logs
volumePluginDir: $CLUSTER_FOLDER/volume-plugins
maxPods: 110
TEXT
}

start_kubelet() {
    start kubelet "$KUBERNETES_BIN/kubelet" --config "$ETC/kubelet.yaml" --kubeconfig "$CLUSTER_FOLDER/kubelet.kubeconfig" \
        --hostname-override "$NODE" --node-ip "$NODE_IP" --root-dir "$CLUSTER_FOLDER/kubelet" \
        --node-labels "topology.kubernetes.io/zone=zone-a"
    wait_for 180 "the node is ready" node_is_ready
    wait_for 60 "DNS is ready" in_cluster curl -fsS http://127.0.0.1:8181/ready
}

# Another kubelet takes over what the last one has started.
restart_kubelet() {
    local pid
    pid="$(<"$CLUSTER_FOLDER/pid/kubelet")"
    kill "$pid"
    until_true 30 is_dead "$pid" || die 1 "the kubelet does not end"
    start_kubelet
}

node_is_ready() {
    [[ "$(K get node "$NODE" -o jsonpath='{.status.conditions[?(@.type=="Ready")].status}')" == True ]]
}

start_proxy() {
    cat >"$ETC/proxy.yaml" <<TEXT
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: iptables
clientConnection: {kubeconfig: $CLUSTER_FOLDER/proxy.kubeconfig}
hostnameOverride: $NODE
clusterCIDR: $PODS
conntrack: {maxPerCore: 0, min: 0}
TEXT
    start proxy "$KUBERNETES_BIN/kube-proxy" --config "$ETC/proxy.yaml"
    wait_for 60 "Services are routed" in_cluster curl -fsS http://127.0.0.1:10256/healthz
}

main() {
    case "${1-}" in
        "") ;;
        kubelet) restart_kubelet && return ;;
        *) die 64 "usage: e2e/kubernetes/up.sh [kubelet]" ;;
    esac
    [[ ! -e "$CLUSTER_FOLDER" ]] || die 2 "$CLUSTER_FOLDER is there already; e2e/kubernetes/down.sh removes it"
    mkdir -p "$CLUSTER_FOLDER"/{pid,log,pki,etc}
    say "starting Kubernetes $KUBERNETES_VERSION in $CLUSTER_FOLDER ..."
    make_network
    make_certificates
    start_api
    start_control
    start_dns
    start_containerd
    prepare_kubelet
    start_kubelet
    start_proxy
}

main "$@"
