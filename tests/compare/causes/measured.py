#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Workloads that lose time to a planted cause, measured: the cause is the largest, and its share
within a third of what the workload's own clock says.

Usage: measured.py TALLY-COMPARE FOLDER, which has the drivers planted-BACKEND.  Exit status 1 and
a line for each fault.
"""
import json
import os
import re
import subprocess
import sys

import planted

ROUNDS, SAMPLE_MS = 5, 100
CAUSES = ("gil", "counts", "locks", "collector", "sleep", "allocator")


def run(driver, cause, threads, number, *more):
    """The run; and the nanoseconds that were planted, all of them, and the operations."""
    command = [
        driver,
        "--json",
        f"--workload=planted-{cause}",
        f"--threads={threads}",
        "--samples=1",
    ]
    command += [f"--sample-ms={SAMPLE_MS}", "--warmup-ms=0", *more]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    told = re.findall(r"planted (\d+) of (\d+) in (\d+)", done.stderr)
    one = json.loads(done.stdout) | {"round": number, "oversubscribed": False}
    return one, [sum(int(pair[i]) for pair in told) for i in (0, 1, 2)]


def add(sums, told):
    return [a + b for a, b in zip(sums, told)]


def measure(cause):
    """The shares that the report shows, and in truth that of the cause."""
    compare, backend = sys.argv[1], "gil" if cause == "gil" else "atomic"
    driver = os.path.join(sys.argv[2], "planted-" + backend)
    runs, without, counted, truth, kept = [], [], [], [0, 0, 0], [0, 0, 0]
    for number in range(ROUNDS):
        runs.append(run(driver, cause, 1, number)[0])
        two, told = run(driver, cause, 2, number)
        runs.append(two)
        if cause == "allocator":  # the counting run times it
            two, told = run(driver + "-counted", cause, 2, number)
            counted.append(two)
        elif cause == "counts":
            one, stayed = run(driver, cause, 2, number, "--without=counting")
            without.append(one)
            kept = add(kept, stayed)
        truth = add(truth, told)
    made = planted.results(f"planted-{cause}", backend, runs, without, counted)
    # The loop over the counts itself stays.
    stays = kept[0] / kept[2] * truth[2] if kept[2] else 0
    return planted.Report(compare, made).shares, (truth[0] - stays) / truth[1]


def main():
    faults = 0
    for cause in CAUSES:
        shares, truth = measure(cause)
        others = {c: s for c, s in shares.items() if c not in (cause, "no core")}
        # A core that others have is missed at any time, also right after a sleep.
        slack = truth / 3 + shares["no core"]
        good = abs(shares[cause] - truth) < slack and shares[cause] > max(others.values())
        print(f"{cause}: {shares[cause]:.3f}, in truth {truth:.3f}", "" if good else f"- {shares}")
        faults += not good
    sys.exit(1 if faults else 0)


main()
