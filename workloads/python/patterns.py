#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The nine pattern workloads of ../patterns.h as Python, on the interpreter that runs this.

    python3.13t workloads/python/patterns.py --threads 4 > cpython.json

Measures each pattern with 1 to so many threads and prints one JSON object: the
interpreter, and a row for each pattern, number of threads and sample. An
operation is what the workload of the same name counts. Each thread times itself
from the common start to the end of its last batch, and the rate is the sum over
the threads, as in Tally's drivers. Every batch is checked. Python 3.8 or later.
"""
import argparse
import json
import math
import os
import platform
import sys
import sysconfig
import threading
import time

ITERATIONS = 2048  # of one batch, as in patterns.h
FORMAT, VERSION = "tally-python-patterns", 1


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
    if not math.isclose(x, 1.01 ** ITERATIONS, rel_tol=1e-9):
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
    for function in (object_cfunction, cmodule_function, mult_constant, pymethod, create_pyobject,
                     create_dict, load_string_const, load_tuple_const, thread_local_read)
}


def sample(function, count, seconds):
    """Operations a second of `count` threads that call the function for so long."""
    start = threading.Barrier(count)
    rates = [None] * count
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
            rates[index] = done / (now - began)
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
    return sum(rates)


def has_gil():
    """Whether this process runs with a GIL, which a build without one can still have."""
    return getattr(sys, "_is_gil_enabled", lambda: True)()


def whole(least, most):
    def convert(text):
        value = int(text)
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"{value} is not from {least} to {most}")
        return value

    return convert


def arguments():
    parser = argparse.ArgumentParser(description="Measures Tally's pattern workloads as Python, "
                                     "on the interpreter that runs this, and prints JSON.")
    parser.add_argument("--threads", type=whole(1, 256), default=os.cpu_count() or 1, metavar="N",
                        help="measure with 1 to N threads (default: a thread a processor, %(default)s)")
    parser.add_argument("--samples", type=whole(1, 10000), default=3, metavar="N",
                        help="samples of each number of threads (default: %(default)s)")
    parser.add_argument("--sample-ms", type=whole(1, 600000), default=200, metavar="MS",
                        help="length of a sample (default: %(default)s)")
    parser.add_argument("patterns", nargs="*", metavar="PATTERN",
                        help="only these: " + ", ".join(PATTERNS))
    options = parser.parse_args()
    for name in options.patterns:
        if name not in PATTERNS:
            parser.error(f"there is no pattern '{name}'; there are {', '.join(PATTERNS)}")
    return options


def main():
    options = arguments()
    rows = []
    for name in options.patterns or PATTERNS:
        for count in range(1, options.threads + 1):
            for number in range(options.samples):
                rate = sample(PATTERNS[name], count, options.sample_ms / 1000)
                rows.append({"name": name, "threads": count, "sample": number,
                             "operations_per_second": rate})
    json.dump({
        "format": FORMAT,
        "version": VERSION,
        "implementation": platform.python_implementation(),
        "python": platform.python_version(),
        "compiler": platform.python_compiler(),
        "build_without_gil": bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
        "gil": has_gil(),
        "processors": os.cpu_count(),
        "sample_ms": options.sample_ms,
        "results": rows,
    }, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
