# SPDX-License-Identifier: LGPL-2.1-or-later
"""Results of one workload and backend with planted causes, and what the report says of them."""
import json
import os
import re
import subprocess
import tempfile

# The report's words and heads of columns, by cause.
WORDS = {
    "gil": ("waits for the GIL", "GIL"),
    "locks": ("waits for locks of objects, and turns", "locks"),
    "counts": ("refcounts of shared objects", "counts"),
    "memory": ("memory that threads share", "shared memory"),
    "collector": ("the collector", "collector"),
    "merges": ("merges and grace periods", "merges, grace periods"),
    "allocator": ("the allocator's slow paths", "allocator"),
    "sleep": ("threads that sleep", "sleeping"),
    "kernel": ("the kernel", "kernel"),
    "no core": ("no free core", "no free core"),
}


def results(workload, backend, runs, what_if=(), counted=()):
    locking = "gil/lock" if backend == "gil" else "nogil/locks"
    return {
        "format": "tally-results",
        "version": 4,
        "started": "2026-01-01T10:00:00Z",
        "seed": 1,
        "margin": 0.02,
        "self": False,
        "incomplete": False,
        "workloads": [{"name": workload, "description": "", "unit": "operations"}],
        "backends": [
            {"name": backend, "role": "product", "refcount": "refcount", "locking": locking}
        ],
        "machine": {"cores": 2},
        "build": {"compiler": "cc", "flags": "", "type": "Release", "commit": "c"},
        "runs": list(runs),
        "control": [],
        "what_if": list(what_if),
        "counted": list(counted),
        "failures": [],
    }


class Report:
    """Of one workload: the share of each cause in the table, and those that are named."""

    def __init__(self, compare, made):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "results.json")
            with open(path, "w", encoding="utf-8") as file:
                json.dump(made, file)
            out = os.path.join(folder, "out")
            subprocess.run(
                [compare, "report", path, "--output", out], check=True, stdout=subprocess.DEVNULL
            )
            with open(os.path.join(out, "report.md"), encoding="utf-8") as file:
                self.text = file.read()
        table = self.text.split("Where the time of 2 threads goes")[1].strip().splitlines()
        heads, cells = ([c.strip() for c in table[i].strip("|").split("|")] for i in (0, 2))
        row = dict(zip(heads, cells))
        self.shares = {
            cause: float(row.get(head, "0").strip(" %") or 0) / 100
            for cause, (_, head) in WORDS.items()
        }
        self.sentence = next((l for l in self.text.splitlines() if "measured causes" in l), "")
        number = r"\*\*(-?\d+) %\*\*"
        found = re.search(f"loses {number}.*explain {number}", self.sentence)
        self.loss, self.explained = (int(n) / 100 for n in found.groups()) if found else (0, 0)
        self.named = {
            cause: int(match.group(1)) / 100
            for cause, (words, _) in WORDS.items()
            if (match := re.search(f"[:,] {re.escape(words)} (\\d+) %", self.sentence))
        }
