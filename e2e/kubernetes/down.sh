#!/usr/bin/env bash
# Ends what up.sh has started, by its pids, and removes what it made. With KEEP=1 logs and certificates stay.
set -uo pipefail
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# stop NAME [SIGNAL]
stop() {
    local pid
    pid="$(cat "$CLUSTER_FOLDER/pid/$1" 2>/dev/null)" || return 0
    kill -s "${2:-TERM}" "$pid" 2>/dev/null
    until_true 10 is_dead "$pid" || kill -9 "$pid" 2>/dev/null
    rm -f "$CLUSTER_FOLDER/pid/$1"
}

# containerd may be in no state to answer.
asked() {
    timeout 20 ctr --address "$CLUSTER_FOLDER/containerd.sock" --namespace k8s.io "$@"
}

no_tasks() {
    local task
    for task in $(asked tasks ls -q); do
        asked tasks delete -f "$task" >/dev/null 2>&1
    done
    [[ -z "$(asked tasks ls -q)" ]]
}

main() {
    local name task hierarchy
    [[ -d "$CLUSTER_FOLDER" ]] || return 0
    stop kubelet
    stop proxy
    if [[ -S "$CLUSTER_FOLDER/containerd.sock" && -f "$CLUSTER_FOLDER/pid/containerd" ]]; then
        for task in $(asked tasks ls -q); do
            asked tasks kill -s KILL "$task" >/dev/null 2>&1
        done
        until_true 20 no_tasks
    fi
    stop containerd
    # The API server's own end would wait for its watches; nothing here is kept.
    for name in coredns scheduler controller-manager apiserver etcd; do
        stop "$name" KILL
    done
    awk -v folder="$CLUSTER_FOLDER/" 'index($5, folder) == 1 { print $5 }' /proc/self/mountinfo | sort -r |
        while read -r name; do umount -l "$name"; done
    for hierarchy in /sys/fs/cgroup/*/"$CLUSTER_NAMESPACE"; do
        [[ ! -d "$hierarchy" ]] || find "$hierarchy" -depth -type d -exec rmdir {} \; 2>/dev/null
    done
    ip netns del "$CLUSTER_NAMESPACE" 2>/dev/null
    [[ ! -f "$CLUSTER_FOLDER/sysctl.before" ]] || sysctl -q -p "$CLUSTER_FOLDER/sysctl.before" >/dev/null 2>&1
    [[ "${KEEP:-0}" == 1 ]] || rm -rf --one-file-system "$CLUSTER_FOLDER"
    return 0
}

main
