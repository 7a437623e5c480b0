#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Judges whether a report's numbers make sense; their speed does not matter.

Usage: check_results.py REPORT_FOLDER
Expects every backend and every workload that the results list.  Exit status 1 and a line for each fault.
"""
import json
import os
import sys

FILES = ["report.html", "report.md", "results.csv", "comparisons.csv", "results.json"]


def place(block):
    return block["workload"], block["backend"], block["threads"]


def missing(blocks, workloads, backends, threads, what):
    found = {place(block) for block in blocks}
    for workload in workloads:
        for backend in backends:
            for count in threads:
                if (workload, backend, count) not in found:
                    yield f"{what}: no block for {workload} on {backend}, {count} threads"


QUANTILES = ["p50_ns", "p90_ns", "p99_ns", "p99_9_ns", "max_ns"]


def spread_faults(where, spread, count):
    if not spread["median"] <= spread["p99"] <= spread["longest"] <= spread["total"]:
        yield f"{where}: a spread is not in order"
    if (spread["total"] > 0) > (count > 0):
        yield f"{where}: time in no collection"


def collector_faults(where, block, workload):
    collector, parameters = block["collector"], block["parameters"]
    count = collector["collections"]
    parts = [collector, *collector["generations"]]
    for part in parts:
        yield from spread_faults(f"{where}, pauses", part["pause_ns"], part["collections"])
        yield from spread_faults(f"{where}, stops", part["stop_ns"], part["collections"])
    for field in "collections", "examined", "collected":
        if collector[field] != sum(part[field] for part in collector["generations"]):
            yield f"{where}: {field} of the generations do not add up"
    if len(collector["longest"]) != min(count, 8):
        yield f"{where}: {len(collector['longest'])} longest collections of {count}"
    operations = sum(sample["operations"] for sample in block["samples"])
    found = collector["collected"] + collector["uncollectable"]
    if workload["unit"] == "objects examined" and (
        collector["examined"] != operations or collector["examined"] < parameters["nodes"]
    ):
        yield f"{where}: the objects examined are not the operations"
    if workload["unit"] == "objects found" and found != operations:
        yield f"{where}: {found} objects found by {operations} operations"
    if not workload["makes_garbage"] and collector["collected"] > 0:
        yield f"{where}: the collector found garbage"


def latency_faults(where, block, workload):
    if workload["latency"] != ("latency" in block):
        yield f"{where}: latencies are missing, or where none belong"
    elif "latency" in block:
        latency = block["latency"]
        values = [latency[key] for key in QUANTILES]
        if values != sorted(values) or values[0] <= 0:
            yield f"{where}: latencies are not in order"
        if latency["operations"] != sum(sample["operations"] for sample in block["samples"]):
            yield f"{where}: latencies of {latency['operations']} operations, which is not how many were done"


def variant_faults(results, backends):
    """Every variant of a quick comparison was measured on every backend."""
    found = {
        (block["workload"], block["variant"], block["backend"]) for block in results["variants"]
    }
    for workload in results["workloads"]:
        for variant in workload["quick_variants"]:
            for backend in backends:
                if (workload["name"], variant, backend) not in found:
                    yield f"variants: no block for {workload['name']} with {variant} on {backend}"
    for block in results["variants"]:
        where = "{} on {}, {} threads".format(*place(block)) + f" with {block['variant']}"
        for setting in block["variant"].split(","):
            name, value = setting.split("=")
            if str(block["parameters"][name]) != value:
                yield f"{where}: {name} is {block['parameters'][name]}"


def control_faults(results, workloads):
    """One more series of the first backend in every workload; layouts of their own."""
    controlled = {block["workload"] for block in results["control"]}
    for workload in workloads:
        if workload not in controlled:
            yield f"control: no block for {workload}"
    if len({block["seed"] for block in results["blocks"]}) < len(results["blocks"]) * 0.99:
        yield "blocks share their seeds"
    if len({block["heap_offset"] for block in results["blocks"]}) < 2:
        yield "every heap starts at the same place"


def block_faults(block, workload):
    where = "{} on {}, {} threads".format(*place(block))
    yield from collector_faults(where, block, workload)
    yield from latency_faults(where, block, workload)
    if not block["samples"]:
        yield f"{where}: no samples"
    for sample in block["samples"]:
        if sample["seconds"] <= 0 or sample["operations"] <= 0:
            yield f"{where}: a sample that is not positive"
        if (
            len(sample["per_thread"]) != block["threads"]
            or sum(sample["per_thread"]) != sample["operations"]
        ):
            yield f"{where}: the threads' operations do not add up"
    if block["live_at_finish"] != 0:
        yield f"{where}: {block['live_at_finish']} objects live at the end"
    if max(block["header_bytes"].values()) > 24:
        yield f"{where}: a header over 24 bytes"
    if block["peak_rss_kib"] <= 0:
        yield f"{where}: no peak memory"


def share_faults(block):
    """Of blocks whose workers each did a part."""
    where = "{} on {}, {} workers, {}".format(*place(block), block["mode"])
    for sample in block["samples"]:
        if (
            len(sample["per_thread"]) != block["threads"]
            or sum(sample["per_thread"]) != sample["operations"]
        ):
            yield f"{where}: the workers' operations do not add up"
        if len(sample["per_thread_seconds"]) != block["threads"]:
            yield f"{where}: not every worker has a time"
        if sample["operations"] < block.get("total", 1):
            yield f"{where}: less than the total was done"
    if block["pss_kib"] <= 0:
        yield f"{where}: no memory"


def faults(folder):
    for name in FILES:
        if not os.path.getsize(os.path.join(folder, name)):
            yield f"{name} is empty"
    with open(os.path.join(folder, "results.json"), encoding="utf-8") as file:
        results = json.load(file)
    if results["format"] != "tally-results" or results["incomplete"]:
        yield "results.json is incomplete or no tally results"
    described = {workload["name"]: workload for workload in results["workloads"]}
    workloads = [name for name in described if described[name]["in_quick"]]
    for failure in results["failures"]:
        yield "failed: {} on {}, {} threads: {}".format(*place(failure), failure["stderr"].strip())
    threads = {block["threads"] for block in results["blocks"]}
    backends = [backend["name"] for backend in results["backends"]]
    if not workloads or not backends or not threads:
        yield "no workloads, no backends or no blocks"
    for what in "blocks", "counted":
        yield from missing(results[what], workloads, backends, threads, what)
        for block in results[what]:
            yield from block_faults(block, described[block["workload"]])
    for block in results["variants"]:
        yield from block_faults(block, described[block["workload"]])
    for block in results["totals"] + results["processes"]:
        yield from share_faults(block)
    yield from variant_faults(results, backends)
    yield from control_faults(results, workloads)
    for backend in backends:
        for name in (name for name in workloads if described[name]["makes_garbage"]):
            if not any(
                block["collector"]["collected"]
                for block in results["blocks"]
                if block["backend"] == backend and block["workload"] == name
            ):
                yield f"{name} on {backend}: the collector found nothing in any block"


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    found = sorted(set(faults(sys.argv[1])))
    for fault in found:
        print(fault, file=sys.stderr)
    sys.exit(1 if found else 0)


main()
