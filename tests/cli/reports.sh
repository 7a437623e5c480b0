#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# reports.sh: what tally-compare answers to a call for help, to bad input and to Ctrl-C, and what is
# in the reports of short runs.
#
#     reports.sh DRIVER_DIR
set -u

# shellcheck source=tests/support/judge.sh
. "$(dirname "$0")/../support/judge.sh"
# shellcheck source=tests/cli/calls.sh
. "$(dirname "$0")/calls.sh"

find_backends
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
        '^- \*\*CPython [0-9.]+.*with weak references' '^#### A pause against live objects' \
        '^\| .* nodes=10000 \|' 'finalizers=python2' '^Measured with nodes='; do
        has "$scratch/collector/report.md" "$pattern"
    done
    problem=$(grep -E '^\| [^|]+ \| tasks-[a-z]+ \|' "$scratch/collector/report.md")
    judge "the entries' times are not repeated" "$problem"
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

judged
