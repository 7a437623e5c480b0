#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Compares what tally-compare writes of made-up results with what it wrote before.

Usage: golden.py TALLY-COMPARE [--update]

The files beside this script are report.md and its picture, what the terminal shows, of few
workloads too, comparisons.csv and the output of diff; --update writes them anew.  Exit status 1 and
a diff for each fault.
"""
import difflib
import json
import os
import subprocess
import sys
import tempfile

import fixture

HERE = os.path.dirname(os.path.abspath(__file__))


def output(program, *arguments):
    done = subprocess.run(
        [program, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    return done.stdout + f"status {done.returncode}\n"


def found(program):
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for day in 1, 2, 3, 4:
            with open(f"day{day}.json", "w", encoding="utf-8") as file:
                json.dump(fixture.make(day), file)
        files = {"terminal.txt": output(program, "report", "day1.json", "--output", "out")}
        for name in "report.md", "scaling.svg", "comparisons.csv":
            with open(os.path.join("out", name), encoding="utf-8") as file:
                files[name] = file.read()
        narrow = fixture.make(1)  # without a workload that prices are of
        for workload in narrow["workloads"]:
            workload["in_price"] = False
        with open("narrow.json", "w", encoding="utf-8") as file:
            json.dump(narrow, file)
        files["terminal-narrow.txt"] = output(program, "report", "narrow.json", "--output", "out")
        files["diff.txt"] = output(program, "diff", "day1.json", "day2.json")
        days = [f"day{day}.json" for day in (1, 2, 3, 4)]
        files["diff-of-days.txt"] = output(program, "diff", *days)
        os.chdir(HERE)
    return files


def main():
    faults = 0
    for name, text in found(os.path.abspath(sys.argv[1])).items():
        path = os.path.join(HERE, name)
        if sys.argv[2:] == ["--update"]:
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
            continue
        with open(path, encoding="utf-8") as file:
            expected = file.read()
        lines = difflib.unified_diff(
            expected.splitlines(), text.splitlines(), name, "now", lineterm=""
        )
        for line in lines:
            print(line)
        faults += expected != text
    sys.exit(1 if faults else 0)


main()
