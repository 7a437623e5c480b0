#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Judges the convoy, the task server and the Python patterns of a report, but not their speed.

Usage: check_extras.py REPORT_FOLDER BACKEND,...
The run named convoy, task-server and pattern workloads, with a Python. Exit status 1 and a line for
each fault.
"""
import json
import os
import re
import sys

SCHEMES, BUSY = ["ticks", "cpython", "deadline"], [0, 1, 2, 4]


def convoy_faults(results, backends):
    exclusion = {backend["name"]: backend["locking"] for backend in results["backends"]}
    found = {(one["backend"], one["scheme"], one["busy"]) for one in results["convoy"]}
    wanted = {
        (backend, scheme, busy)
        for backend in backends
        for busy in BUSY
        for scheme in (SCHEMES if exclusion[backend].startswith("gil") else ["none"])
    }
    for place in found ^ wanted:
        yield f"convoy: {place} is {'missing' if place in wanted else 'one too many'}"
    for one in results["convoy"]:
        where = f"convoy on {one['backend']}, {one['scheme']}, {one['busy']} busy"
        times = one["times_ms"]
        if len(times) != one["requests"] or times != sorted(times) or times[0] <= 0:
            yield f"{where}: the times are not one for each request, in order"
        if not one["p50_ms"] <= one["p90_ms"] <= one["p99_ms"] <= one["max_ms"]:
            yield f"{where}: the percentiles are in no order"
        if (one["busy_operations_per_second"] > 0) != (one["busy"] > 0):
            yield f"{where}: {one['busy_operations_per_second']} operations of the busy threads"
        if one["scheme"] == "none" and one["gil_requests"]:
            yield f"{where}: a request for a lock that is not there"


def server_faults(results, backends, threads):
    found = {(one["backend"], one["version"], one["threads"]) for one in results["servers"]}
    for place in {(b, v, t) for b in backends for v in (1, 2) for t in threads} ^ found:
        yield f"task-server: {place} is missing, or one too many"
    for one in results["servers"]:
        where = (
            f"task-server on {one['backend']}, version {one['version']}, {one['threads']} threads"
        )
        load, server = one["load"], one["server"]
        if (
            load["failed"]
            or load["requests"] <= 0
            or not set(server["by_status"]) <= {"200", "201"}
        ):
            yield f"{where}: failed requests, or none at all"
        if server["requests"] < load["requests"]:
            yield f"{where}: wrk has more answers than the server gave"
        if (
            sum(server["by_thread"]) != server["requests"]
            or len(server["by_thread"]) != one["threads"]
        ):
            yield f"{where}: the workers' requests do not add up"
        if one["version"] == 2 and server["collections"]["collected"]:
            yield f"{where}: the collector found garbage although references are weak"
        if server["objects_left"]:
            yield f"{where}: {server['objects_left']} objects were left"


def pattern_faults(results, threads):
    found = {(one["workload"], one["threads"]) for one in results["patterns"]}
    workloads = {one["workload"] for one in results["runs"]}
    for place in {(w, t) for w in workloads for t in threads} ^ found:
        yield f"patterns: {place} is missing, or one too many"
    for one in results["patterns"]:
        where = f"{one['workload']} on {one['backend']}, {one['threads']} threads"
        if not re.search("with GIL|free-threaded", one["backend"]):
            yield f"{where}: it does not say whether there is a GIL"
        for sample in one["samples"]:
            if (
                len(sample["per_thread"]) != one["threads"]
                or sum(sample["per_thread"]) != sample["operations"]
                or sample["operations"] <= 0
            ):
                yield f"{where}: the threads' operations do not add up"


def page_faults(folder, results):
    with open(os.path.join(folder, "report.html"), encoding="utf-8") as file:
        html = file.read()
    for head in "Convoys", "A server":
        if not re.search(f"<h2[^>]*>{head}", html):
            yield f"report.html has no section '{head}'"
    for name in {one["backend"] for one in results["patterns"]}:
        if not re.search(f'<th scope="row"[^>]*>(<span[^>]*></span>)?{re.escape(name)}', html):
            yield f"report.html has no row of {name}"
    ids = re.findall(r"\sid=['\"]([^'\"]+)", html)
    for name in {name for name in ids if ids.count(name) > 1}:
        yield f"report.html has the id {name} twice"


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    folder, backends = sys.argv[1], sys.argv[2].split(",")
    with open(os.path.join(folder, "results.json"), encoding="utf-8") as file:
        results = json.load(file)
    threads = {one["threads"] for one in results["runs"]}
    faults = [f"failed: {failure}" for failure in results["failures"]]
    faults += [
        *convoy_faults(results, backends),
        *server_faults(results, backends, threads),
        *pattern_faults(results, threads),
        *page_faults(folder, results),
    ]
    for fault in faults:
        print(fault, file=sys.stderr)
    sys.exit(1 if faults else 0)


main()
