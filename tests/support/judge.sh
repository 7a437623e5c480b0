# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=sh disable=SC2034 # variables of the scripts that read this
#
# judge.sh: counts the checks of a test that is a script, and shows what failed. The script reads it
# first, and ends with `judged`. $scratch is a folder that goes with the script. A check that fails
# shows the end of $scratch/err; before its name stands $topic, or else the name of $program.

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
passed=0
failed=0
topic=
program=$0

# judge NAME PROBLEM: counts a check; no problem means that it passed
judge() {
    if [ -z "$2" ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "${topic:-$(basename "$program")}, $1: $2" >&2
        tail -n 60 "$scratch/err" 2>/dev/null | sed 's/^/    /' >&2
    fi
}

# judged: the status of the script
judged() {
    echo "$passed passed, $failed failed"
    [ "$failed" -eq 0 ]
}
