#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The measurement of convoy.c on this Python: a line of JSON of the same form.

Usage: convoy.py [--busy N] [--requests N] [--interval US] [--pause US] [--work N] [--times]

The client is a process of its own, since a thread of it would need the GIL too.
Python's send() lets go of the GIL and takes it again, so a request needs it twice:
the second time after its answer has gone out, in the client's pause.
"""
import argparse
import json
import os
import random
import socket
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import program

WARM_UP, ITEMS = 10, 64


def has_gil():
    return getattr(sys, "_is_gil_enabled", lambda: True)()


def operate(items, i):
    number = i + 1000
    items[i % ITEMS] = (number, number)


def be_busy(stop, counts):
    items, done = [None] * ITEMS, 0
    while not stop:
        operate(items, done)
        done += 1
    counts.append(done)


def serve(end, work):
    items = [None] * ITEMS
    while byte := end.recv(1):
        for i in range(work):
            operate(items, i)
        end.send(byte)


def ask(end, options):
    times, draw = [], random.Random(1)
    for _ in range(WARM_UP + options.requests):
        time.sleep(options.pause * draw.uniform(1, 2) / 1e6)
        began = time.perf_counter()
        end.send(b"?")
        if not end.recv(1):
            raise SystemExit("convoy: no answer")
        times.append((time.perf_counter() - began) * 1e3)
    return times[WARM_UP:]


def main():
    parser = argparse.ArgumentParser()
    for name, default in (
        ("busy", 2),
        ("requests", 500),
        ("interval", 5000),
        ("pause", 10000),
        ("work", 10),
    ):
        parser.add_argument("--" + name, type=int, default=default)
    parser.add_argument("--times", action="store_true", help="print every time too")
    options = parser.parse_args()
    client, server = socket.socketpair()
    reader, writer = os.pipe()
    parent = os.getpid()
    child = os.fork()
    if child == 0:
        program.end_with_parent(parent)
        server.close()
        times = ask(client, options)
        client.close()
        with os.fdopen(writer, "w") as file:
            json.dump(sorted(times), file)
        os._exit(0)
    client.close()
    os.close(writer)
    sys.setswitchinterval(options.interval / 1e6)
    stop, counts, began = [], [], time.perf_counter()
    threads = [threading.Thread(target=serve, args=(server, options.work))]
    threads += [threading.Thread(target=be_busy, args=(stop, counts)) for _ in range(options.busy)]
    for thread in threads:
        thread.start()
    with os.fdopen(reader) as file:
        text = file.read()
    if os.waitpid(child, 0)[1] != 0 or not text:
        stop.append(True)
        raise SystemExit("convoy: the client failed")
    stop.append(True)
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - began
    times = json.loads(text)
    at = {
        share: times[min(int(share * len(times)), len(times) - 1)] for share in (0.5, 0.9, 0.99, 1)
    }
    print(
        json.dumps(
            {
                "backend": program.python_name(),
                "scheme": "cpython" if has_gil() else "none",
                "busy": options.busy,
                "requests": options.requests,
                "interval_us": options.interval,
                "p50_ms": at[0.5],
                "p90_ms": at[0.9],
                "p99_ms": at[0.99],
                "max_ms": at[1],
                **({"times_ms": times} if options.times else {}),
                "busy_operations_per_second": sum(counts) / seconds,
            }
        )
    )


if __name__ == "__main__":
    program.main(main)
