#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# drivers.sh: what each driver answers to a call for help, to its options, to bad input and to
# Ctrl-C.
#
#     drivers.sh DRIVER_DIR
set -u

# shellcheck source=tests/support/judge.sh
. "$(dirname "$0")/../support/judge.sh"
# shellcheck source=tests/cli/calls.sh
. "$(dirname "$0")/calls.sh"

check_driver() {
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
    refused --ledger-ms --json --workload churn --ledger-ms 0
    refused --json --workload churn --ledger-ms 5
    refused --processes --json --workload churn --ledger-ms 5 --processes 2
    refused --heap-profile --workload churn --heap-profile "0:$scratch/heap"
    refused --heap-profile --workload churn --heap-profile ''
    refused /nonexistent/heap --workload churn --heap-profile /nonexistent/heap
    refused --processes --workload churn --heap-profile "$scratch/heap" --processes 2
    for file in "$scratch/heap" "4096:$scratch/heap"; do
        rm -f "$scratch/heap"
        call --workload tasks-weakref --set tasks=1000 --threads 2 --samples 2 --sample-ms 100 \
            --heap-profile "$file"
        problem=
        [ "$status" -eq 0 ] || problem="exit status $status"
        "$drivers/tally-heap" "$scratch/heap" >"$scratch/out" 2>&1 \
            || problem="$problem${problem:+; }its profile is wrong"
        [ "$file" = "$scratch/heap" ] || grep -q 'Subtask *tally_instance_new <' "$scratch/out" \
            || problem="$problem${problem:+; }its profile has no instances"
        judge "--heap-profile ${file##*/}" "$problem"
    done
    for workers in --threads=2 --processes=2; do
        interrupted 1 --workload=list-own "$workers" --samples=1 --sample-ms=60000
        interrupted 1 --json --workload=handoff "$workers" --samples=1000 --sample-ms=50
        has "$scratch/out" '"samples":\[\{.*"incomplete":true'
    done
}

find_backends
for_each_driver check_driver
judged
