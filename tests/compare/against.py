#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Compares made-up builds, whose drivers print what they are told, with one another: with
itself a build is not slower; where one workload is slower by a tenth, it is measured again,
status 3 and that workload alone; a run that was ended goes on with both builds, also where it was
measuring again.

Usage: against.py TALLY-COMPARE
"""
import csv
import json
import os
import signal
import subprocess
import sys
import tempfile
import time

WORKLOADS = ["first", "second", "third", "fourth"]
BACKENDS = ["gil", "biased"]

# Its modules are built in: to load others takes longer than all it does.
DRIVER = """#!{python} -IS
import math, sys, time
from _random import Random
options = dict(word[2:].split("=", 1) for word in sys.argv[1:] if "=" in word)
if "--json" not in sys.argv[1:] and not {older}:
    sys.exit("prints a table")
if "--list" in sys.argv:
    print({listed!r})
    sys.exit()
if "--json" in sys.argv and {older}:
    sys.exit(2)
time.sleep({pause})
draw = Random(int(options["seed"]))
backend, workload = sys.argv[0].split("tally-")[-1], options["workload"]
# What the machine does to all that runs at this time, and what a run has of its own: nearly normal.
own = sum(draw.random() for _ in range(12)) - 6
rate = 1e6 * math.exp(0.25 * math.sin(time.time() / 5) + 0.01 * own)
rate *= 0.9 if workload == {slow!r} and backend == "biased" else 1
sample = '{{"seconds": 0.01, "operations": %d, "rate": %r}}' % (rate / 100, rate)
print('{{"format": "tally-run", "version": 1, "workload": "%s", "backend": "%s", "threads": %s, '
    '"unit": "operations", "sharing": "own", "pinned": true, "samples": [%s]}}'
    % (workload, backend, options["threads"], ", ".join([sample] * 4)))
"""


def make_build(folder, slow=None, pause=0.0, older=False):
    """older: its drivers print JSON unasked, and take --json with --list alone."""
    os.makedirs(folder)
    listed = [
        {
            "json_option": not older,
            "name": name,
            "description": name,
            "unit": "operations",
            "sharing": "own",
            "kind": "own objects",
            "in_price": True,
            "takes_text": False,
            "in_quick": True,
            "least_sample_ms": 0,
            "causes": {},
            "parameters": [],
            "variants": [],
            "quick_variants": [],
        }
        for name in WORKLOADS
    ]
    for backend in BACKENDS:
        path = os.path.join(folder, "tally-" + backend)
        with open(path, "w", encoding="utf-8") as file:
            file.write(
                DRIVER.format(
                    python=sys.executable,
                    slow=slow,
                    listed=json.dumps(listed),
                    pause=pause,
                    older=older,
                )
            )
        os.chmod(path, 0o755)
    with open(os.path.join(folder, "backends.json"), "w", encoding="utf-8") as file:
        json.dump([{"name": name, "role": "product"} for name in BACKENDS], file)
    return folder


def command(compare, drivers, other, output, *more):
    return [compare, "run", "--drivers", drivers, "--against", other, "--output", output, *more]


ROUNDS = 6
OPTIONS = ["--quick", "--rounds", str(ROUNDS), "--threads", "1", "--seed", "7"]


def rows(output):
    """Of the comparisons with the other build: workload, backend, ratio, verdict."""
    with open(os.path.join(output, "comparisons.csv"), encoding="utf-8") as file:
        return [row for row in csv.DictReader(file) if row["family"] == "against"]


def fail(what, done):
    sys.exit(f"{what}: status {done.returncode}\n{done.stdout}\n{done.stderr}")


def run(words):
    return subprocess.run(words, capture_output=True, text=True)


def check_itself(compare, build, scratch):
    output = os.path.join(scratch, "itself")
    done = run(command(compare, build, build, output, *OPTIONS))
    if done.returncode != 0 or "0 are slower by more than the margin" not in done.stdout:
        fail("a build against itself", done)
    if len(rows(output)) != len(WORKLOADS) * len(BACKENDS):
        sys.exit(f"{len(rows(output))} comparisons with the other build")


def check_slower(compare, build, slow, scratch):
    output = os.path.join(scratch, "slower")
    done = run(command(compare, slow, build, output, *OPTIONS))
    if done.returncode != 3:
        fail("a build that is slower", done)
    for row in rows(output):
        if row["workload"] == "second" and row["over_backend"] == "biased":
            if row["verdict"] != "different" or not 0.85 < float(row["ratio"]) < 0.95:
                sys.exit(f"the slower workload: {row}")
    with open(os.path.join(output, "report.md"), encoding="utf-8") as file:
        named = [line for line in file if "slower by more than the margin |" in line]
    if len(named) != 1 or not all("second" in line and "biased" in line for line in named):
        sys.exit(f"the report names {named}")
    if looked_again(output) < 20:
        sys.exit("what looks slower was not measured again")
    done = run(command(compare, build, slow, os.path.join(scratch, "faster"), *OPTIONS))
    if done.returncode != 0:
        fail("a build that is faster", done)


def check_resumed(compare, build, other, scratch):
    output = os.path.join(scratch, "resumed")
    journal = os.path.join(output, "journal.jsonl")
    words = command(compare, build, other, output, *OPTIONS)
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None:
        if os.path.exists(journal) and os.path.getsize(journal) > 8000:
            process.send_signal(signal.SIGINT)
            break
        time.sleep(0.01)
    if process.wait(60) != 130:
        sys.exit(f"after Ctrl-C it ended with status {process.returncode}")
    done = run([compare, "run", "--drivers", build, "--resume", output])
    if done.returncode != 2 or "--against" not in done.stderr:
        fail("a run that goes on without the other build", done)
    done = run([compare, "run", "--drivers", build, "--against", build, "--resume", output])
    if done.returncode != 2 or "other programs" not in done.stderr:
        fail("a run that goes on with a third build", done)
    done = run([compare, "run", "--drivers", build, "--against", other, "--resume", output])
    if done.returncode != 0 or "going on" not in done.stderr:
        fail("a run that goes on", done)
    with open(os.path.join(output, "results.json"), encoding="utf-8") as file:
        results = json.load(file)
    whole = [one for one in results["against"] if not one.get("incomplete")]
    if len(whole) != ROUNDS * len(WORKLOADS) * len(BACKENDS):
        sys.exit(f"{len(whole)} runs of the other build")


def looked_again(output):
    """The rounds that measured again the one workload that is slower."""
    with open(os.path.join(output, "results.json"), encoding="utf-8") as file:
        results = json.load(file)
    rounds = set()
    for one in results["against"]:
        if one["round"] >= results.get("first_rounds", ROUNDS) and not one.get("incomplete"):
            rounds.add(one["round"])
            if one["workload"] != "second" or one["backend"] != "biased":
                sys.exit(f"measured again: {one}")
    return len(rounds)


def check_ended_in_second_look(compare, build, slow, scratch):
    for attempt in range(10):
        output = os.path.join(scratch, f"again{attempt}")
        words = command(compare, slow, build, output, *OPTIONS, "--workloads", "second")
        process = subprocess.Popen(
            words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        for line in process.stderr:
            if "more rounds of these" in line:
                process.send_signal(signal.SIGINT)
        if process.wait() == 130:
            break
    else:
        sys.exit("ten runs ended before they could be ended")
    words = [compare, "run", "--drivers", slow, "--against", build, "--resume", output]
    done = run(words)
    if done.returncode != 3 or looked_again(output) != 20:
        fail("a run that goes on with its second look", done)


def main():
    compare = os.path.abspath(sys.argv[1])
    with tempfile.TemporaryDirectory() as scratch:
        build = make_build(os.path.join(scratch, "build"))
        slow = make_build(os.path.join(scratch, "slow"), slow="second")
        other = make_build(os.path.join(scratch, "other"), pause=0.01, older=True)
        slow_and_late = make_build(os.path.join(scratch, "late"), slow="second", pause=0.2)
        check_itself(compare, build, scratch)
        check_slower(compare, build, slow, scratch)
        check_resumed(compare, build, other, scratch)
        check_ended_in_second_look(compare, build, slow_and_late, scratch)


if __name__ == "__main__":
    main()
