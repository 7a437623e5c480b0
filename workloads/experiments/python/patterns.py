#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The nine pattern workloads of ../patterns.h as Python, on the interpreter that runs this.

Takes the options of a Tally driver and prints a block of the same form:

    python3.13t workloads/experiments/python/patterns.py --workload object-cfunction --threads 4

An operation is what the workload of the same name counts. Each thread times itself
from the common start to the end of its last batch, and the rate is all operations over
the time until the last of them ends, as in Tally's drivers. Every batch is checked.
Python 3.7 or later.
"""
import math
import os
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import program

ITERATIONS = 2048  # of one batch, as in patterns.h


class WrongResult(Exception):
    pass


def check(result, known):
    if result != known:
        raise WrongResult(f"the result is {result}, not {known}")


class Counter:
    def __init__(self):
        self.i = 0

    def next_number(self):
        self.i += 1
        return self.i


class MyObject:
    pass


context = threading.local()


def object_cfunction():
    items = [1] * 100
    total = 0
    for i in range(ITERATIONS):
        items.pop(0)
        items.append(i)
        total += items[50]
    later = ITERATIONS - 49  # before, the middle is a one of the beginning
    check(total, 49 + later * (later - 1) // 2)
    return ITERATIONS


def cmodule_function():
    result = None
    for i in range(ITERATIONS):
        result = math.floor(i * i)
    check(result, (ITERATIONS - 1) ** 2)
    return ITERATIONS


def mult_constant():
    x = 1.0
    for _ in range(ITERATIONS):
        x *= 1.01
    if not math.isclose(x, 1.01**ITERATIONS, rel_tol=1e-9):
        raise WrongResult(f"the product is {x}")
    return ITERATIONS


def pymethod():
    counter = Counter()
    for _ in range(ITERATIONS):
        counter.next_number()
    check(counter.i, ITERATIONS)
    return ITERATIONS


def create_pyobject():
    instance = None
    for _ in range(ITERATIONS):
        instance = MyObject()
    check(type(instance), MyObject)
    return ITERATIONS


def create_dict():
    record = None
    for _ in range(ITERATIONS):
        record = {"key": "value"}
    check(record, dict([("key", "value")]))
    return ITERATIONS


def load_string_const():
    different = 0
    for i in range(ITERATIONS):
        if i == "a string":
            raise WrongResult("an int is equal to a str")
        different += 1
    check(different, ITERATIONS)
    return ITERATIONS


def load_tuple_const():
    different = 0
    for i in range(ITERATIONS):
        if i == (1, 2):
            raise WrongResult("an int is equal to a tuple")
        different += 1
    check(different, ITERATIONS)
    return ITERATIONS


def thread_local_read():
    mine = context
    mine.x = value = threading.get_ident()
    x = None
    rounds = ITERATIONS // 4
    for _ in range(rounds):
        x = mine.x
        x = mine.x
        x = mine.x
        x = mine.x
        x = mine.x
    check(x, value)
    return rounds * 5


PATTERNS = {
    function.__name__.replace("_", "-"): function
    for function in (
        object_cfunction,
        cmodule_function,
        mult_constant,
        pymethod,
        create_pyobject,
        create_dict,
        load_string_const,
        load_tuple_const,
        thread_local_read,
    )
}


def sample(function, count, seconds):
    """`count` threads call the function for so long: operations of each, and the time of all."""
    start = threading.Barrier(count)
    results = [None] * count
    failures = []

    def work(index):
        try:
            function()  # specialises the bytecode, and checks that it works here at all
            start.wait()
            began = now = time.perf_counter()
            done = 0
            while now - began < seconds:
                done += function()
                now = time.perf_counter()
            results[index] = done, began, now
        except Exception as error:  # of a thread: told by the main one
            failures.append(error)
            start.abort()

    threads = [threading.Thread(target=work, args=(index,)) for index in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    causes = [error for error in failures if not isinstance(error, threading.BrokenBarrierError)]
    if failures:
        raise (causes or failures)[0]
    done, began, ended = zip(*results)
    seconds = max(ended) - min(began)
    return {
        "seconds": seconds,
        "operations": sum(done),
        "rate": sum(done) / seconds,
        "per_thread": list(done),
    }


def measure(options):
    function = PATTERNS[options.workload]
    if options.warmup_ms:
        sample(function, options.threads, options.warmup_ms / 1000)
    samples = [
        sample(function, options.threads, options.sample_ms / 1000) for _ in range(options.samples)
    ]
    program.print_run(
        options,
        unit="operations",
        parameters={},
        samples=samples,
        oversubscribed=options.threads > len(os.sched_getaffinity(0)),
        pinned=False,
    )


def main():
    parser = program.driver_options(__doc__, PATTERNS)
    options = program.parse_driver(parser, PATTERNS)
    if options:
        measure(options)


if __name__ == "__main__":
    program.main(main)
