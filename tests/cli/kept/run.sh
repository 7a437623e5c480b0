#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# run.sh: a driver takes no offence at references that dead objects still hold, and fails for one
# reference too many.
#
#     run.sh DRIVER
set -u

# shellcheck source=tests/support/judge.sh
. "$(dirname "$0")/../../support/judge.sh"

driver=$1

# driven WORKLOAD [OPTION]: its status; the log is $scratch/WORKLOAD
driven() {
    timeout 200 "$driver" --workload "$@" --threads 2 --samples 1 --sample-ms 5 --warmup-ms 1 \
        >/dev/null 2>"$scratch/$1" </dev/null
}

# The driver waits before it fails: both at once.
driven kept-leaked-value &
value=$!
driven kept-leaked-instance &
instance=$!

# passes WORKLOAD [OPTION]
passes() {
    problem=
    driven "$@" || problem="exit status $?"
    mv "$scratch/$1" "$scratch/err"
    judge "$*" "$problem"
}
for workload in kept-dead kept-chain; do
    passes $workload
    passes $workload --without=sharing
    passes $workload --without=collector
done

# fails PROCESS WORKLOAD MESSAGE
fails() {
    problem=
    ! wait "$1" || problem='exit status 0'
    mv "$scratch/$2" "$scratch/err"
    grep -qF "$2: $3" "$scratch/err" || problem="$problem${problem:+; }'$3' is not in the log"
    judge "$2" "$problem"
}
fails $value kept-leaked-value 'an object has 2 references, not 1'
fails $instance kept-leaked-instance 'a class has 2 references, not 1'

judged
