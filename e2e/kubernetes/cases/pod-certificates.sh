# shellcheck shell=bash
# Pod certificates (KEP-4317): the kubelet makes the key and asks, our signer signs, our sidecar takes what comes.

PODS=(events-0 events-1 events-2)

run_case() {
    example combined 's/signer: {}/podCertificate: {}/; s/lifetime: 30d/lifetime: 1h\n        renewAtPercent: 17/' | KN apply -f -
    expect "a plain StatefulSet with pod certificates becomes ready" until_true 300 await_ready "${PODS[@]}"
    expect "its quorum is healthy" until_true 60 is_healthy "${PODS[@]}"
}
