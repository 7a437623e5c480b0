#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# script.sh: what ./tally answers to a call for help and to bad input.
#
#     script.sh DRIVER_DIR
set -u

# shellcheck source=tests/support/judge.sh
. "$(dirname "$0")/../support/judge.sh"
# shellcheck source=tests/cli/calls.sh
. "$(dirname "$0")/calls.sh"

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
refused 'give --svg FILE' trace "$0"
refused '--svg alone' trace "$0" --svg "$scratch/none" --threads 2
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
