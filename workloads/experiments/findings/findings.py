#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Measures what talks on CPython's memory claim, on Tally's backends, and writes the findings.

Usage: findings.py --programs BUILD_DIR [--quick] [--rounds N] [--size PERCENT] [--output DIR]
       findings.py --page findings.json [--output DIR]      writes the page again

A round runs every experiment once on every backend, each in a fresh process, in an
order drawn anew; a ratio is formed within a round, so that a slow drift of the machine
falls on both of its sides. Estimates are medians over rounds, intervals are order
statistics: the narrowest that hold the true median with at least 95 %, or all rounds
where those are too few. Writes findings.json, with every round, and findings.md. One
run at a time has a folder; one that cannot write it any more ends within a round.
claims.py has the claims and the rules of their verdicts. Exit status: 0; 1 where an experiment
failed; 2: usage; 130: Ctrl-C, after writing what there is.
"""
import argparse
import json
import math
import os
import platform
import random
import shlex
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import program

import claims

BACKENDS = ["gil", "atomic", "biased"]
FORMAT, VERSION = "tally-findings", 1


def experiments(quick):
    """What a round runs: a key that claims.py knows, and the words of its command."""
    cores = str(min(len(os.sched_getaffinity(0)), 4))
    driver = [
        "--samples=2",
        "--sample-ms=" + ("50" if quick else "200"),
        "--warmup-ms=" + ("20" if quick else "100"),
    ]
    for backend in BACKENDS:
        for words in claims.PROGRAM_RUNS:
            yield f"{words} {backend}", [
                f"workloads/experiments/findings/findings-{backend}",
                *words.split(),
            ]
        for workload in "tasks-cycle", "tasks-weakref":
            size = ["--set=tasks=2000"] if quick else []
            yield f"{workload} {backend}", [
                f"tally-{backend}",
                "--workload=" + workload,
                "--threads=1",
                *driver,
                *size,
            ]
    for workload in "churn", "wordcount":
        text = (
            ["--text-bytes=" + ("1000000" if quick else "8000000")]
            if workload == "wordcount"
            else []
        )
        for backend, option in (
            ("gil", "--threads=1"),
            ("gil", "--threads=" + cores),
            ("gil", "--processes=" + cores),
            ("biased", "--threads=" + cores),
        ):
            kind = "one" if option == "--threads=1" else option[2:].split("=")[0]
            yield f"{workload} {kind} {backend}", [
                f"tally-{backend}",
                "--workload=" + workload,
                option,
                *driver,
                *text,
            ]
    for backend, scheme in (
        ("gil", "ticks"),
        ("gil", "cpython"),
        ("gil", "deadline"),
        ("atomic", "none"),
        ("biased", "none"),
    ):
        for busy in "0", "2":
            words = [
                "--busy=" + busy,
                "--requests=" + ("20" if quick else "100"),
                "--pause=" + ("2000" if quick else "5000"),
            ]
            words += [] if scheme == "none" else ["--scheme=" + scheme]
            yield f"convoy {scheme} {busy} {backend}", [
                f"workloads/experiments/convoy/convoy-{backend}",
                *words,
            ]


def flattened(output):
    """The figures of a program, by name; of a driver's block those that the claims need."""
    if output.get("format") != "tally-run":
        return output.get("figures", output)
    rates = sorted(sample["rate"] for sample in output["samples"])
    parts = (
        [output["collector"]]
        if "collector" in output
        else [part["collector"] for part in output.get("each_process", [])]
    )
    figures = {
        "rate": rates[len(rates) // 2],
        "memory_kib": output.get("pss_kib", output["peak_rss_kib"]),
        "collections": sum(part["collections"] for part in parts),
        "full_collections": sum(part["generations"][2]["collections"] for part in parts),
        "longest_pause_ns": max((part["pause_ns"]["longest"] for part in parts), default=0),
    }
    if "latency" in output:
        figures["longest_ns"] = output["latency"]["max_ns"]
    return figures


class Failed(Exception):
    pass


def run(programs, words, seconds=120):
    try:
        done = program.run(
            [os.path.join(programs, words[0]), *words[1:]],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            timeout=seconds,
        )
    except subprocess.TimeoutExpired:
        raise Failed(f"no answer in {seconds} s") from None
    if done.returncode:
        raise Failed(f"status {done.returncode}: {done.stderr.strip()[:300]}")
    try:
        return json.loads(done.stdout)
    except ValueError:
        raise Failed("it printed no JSON") from None


def instructions(programs, backend):
    """Of an assignment with counts, and without, by callgrind; None where there is no valgrind."""
    if not shutil.which("valgrind"):
        return None
    counts = {}
    for kind in "counted", "bare":
        experiment = os.path.join(programs, f"workloads/experiments/findings/findings-{backend}")
        done = program.run(
            [
                "valgrind",
                "--tool=callgrind",
                "--callgrind-out-file=/dev/null",
                f"--toggle-collect=assign_{kind}",
                experiment,
                "counting",
                f"{kind}-alone",
                "--size=10",
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        collected = [
            line.rsplit(":", 1)[1] for line in done.stderr.splitlines() if "Collected :" in line
        ]
        if done.returncode or not collected:
            raise Failed(f"valgrind: status {done.returncode}: {done.stderr.strip()[-200:]}")
        counts[kind] = int(collected[0]) / json.loads(done.stdout)["figures"]["assignments"]
    return {"counted": round(counts["counted"], 2), "bare": round(counts["bare"], 2)}


def machine():
    model = "unknown processor"
    with open("/proc/cpuinfo", encoding="utf-8") as lines:
        for line in lines:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    return {
        "processor": model,
        "processors": len(os.sched_getaffinity(0)),
        "system": platform.platform(),
        "load_average": os.getloadavg()[0],
    }


def measure(options):
    results = {
        "format": FORMAT,
        "version": VERSION,
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "commit": os.environ.get("TALLY_COMMIT", "unknown"),
        "machine": machine(),
        "quick": options.quick,
        "rounds": options.rounds,
        "size_percent": options.size,
        "incomplete": False,
        "commands": {},
        "figures": {},
        "instructions": {},
        "failures": [],
    }
    todo = list(experiments(options.quick))
    order = random.Random(options.seed)
    for key, words in todo:
        if words[0].startswith("workloads/experiments/findings") and options.size != 100:
            words.append(f"--size={options.size}")
        results["commands"][key] = shlex.join(words)
        results["figures"][key] = [None] * options.rounds
    began = last = time.monotonic()
    total, done = options.rounds * len(todo), 0
    try:
        for backend in BACKENDS:
            try:
                results["instructions"][backend] = instructions(options.programs, backend)
            except Failed as failure:
                results["failures"].append(
                    {"experiment": f"instructions {backend}", "why": str(failure)}
                )
        for number in range(options.rounds):
            for key, words in order.sample(todo, len(todo)):
                now = time.monotonic()
                if done and now - last >= 10:
                    last = now
                    left = (now - began) / done * (total - done)
                    print(
                        (
                            f"{done} of {total} runs done, about"
                            f" {int(left) // 60}:{int(left) % 60:02d} left; now {key}"
                        ),
                        file=sys.stderr,
                        flush=True,
                    )
                try:
                    results["figures"][key][number] = flattened(run(options.programs, words))
                except Failed as failure:
                    results["failures"].append({"experiment": key, "why": str(failure)})
                    print(f"failed: {key}: {failure}", file=sys.stderr, flush=True)
                done += 1
            save(results, options.output)
    except KeyboardInterrupt:
        results["incomplete"] = True
    results["seconds"] = round(time.monotonic() - began, 1)
    return results


# ---- estimates ---------------------------------------------------------------


def interval_rank(count):
    """From which smallest to which largest of so many values; and with which probability the true
    median is between."""

    def outside(k):  # of 2^count equally likely patterns of signs
        return 2 * sum(math.comb(count, i) for i in range(k)) / 2**count

    rank = 1
    while 2 * (rank + 1) <= count and 1 - outside(rank + 1) >= 0.95:
        rank += 1
    return rank, 1 - outside(rank)


class Results:
    """What the claims ask of the results: estimates, each as (median, low, high), or None where
    there is nothing."""

    def __init__(self, results):
        self.results = results

    def values(self, key, figure):
        return [row.get(figure) if row else None for row in self.results["figures"].get(key, [])]

    @staticmethod
    def estimate(values):
        values = sorted(value for value in values if value is not None)
        if not values:
            return None
        rank = interval_rank(len(values))[0]
        half = len(values) // 2
        middle = values[half] if len(values) % 2 else (values[half - 1] + values[half]) / 2
        return middle, values[rank - 1], values[-rank]

    def figure(self, key, figure):
        return self.estimate(self.values(key, figure))

    def ratio(self, over, under):
        """Of two (key, figure), formed in each round."""
        pairs = zip(self.values(*over), self.values(*under))
        return self.estimate(
            [
                None if a is None or b is None or a == b == 0 else a / b if b else math.inf
                for a, b in pairs
            ]
        )

    def command(self, key):
        return self.results["commands"].get(key, "")

    def instructions(self, backend):
        return self.results["instructions"].get(backend)


def save(results, folder):
    """What there is until now, marked incomplete: a folder that cannot be written any more ends the
    run within a round."""
    program.write(
        folder,
        {
            "findings.json": (
                json.dumps({**results, "incomplete": True, "seconds": 0}, indent=1) + "\n"
            )
        },
    )


def write(results, folder):
    program.write(
        folder,
        {
            "findings.json": json.dumps(results, indent=1) + "\n",
            "findings.md": claims.page(Results(results), results, interval_rank(results["rounds"])),
        },
    )


def refuse(why):
    print(f"findings.py: {why}", file=sys.stderr)
    sys.exit(2)


def load(path):
    try:
        with open(path, encoding="utf-8") as file:
            results = json.load(file)
    except (OSError, ValueError) as error:
        refuse(f"{path}: {error}; name the findings.json of tally findings")
    if (
        not isinstance(results, dict)
        or results.get("format") != FORMAT
        or results.get("version") != VERSION
    ):
        refuse(f"{path} is no tally findings file of version {VERSION}")
    return results


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--programs", metavar="DIR", help="build folder of the drivers and of findings-<backend>"
    )
    parser.add_argument("--page", metavar="FILE", help="write the page of this findings.json")
    parser.add_argument(
        "--quick", action="store_true", help="3 rounds of small experiments, for a look"
    )
    parser.add_argument("--rounds", type=int, help="rounds (default: 7)")
    parser.add_argument("--size", type=int, help="of the experiments, per cent (default: 100)")
    parser.add_argument("--seed", type=int, default=1, help="of the order")
    parser.add_argument("--output", default=".", metavar="DIR")
    options = parser.parse_args()
    options.rounds = options.rounds or (3 if options.quick else 7)
    options.size = options.size or (30 if options.quick else 100)
    if bool(options.programs) == bool(options.page):
        parser.error("give --programs or --page")
    if options.rounds < 1 or not 1 <= options.size <= 100:
        parser.error("--rounds is 1 at the least, --size from 1 to 100")
    if options.page:
        results = load(options.page)
        program.claim(options.output)
    else:
        missing = sorted(
            {
                words[0]
                for _, words in experiments(options.quick)
                if not os.access(os.path.join(options.programs, words[0]), os.X_OK)
            }
        )
        if missing:
            parser.error(f"no program {missing[0]} in {options.programs}; build it first")
        program.claim(options.output)
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        results = measure(options)
    write(results, options.output)
    print(claims.summary(Results(results)), end="")
    for failure in results["failures"]:
        print(f"failed: {failure['experiment']}: {failure['why']}", file=sys.stderr)
    print(os.path.join(options.output, "findings.md"))
    return 130 if results["incomplete"] else 1 if results["failures"] else 0


if __name__ == "__main__":
    program.main(main)
