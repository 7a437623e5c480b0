#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Loads a task server with wrk, on loopback, and prints throughput and latency as a line of JSON.

Usage: load.py SERVER [--version 1|2] [--threads N] [--seconds N] [--connections N] [--tasks N]
               [--seed N] [--check]

With --check, check.py first compares the server's answers with its model. Exit status 1 if an
answer was wrong or a request failed.
"""
import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys

import check
import program

HERE = os.path.dirname(os.path.abspath(__file__))


def load(options):
    with check.Server(
        options.server,
        "--version",
        options.version,
        "--threads",
        options.threads,
        "--tasks",
        options.tasks,
    ) as server:
        words = ["wrk", "-t", 2, "-c", options.connections, "-d", options.seconds, "--timeout", 10]
        words += ["--latency", "-s", os.path.join(HERE, "mix.lua"), server.url]
        words += ["--", options.tasks, options.seed]
        wrk = program.run([str(word) for word in words], stdout=subprocess.PIPE, text=True)
    if wrk.returncode:
        raise check.Wrong(f"wrk ended with status {wrk.returncode}")
    told = json.loads(wrk.stdout.splitlines()[-1])
    told["requests_per_second"] = told["requests"] / told["duration_us"] * 1e6
    wrong = {s: n for s, n in server.statistics["by_status"].items() if s not in ("200", "201")}
    if told["failed"] or wrong or not told["requests"]:
        raise check.Wrong(
            f"{told['failed']} of {told['requests']} requests failed ({told['status_errors']} by "
            f"status, {told['socket_errors']} by socket, {told['timeouts']} too late); the server "
            f"counts {wrong}"
        )
    return {
        "backend": os.path.basename(options.server).removeprefix("task-server-"),
        "version": options.version,
        "threads": options.threads,
        "connections": options.connections,
        "seconds": options.seconds,
        "load": told,
        "server": server.statistics,
    }


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("server", help="the program task-server-<backend>")
    defaults = {
        "version": 1,
        "threads": 1,
        "seconds": 5,
        "connections": 64,
        "tasks": 10000,
        "seed": 1,
    }
    for name, default in defaults.items():
        parser.add_argument("--" + name, type=int, default=default)
    parser.add_argument("--check", action="store_true", help="compare the answers first")
    options = parser.parse_args()
    if not shutil.which("wrk"):
        raise program.Refused("no wrk (Debian: wrk)")
    if not os.access(options.server, os.X_OK):
        raise program.Refused(
            f"no program {options.server}; build it, with libmicrohttpd (Debian: libmicrohttpd-dev)"
        )
    try:
        if options.check:
            with contextlib.redirect_stdout(sys.stderr):
                check.check(options.server, options.version)
        print(json.dumps(load(options)), flush=True)
    except (check.Wrong, OSError) as error:
        if isinstance(error, OSError) and program.lost(error):
            raise
        print(f"load.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    program.main(main)
