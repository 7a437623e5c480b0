#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# report-page.sh: a short comparison, whose report is looked at in a browser; see
# check_page.py. Exit status 77 where chromium is not installed.
#
#     report-page.sh DRIVER_DIR BACKENDS
set -euo pipefail

drivers=$1 backends=$2
tests=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
command -v chromium >/dev/null || { echo 'chromium not installed: the page was not looked at' \
    >&2; exit 77; }
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
"$drivers/tally-compare" run --drivers "$drivers" --quick --sample-ms 10 --backends "$backends" \
    --threads 1,2 --workloads refcount-shared,churn,tasks-cycle,gc-live --output "$scratch/report" \
    >/dev/null
# tasks-cycle grows, so there are pictures of the ledger.
grep -q resident_bytes "$scratch/report/results.json"
python3 "$tests/check_page.py" --need-chromium "$scratch/report"
