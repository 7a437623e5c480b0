#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# command-line.sh: what the programs answer to a call for help, to bad input and
# to Ctrl-C. Bad input: exit status 2, one line that says what is wrong on
# standard error, nothing on standard output, no file.
#
#     command-line.sh DRIVER_DIR
set -u

# shellcheck source=tests/support/judge.sh
. "$(dirname "$0")/../support/judge.sh"

[ $# -eq 1 ] && [ -d "$1" ] || { echo "usage: $0 DRIVER_DIR" >&2; exit 2; }
drivers=$(cd "$1" && pwd)
root=$(cd "$(dirname "$0")/../.." && pwd)
experiments=$root/workloads/experiments

# call ARGUMENT...: runs the program; sets status
call() {
    timeout 300 "$program" "$@" >"$scratch/out" 2>"$scratch/err" </dev/null
    status=$?
}

# refused WORD ARGUMENT...: the program refuses the arguments; its line names WORD
refused() {
    word=$1
    shift
    call "$@"
    lines=$(wc -l <"$scratch/err")
    problem=
    [ "$status" -eq 2 ] || problem="exit status $status, not 2"
    [ "$lines" -eq 1 ] || problem="$problem${problem:+; }$lines lines on standard error, not 1"
    [ ! -s "$scratch/out" ] || problem="$problem${problem:+; }something on standard output"
    grep -qF -- "$word" "$scratch/err" || problem="$problem${problem:+; }'$word' is not named"
    [ ! -e "$scratch/none" ] || problem="$problem${problem:+; }it made the folder all the same"
    rm -rf "$scratch/none"
    judge "$*" "$problem"
}

# shows WORD ARGUMENT...: it succeeds, and WORD is in what it prints
shows() {
    word=$1
    shift
    call "$@"
    problem=
    [ "$status" -eq 0 ] || problem="exit status $status, not 0"
    [ ! -s "$scratch/err" ] || problem="$problem${problem:+; }something on standard error"
    grep -qF -- "$word" "$scratch/out" || problem="$problem${problem:+; }'$word' is not printed"
    judge "$*" "$problem"
}

# prints WORD ARGUMENT...: so it does as JSON
prints() {
    word=$1
    shift
    shows "$word" --json "$@"
}

# ran NAME: the last call succeeded
ran() {
    problem=
    [ "$status" -eq 0 ] || problem="exit status $status"
    judge "$1" "$problem"
}

# has FILE PATTERN: the file has a line that matches
has() {
    problem=
    grep -qE -- "$2" "$1" || problem="no '$2' in $(basename "$1")"
    judge "wrote $(basename "$1")" "$problem"
}

# interrupted SECONDS ARGUMENT...: SIGINT after so many seconds ends it, with
# status 130. What it does would take longer than the 30 seconds until SIGKILL.
interrupted() {
    seconds=$1
    shift
    timeout --preserve-status -s INT -k 30 "$seconds" "$program" "$@" >"$scratch/out" \
        2>"$scratch/err" </dev/null
    status=$?
    problem=
    [ $status -eq 130 ] || problem="exit status $status after SIGINT, not 130"
    judge "$*" "$problem"
}

# ---- the drivers ------------------------------------------------------------

backends=
python=$(command -v python3 || true)
for program in "$drivers"/tally-*; do
    if [ ! -f "$program" ] || [ ! -x "$program" ]; then
        continue
    fi
    case ${program##*/} in
        tally-compare* | tally-heap | tally-draw | *-counted | *-unlocked) continue ;;
    esac
    # An ablation may be there as a driver alone.
    [ ! -x "$program-counted" ] || backends=$backends${backends:+,}${program##*/tally-}
    shows --sample-ms --help
    shows --sample-ms --usage
    shows "$(basename "$program") " --version
    shows churn --list
    # ./tally finds the names in the sources.
    "$root/tally" compare --help >"$scratch/help"
    problem=
    for name in $(sed -n 's/^\([a-z][^ ]*\).*/\1/p' "$scratch/out"); do
        grep -qE "[ ]$name(,|$)" "$scratch/help" || problem="$problem $name is not in tally's help;"
    done
    judge 'the workloads that ./tally knows' "$problem"
    refused 'list-own' --workload list-onw
    refused 0 --workload churn --threads 0
    refused -1 --workload churn --threads=-1
    refused --total --workload churn --total 0
    refused --time-limit --workload churn --time-limit 0
    shows 'objects per second' --workload churn --samples 2 --sample-ms 1 --threads 2
    shows ', 2 processes' --workload churn --samples 2 --sample-ms 1 --processes 2
    shows ', 1 thread, nodes=10' --workload gc-live --set nodes=10 --samples 1 --sample-ms 1
    prints '"total":100000' --workload churn --total 100000 --samples 2 --warmup-ms 1 --threads 2
    prints '"total":100000' --workload churn --total 100000 --samples 2 --warmup-ms 1 --processes 2
    prints '"per_thread_seconds":[' --workload pipeline --total 1000 --samples 2 --warmup-ms 1 \
        --threads 3
    prints '"pss_kib":' --workload churn --samples 1 --sample-ms 1 --warmup-ms 0 --processes 2
    refused many --workload churn --threads many
    refused 257 --workload churn --threads 257
    refused no-such-workload --workload no-such-workload
    refused no-such-option --workload churn --no-such-option
    refused --workload --workload
    refused --workload
    refused churn churn
    shows --set --help
    shows 'order=allocation' --list
    shows '"quick_variants":["nodes=' --list --json
    refused 'has no parameters' --workload churn --set nodes=1
    refused 'it has nodes, edges, order' --workload gc-live --set node=1
    refused 'allocation,shuffled' --workload gc-live --set order=backwards
    refused 'from 1 to' --workload gc-live --set nodes=0
    refused 'from 1 to' --workload gc-live --set nodes=-1
    refused 'from 1 to' --workload gc-live --set nodes=99999999999999999999999999
    refused NAME=VALUE --workload gc-live --set nodes
    refused NAME=VALUE --workload gc-live --set ''
    refused NAME=VALUE --workload gc-live --set nodes=10,=3
    prints '"parameters":{"nodes":1000,"edges":2,"order":"shuffled"}' --workload gc-live \
        --set nodes=1000,edges=2 --set order=shuffled --samples 1 --sample-ms 1 --warmup-ms 0
    prints '"collector":{"collections":' --workload gc-garbage --set cycles=100,finalizers=python2 \
        --samples 1 \
        --sample-ms 1 --threads 2
    prints '"p99_9_ns":' --workload tasks-cycle --set tasks=10,subtasks=1,writes=50 --samples 1 \
        --sample-ms 1 --threads 2
    prints '"each_process":[{"collector":' --workload tasks-weakref --set tasks=10 --samples 1 \
        --sample-ms 1 --processes 2
    prints '"perf":{"counts":{' --workload churn --samples 1 --sample-ms 1 --threads 2
    has "$scratch/out" '"context_switches":[0-9].*"page_faults":[0-9]'
    has "$scratch/out" \
        '"instructions":([0-9]|"(this machine|not allowed|the kernel has no|the counters were))'
    prints '"instructions":"turned off by --no-perf"' --workload churn --samples 1 --sample-ms 1 \
        --no-perf
    has "$scratch/out" '"from_getrusage":\["context_switches","page_faults"\]'
    prints '"perf":{"counts":{"' --workload churn --samples 1 --sample-ms 1 --processes 2 --no-perf
    shows '"causes":{"sharing":"its threads share no objects"' --list --json
    for cause in sharing counting collector; do
        prints "\"without\":\"$cause\"" --workload list-shared-read --without $cause --threads 2 \
            --samples 1 --sample-ms 1
    done
    prints '"without":null' --workload list-shared-read --samples 1 --sample-ms 1
    prints '"live_at_finish":0' --workload handoff --without sharing --threads 2 --samples 1 \
        --sample-ms 1
    refused "not 'luck'" --workload churn --without luck
    refused 'sharing does not go with list-own: its threads share no objects' --workload list-own \
        --without sharing
    refused 'its garbage' --workload tasks-cycle --without=collector
    case $program in
        *gil*) refused 'the one lock' --workload list-shared-read --without locks ;;
        *) refused unlocked --workload list-shared-read --without locks ;;
    esac
    refused "$scratch/no-such-text" --workload wordcount --text "$scratch/no-such-text"
    refused "$scratch" --workload wordcount --text "$scratch"
    refused 'cpython, deadline or ticks' --workload churn --switch-policy fair
    refused --switch-policy --workload churn --switch-policy deadline --switch-ticks 100
    refused --switch-interval-us --workload churn --switch-ticks 100 --switch-interval-us 100
    refused /nonexistent/trace.json --workload churn --trace /nonexistent/trace.json
    refused "$scratch" --workload churn --trace "$scratch"
    refused --processes --workload churn --trace "$scratch/trace.json" --processes 2
    call --json --workload gc-garbage --set cycles=100 --threads 2 --samples 1 --sample-ms 20 \
        --switch-policy deadline \
        --switch-interval-us 500 --trace "$scratch/trace.json"
    problem=
    [ "$status" -eq 0 ] || problem="exit status $status"
    case $program in
        */tally-gil*) has "$scratch/out" '"gil":\{"policy":"deadline","interval_us":500\}' \
            && events='holds the GIL' ;;
        *) has "$scratch/err" 'no GIL' && events='the world is stopped' ;;
    esac
    [ -z "$python" ] || "$python" "$root/tests/compare/check_trace.py" "$scratch/trace.json" \
        "$events" collection mark \
        >"$scratch/err" 2>&1 || problem="$problem${problem:+; }its timeline is wrong"
    judge "--trace" "$problem"
    refused end:FILE --workload churn --snapshot "later:$scratch/heap"
    refused end:FILE --workload churn --snapshot "$scratch/heap"
    refused /nonexistent/heap --workload churn --snapshot end:/nonexistent/heap
    refused --processes --workload churn --snapshot "end:$scratch/heap" --processes 2
    for when in end 0 0.1 600; do
        rm -f "$scratch/heap"
        call --workload tasks-cycle --set tasks=100 --threads 2 --samples 2 --sample-ms 50 \
            --snapshot "$when:$scratch/heap"
        problem=
        [ "$status" -eq 0 ] || problem="exit status $status"
        "$drivers/tally-heap" "$scratch/heap" --why Subtask 2>&1 | grep -q 'shortest path' \
            || problem="$problem${problem:+; }its snapshot is wrong"
        judge "--snapshot $when" "$problem"
    done
    # SIGUSR2 is blocked, and so waits, before anything is measured.
    rm -f "$scratch/heap"
    "$program" --workload churn --samples 5 --sample-ms 200 --snapshot "signal:$scratch/heap" \
        >"$scratch/out" 2>"$scratch/err" &
    pid=$!
    until grep -q '^SigBlk:.*[89a-f]..$' "/proc/$pid/status" || ! kill -0 "$pid"; do
        sleep 0.05
    done
    kill -USR2 "$pid"
    wait "$pid"
    problem=
    "$drivers/tally-heap" "$scratch/heap" >"$scratch/out" 2>&1 || problem='no snapshot'
    judge "--snapshot signal" "$problem"
    for workers in --threads=2 --processes=2; do
        interrupted 1 --workload=list-own "$workers" --samples=1 --sample-ms=60000
        interrupted 1 --json --workload=handoff "$workers" --samples=1000 --sample-ms=50
        has "$scratch/out" '"samples":\[\{.*"incomplete":true'
    done
done
[ -n "$backends" ] || { echo "no driver tally-* in $drivers" >&2; exit 1; }

# ---- the report -------------------------------------------------------------

program=$drivers/tally-compare
# One with a GIL and one without, where they are there.
locked=$(echo "$backends" | tr , '\n' | sed -n '/^gil/{p;q}')
unlocked=$(echo "$backends" | tr , '\n' | sed -n '/^gil/!{p;q}')
two=$locked${locked:+${unlocked:+,}}$unlocked
cores=$(nproc)
run="run --drivers $drivers --backends ${backends%%,*} --output $scratch/none"
shows --workloads --help
shows --workloads --usage
shows 'tally-compare ' --version
refused run
refused no-such-command no-such-command --output "$scratch/none"
refused --output run --drivers "$drivers"
refused --drivers run --output "$scratch/none"
refused "$scratch/backends.json" run --drivers "$scratch" --output "$scratch/none"
# shellcheck disable=SC2086 # the words of $run are arguments
{
    refused no-such-option $run --no-such-option
    refused no-such-workload $run --workloads churn,no-such-workload
    refused --workloads $run --workloads ,
    refused no-such-backend $run --backends no-such-backend
    refused 0 $run --threads 0
    refused 1,x $run --threads 1,x
    refused --time-limit $run --time-limit 0
    refused --mode $run --mode processes
    refused --time-limit $run --time-limit 1x
    refused "$scratch/no-such-text" $run --text "$scratch/no-such-text"
    refused /dev/null/report $run --output /dev/null/report
    refused /proc/report $run --output /proc/report
    refused fair $run --switch-policy fair
    refused --switch-ticks $run --switch-policy deadline --switch-ticks 100
    refused --python-script $run --with-python python3
    refused no-such-python $run --with-python no-such-python --python-script \
        "$experiments/python/collector.py"
}
refused --check tune
refused '--check goes with tune' run --drivers "$drivers" --check
shows --what-if --help

# Every cause of list-shared-read is measured or named with the reason; the drivers without locks
# may not be built.
call run --drivers "$drivers" --backends "${backends%%,*}" --workloads list-shared-read,queens \
    --quick --sample-ms 5 --rounds 2 --threads 2 --what-if --output "$scratch/what-if"
ran "run with what-if"
for pattern in '^Throughput on [0-9]+ threads? without a cause of cost' \
    '^\| a private copy for each thread \| [0-9.]+ \(' \
    '^\| shared objects immortal \| [0-9.]+ \(' '^\| the collector off \| [0-9.]+ \(' \
    '^\| a private copy for each thread \| its threads share no objects' \
    '^\| locks off \| (locks|.*is not built|its threads|[0-9.]+ \()'; do
    has "$scratch/what-if/report.md" "$pattern"
done
has "$scratch/what-if/report.html" 'What happens in an operation'
has "$scratch/what-if/report.html" 'context switches'
has "$scratch/what-if/results.json" '"without": "counting"'
has "$scratch/what-if/results.json" '"name": "frequency governor"'

touch "$scratch/file"
refused "$scratch/file" report "$scratch/file" --output "$scratch/none"
refused "$scratch/no-such-file" report "$scratch/no-such-file" --output "$scratch/none"

call run --drivers "$drivers" --backends "${backends%%,*}" --workloads refcount-own --quick \
    --sample-ms 5 --rounds 2 --threads "1,$((2 * cores))" --output "$scratch/report"
problem=
[ $status -eq 0 ] || problem="exit status $status"
[ "$(tail -n 1 "$scratch/out")" = "$scratch/report/report.html" ] \
    || problem="$problem${problem:+; }the page is not named last"
judge "run with more threads than cores" "$problem"
has "$scratch/report/report.md" "\| $((2 * cores)) † \|"
has "$scratch/report/report.html" '<svg'
has "$scratch/report/summary.csv" '^"refcount-own",".*",1,[0-9.e+]*,[0-9.e+]*,[0-9.e+]*,2,"'
results=$scratch/report/results.json

# Nothing is measured, and nothing written.
shows ' runs, about ' run --drivers "$drivers" --workloads churn --threads 1 --dry-run
# One thread count gives no answer, so the figures are shown.
call report "$results" --output "$scratch/report"
ran "report"
has "$scratch/out" '^Operations per second'
# A machine that is not quiet in time is measured all the same.
call run --drivers "$drivers" --backends "$two" --workloads refcount-own --quick --rounds 2 \
    --sample-ms 5 --threads 1,2 --wait-for-quiet 0.1 --output "$scratch/answer"
ran "run that waits for a quiet machine"
case $two in
    gil,*)
        has "$scratch/out" '^(Leave gil|Not shown)'
        problem=
        ! grep -q '^Operations per second' "$scratch/out" || problem='it prints more than that'
        judge 'the answer' "$problem"
        call report "$scratch/answer/results.json" --output "$scratch/answer" --verbose
        has "$scratch/out" '^Operations per second'
        ;;
esac

refused convoi run --drivers "$drivers" --workloads convoi --output "$scratch/none"
refused 1000000 run --drivers "$drivers" --switch-interval-us 0 --output "$scratch/none"
mkdir "$scratch/empty"
env PATH="$scratch/empty" "$program" run --drivers "$drivers" --workloads task-server \
    --server-script "$experiments/server/load.py" \
    --output "$scratch/none" >"$scratch/out" 2>"$scratch/err"
status=$?
problem=
[ $status -eq 2 ] || problem="exit status $status, not 2"
grep -q 'apt-get install wrk' "$scratch/err" \
    || problem="$problem${problem:+; }it does not say how to install wrk"
[ ! -e "$scratch/none" ] || problem="$problem${problem:+; }it made the folder all the same"
judge "task-server without wrk" "$problem"

# The interval is that of a GIL.
if [ -n "$python" ] && command -v wrk >"$scratch/out" \
    && [ -x "$drivers/workloads/experiments/server/task-server-${backends%%,*}" ]; then
    convoys=$scratch/extras
    timeout 600 "$program" run --drivers "$drivers" --backends "$two" --quick --rounds 2 \
        --sample-ms 5 --threads 1,2 --workloads convoy,task-server,load-tuple-const \
        --switch-interval-us 1000 --output "$convoys" --with-python "$python" \
        --python-script "$experiments/python/collector.py" \
        --patterns-script "$experiments/python/patterns.py" \
        --server-script "$experiments/server/load.py" >"$scratch/out" 2>"$scratch/err"
    status=$?
    ran "run of convoy, task-server and a pattern"
    "$python" "$root/tests/compare/check_extras.py" "$convoys" "$two" 2>"$scratch/err"
    status=$?
    ran "convoy, task-server and a pattern in the results"
else
    echo "no python3, no wrk or no task-server: what task-server is in a report is not tested" >&2
    convoys=$scratch/convoy
    call run --drivers "$drivers" --backends "${locked:-${backends%%,*}}" --workloads convoy \
        --quick --switch-interval-us 1000 --output "$convoys"
    ran "run of convoy alone"
fi
[ -z "$locked" ] || has "$convoys/results.json" '"interval_us": 1000'
has "$convoys/report.md" '^## Convoys'

call run --drivers "$drivers" --backends "$two" --workloads churn,handoff --quick --rounds 2 \
    --sample-ms 5 --threads 1,2 --mode threads,processes --output "$scratch/processes"
ran "run with processes"
if [ "$cores" -ge 2 ] && [ "${backends#*gil}" != "$backends" ]; then
    has "$scratch/processes/report.md" \
        '^- 2 threads of .* beside as many processes with .*: [0-9.]+ .* [0-9.]+ times the memory'
    has "$scratch/processes/report.md" 'Left out .*: handoff\.'
fi
has "$scratch/processes/report.md" 'law is not fitted: it takes 4 thread counts'

call run --drivers "$drivers" --backends "${backends%%,*}" --workloads churn --threads 1,2 \
    --rounds 2 --sample-ms 20 --output "$scratch/totals"
ran "run with a fixed total"
[ "$cores" -lt 2 ] || has "$scratch/totals/results.json" '"total": [0-9]{3}'

if [ -n "$python" ]; then
    call run --drivers "$drivers" --backends "${backends%%,*}" --workloads \
        tasks-cycle,tasks-weakref,gc-live,gc-garbage --quick --rounds 2 --sample-ms 5 --threads 1 \
        --output "$scratch/collector" --with-python "$python" \
        --python-script "$experiments/python/collector.py"
    ran "run with a Python"
    for pattern in '^## The collector, or weak references' \
        '^\| CPython [0-9.]+ .* tasks-weakref \|' '^#### A pause against live objects' \
        '^\| .* nodes=10000 \|' 'finalizers=python2' '^Measured with nodes='; do
        has "$scratch/collector/report.md" "$pattern"
    done
    program=$python
    shows --workload "$experiments/python/collector.py" --help
    shows '"name": ' "$experiments/python/collector.py" --list
    program=$drivers/tally-compare
else
    echo "no python3: what --with-python does is not tested" >&2
fi

head -c 3000 "$results" >"$scratch/short.json"
refused "cut short" report "$scratch/short.json" --output "$scratch/none"
refused "results.csv is no JSON" diff "$results" "$scratch/report/results.csv"
echo '{"format": "other"}' >"$scratch/other.json"
refused "no tally results" report "$scratch/other.json" --output "$scratch/none"
sed 's/"backends":/"others":/' "$results" >"$scratch/damaged.json"
refused damaged report "$scratch/damaged.json" --output "$scratch/none"
refused "$scratch/file" report "$results" --output "$scratch/file"

env PATH=/nonexistent "$program" report "$results" --output "$scratch/plain" >"$scratch/out" \
    2>"$scratch/err"
status=$?
ran "report without any other program"
cmp "$scratch/plain/report.html" "$scratch/report/report.html" >"$scratch/err"
status=$?
ran "a report is written again as it was"

interrupted 3 run --drivers "$drivers" --backends "$backends" --workloads churn,handoff --full \
    --output "$scratch/stopped"
has "$scratch/stopped/results.json" '"incomplete": true'
has "$scratch/stopped/results.json" '"operations": [1-9]'
has "$scratch/stopped/report.md" 'Incomplete'
has "$scratch/out" 'marked incomplete'

# ---- going on, two files, the control -----------------------------------------

run="run --drivers $drivers --backends ${backends%%,*} --quick --sample-ms 5"
if [ -z "$python" ] || ! "$python" -c 'import jsonschema' 2>"$scratch/err"; then
    judge "python3 with jsonschema" "it is missing; install python3-jsonschema"
else
    "$python" "$root/tests/compare/resume.py" "$program" "$drivers" "${backends%%,*}" \
        "$scratch/resumed" 2>"$scratch/err"
    status=$?
    ran "resume"
    for folder in report stopped resumed collector; do
        "$python" "$root/tests/compare/check_schema.py" "$scratch/$folder/results.json" \
            2>"$scratch/err"
        status=$?
        ran "schema of $folder"
    done
    for damage in 's/"version": 4/"version": 3/' 's/"threads": [0-9]*/"threads": 0/' \
        's/"seconds": [0-9]/"seconds": -&/' \
        's/"self": false/"self": 0/'; do
        sed "$damage" "$results" >"$scratch/wrong.json"
        problem=
        ! "$python" "$root/tests/compare/check_schema.py" "$scratch/wrong.json" \
            2>"$scratch/err" ||
            problem="the schema takes it"
        judge "schema after $damage" "$problem"
    done
fi
refused "$scratch/report" run --drivers "$drivers" --resume "$scratch/report"
refused '--quick' run --drivers "$drivers" --resume "$scratch/report" --quick
mkdir "$scratch/foreign" "$scratch/aged"
echo '{"format":"other"}' >"$scratch/foreign/journal.jsonl"
refused 'no journal' run --drivers "$drivers" --resume "$scratch/foreign"
echo '{"format":"tally-journal","version":3}' >"$scratch/aged/journal.jsonl"
refused 'version 3' run --drivers "$drivers" --resume "$scratch/aged"
refused 'other options' run --drivers "$drivers" --backends "$backends" --workloads handoff \
    --output "$scratch/stopped"
# shellcheck disable=SC2086 # the words of $run are arguments
{
    refused 1 $run --rounds 1 --output "$scratch/none"
    refused --margin $run --margin 0 --output "$scratch/none"
    refused --margin $run --margin x --output "$scratch/none"
    call $run --rounds 2 --self --workloads refcount-own --threads 1 --output "$scratch/self"
}
problem=
[ $status -eq 0 ] || problem="exit status $status"
grep -q '^Control: [0-9]* of 1 comparisons' "$scratch/out" \
    || problem="$problem${problem:+; }it names no rate"
judge "run --self" "$problem"
has "$scratch/self/results.json" '"self": true'
has "$scratch/self/report.md" '^## The control'
has "$scratch/report/report.md" '^## The control'
has "$scratch/report/comparisons.csv" '^"refcount-own",.*,(different|same|not enough data),'
has "$scratch/report/results.csv" ',warmup,control$'

refused 'two results files' diff "$results"
refused "$scratch/no-such-file" diff "$results" "$scratch/no-such-file"
sed 's/"version": 4/"version": 3/' "$results" >"$scratch/aged.json"
refused 'version 3' diff "$scratch/aged.json" "$results"
refused 'version 3' report "$scratch/aged.json" --output "$scratch/none"
refused 'no tally results' diff "$results" "$scratch/other.json"
sed 's/"workload": "[a-z-]*"/"workload": "another"/' "$results" >"$scratch/apart.json"
refused 'in common' diff "$results" "$scratch/apart.json"
shows '"verdict": ' diff --json "$results" "$results"
shows 'verdict' diff --margin 5 "$results" "$results"
sed 's/"compiler": "/&other /; s/"cores": /&1/' "$results" >"$scratch/elsewhere.json"
call diff "$results" "$scratch/elsewhere.json"
problem=
[ $status -eq 0 ] || problem="exit status $status"
grep -q 'beware: the compiler differs' "$scratch/err" \
    || problem="$problem${problem:+; }the compiler is not named"
grep -q 'beware: the number of cores differs' "$scratch/err" \
    || problem="$problem${problem:+; }the cores are not named"
judge "diff of two machines" "$problem"

# ---- the script -------------------------------------------------------------

program=$root/tally
shows compare --help
shows --workloads compare --help
shows --resume compare --help
shows --json diff --help
shows --all test --help
shows --preset build --help
shows --check tune --help
shows --what-if compare --help
shows '\-\-resume DIR' man
shows 'complete -o default' completion
refused --check tune
refused "takes no value" compare --what-if=1
refused no-such-command no-such-command
refused compare
shows --rounds findings --help
refused 0 findings --rounds 0
refused /proc/report findings --output /proc/report
refused --switch-interval-us compare --switch-interval-us 0
shows --switch-policy compare --help
shows --clients server --help
refused no-such-backend server --backends no-such-backend
refused --tasks server --tasks 0
refused /proc/report server --output /proc/report
shows --sample-ms trace --help
refused workload trace
refused no-such-workload trace no-such-workload
refused no-such-backend trace churn --backend no-such-backend
refused --threads trace churn --threads 0
refused no-such-policy trace churn --switch-policy no-such-policy
shows --svg trace --help
refused 'give --svg FILE' trace "$results"
refused '--svg alone' trace "$results" --svg "$scratch/none" --threads 2
refused "$scratch" trace churn --svg "$scratch"
refused /dev/null/x trace churn --svg /dev/null/x/y
refused --switch-ticks compare --switch-ticks many
refused "$scratch" trace churn --output "$scratch"
refused /dev/null/x trace churn --output /dev/null/x/y
shows --referrers heap --help
refused 'needs a snapshot' heap
refused "$scratch/no-such-file" heap "$scratch/no-such-file"
refused three heap "$0" "$0" three
refused 0 heap "$0" --rows 0
refused 'no heap snapshot' heap "$0"
shows --html explain --help
refused 'no such file' explain nothing-of-this-name
refused --html explain names --html /
refused no-backend explain names --backends no-backend
for command in compare findings server trace heap test tune build; do
    refused no-such-option $command --no-such-option
done
refused no-such-preset test --preset no-such-preset
refused no-such-backend test --backend no-such-backend
refused gil,biased test --backend gil,biased
refused two test one two
refused --quick test --quick=1
refused no-such-workload compare --workloads no-such-workload
refused 'did you mean churn?' compare --workloads churm
refused 'did you mean shared?' compare --workloads sharde
refused 'did you mean compare?' comapre
refused "leaves nothing" compare --workloads 'churn,-ch*'
refused --verbose diff --verbose
refused "$scratch/none" report "$scratch/none"
shows 'tally 0' --version
shows 'nogil/refcount/biased' list --backends
shows --output report --help
refused no-such-backend compare --backends no-such-backend
refused 0 compare --threads 0
refused 90000 compare --time-limit 90000
refused fibres compare --mode fibres
refused 1 compare --rounds 1
refused --margin compare --margin 99
refused "$scratch/none" compare --resume "$scratch/none"
refused --resume compare --quick --resume "$scratch/none"
refused 'two results files' diff
refused no-such-option diff --no-such-option
refused "$scratch/no-such-file" diff "$scratch/no-such-file" "$scratch/no-such-file"
refused --output compare --output
refused "$scratch/no-such-text" compare --text "$scratch/no-such-text"
refused no-such-python compare --with-python no-such-python
refused /bin/false compare --with-python=/bin/false
refused /dev/null/report compare --output /dev/null/report
refused /proc/report compare --output /proc/report

judged
