#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Judges whether a report's numbers make sense; their speed does not matter.

Usage: check_results.py REPORT_FOLDER WORKLOADS.DEF
Expects every backend that the results list.  Exit status 1 and a line for each fault.
"""
import json
import os
import re
import sys

FILES = ["report.html", "report.md", "results.csv", "results.json"]


def place(block):
    return block["workload"], block["backend"], block["threads"]


def missing(blocks, workloads, backends, threads, what):
    found = {place(block) for block in blocks}
    for workload in workloads:
        for backend in backends:
            for count in threads:
                if (workload, backend, count) not in found:
                    yield f"{what}: no block for {workload} on {backend}, {count} threads"


def block_faults(block):
    where = "{} on {}, {} threads".format(*place(block))
    if not block["samples"]:
        yield f"{where}: no samples"
    for sample in block["samples"]:
        if sample["seconds"] <= 0 or sample["operations"] <= 0:
            yield f"{where}: a sample that is not positive"
        if len(sample["per_thread"]) != block["threads"] or sum(sample["per_thread"]) != sample["operations"]:
            yield f"{where}: the threads' operations do not add up"
    if block["live_at_finish"] != 0:
        yield f"{where}: {block['live_at_finish']} objects live at the end"
    if max(block["header_bytes"].values()) > 24:
        yield f"{where}: a header over 24 bytes"
    if block["peak_rss_kib"] <= 0:
        yield f"{where}: no peak memory"


def faults(folder, definition):
    for name in FILES:
        if not os.path.getsize(os.path.join(folder, name)):
            yield f"{name} is empty"
    with open(definition, encoding="utf-8") as lines:
        workloads = [name.replace("_", "-") for name in re.findall(r"^WORKLOAD\((\w+)\)", lines.read(), re.M)]
    with open(os.path.join(folder, "results.json"), encoding="utf-8") as file:
        results = json.load(file)
    if results["format"] != "tally-results" or results["incomplete"]:
        yield "results.json is incomplete or no tally results"
    for failure in results["failures"]:
        yield "failed: {} on {}, {} threads: {}".format(*place(failure), failure["stderr"].strip())
    threads = {block["threads"] for block in results["blocks"]}
    backends = [backend["name"] for backend in results["backends"]]
    if not workloads or not backends or not threads:
        yield "no workloads, no backends or no blocks"
    for what in "blocks", "counted":
        yield from missing(results[what], workloads, backends, threads, what)
        for block in results[what]:
            yield from block_faults(block)


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    found = sorted(set(faults(*sys.argv[1:])))
    for fault in found:
        print(fault, file=sys.stderr)
    sys.exit(1 if found else 0)


main()
