#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Loads every task server with wrk, on loopback, and measures throughput and latency.

Usage: measure.py --programs DIR [--seconds N] [--threads 1,2,4] [--versions 1,2]
                  [--backends gil,atomic,biased] [--connections 64] [--tasks N] [--output DIR]
                  [--json] [--no-check]

First check.py compares the answers of all backends with its model. Then each configuration runs
once, in a random order. Writes task-server.json and task-server.md, or with --json prints a line of
JSON for each configuration. Exit status 1 if an answer was wrong or a request failed.
"""
import argparse
import contextlib
import json
import os
import platform
import random
import shutil
import subprocess
import sys

import check
import program

HERE = os.path.dirname(os.path.abspath(__file__))


def measure(options, backend, version, threads):
    server_program = os.path.join(options.programs, f"task-server-{backend}")
    with check.Server(
        server_program, "--version", version, "--threads", threads, "--tasks", options.tasks
    ) as server:
        wrk = program.run(
            [
                "wrk",
                "-t",
                "2",
                "-c",
                str(options.connections),
                "-d",
                str(options.seconds),
                "--timeout",
                "10",
                "--latency",
                "-s",
                os.path.join(HERE, "mix.lua"),
                server.url,
                "--",
                str(options.tasks),
                str(options.seed),
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
    if wrk.returncode:
        raise check.Wrong(f"wrk ended with status {wrk.returncode}")
    load = json.loads(wrk.stdout.splitlines()[-1])
    load["requests_per_second"] = load["requests"] / load["duration_us"] * 1e6
    wrong = {s: n for s, n in server.statistics["by_status"].items() if s not in ("200", "201")}
    if load["failed"] or wrong or not load["requests"]:
        raise check.Wrong(
            f"{backend}, version {version}, {threads} threads: {load['failed']} of"
            f" {load['requests']} requests failed ({load['status_errors']} by status,"
            f" {load['socket_errors']} by socket, {load['timeouts']} too late); the server counts"
            f" {wrong}"
        )
    return {
        "backend": backend,
        "version": version,
        "threads": threads,
        "connections": options.connections,
        "seconds": options.seconds,
        "load": load,
        "server": server.statistics,
    }


def table(rows, options, load):
    lines = [
        (
            f"{options.connections} connections of wrk for {options.seconds} s each,"
            f" {options.tasks} standing tasks; server and wrk share {os.cpu_count()} processors"
            f" with what else runs (load average before: {load[0]:.1f}). Milliseconds."
        ),
        "",
        (
            "| backend | version | threads | requests a second | p50 | p90 | p99 | max | failed |"
            " collections | longest pause | peak memory, MiB |"
        ),
        "| :--- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in rows:
        times, server = row["load"]["latency_us"], row["server"]
        lines.append(
            f"| {row['backend']} | {row['version']} | {row['threads']} |"
            f" {row['load']['requests_per_second']:.0f} | {times['p50'] / 1e3:.2f} |"
            f" {times['p90'] / 1e3:.2f} | {times['p99'] / 1e3:.2f} | {times['max'] / 1e3:.2f} |"
            f" {row['load']['failed']} | {server['collections']['count']} |"
            f" {server['collections']['pause_ms_max']:.2f} |"
            f" {server['peak_memory_bytes'] / 2**20:.0f} |"
        )
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--programs", required=True, help="folder of task-server-<backend>")
    for name, default in ("seconds", 5), ("connections", 64), ("tasks", 10000), ("seed", 1):
        parser.add_argument("--" + name, type=int, default=default)
    parser.add_argument("--backends", default="gil,atomic,biased")
    parser.add_argument("--threads", default="1,2,4")
    parser.add_argument("--versions", default="1,2")
    parser.add_argument("--output", default=".")
    parser.add_argument(
        "--json", action="store_true", help="print the measurements, and write no file"
    )
    parser.add_argument(
        "--no-check", action="store_true", help="leave the comparison of answers out"
    )
    options = parser.parse_args()
    backends = options.backends.split(",")
    if not shutil.which("wrk"):
        print("measure.py: no wrk (Debian: wrk)", file=sys.stderr)
        return 2
    for backend in backends:
        if not os.access(os.path.join(options.programs, f"task-server-{backend}"), os.X_OK):
            print(
                (
                    f"measure.py: no task-server-{backend} in {options.programs}; build it first,"
                    " with libmicrohttpd (Debian: libmicrohttpd-dev)"
                ),
                file=sys.stderr,
            )
            return 2
    cases = [
        (b, int(v), int(t))
        for b in backends
        for v in options.versions.split(",")
        for t in options.threads.split(",")
    ]
    order, load, rows = random.Random(options.seed).sample(cases, len(cases)), os.getloadavg(), {}
    if not options.json:
        program.claim(options.output)
    try:
        for backend in backends:
            for version in () if options.no_check else map(int, options.versions.split(",")):
                with contextlib.redirect_stdout(sys.stderr):
                    check.check(os.path.join(options.programs, f"task-server-{backend}"), version)
        for case in order:
            rows[case] = measure(options, *case)
            if options.json:
                print(json.dumps(rows[case]), flush=True)
            else:
                print(
                    (
                        f"{case[0]}, version {case[1]}, {case[2]} threads:"
                        f" {rows[case]['load']['requests_per_second']:.0f} requests a second"
                    ),
                    flush=True,
                )
    except (check.Wrong, OSError) as error:
        if isinstance(error, OSError) and program.lost(error):
            raise
        print(f"measure.py: {error}", file=sys.stderr)
        return 1
    if options.json:
        return 0
    results = [rows[case] for case in cases]
    text = table(results, options, load)
    whole = {
        "processors": os.cpu_count(),
        "system": platform.platform(),
        "load_average": load,
        "connections": options.connections,
        "seconds": options.seconds,
        "runs": results,
    }
    program.write(
        options.output, {"task-server.json": json.dumps(whole, indent=1), "task-server.md": text}
    )
    print(text, end="")
    return 0


if __name__ == "__main__":
    program.main(main)
