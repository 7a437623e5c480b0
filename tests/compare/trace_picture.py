#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Draws short traces of two threads and compares the rectangles with the events.

Usage: trace_picture.py TALLY_DRAW CHECK_TRACE DRIVER...     (programs tally-<backend>)

Each event is in one rectangle of its lane and kind, at its time; a rectangle of one event begins
and ends with it; of more than 3000 events some share one, and the picture says so.
"""
import collections
import json
import os
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree

SVG = "{http://www.w3.org/2000/svg}"
MOST, LEFT, RIGHT, LANE = 3000, 8, 472, 46
UNITS = {"µs": 1, "ms": 1e3, "s": 1e6}
KINDS = {
    "holds the GIL": "holds the GIL",
    "without the GIL": "blocked",
    "in a blocked region": "blocked",
    "waits for the GIL": "waits for the GIL",
    "safepoint": "at a safepoint",
    "the lock of an object": "waits for a lock",
    "the world is stopped": "the world is stopped",
    "collection": "collection",
    "mark": "a part of a collection",
    "finalize": "a part of a collection",
    "recheck": "a part of a collection",
    "free": "a part of a collection",
}
TITLE = re.compile(
    r"(?:(?P<events>\d+) times )?(?P<name>.*): (?P<begin>[\d.]+) to (?P<end>[\d.]+) "
    r"(?P<unit>µs|ms|s)"
    r"(?:, (?P<all>[\d.]+) \S+ in all|, generation (?P<generation>\d), (?P<examined>\d+) objects "
    r"examined, (?P<collected>\d+) collected)?"
)
faults = []


def fault(text):
    if len(faults) < 10:
        faults.append(text)


def kind_of(name):
    for end, kind in KINDS.items():
        if name.endswith(end):
            return kind
    return "waits for other threads"


def events_of(path):
    with open(path, encoding="utf-8") as file:
        entries = json.load(file)["traceEvents"]
    names = {e["tid"]: e["args"]["name"] for e in entries if e["name"] == "thread_name"}
    events = [e for e in entries if e["ph"] == "X"]
    for event in events:
        thread = (
            event["args"]["thread"] if event["name"].endswith("holds the GIL") else event["tid"]
        )
        event["lane"], event["kind"] = names[thread], kind_of(event["name"])
    first = min(event["ts"] for event in events)
    last = max(event["ts"] + event["dur"] for event in events)
    return events, first, last


def rectangles_of(root):
    lanes = {}
    for text in root.iter(SVG + "text"):
        if text.get("font-size") == "12" and float(text.get("y")) % LANE == 15:
            lanes[float(text.get("y")) - 15] = text.text
    for rect in root.iter(SVG + "rect"):
        title = TITLE.fullmatch(rect.find(SVG + "title").text)
        if not title:
            fault(f"a title is {rect.find(SVG + 'title').text}")
            continue
        one = {key: value for key, value in title.groupdict().items() if value is not None}
        one["lane"] = lanes[float(rect.get("y")) // LANE * LANE]
        one["x"], one["width"] = float(rect.get("x")), float(rect.get("width"))
        one["kind"] = one["name"] if "events" in one else kind_of(one["name"])
        yield one


def compare(trace, picture, name):
    root = xml.etree.ElementTree.parse(picture).getroot()
    events, first, last = events_of(trace)
    rectangles = list(rectangles_of(root))
    if root.get("role") != "img" or root.find(SVG + "title") is None:
        fault(f"{name}: no role or no title")
    if not 0 < len(rectangles) <= MOST:
        fault(f"{name}: {len(rectangles)} rectangles")
    drawn = collections.Counter()
    known = {}
    for event in events:
        known.setdefault((event["lane"], event["name"]), []).append(event)
    for one in rectangles:
        scale = UNITS[one["unit"]]
        begin, end = float(one["begin"]) * scale, float(one["end"]) * scale
        drawn[one["lane"], one["kind"]] += int(one.get("events", 1))
        for edge, at in (one["x"], begin), (one["x"] + one["width"], end):
            place = LEFT + (RIGHT - LEFT) * at / (last - first)
            if abs(place - edge) > 0.3:
                fault(f"{name}: {one} is at {edge}, not {place}")
        if "events" in one:
            continue
        slack = 0.0021 * scale
        same = [
            event
            for event in known.get((one["lane"], one["name"]), [])
            if abs(event["ts"] - first - begin) <= slack
            and abs(event["ts"] + event["dur"] - first - end) <= slack
            and (
                "examined" not in event["args"]
                or [str(event["args"][key]) for key in ("generation", "examined", "collected")]
                == [one.get(key) for key in ("generation", "examined", "collected")]
            )
        ]
        if not same:
            fault(f"{name}: no event is as {one}")
    wanted = collections.Counter((event["lane"], event["kind"]) for event in events)
    if drawn != wanted:
        fault(f"{name}: drawn are {drawn}, events are {wanted}")
    text = " ".join(text.text for text in root.iter(SVG + "text"))
    merged = len(rectangles) < len(events)
    if merged != (len(events) > MOST) or merged != ("apart are one" in text):
        fault(f"{name}: {len(events)} events, {len(rectangles)} rectangles, and it says: {text}")
    if f"{len(events)} events" not in text:
        fault(f"{name}: it does not say that there are {len(events)} events: {text}")


def call(*words):
    return subprocess.run(words, capture_output=True, text=True, check=False)


def draw(program, trace, picture, name):
    done = call(program, "trace", trace, picture)
    if done.returncode:
        fault(f"{name}: {done.stderr}")
    else:
        compare(trace, picture, name)


def made_up(path, count):
    """A trace of so many short events of two threads."""
    events = [{"name": "process_name", "ph": "M", "pid": 1, "args": {"name": "tally, none"}}]
    for thread in 1, 2:
        events.append(
            {"name": "thread_name", "ph": "M", "tid": thread, "args": {"name": f"thread {thread}"}}
        )
    for i in range(count):
        names = "safepoint", "waiting for the lock of an object", "in a blocked region"
        events.append(
            {
                "name": names[i % 3],
                "ph": "X",
                "ts": 1000 + 3 * i,
                "dur": 1 + i % 2,
                "tid": 1 + i % 5 % 2,
                "args": {"thread": 1 + i % 5 % 2},
            }
        )
    with open(path, "w", encoding="utf-8") as file:
        json.dump({"otherData": {"backend": "none"}, "traceEvents": events}, file)


def refused(program, trace, word, folder):
    done = call(program, "trace", trace, os.path.join(folder, "none.svg"))
    if done.returncode != 2 or done.stderr.count("\n") != 1 or word not in done.stderr:
        fault(f"{trace}: status {done.returncode}, {done.stderr}")
    if os.path.exists(os.path.join(folder, "none.svg")):
        fault(f"{trace}: a picture of it is there")


def main():
    program, check, *drivers = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        trace, picture = os.path.join(folder, "t.json"), os.path.join(folder, "t.svg")
        for driver in drivers:
            words = "--threads 2 --samples 1 --sample-ms 50 --warmup-ms 0 --trace".split()
            for workload in "tasks-cycle", "list-shared-append":
                name = f"{os.path.basename(driver)}, {workload}"
                done = call(driver, "--workload", workload, *words, trace)
                if done.returncode or call(sys.executable, check, trace).returncode:
                    fault(f"{name}: no good trace: {done.stderr}")
                else:
                    draw(program, trace, picture, name)
        for count in MOST, MOST + 1, 20 * MOST:
            made_up(trace, count)
            draw(program, trace, picture, f"{count} events")
        made_up(trace, 0)
        refused(program, trace, "has no event", folder)
        with open(trace, "w", encoding="utf-8") as file:
            file.write('{"traceEvents": [')
        refused(program, trace, "cut short", folder)
        with open(trace, "w", encoding="utf-8") as file:
            file.write('{"other": 1}')
        refused(program, trace, "no timeline", folder)
        refused(program, os.path.join(folder, "missing"), "cannot read", folder)
    for text in faults:
        print(f"trace_picture: {text}", file=sys.stderr)
    return bool(faults)


sys.exit(main())
