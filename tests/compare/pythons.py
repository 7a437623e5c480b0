#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Interpreters beside the backends: made-up ones, a build with a GIL and one without, are rows of
their own with their own scaling; what is too old, no interpreter, or there twice is named.

Usage: pythons.py TALLY-COMPARE
"""
import json
import os
import re
import subprocess
import sys
import tempfile

from against import WORKLOADS, make_build

# What an interpreter says of itself, and of the scripts that it is given.
INTERPRETER = """#!{python} -IS
import json, sys
words = sys.argv[1:]
if "-c" in words:
    print(json.dumps(dict(version={version!r}, number={number})))
elif "--list" in words:
    print(json.dumps(dict(name={name!r}, workloads={workloads!r})))
else:
    options = dict(word[2:].split("=", 1) for word in words if "=" in word)
    threads = int(options.get("threads", options.get("busy", 1)))
    noise = 1 + int(options.get("seed", 0)) % 7 / 700
    rate = 1e6 * (threads * {scale} if threads > 1 else 1) * noise
    samples = [dict(seconds=0.01, operations=int(rate / 100), rate=rate) for _ in range(4)]
    times = sorted({answer} * (1 + i / 100) for i in range(int(options.get("requests", 1))))
    print(json.dumps(dict(format="tally-run", version=1, workload=options.get("workload", "convoy"),
        backend={name!r}, threads=threads, unit="operations", samples=samples, scheme="none",
        busy=threads, requests=len(times), times_ms=times, busy_operations_per_second=1e6)))
"""


def make(folder, file, version, name, scale=0.5, answer=5.0):
    path = os.path.join(folder, file)
    major, minor = map(int, version.split(".")[:2])
    with open(path, "w", encoding="utf-8") as out:
        out.write(
            INTERPRETER.format(
                python=sys.executable,
                version=version,
                number=100 * major + minor,
                name=name,
                workloads=WORKLOADS[:2],
                scale=scale,
                answer=answer,
            )
        )
    os.chmod(path, 0o755)
    return path


def main():
    compare = os.path.abspath(sys.argv[1])
    with tempfile.TemporaryDirectory() as scratch:
        build = make_build(os.path.join(scratch, "build"))
        # The convoys of the backends answer as an interpreter does.
        experiments = os.path.join(build, "workloads", "experiments", "convoy")
        os.makedirs(experiments)
        for backend in "gil", "biased":
            make(experiments, "convoy-" + backend, "3.99.0", backend, answer=1.0)

        def run(output, *pythons):
            words = [compare, "run", "--drivers", build, "--quick", "--rounds", "4"]
            words += ["--threads", "1,2", "--seed", "7", "--output", os.path.join(scratch, output)]
            words += [
                f"--{kind}-script={scratch}/script" for kind in ("python", "patterns", "convoy")
            ]
            words += ["--with-python=" + python for python in pythons]
            return subprocess.run(words, capture_output=True, text=True)

        locked = make(scratch, "locked", "3.99.1", "CPython 3.99.1", 0.5, 100.0)
        free = make(scratch, "free", "3.99.1", "CPython 3.99.1 free-threaded", 0.95, 0.05)
        old = make(scratch, "old", "2.7.18", "CPython 2.7.18")
        for what, pythons in (
            ("2.7.18, which is too old", [locked, old]),
            ("no Python interpreter", [locked, "/bin/false"]),
            ("give one of them", [locked, locked]),
        ):
            done = run("refused", *pythons)
            if done.returncode != 2 or what not in done.stderr:
                sys.exit(f"{pythons}: status {done.returncode}, {done.stderr}")
        done = run("report", locked, free)
        if done.returncode != 0:
            sys.exit(f"two interpreters: status {done.returncode}\n{done.stderr}")
        with open(os.path.join(scratch, "report", "report.md"), encoding="utf-8") as file:
            report = file.read()
        # A speedup of each workload, in its entry, and the answers of the first screen.
        entries = dict(re.findall(r"<summary>(\w+)</summary>(.*?)</details>", report, re.S))
        for part, row in (
            (entries["first"], r"^\| CPython 3.99.1 \| 2 \|.*\| 1\.00 \("),
            (entries["second"], r"^\| CPython 3.99.1 free-threaded \| 2 \|.*\| 1\.9"),
            (report, r"^\| CPython 3.99.1 \| – \| – \| – \| 159 ms "),  # of 100 to 160
            (report, r"^\| CPython 3.99.1 free-threaded \| – \| – \| – \| 79\.4 µs "),
        ):
            if not re.search(row, part, re.M):
                sys.exit(f"no {row!r} in the report:\n{report}")


main()
