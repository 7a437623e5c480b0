# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=sh disable=SC2034,SC2154 # variables of the scripts that read this
#
# calls.sh: calls $program and judges what it answers. Bad input: exit status 2, one line that says
# what is wrong on standard error, nothing on standard output, no file. The script that reads it has
# read judge.sh and takes one argument, the folder of the drivers.

[ $# -eq 1 ] && [ -d "$1" ] || { echo "usage: $0 DRIVER_DIR" >&2; exit 2; }
drivers=$(cd "$1" && pwd)
root=$(cd "$(dirname "$0")/../.." && pwd)
experiments=$root/workloads/experiments
python=$(command -v python3 || true)

# for_each_driver COMMAND: runs it with $program set to each driver
for_each_driver() {
    for program in "$drivers"/tally-*; do
        if [ ! -f "$program" ] || [ ! -x "$program" ]; then
            continue
        fi
        case ${program##*/} in
            tally-compare* | tally-heap | tally-draw | *-counted | *-unlocked) continue ;;
        esac
        "$@"
    done
}

# find_backends: sets backends, those with a driver that counts. An ablation may be there as a
# driver alone.
add_backend() {
    [ ! -x "$program-counted" ] || backends=$backends${backends:+,}${program##*/tally-}
}
find_backends() {
    backends=
    for_each_driver add_backend
    [ -n "$backends" ] || { echo "no driver tally-* in $drivers" >&2; exit 1; }
}

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
