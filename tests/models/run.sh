#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Checks the models of the run time's protocols with Spin: every model must hold in
# all its states, and every mutant of it, which has a check dropped or an order changed,
# must be found out. One line each; the exit status is 0 if all went as expected.
#
# Usage: run.sh [MODEL...]        only these, such as counts world
#        MODELS_JOBS=N run.sh     N at a time (default: the cores, 4 at most)
set -euo pipefail

here=$(cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")" && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# model, "holds", "large" or "fails", and what the model is compiled with; README.md says what the
# names stand for. A large one holds, too.
checks() {
    cat <<'TEXT'
counts  large STOPPER=0
counts  large STOPPER=1 MORE=0 LIVES=1
counts  fails STOPPER=0 GONE_AND_BLOCKED
counts  fails STOPPER=0 NO_PENDING
counts  fails STOPPER=0 WEAK_BLOCKED
counts  fails STOPPER=0 SWAP_FIRST
counts  fails STOPPER=0 NO_LOOK_AFTER_CLAIM
counts  fails STOPPER=0 GONE_WITHOUT_LOCK
counts  fails STOPPER=0 CLOSE_WITHOUT_LOOK
counts  fails STOPPER=0 LOOK_BEFORE_PUSH
counts  fails STOPPER=0 QUEUED_TWICE
counts  large STOPPER=0 MORE=0 GIVE=1
counts  fails STOPPER=0 MORE=0 GIVE=1 GIVE_UP_WITHOUT_SWAP
counts  fails STOPPER=1 MORE=0 LIVES=1 START_WITHOUT_LOOK
counts  large STOPPER=0 MORE=0 BATCH=1
counts  large STOPPER=1 MORE=0 LIVES=1 BATCH=1
counts  fails STOPPER=0 MORE=0 LIVES=1 BATCH=1 NO_PUSH_BEFORE_BLOCKING
counts  fails STOPPER=0 MORE=0 BATCH=1 BATCH_GONE_WITHOUT_LOCK
counts  fails STOPPER=1 MORE=0 LIVES=1 BATCH=1 STOP_WITHOUT_OPEN
weakref holds
weakref fails NO_EXPOSE
weakref fails NO_SECOND_LOOK
weakref fails INCREF_DEAD
weakref fails FREE_THEN_CLEAR
weakref fails CLEAR_WITHOUT_LOCK
weakref fails RELEASE_WITHOUT_LOCK
weakref fails RELEASE_KEEPS_REFERENT
weakref fails CALL_WITHOUT_INCREF
weakref fails DROP_LAST_BY_STORE
collect holds
collect fails NO_SECOND_LOOK
collect fails CLEAR_LATE
collect fails CLEAR_FIRST
collect fails STOP_ANYWHERE NO_LOOK_AT_POINTER
world   large
world   large STOPS0=1 CLAIMS=1
world   fails WEAK_BLOCKED
world   fails NO_PARKED_SIGNAL
world   fails NO_ENTERING
world   fails STOPS_AT_ONCE
world   fails WAITS_AGAIN
world   fails FORGETS_EARLY
world   fails RUNS_WHEN_CLAIMED
world   fails NO_BREAKER
world   fails START_WITHOUT_MUTEX
world   fails EXITS_AT_ONCE
slot    large
slot    fails NO_SECOND_LOOK
slot    fails INCREF_DEFAULT
slot    fails INCREF_BY_STORE
slot    fails READ_WITHOUT_LOCK
slot    fails DEAD_WITHOUT_STATE
slot    fails GIVE_UP_BY_STORE
slot    fails DROP_FIRST
borrow  holds
borrow  holds READERS=1 READS=2 OBJECTS=3
borrow  fails NO_FLAG
borrow  fails NO_SECOND_LOOK
borrow  fails NO_GRACE
borrow  fails FREE_CHILD_AT_ONCE
borrow  fails FLAG_BEFORE_DROP
borrow  fails FLAG_BEFORE_FINALIZER
borrow  fails DROP_CHILDREN_FIRST
borrow  fails NO_MARK_OF_CHILDREN
borrow  fails MARK_UNCOUNTED
borrow  fails NO_SECURE
borrow  fails SAFEPOINT_IN_BORROW
borrow  fails CLEAR_LATE
sampling large
sampling large FINALIZER
sampling fails NO_IN_HAND
sampling fails MOVE_DEAD
sampling fails FINALIZER MOVE_IN_FINALIZER
sampling fails MERGE_SPREAD_AS_OWNED
sampling fails FORGET_GONE
sampling fails DROP_IN_STOP
sampling fails NO_TABLE_REFERENCE
sampling fails STOP_ANYWHERE
sampling fails SPREAD_BY_STORE
sampling fails SPREAD_UNHELD
grace   holds
grace   fails NO_LOOK
grace   fails NO_TICK
grace   fails BLOCKS_WITH_BATCHES
grace   fails FREE_AT_ONCE
grace   fails RETIRE_THEN_REPLACE
grace   fails SAFEPOINT_IN_READ
grace   fails ONLINE_WITHOUT_FENCE
grace   fails BLOCKS_ONLINE
grace   fails COUNT_THEN_CLEAR
grace   fails BITS_THEN_COUNT
grace   fails ATTACH_WITHOUT_BIT
grace   fails NO_LOOK_ONLINE
grace   fails LOOK_WHILE_BLOCKED
heap    holds
heap    fails NO_PASS_ON
heap    fails TAKE_BY_LOAD_AND_STORE
heap    fails CLAIM_BY_LOAD
heap    fails VACANT_WITHOUT_LOCK
heap    fails NO_LOOK_UNDER_LOCK
heap    fails RUNS_WHEN_CLAIMED
intern  holds
intern  holds THREADS=2 ROUNDS=3
intern  fails INCREF_DEAD
intern  fails NO_GRACE
intern  fails RETIRE_FIRST
intern  fails REMOVE_ANY
intern  fails NO_SECOND_LOOK
walk    holds
walk    fails NO_SECOND_LOOK
walk    fails NO_LOOK_AT_TABLE
walk    fails LOOK_AGAIN_FIRST
walk    fails REMOVE_THEN_COUNT
walk    fails ADD_THEN_COUNT
walk    fails CLEAR_VALUES_FIRST
walk    fails FIRST_THEN_COUNT
bias    large
bias    fails NO_MEMBARRIER
bias    fails NO_WAIT
bias    fails BIAS_GOES_FIRST
bias    fails LOOK_FIRST
bias    fails STORE_LOSES_PARKED
bias    fails SLEEP_UNMARKED
bias    fails ONE_WAITER
epoch   holds
epoch   holds ROUNDS=3
epoch   fails NO_MEMBARRIER
epoch   fails OVER_FIRST
epoch   fails OVER_IS_BIAS
epoch   fails STATUS_FIRST
kept    holds
kept    holds THREADS=3 ROUNDS=1
kept    fails NO_MEMBARRIER
kept    fails NO_WAIT
kept    fails KEEPS_NOTE
kept    fails KEEPS_FROM_WAITER
kept    fails SLEEPS_FOR_KEPT
kept    fails LOOK_FIRST
kept    fails SECTION_BY_NOTE
kept    fails EXITS_KEEPING
turns   holds
turns   holds THREADS=2 STEPS=4 CHANGES=3
turns   fails END_FORGETS_WAITERS
turns   fails LEAVES_WITH_TURN
turns   fails JOINS_FIRST
turns   fails WAITS_WITHOUT_LOOK
turns   fails NO_OVERTAKING
section holds
section fails NO_RESUME
section fails SUSPEND_FIRST
section fails WAIT_HOLDING
section fails STOPPER_LOCKS
young   large
young   holds TUPLES
young   fails NO_MARK
young   fails NO_SHARED_HALF
young   fails TUPLES NO_SHARED_HALF
young   fails REACH_WITHOUT_BIAS
young   fails REACH_ON
closing large
closing fails NO_LOCK_AFTER_CLOSED
closing fails NO_CLOSE
closing fails LIST_FOR_STATE
closing fails NO_LOOK_AFTER_CLOSING
closing fails LOOK_BEFORE_CLOSING
closing fails CLEAR_FIRST
closing fails UNLOCK_BEFORE_OPENING
TEXT
}

# field PATTERN: the first match of its group in the verifier's output
field() { sed -n "s/$1/\\1/p" output | head -n 1; }

# check MODEL EXPECTED DEFINE...
check() {
    local model=$1 expected=$2 found verdict started=$SECONDS folder compiler table
    local -a defines=()
    shift 2
    (($# == 0)) || defines=("${@/#/-D}")
    folder=$(mktemp -d -p "$scratch")
    cd "$folder"
    cp "$here"/*.pml .
    found=broken
    # tcc, where it is, compiles in a twentieth of the time, and its search is as fast up to some
    # 700,000 states. A large model is gcc's, unoptimised but for what stores a state: the search
    # waits for memory. The table of its states has 128 MiB, which take longer to clear than most
    # searches; for others 8 are enough. No bound on the depth is reached, or it is an error.
    compiler=${CC:-cc} table=24
    if [[ $expected == large ]]; then
        expected=holds
    else
        ! command -v tcc >/dev/null || compiler=tcc
        table=20
    fi
    if spin -a "${defines[@]}" "$model.pml" >output 2>&1 &&
        sed -i -E 's/^(compress|h_store|d_sfh)\(/__attribute__((optimize(2))) &/' pan.c &&
        awk -f "$here/transitions.awk" pan.t >rows.t && mv rows.t pan.t &&
        "$compiler" -O0 -w -DSAFETY -DVECTORSZ=512 -DMEMLIM=4096 -o pan pan.c >>output 2>&1 &&
        ./pan -b -m100000 -w$table >output 2>&1; then
        case $(field '.*errors: \([0-9]*\).*') in
            0) grep -q 'Search not completed\|max search depth\|out of memory' output \
                || found=holds ;;
            *) grep -q '^pan:1: \(assertion violated\|invalid end state\)' output && found=fails ;;
        esac
    fi
    verdict=ok
    [[ $found == "$expected" ]] || verdict=WRONG
    printf '%-5s %-8s %-6s %9s states, depth %4s, %3d s  %s%s\n' "$verdict" "$model" "$found" \
        "$(field ' *\([0-9]*\) states, stored.*')" "$(field '.*depth reached \([0-9]*\).*')" \
            $((SECONDS - started)) "$*" \
        "$(field '^pan:1: \([a-z ]*\).*' | sed 's/ *$//; s/^/  (/; s/$/)/')"
    if [[ $verdict == WRONG ]]; then
        sed 's/^/      /' output | head -n 20
        return 1
    fi
}

command -v spin >/dev/null || { echo 'run.sh: no spin; install the package spin' >&2; exit 1; }
if [[ ${1:-} == --one ]]; then
    check "${@:2}"
    exit
fi
for model in "$@"; do
    [[ $model != buffer && -f $here/$model.pml ]] \
        || { echo \
        "run.sh: no model '$model'; there are $(checks | cut -d ' ' -f 1 | sort -u | xargs)" >&2; \
        exit 2; }
done
jobs=$(nproc)
((jobs <= 4)) || jobs=4
checks | { (($# == 0)) && cat || grep -E "^($(IFS='|'; echo "$*")) "; } |
    xargs -P "${MODELS_JOBS:-$jobs}" -L 1 "${BASH_SOURCE[0]}" --one && status=0 || status=1
((status == 0)) && echo 'All models hold, all mutants were found out.' \
    || echo 'Some went otherwise than expected.'
exit $status
