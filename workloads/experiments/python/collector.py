#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Measures the cycle collector of the Python that runs this, on the graphs of the
workloads gc-churn, gc-live, gc-garbage, gc-growth, tasks-cycle and tasks-weakref,
and prints a block of results as the drivers tally-<backend> do.

The options are those of the drivers. A pause is the time from gc's callback
before a collection to the one after: with a GIL nothing else runs meanwhile.
"""
import gc
import os
import random
import sys
import threading
import time
import weakref

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import program

clock = time.perf_counter_ns
SAFE_NAMES = [f"subtask-{i}" for i in range(64)]


class Wrong(Exception):
    pass


def check(good, what):
    if not good:
        raise Wrong(what)


# ---- what gc tells ------------------------------------------------------------


class Pauses:
    """Records each collection by gc.callbacks, while it is recording."""

    def __init__(self):
        self.recording = False
        self.began = self.watched = 0
        self.examined_each = 0  # set by the caller that knows how much there is
        self.all = []  # (generation, nanoseconds, collected, uncollectable)
        gc.callbacks.append(self.note)

    def note(self, phase, info):
        if phase == "start":
            self.began = clock()
        elif self.recording:
            self.all.append(
                (info["generation"], clock() - self.began, info["collected"], info["uncollectable"])
            )

    def part(self, rows):
        times = sorted(row[1] for row in rows)
        spread = {
            "total": sum(times),
            "median": at_share(times, 0.5),
            "p99": at_share(times, 0.99),
            "longest": times[-1] if times else 0,
        }
        return {
            "collections": len(rows),
            "pause_ns": spread,
            "stop_ns": {"total": 0, "median": 0, "p99": 0, "longest": 0},
            "collected": sum(row[2] for row in rows),
            "uncollectable": sum(row[3] for row in rows),
            "examined": self.examined_each * len(rows),
        }

    def result(self):
        result = self.part(self.all)
        result["generations"] = [
            self.part([row for row in self.all if row[0] == i]) for i in range(3)
        ]
        result["watched_ns"] = self.watched
        result["last_was"] = {}
        result["longest"] = [
            {"generation": row[0], "pause_ns": row[1]}
            for row in sorted(self.all, key=lambda row: -row[1])[:8]
        ]
        return result


def at_share(ordered, share):
    return ordered[max(0, -int(-share * len(ordered) // 1) - 1)] if ordered else 0


# ---- workloads ------------------------------------------------------------------


class Workload:
    latency = False
    collects = False  # the first thread collects, the others only run

    def __init__(self, options, values, pauses):
        self.options, self.values, self.pauses = options, values, pauses

    def enter(self, worker):
        return None

    def prepare(self, local):
        pass

    def leave(self, local):
        pass


class Live(Workload):
    parameters = {"nodes": 100000, "edges": 3, "order": "allocation"}
    unit = "objects examined"
    collects = True

    def enter(self, worker):
        count, edges = self.values["nodes"], self.values["edges"]

        class Node:
            __slots__ = tuple(f"edge_{i}" for i in range(edges))

        gc.disable()
        drawn = random.Random(self.options.seed)
        nodes = [Node() for _ in range(count)]
        for node in nodes:
            for name in Node.__slots__:
                setattr(node, name, nodes[drawn.randrange(count)])
        if self.values["order"] == "shuffled":
            drawn.shuffle(nodes)
        gc.collect()
        self.pauses.examined_each = len(gc.get_objects())
        return nodes

    def run(self, local):
        check(gc.collect() == 0, "a collection of live objects found some unreachable")
        check(self.pauses.examined_each >= len(local), "fewer objects than nodes are tracked")
        return self.pauses.examined_each


finalized = 0


class Half:
    __slots__ = ("other",)


class Final(Half):
    __slots__ = ()

    def __del__(self):
        global finalized
        finalized += 1


class Garbage(Workload):
    parameters = {"cycles": 50000, "finalizers": "none"}
    unit = "objects found"
    collects = True

    def enter(self, worker):
        gc.disable()
        gc.collect()
        return Half if self.values["finalizers"] == "none" else Final

    def prepare(self, local):
        global finalized
        finalized = 0
        for _ in range(self.values["cycles"]):
            one, two = local(), local()
            one.other, two.other = two, one
        one = two = None

    def run(self, local):
        expected = 2 * self.values["cycles"]
        found = gc.collect()
        check(found == expected, f"a collection found {found} unreachable objects, not {expected}")
        check(
            finalized == (expected if self.values["finalizers"] == "pep442" else 0),
            f"{finalized} finalizers ran",
        )
        return found


class Growth(Workload):
    parameters = {"containers": 200000}
    unit = "lists"
    collects = True

    def enter(self, worker):
        return []

    def prepare(self, local):
        local.clear()
        gc.collect()

    def run(self, local):
        count = self.values["containers"]
        for _ in range(count):
            local.append([None])
        check(len(local) == count, "the heap lacks lists")
        return count


class Link:
    __slots__ = ("next", "__weakref__")


class Churn(Workload):
    """Cycles that automatic collection frees, beside instances that stay."""

    parameters = {"ring": 4, "live": 50000, "seen": 0}
    unit = "instances"
    shown = []  # the ring that each worker has shown last, or None

    def enter(self, worker):
        if worker == 0:
            Churn.shown = [None] * self.options.threads
        live = self.values["live"] // self.options.threads
        return {"worker": worker, "live": [Link() for _ in range(live)], "canary": None}

    def show(self, local, ring):
        Churn.shown[local["worker"]] = ring
        other = Churn.shown[(local["worker"] + 1) % self.options.threads]
        for _ in range(self.values["ring"] if other else 0):
            other = other.next

    def run(self, local):
        length, seen = self.values["ring"], self.values["seen"]
        for i in range(4096 // length):
            ring = last = Link()
            for _ in range(length - 1):
                link = Link()
                last.next = link
                last = link
            last.next = ring
            if i == 0 and (local["canary"] is None or local["canary"]() is None):
                local["canary"] = weakref.ref(ring)
            if i * seen % 100 < seen:
                self.show(local, ring)
        return 4096 // length * length

    def leave(self, local):
        Churn.shown[local["worker"]] = None
        gc.collect()
        check(local["canary"]() is None, "a cycle that was dropped is alive")


class Task:
    def __init__(self, name):
        self.name = name
        self._subtasks = {}


class PlainSubtask:
    def __init__(self, name, task):
        self.name = name
        self._task = task

    def get_task(self):
        return self._task


class WeakSubtask:
    def __init__(self, name, task):
        self.name = name
        self._task = weakref.ref(task)

    def get_task(self):
        return self._task()


class Tasks(Workload):
    parameters = {"tasks": 20000, "subtasks": 5, "writes": 10}
    unit = "operations"
    latency = True
    subtask = PlainSubtask

    def create(self, local, number):
        task = Task(f"task-{number}")
        for i in range(self.values["subtasks"]):
            task._subtasks[SAFE_NAMES[i]] = self.subtask(SAFE_NAMES[i], task)
        local["tasks"][number] = task

    def enter(self, worker):
        count = max(2, self.values["tasks"] // self.options.threads)
        local = {
            "tasks": {},
            "count": count,
            "hole": None,
            "times": [],
            "random": random.Random(self.options.seed + worker).random,
        }
        for number in range(count):
            self.create(local, number)
        return local

    def operate(self, local):
        draw = local["random"]
        number = int(draw() * local["count"])
        if draw() * 100 >= self.values["writes"]:
            if number == local["hole"]:
                number = (number + 1) % local["count"]
            task = local["tasks"][number]
            back = task._subtasks[SAFE_NAMES[int(draw() * self.values["subtasks"])]].get_task()
            if back is not task or int(back.name[5:]) != number:
                raise Wrong(f"a subtask of task {number} has another task")
        elif local["hole"] is None:
            del local["tasks"][number]
            local["hole"] = number
        else:
            self.create(local, local["hole"])
            local["hole"] = None

    def run(self, local):
        times, last = local["times"], clock()
        for _ in range(512):
            self.operate(local)
            now = clock()
            times.append(now - last)
            last = now
        return 512

    def leave(self, local):
        check(
            len(local["tasks"]) == local["count"] - (local["hole"] is not None), "tasks are missing"
        )


class WeakTasks(Tasks):
    subtask = WeakSubtask


WORKLOADS = {
    "tasks-cycle": Tasks,
    "tasks-weakref": WeakTasks,
    "gc-growth": Growth,
    "gc-churn": Churn,
    "gc-live": Live,
    "gc-garbage": Garbage,
}


# ---- samples --------------------------------------------------------------------


def work(workload, worker, shared):
    options = workload.options
    idle = workload.collects and worker > 0
    try:
        local = None if idle else workload.enter(worker)
        shared["entered"].wait()
        for sample in range(-1, options.samples):  # the first warms up
            shared["gate"].wait()
            if sample == 0 and not idle and workload.latency:
                local["times"].clear()
            if sample == 0 and worker == 0:
                workload.pauses.watched = clock()
                workload.pauses.recording = True
            length = (options.warmup_ms if sample < 0 else options.sample_ms) / 1e3
            end, operations, spent = time.perf_counter() + length, 0, 0.0
            while True:
                if idle:
                    sum(range(1000))
                else:
                    workload.prepare(local)
                    began = time.perf_counter()
                    operations += workload.run(local)
                    spent += time.perf_counter() - began
                now = time.perf_counter()
                if now >= end:
                    break
            if sample >= 0:
                shared["operations"][sample][worker] = operations
                shared["seconds"][sample][worker] = length if idle else spent
            shared["gate"].wait()
        if worker == 0:
            workload.pauses.recording = False
            workload.pauses.watched = clock() - workload.pauses.watched
        if not idle:
            workload.leave(local)
            shared["times"].extend(local["times"] if workload.latency else [])
    except (Wrong, MemoryError) as error:
        shared["errors"].append(str(error))
        shared["entered"].abort()
        shared["gate"].abort()
    except threading.BrokenBarrierError:
        pass


def latency_of(times):
    cost = clock()
    for _ in range(10000):
        last = clock()
    ordered = sorted(times)
    result = {
        "clock": "perf_counter_ns, once an operation",
        "clock_ns": (last - cost) // 10000,
        "operations": len(ordered),
    }
    for key, share in ("p50_ns", 0.5), ("p90_ns", 0.9), ("p99_ns", 0.99), ("p99_9_ns", 0.999):
        result[key] = at_share(ordered, share)
    result["max_ns"] = ordered[-1] if ordered else 0
    return result


def measure(options, values):
    pauses = Pauses()
    workload = WORKLOADS[options.workload](options, values, pauses)
    threads = options.threads
    shared = {
        "entered": threading.Barrier(threads),
        "gate": threading.Barrier(threads),
        "operations": [[0] * threads for _ in range(options.samples)],
        "seconds": [[0.0] * threads for _ in range(options.samples)],
        "times": [],
        "errors": [],
    }
    workers = [
        threading.Thread(target=work, args=(workload, i, shared), daemon=True)
        for i in range(threads)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    if shared["errors"]:
        sys.exit(f"collector.py: {options.workload}: {shared['errors'][0]}")
    samples = []
    for operations, seconds in zip(shared["operations"], shared["seconds"]):
        rate = sum(count / spent for count, spent in zip(operations, seconds))
        samples.append(
            {
                "seconds": sum(seconds) / threads,
                "operations": sum(operations),
                "rate": rate,
                "per_thread": operations,
            }
        )
    more = {"latency": latency_of(shared["times"])} if workload.latency else {}
    program.print_run(
        options,
        unit=workload.unit,
        parameters=values,
        samples=samples,
        collector=pauses.result(),
        **more,
    )


# ---- command line ---------------------------------------------------------------


def parameters(parser, options):
    values = dict(WORKLOADS[options.workload].parameters)
    for pair in ",".join(options.set).split(",") if options.set else []:
        name, _, value = pair.partition("=")
        if name not in values:
            parser.error(
                f"--set: {options.workload} has no parameter '{name}'; it has {', '.join(values)}"
            )
        number = isinstance(values[name], int)
        if number and not value.isdigit():
            parser.error(f"--set {name} must be a whole number, not '{value}'")
        values[name] = int(value) if number else value
    if values.get("finalizers") == "python2":
        parser.error("--set finalizers=python2 is not to be had in Python 3")
    return values


def main():
    parser = program.driver_options(__doc__, WORKLOADS)
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE,...", help="parameters"
    )
    options = program.parse_driver(parser, WORKLOADS, lacks=["finalizers=python2"])
    if options:
        measure(options, parameters(parser, options))


program.main(main)
