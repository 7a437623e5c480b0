#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Ends a run three times, by SIGKILL, by SIGINT, and by SIGKILL once it reads ledgers, goes on with
it, and judges that no finished sample was lost and that what it was to measure was measured.

Usage: resume.py TALLY-COMPARE DRIVERS BACKEND FOLDER
"""
import collections
import json
import os
import signal
import subprocess
import sys
import time

compare, drivers, backend, folder = sys.argv[1:]
journal = os.path.join(folder, "journal.jsonl")
run = [compare, "run", "--drivers", drivers]
options = [
    "--backends",
    backend,
    "--workloads",
    "refcount-own,json,tasks-cycle,list-shared-append",
    "--threads",
    "2",
    "--quick",
    "--rounds",
    "6",
    "--sample-ms",
    "30",
]


def entries():
    """What the journal holds in whole lines, without its head."""
    if not os.path.exists(journal):
        return []
    with open(journal, encoding="utf-8") as lines:
        return [json.loads(line) for line in lines if line.endswith("\n")][1:]


def runs():
    return [entry for entry in entries() if "run" in entry]


def end_with(arguments, number, is_enough):
    """Runs until the journal's runs are enough, then sends the signal."""
    process = subprocess.Popen(
        run + arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while not is_enough(runs()) and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(number)
    status = process.wait(60)
    if status not in (-number, 128 + number):
        sys.exit(f"after signal {number} it ended with status {status}")
    return runs()


def readings(entries):
    return [entry for entry in entries if entry["list"] == "ledger"]


def key(one):
    return json.dumps(one["samples"]), one["seed"], one["round"]


killed = end_with(options + ["--output", folder], signal.SIGKILL, lambda found: len(found) >= 3)
stopped = end_with(["--resume", folder], signal.SIGINT, lambda found: len(found) >= len(killed) + 3)
if stopped[: len(killed)] != killed:
    sys.exit("runs from before the kill are gone from the journal")
if not os.path.exists(os.path.join(folder, "results.json")):
    sys.exit("no report after SIGINT")
late = end_with(["--resume", folder], signal.SIGKILL, lambda found: len(readings(found)) >= 1)
if late[: len(stopped)] != stopped or not readings(late):
    sys.exit("runs from before are gone, or the ledger of one workload was not read")
# A line that a loss of power cut short.
with open(journal, "a", encoding="utf-8") as file:
    file.write('{"job":1,"list":"runs","ru')
last = subprocess.run(
    run + options + ["--output", folder], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
)
if last.returncode != 0 or "going on" not in last.stderr:
    sys.exit(f"it did not go on: status {last.returncode}, {last.stderr}")
if os.path.exists(journal):
    sys.exit("the journal is left behind")
with open(os.path.join(folder, "results.json"), encoding="utf-8") as file:
    results = json.load(file)
found = {key(one) for name in ("runs", "control") for one in results[name]}
lost = [
    entry
    for entry in late
    if entry["list"] in ("runs", "control") and key(entry["run"]) not in found
]
if lost:
    sys.exit(f"{len(lost)} of {len(late)} runs lost")
if results["incomplete"] or results["resumed"] != 3 or results["failures"]:
    sys.exit("the results are not those of a whole run that was resumed three times")
grown = [entry["run"]["ledger"] for entry in readings(late)]
if grown[0] != results["ledger"][0]["ledger"]:
    sys.exit("what was read of the ledger is lost")
read = {one["workload"] for one in results["ledger"]}
if "json" not in read or "refcount-own" in read:
    sys.exit(f"ledgers were read of {read}, not of the workloads that grow")

whole = [one for one in results["runs"] if not one["incomplete"]]
for place, rounds in collections.Counter(
    (one["workload"], one["threads"]) for one in whole
).items():
    if rounds != 6:
        sys.exit(f"{place} was measured {rounds} times, not 6")
if len(whole) != 24:
    sys.exit(f"{len(whole)} runs, not 24")
