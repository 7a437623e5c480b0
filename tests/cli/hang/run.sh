#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# run.sh: a driver that hangs ends after its time limit, with status 124 and the
# stacks of its threads; in a report it is a failed block, and the others are there.
#
#     run.sh BUILD_DIR BACKEND
set -u

# shellcheck source=tests/support/judge.sh
. "$(dirname "$0")/../../support/judge.sh"

build=$(cd "$1" && pwd)
backend=$2
driver=$build/tests/hang-driver-$backend

# ends STATUS WORKLOAD ARGUMENT... -- WORD...: each word is in the log
ends() {
    wanted=$1
    what="$2 $3"
    # What does not hang is not to look so because the machine has much else to do.
    limit=1
    [ "$wanted" -ne 0 ] || limit=30
    set -- "--workload=$2" "$3" "$4" "$5" "$6" "$7"
    timeout 200 "$driver" "$1" "$2" --samples=2 --sample-ms=5 --warmup-ms=1 --time-limit=$limit \
        >"$scratch/out" 2>"$scratch/err" </dev/null
    status=$?
    problem=
    [ $status -eq "$wanted" ] || problem="exit status $status, not $wanted"
    [ $status -eq 0 ] || [ ! -s "$scratch/out" ] \
        || problem="$problem${problem:+; }something on standard output"
    shift 2
    for word in "$@"; do
        [ -z "$word" ] || grep -qF -- "$word" "$scratch/err" \
            || problem="$problem${problem:+; }'$word' is not in the log"
    done
    judge "$what" "$problem"
}

ends 0 hang-not --threads=2 '' '' '' ''
ends 0 hang-not --processes=2 '' '' '' ''
ends 124 hang-in-run --threads=2 'hang-in-run: hangs: the warm-up' 'worker 2' 'spin_for_ever+' \
    'run_spinning+'
ends 124 hang-in-run --processes=2 'hangs: the warm-up' 'spin_for_ever+' 'run_spinning+' ''
ends 124 hang-in-read --threads=2 'hangs: the warm-up' 'worker 1' 'read_for_ever+' 'gate_collect+'
ends 124 hang-in-wait --threads=2 'hangs: the warm-up' 'tally_condition_wait+' 'wait_for_ever+' ''
ends 124 hang-in-wait --processes=2 'hangs: the warm-up' 'tally_condition_wait+' 'wait_for_ever+' ''
ends 124 hang-in-setup --threads=1 'hangs: setup' 'spin_for_ever+' 'set_up_spinning+' ''

# SIGQUIT shows the stacks at any time.
"$driver" --workload=hang-in-read --threads=2 --time-limit=60 >"$scratch/out" 2>"$scratch/err" \
    </dev/null &
process=$!
sleep 1
kill -s QUIT $process
wait $process
status=$?
problem=
[ $status -eq 131 ] || problem="exit status $status, not 131"
grep -q 'SIGQUIT in the warm-up' "$scratch/err" && grep -q 'read_for_ever+' "$scratch/err" \
    || problem="$problem${problem:+; }no stack in the log"
judge "SIGQUIT" "$problem"

# In a report.
mkdir "$scratch/drivers"
ln -s "$driver" "$scratch/drivers/tally-$backend"
echo "[{\"name\": \"$backend\", \"role\": \"product\"}]" >"$scratch/drivers/backends.json"
timeout 250 "$build/tally-compare" run --drivers "$scratch/drivers" --quick --workloads \
    hang-not,hang-in-run --threads 1 \
    --rounds 2 --time-limit 2 --output "$scratch/report" >"$scratch/out" 2>"$scratch/err"
status=$?
problem=
[ $status -eq 1 ] || problem="exit status $status, not 1"
for word in 'Failed runs' 'hang-in-run' 'exit status 124' 'spin_for_ever' '<summary>hang-not<'; do
    grep -qF -- "$word" "$scratch/report/report.md" \
        || problem="$problem${problem:+; }'$word' is not in the report"
done
judge "report" "$problem"

judged
