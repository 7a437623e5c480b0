#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Times requests to task servers under load, with the times of their collections, and draws them.

Usage: timeline.py --draw TALLY_DRAW --backends FILE --output DIR [OPTION...] SERVER...

Each program task-server-<backend> runs with version 1 and with version 2. wrk loads it, and clients
beside that send a request, wait for the answer, and send the next one a moment later: their
requests are the samples. The folder gets results.csv (a line per request), results.json (runs and
their collections), and what tally-draw makes of both. Nothing is written if a request failed or the
run was ended early. Exit status: 0; 1 a request failed; 2 a wrong argument; 130 Ctrl-C.
"""
import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time

import check
import program

HERE = os.path.dirname(os.path.abspath(__file__))
BYTES_PER_TASK = 2048
MAKE_SECONDS_PER_TASK = 8e-6


class Progress:
    """How far it is and how long it takes, on standard error: one line that is rewritten on a
    terminal, else one line per run."""

    def __init__(self, options, runs):
        self.options, self.runs, self.done = options, runs, 0
        self.began = time.monotonic()
        self.terminal = sys.stderr.isatty()

    def each(self):
        if self.done:
            return (time.monotonic() - self.began) / self.done
        return self.options.seconds + MAKE_SECONDS_PER_TASK * self.options.tasks + 1

    def say(self, what, spent=0):
        left = max(0, int(self.each() * (self.runs - self.done) - spent))
        line = f"{self.done + 1} of {self.runs}: {what}, about {left // 60}:{left % 60:02} left"
        if self.terminal:
            print(f"\r\033[K{line}", end="", file=sys.stderr, flush=True)
        elif not spent:
            print(line, file=sys.stderr, flush=True)

    def end(self):
        self.done += 1
        if self.terminal:
            print("\r\033[K", end="", file=sys.stderr, flush=True)


def start_wrk(script, server, options, threads, connections, *arguments):
    words = ["wrk", "-t", threads, "-c", connections, "-d", options.seconds, "--timeout", 600]
    words += ["-s", os.path.join(HERE, script), server.url, "--", options.tasks, *arguments]
    return program.start([str(word) for word in words], stdout=subprocess.PIPE, text=True)


def end_wrk(wrk):
    text = wrk.communicate()[0]
    if wrk.returncode:
        raise check.Wrong(f"wrk ended with status {wrk.returncode}")
    told = json.loads(text.splitlines()[-1])
    if told["failed"] or not told["requests"]:
        raise check.Wrong(f"{told['failed']} of {told['requests']} requests failed")
    return told


def read_samples(folder, clients, began):
    for client in range(1, clients + 1):
        with open(f"{folder}/samples.{client}", encoding="ascii") as file:
            for line in file:
                sent, took = map(int, line.split())
                yield client, (sent - began) / 1e9, took / 1e6


def collections_of(statistics, began, last):
    """Those that any of the requests can have met, in the order of their beginnings."""
    found = []
    for one in statistics["collections"]["each"]:
        start, end = ((one[key] - began) / 1e9 for key in ("began_ns", "ended_ns"))
        if end >= 0 and start <= last:
            found.append(
                {
                    "generation": one["generation"],
                    "began_s": max(start, 0),
                    "ended_s": end,
                    "pause_ms": one["pause_ns"] / 1e6,
                    "examined": one["examined"],
                    "collected": one["collected"],
                }
            )
    return sorted(found, key=lambda one: one["began_s"])


def measure(server_program, version, options, progress):
    backend = os.path.basename(server_program).removeprefix("task-server-")
    name = f"{backend}, version {version}"
    progress.say(f"{name}, makes {options.tasks} tasks")
    words = ["--version", version, "--threads", options.threads, "--tasks", options.tasks]
    with tempfile.TemporaryDirectory() as folder:
        with check.Server(server_program, *words, "--timeline") as server:
            began, from_here = time.monotonic_ns(), time.monotonic()
            load = start_wrk(
                "mix.lua", server, options, 2, options.connections, options.seed, options.replacing
            )
            clients = start_wrk(
                "timed.lua",
                server,
                options,
                options.clients,
                options.clients,
                options.seed + 1000,
                0,
                options.wait_ms,
                f"{folder}/samples",
            )
            while load.poll() is None:
                progress.say(f"{name}, under load", time.monotonic() - from_here or 1)
                time.sleep(0.5)
            told = end_wrk(load)
            end_wrk(clients)
        samples = list(read_samples(folder, options.clients, began))
    progress.end()
    statistics = server.statistics
    run = {
        "backend": backend,
        "version": version,
        "requests": len(samples),
        "requests_per_second": told["requests"] / told["duration_us"] * 1e6,
        "peak_memory_bytes": statistics["peak_memory_bytes"],
        "collections": collections_of(statistics, began, max(sent for _, sent, _ in samples)),
    }
    return run, [(backend, version, *sample) for sample in samples]


def say(run, samples):
    full = [one for one in run["collections"] if one["generation"] == 2]
    longest = max((one["ended_s"] - one["began_s"] for one in full), default=0)
    text = f", the longest {longest:.3f} s" if full else ""
    print(
        f"{run['backend']}, version {run['version']}: {len(full)} full "
        f"collection{'' if len(full) == 1 else 's'}{text}; the slowest of {len(samples)} requests "
        f"took {max(took for *_, took in samples):.1f} ms"
    )


def write(folder, name, text):
    """Nobody sees half of it."""
    with open(f"{folder}/{name}.tmp", "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(f"{folder}/{name}.tmp", f"{folder}/{name}")


def processor():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.machine()


def check_memory(tasks):
    with open("/proc/meminfo", encoding="ascii") as file:
        free = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in file}["MemAvailable"]
    if tasks * BYTES_PER_TASK > free:
        raise program.Refused(
            f"{tasks} tasks take about {tasks * BYTES_PER_TASK / 2**30:.1f} GiB and "
            f"{free / 2**30:.1f} are free; give fewer by --tasks"
        )


def refuse(text):
    raise program.Refused(text)


def parse():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("servers", nargs="+", help="the programs task-server-<backend>")
    parser.add_argument("--draw", required=True, help="the program tally-draw")
    parser.add_argument("--backends", required=True, help="backends.json of the build")
    parser.add_argument("--output", required=True, help="the folder for the report")
    for name, least, most, default in (
        ("tasks", 1, 10000000, 2000000),
        ("seconds", 1, 86400, 60),
        ("threads", 1, 256, 2),
        ("clients", 1, 64, 8),
        ("connections", 2, 1024, 16),
        ("wait-ms", 0, 10000, 20),
        ("replacing", 0, 100, 60),
        ("seed", 0, 999999999, 1),
    ):
        parser.add_argument("--" + name, type=program.whole(least, most), default=default)
    parser.error = refuse
    return parser.parse_args()


def main():
    options = parse()
    if not shutil.which("wrk"):
        raise program.Refused("no wrk (Debian: wrk)")
    check_memory(options.tasks)
    with open(options.backends, encoding="utf-8") as file:
        names = [backend["name"] for backend in json.load(file)]
    load_before = os.getloadavg()[0]
    progress = Progress(options, 2 * len(options.servers))
    runs, samples = [], []
    try:
        for version in 1, 2:
            for server in options.servers:
                run, some = measure(server, version, options, progress)
                runs.append(run)
                samples += some
                say(run, some)
    except check.Wrong as error:
        print(f"timeline.py: {error}", file=sys.stderr)
        return 1
    results = {
        "format": "tally-request-times",
        "version": 1,
        "commit": os.environ.get("TALLY_COMMIT", "unknown"),
        "command": os.environ.get("TALLY_COMMAND", " ".join(sys.argv)),
        "backends": names,
        "machine": {
            "processor": processor(),
            "processors": len(os.sched_getaffinity(0)),
            "load_before": load_before,
            "load_after": os.getloadavg()[0],
        },
        "settings": {
            key: getattr(options, key)
            for key in "tasks seconds threads clients connections wait_ms replacing seed".split()
        },
        "runs": runs,
    }
    rows = [f'"{b}",{v},{client},{sent:.6f},{took:.6f}' for b, v, client, sent, took in samples]
    try:
        os.makedirs(options.output, exist_ok=True)
        write(
            options.output,
            "results.csv",
            "\n".join(["backend,version,client,sent_s,ms", *rows, ""]),
        )
        write(options.output, "results.json", json.dumps(results, indent=1) + "\n")
    except OSError as error:
        raise program.Refused(f"cannot write to {options.output}: {error.strerror}") from None
    if program.run([options.draw, "server", options.output]).returncode:
        return 2
    print(f"{options.output}/report.html")
    return 0


if __name__ == "__main__":
    program.main(main)
