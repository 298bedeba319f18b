# shellcheck shell=bash
# What every agent answers at every moment, and what it has to answer. Source it after sidecars.sh.
#
# Uses FOLDER and PODS; SICK holds the pods that are ill by intent. The program `verdicts` asks all agents a few times a
# second and writes down each change, so that a probe that was red for a moment is found too.

SICK=()
STORY=
WATCH_PID=
# How often each sidecar was taken away by intent: only so often may nobody answer.
declare -A AWAY=()

build_helpers() {
    cargo build --quiet --locked --manifest-path "$REPO_DIR/Cargo.toml" -p kraftlet-e2e --bin verdicts --bin probes \
        || die 2 "the helpers do not build"
    HELPERS="${CARGO_TARGET_DIR:-$REPO_DIR/target}/debug"
}

# Begins to ask. All that is heard is in $STORY.
watch_verdicts() {
    local pod agents=()
    STORY="$FOLDER/verdicts.tsv"
    : >"$STORY"
    # shellcheck disable=SC2153  # nodes.sh sets it
    for pod in "${PODS[@]}"; do
        agents+=("$pod=$(host_of "$pod"):9640")
        # It may be asked before it listens.
        AWAY[$pod]=1
    done
    "$HELPERS/verdicts" "$STORY" "${agents[@]}" &
    WATCH_PID=$!
}

end_watch() {
    [[ -n "$WATCH_PID" ]] || return 0
    kill "$WATCH_PID" 2>/dev/null || true
    wait "$WATCH_PID" 2>/dev/null || true
}

# How many lines the story has: where to look for what comes next.
story_lines() {
    wc -l 2>/dev/null <"$STORY" || printf 0
}

# said_last POD WHAT: what an agent answered last.
said_last() {
    awk -F '\t' -v pod="$1" -v what="$2" '$2 == pod && $3 == what { last = $4 } END { print last }' "$STORY"
}

# The pods of PODS that are not among the arguments.
all_but() {
    local pod
    for pod in "${PODS[@]}"; do
        [[ " $* " == *" $pod "* ]] || printf '%s\n' "$pod"
    done
}

# verdicts WITHIN HOLD <TABLE: each line of the table is: who, what, and the answer as a regular expression for the whole
# of it. Who is a pod, `sick`, `all`, or of those that are not sick `rest`, `voters` or `observers`. Waits until everything is so, and then sees it hold for HOLD rounds of a
# second: another answer in between ends the script.
verdicts() {
    local within="$1" hold="$2" started=$SECONDS table="$FOLDER/wanted.tsv" wrong from
    expand_table >"$table"
    while wrong="$(differences "$table" 0)" && [[ -n "$wrong" ]]; do
        kill -0 "$WATCH_PID" 2>/dev/null || die 1 "the watch has ended by itself"
        ((SECONDS - started < within)) || not_so "after $within s" "$wrong"
        sleep 0.2
    done
    say "    verdicts are there after $((SECONDS - started)) s"
    ((hold > 0)) || return 0
    from="$(story_lines)"
    until rounds_since "$from" "$hold"; do
        # A machine that has no time for the agents has none for this either.
        ((SECONDS - started < within + 10 * hold)) || die 1 "the agents were not asked $hold times in $((10 * hold)) s"
        sleep 0.2
    done
    wrong="$(differences "$table" "$from")"
    [[ -z "$wrong" ]] || not_so "it did not hold for $hold s" "$wrong"
}

not_so() {
    say "not so, $1:"
    say "$2"
    say "what was answered lately:"
    awk -F '\t' '$3 != "round"' "$STORY" | tail -n 30 | sed 's/^/    /' >&2
    exit 1
}

# One line for each pod: pod, what, expression.
expand_table() {
    local who what pattern pod pods
    while read -r who what pattern; do
        case "$who" in
            "") continue ;;
            all) pods=("${PODS[@]}") ;;
            sick) pods=("${SICK[@]}") ;;
            rest) mapfile -t pods < <(all_but "${SICK[@]}") ;;
            voters) mapfile -t pods < <(all_but "${SICK[@]}" | grep -x -F -f <(controllers)) ;;
            observers) mapfile -t pods < <(all_but "${SICK[@]}" | grep -v -x -F -f <(controllers)) ;;
            *) pods=("$who") ;;
        esac
        for pod in "${pods[@]}"; do
            printf '%s\t%s\t%s\n' "$pod" "$what" "$pattern"
        done
    done
}

# differences TABLE FROM: what is not as the table wants it. FROM 0: the last answers; else every answer after that line.
differences() {
    awk -F '\t' -v from="$2" '
        FNR == NR { want[$2 SUBSEP $1] = $3; next }
        !(($3, $2) in want) { next }
        { last[$3, $2] = $4; good = $4 ~ "^(" want[$3, $2] ")$" }
        from > 0 && FNR > from && !good { print "    " $2 " " $3 " was: " $4 "; want: " want[$3, $2] " (at " $1 " s)" }
        END {
            if (from == 0) for (key in want) if (last[key] !~ "^(" want[key] ")$") {
                split(key, part, SUBSEP)
                print "    " part[2] " " part[1] " is: " last[key] "; want: " want[key]
            }
        }' "$1" "$STORY"
}

# rounds_since FROM COUNT: whether every agent was asked in so many seconds after that line.
rounds_since() {
    awk -F '\t' -v from="$1" -v count="$2" -v pods="${#PODS[@]}" '
        NR > from && $3 == "round" && ++rounds[$2] == count { enough++ }
        END { exit enough == pods ? 0 : 1 }' "$STORY"
}

# Whatever happens, an agent's liveness is green as long as it runs, and a node that is well stays ready: from the given
# line of the story on, no livez was red, nobody but the sick had a red readyz, and no agent was away more often than it
# was taken away.
nobody_else_was_red() {
    local wrong
    wrong="$(awk -F '\t' -v from="$1" -v sick=" ${SICK[*]} " -v away="$(away_counts)" '
        BEGIN { count = split(away, part, " "); for (i = 1; i < count; i += 2) allowed[part[i]] = part[i + 1] }
        $3 == "livez" && $4 == "-" && ++gone[$2] > allowed[$2] { print "    " $0; next }
        NR <= from || $4 == "-" { next }
        $3 == "livez" && $4 != "200" { print "    " $0 }
        $3 == "readyz" && $4 != "200" && !index(sick, " " $2 " ") { print "    " $0 }' "$STORY")"
    [[ -z "$wrong" ]] || not_so "an agent or a node that is well was red" "$wrong"
}

away_counts() {
    local pod
    for pod in "${!AWAY[@]}"; do
        printf '%s %s ' "$pod" "${AWAY[$pod]}"
    done
}

# A sidecar ends by intent.
take_sidecar() {
    AWAY[$1]=$((${AWAY[$1]:-0} + 1))
    stop_sidecar "$1"
}

# What a deleted pod of a StatefulSet goes through, in its two halves.
end_pod() {
    stop_node "$1"
    take_sidecar "$1"
}

# begin_pod POD SETTINGS. A kubelet starts an init container again where it ends with 1.
begin_pod() {
    until_true 30 init_pod "$1" "$2" || die 1 "kraftlet init refuses $1: $(tail -n 3 "$FOLDER/$1.init.log")"
    start_sidecar "$1" "$2"
    start_node "$1"
}

# What happens to the processes of Kafka without a word of warning.
kill_node() {
    kill -9 "${PID_OF[$1]}"
    wait "${PID_OF[$1]}" 2>/dev/null || true
    unset "PID_OF[$1]"
    say "    killed $1"
}

freeze_node() {
    kill -STOP "${PID_OF[$1]}"
    say "    froze $1"
}

thaw_node() {
    kill -CONT "${PID_OF[$1]}"
    say "    thawed $1"
}

# The pod that leads, as the first pod that is well says.
leading_pod() {
    local id pod witness
    witness="$(all_but "${SICK[@]}" | head -n 1)"
    id="$(said_last "$witness" leader)"
    [[ "$id" =~ ^[0-9]+$ ]] || die 1 "$witness knows no leader: $id"
    for pod in "${PODS[@]}"; do
        [[ "$(setting "$pod" node.id)" != "$id" ]] || printf '%s' "$pod"
    done
}
