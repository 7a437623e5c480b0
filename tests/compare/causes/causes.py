#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Made-up runs with one planted cause, or two: each is named, with its share of the loss within
a third of the truth, and no other is; the sum of what is explained stands beside the loss.

Usage: causes.py TALLY-COMPARE.  Exit status 1 and a line for each fault.
"""
import random
import re
import sys

import planted

WALL, ROUNDS, RATE = 200_000_000, 6, 1e6
# How a cause shows: a statistic in nanoseconds, or a time of the kernel.
STATISTICS = {"gil": "gil_wait_ns", "locks": "lock_wait_ns", "merges": "grace_wait_ns"}
faults = []


def run(draw, backend, threads, number, causes, speed, **more):
    """`causes` are shares of the threads' time."""
    wall = WALL * threads
    stats = {STATISTICS[c]: int(wall * s) for c, s in causes.items() if c in STATISTICS}
    collector = causes.get("collector", 0) / threads
    stats |= {"gc_ns": int(wall * collector), "stopped_ns": int(wall * collector * (threads - 1))}
    if more.pop("counted", False):
        stats |= {"allocator_ns": int(wall * causes.get("allocator", 0))}
        stats |= {"merge_ns": int(wall * causes.get("merging", 0))}
    off = sum(causes.get(c, 0) for c in ("gil", "locks", "merges", "sleep", "no core"))
    off += collector * (threads - 1)
    system = int(wall * (0.005 + causes.get("kernel", 0)))
    operations = int(RATE * speed * WALL / 1e9 * draw.gauss(1, 0.01))
    return {
        "format": "tally-run",
        "version": 1,
        "workload": "planted",
        "backend": backend,
        "threads": threads,
        "round": number,
        "samples": [{"seconds": WALL / 1e9, "operations": operations}],
        "stats": stats,
        "time": {
            "wall_ns": wall,
            "user_ns": int(wall * (1 - off)) - system,
            "system_ns": system,
            "ready_ns": int(wall * causes.get("no core", 0)),
            "slept": 10,
            "preempted": 0,
        },
        **more,
    }


def made(draw, backend, causes, loss):
    """The causes are shares of the time of two threads, beyond what one thread has of them."""
    speed = 2 * (1 - loss)
    runs, without = [], []
    for number in range(ROUNDS):
        runs.append(run(draw, backend, 1, number, {}, 1))
        runs.append(run(draw, backend, 2, number, causes, speed))
        if "counts" in causes:
            free = speed / (1 - causes["counts"])
            without.append(run(draw, backend, 2, number, {}, free, without="counting"))
            without.append(run(draw, backend, 1, number, {}, 1, without="counting"))
        if "memory" in causes:
            # A private copy goes without waits and sleeps too.
            free = speed / (1 - sum(causes.values()))
            without.append(run(draw, backend, 2, number, {}, free, without="sharing"))
    counted = [run(draw, backend, t, 0, causes if t == 2 else {}, 1, counted=True) for t in (1, 2)]
    return planted.results("planted", backend, runs, without, counted)


def check(condition, *words):
    if not condition:
        faults.append(words)
        print(*words)


def judge(draw, backend, causes, loss):
    report = planted.Report(sys.argv[1], made(draw, backend, causes, loss))
    place = (backend, causes, loss)
    expected = {"merges" if c == "merging" else c for c in causes}
    check(abs(report.loss - loss) < 0.02, place, "loses", report.loss)
    check(set(report.named) == expected, place, "named are", report.named)
    for cause, share in causes.items():
        got = report.named.get("merges" if cause == "merging" else cause, 0)
        check(abs(got - share) < share / 3, place, cause, "has", got)
    explained = sum(causes.values())
    check(abs(report.explained - explained) < 0.03, place, "explained", report.explained)
    rest = loss - explained > loss / 2
    check(("The rest is own work" in report.sentence) == rest, place, report.sentence)


def doubtful(draw):
    """What may be gained by chance is no cause."""
    runs, without = [], []
    for number in range(ROUNDS):
        chance = (1.7, 0.8)[number % 2]
        runs.append(run(draw, "atomic", 1, number, {}, 1))
        runs.append(run(draw, "atomic", 2, number, {"sleep": 0.4}, 1.2))
        for cause in "counting", "sharing":
            without.append(run(draw, "atomic", 2, number, {}, 1.2 * chance, without=cause))
    report = planted.Report(sys.argv[1], planted.results("planted", "atomic", runs, without))
    check(set(report.named) == {"sleep"}, "by chance", report.sentence)


def sentences(draw):
    """More than the loss is explained, and why; no place; less than on one thread."""
    made_up = made(draw, "atomic", {"locks": 0.5}, 0.4)
    row = {"type": "str", "place": "(not recorded)", "lock_waits": 10**6, "share": 1.0}
    made_up["counted"][1]["contention"] = [row]
    sentence = planted.Report(sys.argv[1], made_up).sentence
    check(re.search("own work takes (9|10|11) % less", sentence), sentence)
    check("of type **str**." in sentence, sentence)
    runs = []
    for number in range(ROUNDS):  # the kernel takes less than on one thread
        runs.append(run(draw, "gil", 1, number, {"kernel": 0.3}, 1))
        runs.append(run(draw, "gil", 2, number, {"gil": 0.5}, 0.8))
    sentence = planted.Report(sys.argv[1], planted.results("planted", "gil", runs)).sentence
    check("the kernel −12 %" in sentence and "sleeps" not in sentence, sentence)


def main():
    draw = random.Random(1)
    for share in 0.32, 0.45, 0.6, 0.85:
        names = "locks counts memory collector merges merging sleep kernel"
        for cause in names.split():
            judge(draw, "atomic", {cause: share}, share)
        judge(draw, "atomic", {"allocator": share}, share)
        judge(draw, "atomic", {"no core": share}, share)
        judge(draw, "gil", {"gil": share}, share)
    for cause in "locks", "counts", "sleep":  # explains a part
        judge(draw, "atomic", {cause: 0.12}, 0.6)
        judge(draw, "atomic", {cause: 0.4}, 0.6)
    judge(draw, "atomic", {"locks": 0.3, "counts": 0.3}, 0.65)
    judge(draw, "atomic", {"locks": 0.2, "memory": 0.25, "counts": 0.2}, 0.65)
    judge(draw, "atomic", {"memory": 0.15, "sleep": 0.3, "kernel": 0.15}, 0.6)
    judge(draw, "atomic", {"memory": 0.2, "merging": 0.2, "collector": 0.2}, 0.6)
    judge(draw, "gil", {"gil": 0.4, "collector": 0.2}, 0.6)
    judge(draw, "atomic", {}, 0.5)  # nothing does
    doubtful(draw)
    sentences(draw)
    sys.exit(1 if faults else 0)


main()
