#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# interrupt.sh: Ctrl-C ends a driver, and a comparison, within a second, with
# status 130. It runs beside no other test. What is kept then, command-line.sh looks at.
#
#     interrupt.sh DRIVER_DIR
set -u

if [ $# -ne 1 ] || [ ! -d "$1" ]; then
    echo "usage: $0 DRIVER_DIR" >&2
    exit 2
fi
drivers=$(cd "$1" && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
failed=0

# interrupted PROGRAM ARGUMENT...: SIGINT after a second, SIGKILL (137) after another
interrupted() {
    timeout --preserve-status -s INT -k 1 1 "$@" >"$scratch/out" 2>"$scratch/err" </dev/null
    status=$?
    if [ $status -ne 130 ]; then
        failed=$((failed + 1))
        echo "exit status $status, not 130, after SIGINT: $*" >&2
        sed 's/^/    /' "$scratch/err" | head -5 >&2
    fi
}

backends=
for program in "$drivers"/tally-*; do
    [ -f "$program" ] && [ -x "$program" ] || continue
    case $(basename "$program") in
        *.* | tally-compare | tally-heap | *-counted | *-unlocked) continue ;;
    esac
    # An ablation may be there as a driver alone.
    [ ! -x "$program-counted" ] || backends=$backends${backends:+,}${program##*/tally-}
    for workers in --threads=2 --processes=2; do
        interrupted "$program" --workload=handoff "$workers" --samples=1000 --sample-ms=50
        interrupted "$program" --workload=list-own "$workers" --samples=1 --sample-ms=60000
    done
done
if [ -z "$backends" ]; then
    echo "no driver tally-* in $drivers" >&2
    exit 1
fi
interrupted "$drivers/tally-compare" run --drivers "$drivers" --backends "$backends" --workloads \
    churn,handoff --full \
    --output "$scratch/stopped"
if [ $failed -ne 0 ]; then
    echo "$failed calls did not end within a second" >&2
    exit 1
fi
