#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs the experiments on the talks' claims, small, and judges the results, but not their speed.

Usage: check_findings.py BUILD_DIR SCRATCH_DIR
Exit status 1 and a line for each fault.
"""
import json
import math
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
FOLDER = os.path.join(HERE, "..", "..", "workloads", "experiments", "findings")
sys.path.insert(0, FOLDER)
sys.dont_write_bytecode = True
import claims  # noqa: E402
import findings  # noqa: E402

VERDICTS = {claims.HOLDS, claims.NOT, claims.UNDECIDED, claims.NONE}


def estimate_faults():
    """The statistics on cases whose answers are known."""
    if (
        findings.interval_rank(3)[0] != 1
        or findings.interval_rank(7)[0] != 1
        or findings.interval_rank(10)[0] != 2
    ):
        yield "interval_rank: wrong ranks"
    if not math.isclose(findings.interval_rank(7)[1], 1 - 2 / 128) or not math.isclose(
        findings.interval_rank(10)[1], 1 - 22 / 1024
    ):
        yield "interval_rank: wrong coverage"
    if (
        findings.Results.estimate([3, 1, 2, None]) != (2, 1, 3)
        or findings.Results.estimate([None]) is not None
    ):
        yield "estimate: wrong median or interval"
    cases = [
        (claims.above((2, 1.5, 3), 1), claims.HOLDS),
        (claims.above((2, 0.5, 3), 1), claims.UNDECIDED),
        (claims.above((0.5, 0.1, 1), 1), claims.NOT),
        (claims.below((0.5, 0.1, 0.9), 1), claims.HOLDS),
        (claims.below((0.5, 0.1, 1), 1), claims.UNDECIDED),
        (claims.below((2, 1, 3), 1), claims.NOT),
        (claims.above(None, 1), claims.NONE),
    ]
    for number, (found, wanted) in enumerate(cases):
        if found != wanted:
            yield f"verdict {number}: {found}, not {wanted}"


def figure_faults(key, figures):
    kind = key.split()[0]
    if (
        kind == "counting"
        and not 0
        < figures["counts_bytes"]
        < figures["header_bytes"]
        <= figures["container_header_bytes"]
    ):
        yield "the counts are no part of the header"
    if kind == "slots" and not figures["slots_instance_bytes"] < figures["dict_instance_bytes"]:
        yield "slots take more memory than a dict"
    if kind == "memory":
        if (figures["left_used_bytes"] > 0) != (" none " not in key):
            yield "what is left in use does not fit the survivors"
    if (
        kind == "freeing"
        and not 0
        < figures["delay_p50_ns"]
        <= figures["delay_p99_ns"]
        <= figures["delay_longest_ns"]
    ):
        yield "the delays are in no order"
    if (
        kind == "convoy"
        and not 0 < figures["p50_ms"] <= figures["p90_ms"] <= figures["p99_ms"] <= figures["max_ms"]
    ):
        yield "the percentiles are in no order"
    if "rate" in figures and (figures["rate"] <= 0 or figures["memory_kib"] <= 0):
        yield "no operations, or no memory"
    for name, value in figures.items():
        if isinstance(value, float) and not math.isfinite(value):
            yield f"{name} is {value}"


def result_faults(results, page):
    if results["format"] != findings.FORMAT or results["incomplete"]:
        yield "no complete findings"
    for failure in results["failures"]:
        yield f"failed: {failure['experiment']}: {failure['why']}"
    for key, rounds in results["figures"].items():
        for figures in rounds:
            if not figures:
                yield f"{key}: a round has no figures"
                continue
            for fault in figure_faults(key, figures):
                yield f"{key}: {fault}"
    if set(results["figures"]) != {key for key, _ in findings.experiments(True)}:
        yield "experiments are missing"
    for backend, told in results["instructions"].items():
        if told and not told["counted"] > told["bare"] > 0:
            yield f"instructions on {backend}: {told}"
    for entry, rows in claims.judged(findings.Results(results)):
        if f"## {entry.title}\n" not in page or not rows:
            yield f"the page has no finding on '{entry.title}'"
        for what, cells, verdict in rows:
            if (
                len(cells) != len(entry.heads)
                or verdict not in VERDICTS
                or f"| {what} | " not in page
            ):
                yield f"{entry.title}, {what}: its row is not well formed"
        if not list(claims.commands(entry, findings.Results(results))):
            yield f"{entry.title}: no command"


def run_faults(programs, scratch):
    script, first, again = (
        os.path.join(FOLDER, "findings.py"),
        os.path.join(scratch, "findings"),
        os.path.join(scratch, "findings-again"),
    )
    done = subprocess.run(
        [
            sys.executable,
            "-B",
            script,
            "--programs",
            programs,
            "--quick",
            "--rounds",
            "1",
            "--size",
            "10",
            "--output",
            first,
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        yield f"findings.py: status {done.returncode}: {done.stderr.strip()}"
        return
    with open(os.path.join(first, "findings.json"), encoding="utf-8") as file:
        results = json.load(file)
    with open(os.path.join(first, "findings.md"), encoding="utf-8") as file:
        page = file.read()
    yield from result_faults(results, page)
    subprocess.run(
        [
            sys.executable,
            "-B",
            script,
            "--page",
            os.path.join(first, "findings.json"),
            "--output",
            again,
        ],
        stdout=subprocess.DEVNULL,
        check=True,
    )
    with open(os.path.join(again, "findings.md"), encoding="utf-8") as file:
        if file.read() != page:
            yield "the page of the same results differs"
    other = os.path.join(scratch, "other.json")
    with open(other, "w", encoding="utf-8") as file:
        file.write('{"format": "other"}')
    refused = subprocess.run(
        [sys.executable, "-B", script, "--page", other, "--output", again],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    if (
        refused.returncode != 2
        or len(refused.stderr.splitlines()) != 1
        or "no tally findings" not in refused.stderr
    ):
        yield f"a foreign file is not refused: status {refused.returncode}: {refused.stderr}"


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    faults = [*estimate_faults(), *run_faults(*sys.argv[1:])]
    for fault in faults:
        print(fault, file=sys.stderr)
    sys.exit(1 if faults else 0)


main()
