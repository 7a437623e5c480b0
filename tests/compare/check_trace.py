#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Judges a timeline in Chrome's trace format.

Usage: check_trace.py TRACE.json NAME...
It is JSON; every track has a name; collections alone have a generation and counts; in each track
events are in the order of time, and of two events one holds the other or they are apart, so that
begins and ends match; every NAME is the name of an event. Exit status 1 and a line for the first
fault.
"""
import json
import sys

SLACK = 0.002  # microseconds: times are written with three decimals


def fault(text):
    sys.exit(f"check_trace: {sys.argv[1]}: {text}")


def check_track(name, events):
    open_ends = []
    last = 0
    for event in events:
        begin, end = event["ts"], event["ts"] + event["dur"]
        if begin < last:
            fault(f"{name}: {event['name']} at {begin} comes after {last}")
        if event["dur"] < 0:
            fault(f"{name}: {event['name']} at {begin} ends before it begins")
        while open_ends and open_ends[-1][0] <= begin + SLACK:
            open_ends.pop()
        if open_ends and end > open_ends[-1][0] + SLACK:
            fault(
                f"{name}: {event['name']} ends after {open_ends[-1][1]}, in which it began, at"
                f" {begin}"
            )
        open_ends.append((end, event["name"]))
        last = begin
        check_counts(event)


def check_counts(event):
    counts = event["args"].keys() - {"thread"}
    if not event["name"].endswith("collection"):
        if counts:
            fault(f"{event['name']} has {counts}")
    elif counts != {"generation", "examined", "collected"}:
        fault(f"a {event['name']} has {counts}")
    elif (event["args"]["generation"] == 2) != (event["name"] == "collection"):
        fault(f"a {event['name']} of generation {event['args']['generation']}")


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    with open(sys.argv[1], encoding="utf-8") as file:
        events = json.load(file)["traceEvents"]
    names = {
        event["tid"]: event["args"]["name"] for event in events if event["name"] == "thread_name"
    }
    tracks = {}
    for event in events:
        if event["ph"] == "X":
            tracks.setdefault(event["tid"], []).append(event)
        elif event["ph"] != "M":
            fault(f"an event of the phase {event['ph']}")
    for track, list_of in tracks.items():
        if track not in names:
            fault(f"the track {track} has no name")
        check_track(names[track], list_of)
    for name in sys.argv[2:]:
        if not any(
            event["name"].endswith(name) for list_of in tracks.values() for event in list_of
        ):
            fault(f"there is no event '{name}'")


main()
