# shellcheck shell=bash
# A small issuer in cert-manager's place: it signs what it is asked for, denies, or is away. Source it after kafka.sh.
#
# FOLDER/issuer says what it does: sign, deny or nothing.

start_issuer() {
    echo sign >"$FOLDER/issuer"
    while [[ -e "$FOLDER/issuer" ]]; do
        answer_requests || true
        sleep 0.5
    done >"$FOLDER/issuer.log" 2>&1 &
    ISSUER=$!
}

end_issuer() {
    rm "$FOLDER/issuer"
    wait "$ISSUER"
}

answer_requests() {
    local does name
    does="$(<"$FOLDER/issuer")"
    [[ "$does" != nothing ]] || return 0
    for name in $(unanswered); do
        "$does"_request "$name"
    done
}

unanswered() {
    KN get certificaterequests -o json |
        python3 -c 'import json, sys; print(*[r["metadata"]["name"] for r in json.load(sys.stdin)["items"] if "status" not in r])'
}

# answer NAME STATUS: as cert-manager's controllers do, to the status alone.
answer() {
    KN patch certificaterequest "$1" --subresource=status --type=merge -p "{\"status\": $2}"
}

deny_request() {
    answer "$1" '{"conditions": [{"type": "Denied", "status": "True", "reason": "policy", "message": "no policy lets it"}]}'
}

sign_request() {
    local csr="$FOLDER/request.csr" leaf="$FOLDER/request.crt" life
    KN get certificaterequest "$1" -o jsonpath='{.spec.request}' | base64 -d >"$csr"
    # As our agents write it: 480s.
    life="$(KN get certificaterequest "$1" -o jsonpath='{.spec.duration}')"
    sign ca "$csr" "$leaf" "${life%s}"
    answer "$1" "{\"certificate\": \"$(base64 -w0 "$leaf")\", \"ca\": \"$(base64 -w0 "$FOLDER/ca.crt")\",
        \"conditions\": [{\"type\": \"Approved\", \"status\": \"True\"}, {\"type\": \"Ready\", \"status\": \"True\", \"reason\": \"Issued\"}]}"
}
