#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs convoy with every scheme and convoy.py, beside 0, 1, 2 and 4 busy threads.

Usage: measure.py --programs DIR [--requests N] [--interval US] [--isolate] [--output DIR]

Writes convoy.json and convoy.md. --isolate keeps the load of other programs out,
and needs the right to real-time priorities: with a GIL, where one thread runs at
a time, the whole program gets one; without, the server and the client alone.
"""
import argparse
import json
import os
import platform
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import program

SCHEMES = [
    ("gil", "ticks"),
    ("gil", "cpython"),
    ("gil", "deadline"),
    ("atomic", None),
    ("biased", None),
    ("python", None),
]
BUSY = [0, 1, 2, 4]


def command(options, backend, scheme, busy):
    if backend == "python":
        words = [
            sys.executable,
            os.path.join(os.path.dirname(os.path.abspath(__file__)), "convoy.py"),
        ]
    else:
        words = [os.path.join(options.programs, f"convoy-{backend}")]
    words += [
        "--busy",
        str(busy),
        "--requests",
        str(options.requests),
        "--interval",
        str(options.interval),
    ]
    if scheme:
        words += ["--scheme", scheme]
    if options.isolate and backend in ("gil", "python"):
        words = ["chrt", "--rr", "1"] + words
    elif options.isolate:
        words.append("--realtime")
    return words


def table(rows, options, load):
    lines = [
        (
            f"Milliseconds until a byte is answered; {options.requests} requests each; switch"
            f" interval {options.interval / 1000:g} ms; {os.cpu_count()} processors;"
            f" {'kept apart from' if options.isolate else 'beside'} the load of other programs"
            f" (load average before: {load[0]:.1f})."
        ),
        "",
        "| scheme | busy threads | p50 | p90 | p99 | max | their operations a second |",
        "| :--- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in rows:
        name = (
            row["backend"]
            if row["scheme"] == "none" or row["backend"].startswith("python")
            else f"{row['backend']}, {row['scheme']}"
        )
        lines.append(
            f"| {name} | {row['busy']} | {row['p50_ms']:.3f} | {row['p90_ms']:.3f} |"
            f" {row['p99_ms']:.3f} | {row['max_ms']:.3f} |"
            f" {row['busy_operations_per_second'] / 1e6:.1f} million |"
        )
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--programs", required=True, help="folder of convoy-<backend>")
    parser.add_argument("--requests", type=int, default=300)
    parser.add_argument("--interval", type=int, default=5000)
    parser.add_argument("--isolate", action="store_true")
    parser.add_argument("--output", default=".")
    options = parser.parse_args()
    for backend in "gil", "atomic", "biased":
        if not os.access(os.path.join(options.programs, f"convoy-{backend}"), os.X_OK):
            print(
                f"measure.py: no convoy-{backend} in {options.programs}; build it first",
                file=sys.stderr,
            )
            return 2
    if options.isolate and (
        not shutil.which("chrt")
        or subprocess.run(
            ["chrt", "--rr", "1", "true"], stderr=subprocess.DEVNULL, check=False
        ).returncode
    ):
        print(
            "measure.py: --isolate needs chrt and the right to real-time priorities (CAP_SYS_NICE)",
            file=sys.stderr,
        )
        return 2
    program.claim(options.output)
    rows, load = [], os.getloadavg()
    for busy in BUSY:
        for backend, scheme in SCHEMES:
            run = program.run(
                command(options, backend, scheme, busy), stdout=subprocess.PIPE, text=True
            )
            if run.returncode:
                print(f"measure.py: failed: {run.args}", file=sys.stderr)
                return 1
            rows.append(json.loads(run.stdout))
            print(run.stdout, end="", flush=True)
    text = table(rows, options, load)
    whole = {
        "processors": os.cpu_count(),
        "system": platform.platform(),
        "load_average": load,
        "isolated": options.isolate,
        "runs": rows,
    }
    program.write(options.output, {"convoy.json": json.dumps(whole, indent=1), "convoy.md": text})
    print(text, end="")
    return 0


if __name__ == "__main__":
    program.main(main)
