#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Judges whether a report's numbers make sense; their speed does not matter.

Usage: check_results.py REPORT_FOLDER
Expects every backend and every workload that the results list. Exit status 1 and a line for each
fault.
"""
import json
import os
import sys

FILES = ["report.html", "report.md", "results.csv", "comparisons.csv", "results.json"]


def place(run):
    return run["workload"], run["backend"], run["threads"]


def missing(runs, workloads, backends, threads, what):
    found = {place(run) for run in runs}
    for workload in workloads:
        for backend in backends:
            for count in threads:
                if (workload, backend, count) not in found:
                    yield f"{what}: no run for {workload} on {backend}, {count} threads"


QUANTILES = ["p50_ns", "p90_ns", "p99_ns", "p99_9_ns", "max_ns"]


def spread_faults(where, spread, count):
    if not spread["median"] <= spread["p99"] <= spread["longest"] <= spread["total"]:
        yield f"{where}: a spread is not in order"
    if (spread["total"] > 0) > (count > 0):
        yield f"{where}: time in no collection"


def collector_faults(where, run, workload):
    collector, parameters = run["collector"], run["parameters"]
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
    operations = sum(sample["operations"] for sample in run["samples"])
    found = collector["collected"] + collector["uncollectable"]
    if workload["unit"] == "objects examined" and (
        collector["examined"] != operations or collector["examined"] < parameters["nodes"]
    ):
        yield f"{where}: the objects examined are not the operations"
    if workload["unit"] == "objects found" and found != operations:
        yield f"{where}: {found} objects found by {operations} operations"
    if not workload["makes_garbage"] and collector["collected"] > 0:
        yield f"{where}: the collector found garbage"


def latency_faults(where, run, workload):
    if workload["latency"] != ("latency" in run):
        yield f"{where}: latencies are missing, or where none belong"
    elif "latency" in run:
        latency = run["latency"]
        values = [latency[key] for key in QUANTILES]
        if values != sorted(values) or values[0] <= 0:
            yield f"{where}: latencies are not in order"
        if latency["operations"] != sum(sample["operations"] for sample in run["samples"]):
            yield (
                f"{where}: latencies of {latency['operations']} operations, which is not how many"
                " were done"
            )


def variant_faults(results, backends):
    """Every variant of a quick comparison was measured on every backend."""
    found = {(run["workload"], run["variant"], run["backend"]) for run in results["variants"]}
    for workload in results["workloads"]:
        for variant in workload["quick_variants"]:
            for backend in backends:
                if (workload["name"], variant, backend) not in found:
                    yield f"variants: no run for {workload['name']} with {variant} on {backend}"
    for run in results["variants"]:
        where = "{} on {}, {} threads".format(*place(run)) + f" with {run['variant']}"
        for setting in run["variant"].split(","):
            name, value = setting.split("=")
            if str(run["parameters"][name]) != value:
                yield f"{where}: {name} is {run['parameters'][name]}"


def control_faults(results, workloads):
    """One more series of the first backend in every workload; layouts of their own."""
    controlled = {run["workload"] for run in results["control"]}
    for workload in workloads:
        if workload not in controlled:
            yield f"control: no run for {workload}"
    if len({run["seed"] for run in results["runs"]}) < len(results["runs"]) * 0.99:
        yield "runs share their seeds"
    if len({run["heap_offset"] for run in results["runs"]}) < 2:
        yield "every heap starts at the same place"


def run_faults(run, workload):
    where = "{} on {}, {} threads".format(*place(run))
    yield from collector_faults(where, run, workload)
    yield from latency_faults(where, run, workload)
    if not run["samples"]:
        yield f"{where}: no samples"
    for sample in run["samples"]:
        if sample["seconds"] <= 0 or sample["operations"] <= 0:
            yield f"{where}: a sample that is not positive"
        if (
            len(sample["per_thread"]) != run["threads"]
            or sum(sample["per_thread"]) != sample["operations"]
        ):
            yield f"{where}: the threads' operations do not add up"
    if run["live_at_finish"] != 0:
        yield f"{where}: {run['live_at_finish']} objects live at the end"
    if max(run["header_bytes"].values()) > 24:
        yield f"{where}: a header over 24 bytes"
    if run["peak_rss_kib"] <= 0:
        yield f"{where}: no peak memory"


def share_faults(run):
    """Of runs whose workers each did a part."""
    where = "{} on {}, {} workers, {}".format(*place(run), run["mode"])
    for sample in run["samples"]:
        if (
            len(sample["per_thread"]) != run["threads"]
            or sum(sample["per_thread"]) != sample["operations"]
        ):
            yield f"{where}: the workers' operations do not add up"
        if len(sample["per_thread_seconds"]) != run["threads"]:
            yield f"{where}: not every worker has a time"
        if sample["operations"] < run.get("total", 1):
            yield f"{where}: less than the total was done"
    if run["pss_kib"] <= 0:
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
    threads = {run["threads"] for run in results["runs"]}
    backends = [backend["name"] for backend in results["backends"]]
    if not workloads or not backends or not threads:
        yield "no workloads, no backends or no runs"
    for what in "runs", "counted":
        yield from missing(results[what], workloads, backends, threads, what)
        for run in results[what]:
            yield from run_faults(run, described[run["workload"]])
    for run in results["variants"]:
        yield from run_faults(run, described[run["workload"]])
    for run in results["totals"] + results["processes"]:
        yield from share_faults(run)
    yield from variant_faults(results, backends)
    yield from control_faults(results, workloads)
    for backend in backends:
        for name in (name for name in workloads if described[name]["makes_garbage"]):
            if not any(
                run["collector"]["collected"]
                for run in results["runs"]
                if run["backend"] == backend and run["workload"] == name
            ):
                yield f"{name} on {backend}: the collector found nothing in any run"


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    found = sorted(set(faults(sys.argv[1])))
    for fault in found:
        print(fault, file=sys.stderr)
    sys.exit(1 if found else 0)


main()
