#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Measures what the talks' claims compare, small, and judges the results; their speed does not
matter.

Usage: check_findings.py BUILD_DIR SCRATCH_DIR
Exit status 1 and a line for each fault.
"""
import json
import math
import os
import re
import subprocess
import sys

VERDICTS = {"holds", "does not hold", "undecided"}
TITLES = 24
ROUNDS = 2
EXPERIMENTS = {
    "counting time",
    "generations ",
    "slots ",
    "range whole",
    "range lazy",
    "memory none",
    "memory thousandth",
    "memory hundredth",
    "freeing owner",
    "freeing other",
    "freeing cycle",
}


def figure_faults(kind, variant, figures):
    if (
        kind == "counting"
        and not 0
        < figures["counts_bytes"]
        < figures["header_bytes"]
        <= figures["container_header_bytes"]
    ):
        yield "the counts are no part of the header"
    if "instructions" in figures and not (
        figures["instructions"] > figures["instructions_without_counts"] > 0
    ):
        yield "counting takes no instructions"
    if kind == "slots" and not figures["slots_instance_bytes"] < figures["dict_instance_bytes"]:
        yield "slots take more memory than a dict"
    if kind == "memory" and (figures["left_used_bytes"] > 0) != (variant != "none"):
        yield "what is left in use does not fit the survivors"
    if (
        kind == "freeing"
        and not 0
        < figures["delay_p50_ns"]
        <= figures["delay_p99_ns"]
        <= figures["delay_longest_ns"]
    ):
        yield "the delays are in no order"
    for name, value in figures.items():
        if not math.isfinite(value):
            yield f"{name} is {value}"


def result_faults(results):
    if results["incomplete"]:
        yield "no complete findings"
    for failure in results["failures"]:
        yield f"failed: {failure['workload']}: {failure['stderr']}"
    backends = {one["backend"] for one in results["findings"]}
    if not {"gil", "atomic", "biased"} <= backends:
        yield f"backends are missing: there are {backends}"
    found = {
        (f"{one['experiment']} {one['variant']}", one["backend"], one["round"])
        for one in results["findings"]
    }
    wanted = {(e, b, r) for e in EXPERIMENTS for b in backends for r in range(ROUNDS)}
    for place in found ^ wanted:
        yield f"experiments: {place} is missing, or one too many"
    for one in results["findings"]:
        for fault in figure_faults(one["experiment"], one["variant"], one["figures"]):
            yield f"{one['experiment']} {one['variant']} on {one['backend']}: {fault}"
    for one in results["convoy"]:
        if not 0 < one["p50_ms"] <= one["p90_ms"] <= one["p99_ms"] <= one["max_ms"]:
            yield f"convoy on {one['backend']}: the percentiles are in no order"
    for one in results["runs"] + results["processes"]:
        if min(sample["operations"] for sample in one["samples"]) <= 0 or one["peak_rss_kib"] <= 0:
            yield f"{one['workload']} on {one['backend']}: no operations, or no memory"
    if not results["processes"] or not results["convoy"]:
        yield "no processes, or no convoy"


def page_faults(page):
    section = re.search(r"^## Findings.*?(?=^## |\Z)", page, re.M | re.S)
    parts = re.findall(
        r"^<details><summary>(.*?)^</details>", section.group() if section else "", re.M | re.S
    )
    if len(parts) != TITLES:
        yield f"the page has {len(parts)} claims, not {TITLES}"
    for part in parts:
        title, rows = part.split("</summary>")[0], re.findall(r"^\| (.+) \|$", part, re.M)
        if f"| {title} |" not in section.group() or "it holds if " not in part:
            yield f"{title}: no summary, or no rule"
        if not re.search(r"(findings-biased|--workloads) [a-z]+", part):
            yield f"{title}: no command"
        width = len(rows[0].split("|")) if rows else 0
        if len(rows) < 3:
            yield f"the page has no finding on '{title}'"
        for row in rows[2:]:
            cells = [cell.strip() for cell in row.split("|")]
            if len(cells) != width or cells[-1] not in VERDICTS:
                yield f"{title}, {cells[0]}: its row is not well formed"


def call(*words):
    return subprocess.run(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False
    )


def read(folder, name):
    with open(os.path.join(folder, name), encoding="utf-8") as file:
        return file.read()


def run_faults(programs, scratch):
    compare = os.path.join(programs, "tally-compare")
    first, again = os.path.join(scratch, "findings"), os.path.join(scratch, "findings-again")
    run = [compare, "run", "--drivers", programs, "--quick", "--rounds", str(ROUNDS)]
    done = call(*run, "--workloads", "findings", "--output", first)
    if done.returncode:
        yield f"findings: status {done.returncode}: {done.stderr.strip()}"
        return
    yield from result_faults(json.loads(read(first, "results.json")))
    yield from page_faults(read(first, "report.md"))
    if "Survivors hold their blocks" not in done.stdout:
        yield "the terminal has no table of the findings"
    call(compare, "report", os.path.join(first, "results.json"), "--output", again)
    if read(again, "report.md") != read(first, "report.md"):
        yield "the page of the same results differs"
    other = os.path.join(scratch, "other.json")
    with open(other, "w", encoding="utf-8") as file:
        file.write('{"format": "other"}')
    refused = call(compare, "report", other, "--output", again)
    if (
        refused.returncode != 2
        or len(refused.stderr.splitlines()) != 1
        or "no tally results" not in refused.stderr
    ):
        yield f"a foreign file is not refused: status {refused.returncode}: {refused.stderr}"


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    faults = list(run_faults(*sys.argv[1:]))
    for fault in faults:
        print(fault, file=sys.stderr)
    sys.exit(1 if faults else 0)


main()
