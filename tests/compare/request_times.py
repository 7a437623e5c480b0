#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs a short form of tally server and compares the charts with the samples.

Usage: request_times.py TIMELINE TALLY_DRAW BACKENDS_JSON SERVER...

Every request of results.csv is under a dot of its chart and every dot has one; each full collection
of results.json is a band at its time, and each young one is marked. What cannot be run is refused
in one line, and leaves nothing. Exit status 77 where wrk is not installed.
"""
import csv
import json
import math
import os
import re
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree

LEFT, RIGHT, TOP, FLOOR = 58, 466, 10, 186
faults = []


def fault(text):
    if len(faults) < 10:
        faults.append(text)


def charts_of(page):
    """By backend and version, from the page's pictures."""
    for svg in re.findall(r"<figure>(<svg .*?</svg>)", page, re.S):
        root = xml.etree.ElementTree.fromstring(svg)
        name = re.match(r"(\S+), version (\d)", root.find("title").text)
        if root.get("role") != "img" or not root.get("aria-label") or not name:
            fault(f"a chart has no role, label or name: {svg[:200]}")
        yield (name.group(1), int(name.group(2))), root


def path_points(path):
    return {(int(x), int(y)) for x, y in re.findall(r"M(\d+) (\d+)", path.get("d"))}


def titled(root, pattern):
    for element in root:
        title = element.find("title")
        match = re.fullmatch(pattern, title.text) if title is not None else None
        if match:
            yield element, match


def check_dots(name, root, samples, place_x, place_y):
    ((path, match),) = titled(root, r"(\d+) requests")
    if int(match.group(1)) != len(samples):
        fault(f"{name}: says {match.group(1)} requests, samples are {len(samples)}")
    if f"{len(samples)} requests" not in root.find("title").text:
        fault(f"{name}: the caption does not say {len(samples)} requests")
    dots, used = path_points(path), set()
    for sent, took in samples:
        x, y = place_x(sent), place_y(took)
        near = {dot for dot in dots if abs(dot[0] - x) <= 0.501 and abs(dot[1] - y) <= 0.501}
        used |= near
        if not near:
            fault(f"{name}: no dot at {x}, {y} for a request at {sent} s of {took} ms")
    if dots - used:
        fault(f"{name}: dots without a request: {sorted(dots - used)[:5]}")


def check_collections(name, root, collections, place_x):
    full = [one for one in collections if one["generation"] == 2]
    young = [one for one in collections if one["generation"] < 2]
    pattern = (
        r"full collection: ([\d.]+) to ([\d.]+) s, .*, (\d+) objects examined, (\d+) collected"
    )
    bands = list(titled(root, pattern))
    if len(bands) != len(full):
        fault(f"{name}: {len(bands)} bands, {len(full)} full collections")
    for (rect, match), one in zip(bands, full):
        begin, end, examined, collected = map(float, match.groups())
        if (
            abs(begin - one["began_s"]) > 0.00051
            or abs(end - one["ended_s"]) > 0.00051
            or [examined, collected] != [one["examined"], one["collected"]]
            or abs(float(rect.get("x")) - place_x(one["began_s"])) > 0.01
        ):
            fault(f"{name}: the band {match.group(0)} at {rect.get('x')} is not {one}")
    ((path, match),) = titled(root, r"(\d+) young collections")
    if int(match.group(1)) != len(young):
        fault(f"{name}: says {match.group(1)} young collections, there are {len(young)}")
    marks = {x for x, _ in path_points(path)}
    places = [place_x(one["began_s"]) for one in young]
    if any(not {math.floor(x + 0.49), math.floor(x + 0.51)} & marks for x in places):
        fault(f"{name}: a young collection is not marked")
    if any(all(abs(mark - x) > 0.51 for x in places) for mark in marks):
        fault(f"{name}: a mark without a young collection")


def check(folder):
    with open(f"{folder}/results.json", encoding="utf-8") as file:
        runs = json.load(file)["runs"]
    samples = {(run["backend"], run["version"]): [] for run in runs}
    with open(f"{folder}/results.csv", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            key = row["backend"], int(row["version"])
            samples[key].append((float(row["sent_s"]), float(row["ms"])))
    last = max(sent for some in samples.values() for sent, _ in some)
    times = [took for some in samples.values() for _, took in some]
    low, high = math.floor(math.log10(min(times))), math.ceil(math.log10(max(times)))

    def place_x(sent):
        return LEFT + (RIGHT - LEFT) * min(max(sent / last, 0), 1)

    def place_y(took):
        return FLOOR + (TOP - FLOOR) * (math.log10(took) - low) / (high - low)

    with open(f"{folder}/report.html", encoding="utf-8") as file:
        charts = dict(charts_of(file.read()))
    if charts.keys() != samples.keys() or len(charts) < 2:
        fault(f"there are charts of {list(charts)}, samples of {list(samples)}")
    for run in runs:
        key = run["backend"], run["version"]
        name = f"{key[0]}, version {key[1]}"
        if run["requests"] != len(samples[key]) or not samples[key]:
            fault(f"{name}: {run['requests']} requests, {len(samples[key])} samples")
        if key in charts:
            check_dots(name, charts[key], samples[key], place_x, place_y)
            check_collections(name, charts[key], run["collections"], place_x)
    picture = xml.etree.ElementTree.parse(f"{folder}/request-times.svg").getroot()
    if sum("d" in path.attrib for path in picture.iter()) == 0 or picture.get("role") != "img":
        fault("request-times.svg has no curves or no role")
    with open(f"{folder}/report.md", encoding="utf-8") as file:
        if "| gil" not in file.read():
            fault("report.md has no table")


def main():
    timeline, draw, backends, *servers = sys.argv[1:]
    if not shutil.which("wrk"):
        print("wrk is not installed: request times were not looked at", file=sys.stderr)
        return 77
    words = [sys.executable, "-B", timeline, "--draw", draw, "--backends", backends]

    def call(folder, *more):
        return subprocess.run(
            [*words, "--output", folder, *more, *servers],
            capture_output=True,
            text=True,
            check=False,
        )

    with tempfile.TemporaryDirectory() as scratch:
        folder = f"{scratch}/report"
        done = call(folder, "--tasks", "2000", "--seconds", "2", "--clients", "3")
        if done.returncode or done.stdout.splitlines()[-1] != f"{folder}/report.html":
            fault(f"status {done.returncode}: {done.stdout}{done.stderr}")
        else:
            check(folder)
        for word, *more in (
            ("whole number from 1 to 10000000", "--tasks", "1.5"),
            ("whole number from 1 to 64", "--clients", "0"),
        ):
            done = call(f"{scratch}/none", *more)
            if done.returncode != 2 or done.stderr.count("\n") != 1 or word not in done.stderr:
                fault(f"{more}: status {done.returncode}, {done.stderr}")
        done = subprocess.run(
            [draw, "server", scratch], capture_output=True, text=True, check=False
        )
        if done.returncode != 2 or done.stderr.count("\n") != 1:
            fault(f"an empty folder: status {done.returncode}, {done.stderr}")
        if os.listdir(scratch) not in (["report"], []):
            fault(f"left are {os.listdir(scratch)}")
    for text in faults:
        print(f"request_times: {text}", file=sys.stderr)
    return bool(faults)


sys.exit(main())
