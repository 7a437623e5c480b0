#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# tune.sh: what "tally-compare tune --check" says of made-up machines: folders
# with the files of /proc and /sys that it reads.
#
#     tune.sh TALLY_COMPARE
set -u

[ $# -eq 1 ] || { echo "usage: $0 TALLY_COMPARE" >&2; exit 2; }
program=$1
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
passed=0
failed=0
machine=

# put PATH LINE...: a file of the machine
put() {
    mkdir -p "$machine/$(dirname "$1")"
    path=$1
    shift
    printf '%s\n' "$@" >"$machine/$path"
}

# A machine of four cores that spoils nothing.
good_machine() {
    machine=$scratch/$1
    rm -rf "$machine"
    for processor in 0 1 2 3; do
        put sys/devices/system/cpu/cpu$processor/cpufreq/scaling_governor performance
        put sys/devices/system/cpu/cpu$processor/topology/thread_siblings_list $processor
    done
    put sys/devices/system/cpu/online 0-3
    put sys/devices/system/cpu/intel_pstate/no_turbo 1
    put proc/loadavg '0.10 0.20 0.30 1/100 4242'
    put proc/stat 'cpu  1000 0 1000 8000 0 0 0 0 0 0' 'cpu0 250 0 250 2000 0 0 0 0 0 0'
    put proc/meminfo 'MemTotal: 8000000 kB' 'MemAvailable: 6000000 kB' 'SwapTotal: 1000000 kB' \
        'SwapFree: 1000000 kB'
    put proc/cpuinfo 'processor : 0' 'model name : Made up' 'flags		: fpu sse2 avx'
    put proc/self/cgroup '0::/user.slice/shell.scope'
    put sys/fs/cgroup/user.slice/cpu.max 'max 100000'
    put sys/fs/cgroup/user.slice/shell.scope/cpu.max 'max 100000'
    put proc/sys/kernel/randomize_va_space 2
}

# says STATUS PATTERN...: the check ends so, and has a line for each
says() {
    wanted=$1
    shift
    "$program" tune --check --root "$machine" >"$scratch/out" 2>"$scratch/err"
    status=$?
    problem=
    [ $status -eq "$wanted" ] || problem="exit status $status, not $wanted"
    [ ! -s "$scratch/err" ] || problem="$problem; something on standard error"
    for pattern in "$@"; do
        grep -qE -- "$pattern" "$scratch/out" || problem="$problem; no '$pattern'"
    done
    if [ -z "$problem" ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "$(basename "$machine"): $problem" >&2
        sed 's/^/    /' "$scratch/out" "$scratch/err" >&2
    fi
}

good_machine good
says 0 '^frequency governor +good +performance on all 4' '^turbo +good +off' \
    '^hardware threads +good' '^cores +good +4$' \
    '^other load +good' '^steal time +good' '^virtual machine +good' \
        '^processor limit +good +none' '^swapped memory +good' \
    '^address randomization +good +on' '^nothing of this'

good_machine governor
put sys/devices/system/cpu/cpu2/cpufreq/scaling_governor powersave
says 1 '^frequency governor +spoils +powersave on 1 of 4' 'to do: .*cpupower' '^1 of 1[0-9] would'

good_machine turbo
put sys/devices/system/cpu/intel_pstate/no_turbo 0
says 1 '^turbo +spoils +on' 'to do: echo 1 .*no_turbo'

good_machine boost
rm "$machine/sys/devices/system/cpu/intel_pstate/no_turbo"
put sys/devices/system/cpu/cpufreq/boost 1
says 1 '^turbo +spoils +on' 'to do: echo 0 .*boost'

good_machine siblings
put sys/devices/system/cpu/cpu0/topology/thread_siblings_list 0,2
put sys/devices/system/cpu/cpu1/topology/thread_siblings_list 1,3
says 1 '^hardware threads +spoils +2 share a core' 'to do: .*smt/control'

good_machine few
put sys/devices/system/cpu/online 0,3
says 1 '^cores +spoils +2:'

good_machine load
put proc/loadavg '1.75 1.00 0.50 1/100 4242'
says 1 '^other load +spoils +load 1.75 .* 0 other tasks'

export TALLY_LOAD=0.20 # read before a build, which is no other load
says 0 '^other load +good +load 0.20 .* 0 other tasks'
export TALLY_LOAD=2.00
says 1 '^other load +spoils +load 1.75'
unset TALLY_LOAD

good_machine running
put proc/loadavg '0.00 0.00 0.00 2/100 4242'
says 1 '^other load +spoils +load 0.00 .* 1 other task running'

good_machine steal
put proc/stat 'cpu  1000 0 1000 7000 0 0 0 1000 0 0'
says 1 '^steal time +spoils +the hypervisor took 10.00 %'

good_machine virtual
put proc/cpuinfo 'processor : 0' 'flags : fpu hypervisor avx' 'bugs : none'
put sys/class/dmi/id/product_name 'Guest 2000'
says 1 '^virtual machine +spoils +yes, Guest 2000'

good_machine bugs
put proc/cpuinfo 'processor : 0' 'flags : fpu avx' 'bugs : of hypervisor kind'
says 0 '^virtual machine +good +no'

good_machine limit2
put sys/fs/cgroup/user.slice/cpu.max '150000 100000'
says 1 '^processor limit +spoils +a cgroup allows the time of 1.50 processors, of 4'

good_machine limit1
put proc/self/cgroup '4:memory:/docker/1' '3:cpu,cpuacct:/docker/1' '0::/'
put sys/fs/cgroup/cpu/docker/1/cpu.cfs_quota_us 50000
put sys/fs/cgroup/cpu/docker/1/cpu.cfs_period_us 100000
says 1 '^processor limit +spoils .* 0.50 processors'

good_machine wide
put sys/fs/cgroup/user.slice/cpu.max '800000 100000'
says 0 '^processor limit +good .* 8.00 processors'

good_machine swapped
put proc/meminfo 'MemTotal: 8000000 kB' 'MemAvailable: 100000 kB' 'SwapTotal: 1000000 kB' \
    'SwapFree: 500000 kB'
says 1 '^swapped memory +spoils +488 MiB' '^free memory +spoils' '^2 of'

good_machine fixed
put proc/sys/kernel/randomize_va_space 0
says 1 '^address randomization +spoils +off' 'to do: echo 2'

good_machine heap
put proc/sys/kernel/randomize_va_space 1
says 1 '^address randomization +spoils +on but for the heap'

# What a machine does not tell is unknown, and spoils nothing; nor do files cut short.
machine=$scratch/silent
mkdir -p "$machine"
says 0 '^frequency governor +unknown' '^turbo +unknown' '^hardware threads +unknown' \
    '^cores +unknown' '^other load +unknown' \
    '^steal time +unknown' '^virtual machine +unknown' '^processor limit +unknown' \
        '^swapped memory +unknown' \
    '^address randomization +unknown'

good_machine short
put proc/loadavg 'x'
put proc/stat 'cpu'
put proc/self/cgroup 'nothing'
: >"$machine/proc/meminfo"
says 0 '^other load +unknown' '^steal time +unknown' '^processor limit +good' \
    '^swapped memory +unknown'

# This machine, whatever it is: the build is among the conditions, and the status is that of the
# list.
"$program" tune --check >"$scratch/out" 2>"$scratch/err"
status=$?
spoils=$(grep -c ' spoils ' "$scratch/out")
if [ $status -eq "$((spoils > 0))" ] && grep -q '^build ' "$scratch/out" \
    && [ ! -s "$scratch/err" ]; then
    passed=$((passed + 1))
else
    failed=$((failed + 1))
    echo "this machine: exit status $status with $spoils that spoil" >&2
fi

echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
