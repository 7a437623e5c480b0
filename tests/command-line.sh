#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# command-line.sh: what the drivers answer to bad input: exit status 2, one line
# that says what is wrong on standard error, nothing on standard output.
#
#     command-line.sh DRIVER_DIR
set -u

if [ $# -ne 1 ] || [ ! -d "$1" ]; then
    echo "usage: $0 DRIVER_DIR" >&2
    exit 2
fi
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
passed=0
failed=0

# refused WORD ARGUMENT...: the driver refuses the arguments; its line names WORD.
refused() {
    word=$1
    shift
    timeout 60 "$driver" "$@" >"$scratch/out" 2>"$scratch/err" </dev/null
    status=$?
    lines=$(wc -l <"$scratch/err")
    problem=
    [ "$status" -eq 2 ] || problem="exit status $status, not 2"
    [ "$lines" -eq 1 ] || problem="$problem${problem:+; }$lines lines on standard error, not 1"
    [ ! -s "$scratch/out" ] || problem="$problem${problem:+; }something on standard output"
    grep -qF -- "$word" "$scratch/err" || problem="$problem${problem:+; }'$word' is not named"
    if [ -z "$problem" ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "$(basename "$driver") $*: $problem" >&2
        sed 's/^/    /' "$scratch/err" | head -5 >&2
    fi
}

found=no
for driver in "$1"/tally-*; do
    [ -f "$driver" ] && [ -x "$driver" ] || continue
    case $(basename "$driver") in tally-compare* | *-counted) continue ;; esac
    found=yes
    refused 0 --workload churn --threads 0
    refused -1 --workload churn --threads=-1
    refused many --workload churn --threads many
    refused no-such-workload --workload no-such-workload
    refused no-such-option --workload churn --no-such-option
    refused "$scratch/no-such-text" --workload wordcount --text "$scratch/no-such-text"
done
if [ $found = no ]; then
    echo "no driver tally-* in $1" >&2
    exit 1
fi
echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
