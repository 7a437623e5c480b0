# SPDX-License-Identifier: LGPL-2.1-or-later
"""Results of a made-up comparison: three workloads, three backends, one and two threads,
four rounds.  A round's speed is common to all that ran in it, as on a real machine.

make(day) gives the same object each time; another day has another seed and a common shift.
"""
import math
import random

BACKENDS = {
    # name: refcount, locking, collector; times one thread of gil, on 1 and on 2 threads
    "gil": ("gil/refcount", "gil/lock", "gil/generations", (1, 0.97)),
    "atomic": ("nogil/refcount/atomic", "nogil/locks", "nogil/stop", (0.8, 1.3)),
    "biased": ("nogil/refcount/biased", "nogil/locks", "nogil/stop", (0.99, 1.95)),
}
WORKLOADS = {
    # name: description, unit, sharing, operations a second, kind
    "churn": ("Make instances and drop them.", "objects", "own", 4e6, "own objects"),
    "list-shared-read": ("All threads read one list.", "reads", "shared", 3e7, "shared objects"),
    "gc-live": (
        "Full collections of live instances.",
        "objects examined",
        "own",
        2e7,
        "cycle collector",
    ),
}
FACTS = {
    # workload, backend: on 2 threads, where it is not the backend's own
    ("list-shared-read", "atomic"): 0.4,
    ("list-shared-read", "biased"): 1.9,
    ("gc-live", "biased"): 1.2,
}
ABLATIONS = {"gil-atomic": (BACKENDS["atomic"], 0.85), "gil-biased": (BACKENDS["biased"], 0.97)}
THREADS, ROUNDS, SAMPLES = (1, 2), 4, 4


def spread(total, median, p99, longest):
    return {"total": total, "median": median, "p99": p99, "longest": longest}


def generation(count, examined):
    pause = spread(count * 900_000, 850_000, 1_500_000, 1_600_000) if count else spread(0, 0, 0, 0)
    parts = {name: count * ns for name, ns in (("mark_ns", 700_000), ("finalize_ns", 10_000))}
    parts |= {"check_ns": 0, "free_ns": count * 50_000, "reentry_ns": count * 2_000}
    stop = spread(count * 8000, 7000, 20_000, 30_000) if count else spread(0, 0, 0, 0)
    return {
        "collections": count,
        "pause_ns": pause,
        "stop_ns": stop,
        **parts,
        "automatic": 0,
        "examined": examined,
        "collected": 0,
        "collected_running": 0,
        "uncollectable": 0,
        "helpers": 0,
    }


def parts(workload, backend, threads):
    """Shares of the threads' time that have a name."""
    waits = 0.48 if backend == "gil" and threads == 2 else 0
    stopped = 0.13 if workload == "gc-live" and backend != "gil" and threads == 2 else 0
    collecting = 0.26 / threads if workload == "gc-live" else 0
    return {"gil_wait_ns": waits, "stopped_ns": stopped, "gc_ns": collecting}


def kernel_times(wall, shares, **more):
    """The statistics and times of a run: what is waited for is not on a processor."""
    waits = sum(v for k, v in shares.items() if k not in ("gc_ns", "merge_ns", "allocator_ns"))
    told = {"ready_ns": 0, "system_ns": wall // 100, "slept": 6, "preempted": 0} | more
    user = wall - int(wall * waits) - told["ready_ns"] - told["system_ns"]
    return {
        "stats": {name: int(wall * share) for name, share in shares.items()},
        "time": {"wall_ns": wall, "user_ns": user} | told,
    }


class Run:
    """Draws the runs of one day."""

    def __init__(self, day):
        self.random = random.Random(day)
        self.shift = 0.06 * (day - 1)
        self.rounds = {}

    def noise(self, size):
        return self.random.gauss(0, size)

    def common(self, kind, workload, number):
        """What the machine did to all of a round, and to a workload in it."""
        kind = "timed" if kind in ("control", "what_if") else kind
        for place, size in ((kind, number), 0.25), ((kind, workload, number), 0.05):
            if place not in self.rounds:
                self.rounds[place] = self.noise(size)
        return self.rounds[kind, number] + self.rounds[kind, workload, number]

    def run(self, kind, workload, backend, threads, number, **more):
        _, unit, sharing, rate, _ = WORKLOADS[workload]
        times = ABLATIONS[backend][1] if backend in ABLATIONS else BACKENDS[backend][3][threads - 1]
        if threads == 2:
            times = FACTS.get((workload, backend), times)
        log = self.common(kind, workload, number) + self.shift + self.noise(0.02)
        rate *= times * math.exp(log) * more.pop("times", 1)
        samples = [self.sample(rate, threads) for _ in range(SAMPLES)]
        if number == 0:
            samples[0]["rate"] = samples[0]["rate"] / 2
            samples[0]["warmup"] = True
        lone = (workload, backend, number) == ("churn", "atomic", 0)  # others do not collect
        count = 120 if workload == "gc-live" else int(lone)
        return {
            "format": "tally-run",
            "version": 1,
            "workload": workload,
            "backend": backend,
            "mode": "threads",
            "threads": threads,
            "unit": unit,
            "sharing": sharing,
            "parameters": {"nodes": 100000} if workload == "gc-live" else {},
            "gil": {"policy": "cpython", "interval_us": 5000} if backend == "gil" else None,
            "without": None,
            "samples": samples,
            "warmup_ms": 10,
            "peak_rss_kib": 6000 + 200 * threads,
            "baseline_rss_kib": 6000,
            "setup_peak_rss_kib": 1000 if workload == "churn" else 6000,
            "pss_kib": 4800,
            "header_bytes": {"plain": 16, "container": 16},
            "object_bytes": {"int": 24, "empty list": 32},
            "detailed": False,
            "collector": {
                **generation(count, count * 100_000),
                "watched_ns": 400_000_000,
                "shared": 0,
                "generations": [generation(0, 0), generation(0, 0), generation(count, 0)],
                "last_was": {"running": 5} if count else {},
                "longest": [],
            },
            "perf": {
                "counts": {"context_switches": 3, "page_faults": 140, "migrations": 0},
                "unavailable": {"cycles": "this machine has no such counter (ENOENT)"},
            },
            **kernel_times(threads * 400_000_000, parts(workload, backend, threads)),
            "live_at_finish": 0,
            "pinned": True,
            "oversubscribed": False,
            "few_turns": backend == "gil" and threads == 2,
            "incomplete": False,
            "heap_offset": 4096,
            "addresses_randomised": True,
            "round": number,
            "seed": self.random.randrange(1 << 31),
            "environment_bytes": 873,
            "wall_seconds": 0.125,
            "warmup_samples": int(number == 0),
            **more,
        }

    def sample(self, rate, threads):
        rate = float(f"{rate * math.exp(self.noise(0.005)):.6g}")
        operations = int(rate * 0.1)
        each = [operations // threads] * threads
        return {
            "seconds": 0.1,
            "operations": sum(each),
            "rate": rate,
            "per_thread": each,
            "per_thread_seconds": [0.1] * threads,
        }

    def counted(self, workload, backend, threads):
        one = self.run("counted", workload, backend, threads, 0, detailed=True)
        one["samples"] = one["samples"][1:2]
        operations = one["samples"][0]["operations"]
        contended = operations // 2 if (workload, threads) == ("list-shared-read", 2) else 0
        contended *= backend == "atomic"
        one["stats"] |= {
            "lost_cas": contended,
            "gil_waits": 40 * (backend == "gil" and threads > 1),
            "gil_handovers": 40 * (backend == "gil" and threads > 1),
            "stop_ns": 0,
            "stops": 1,
            "collections": 0,
            "gc_pause_ns": 0,
            "local_increfs": operations,
            "frees_remote": 0,
            "retired": 0,
        }
        row = {
            "type": "list",
            "owner": 1,
            "place": "setup at list_shared.c:17",
            "lost_cas": contended,
        }
        row |= dict.fromkeys(("lock_waits", "handovers", "revocations", "merges"), 0)
        one["contention"] = [row | {"shared_counts": 0, "share": 1.0}] if contended else []
        return one


# Bytes of the rows of the ledger at the begin of a run, and those that are added until its end.
ROWS = {
    "objects": (400_000, 2_000_000),
    "contents": (100_000, 0),
    "large": (0, 1_500_000),
    "merging": (0, 0),
    "waiting": (0, 0),
    "remote": (0, 0),
    "free_blocks": (30_000, 50_000),
    "pool_room": (40_000, 0),
    "free_pools": (60_000, 1_000_000),
    "side_marks": (12_000, 8_000),
    "malloc_used": (150_000, 1_000),
    "malloc_free": (20_000, 300_000),
    "stacks": (50_000, 0),
    "code": (4_000_000, 0),
}
BIASED_ROWS = {"merging": (0, 300_000), "waiting": (5_000, 900_000), "remote": (0, 250_000)}


def reading(backend, share):
    rows = ROWS | (BIASED_ROWS if backend == "biased" else {})
    rows = {f"{name}_bytes": int(b + share * more) for name, (b, more) in rows.items()}
    told = {"seconds": round(0.5 * share, 4), "pause_ns": 310_000 + int(40_000 * share)}
    return told | {"resident_bytes": sum(rows.values()) - 20_000} | rows


def server(backend, version, number):
    load = {"requests": 9000, "latency_us": {"p50": 1300, "p90": 1500, "p99": 2900, "max": 13000}}
    collections = {"count": 110 if version == 1 else 0, "pause_ms_max": 11.5}
    return {
        "backend": backend,
        "version": version,
        "threads": 2,
        "connections": 64,
        "seconds": 2,
        "load": load | {"requests_per_second": 4500.0 + 100 * number + 500 * version},
        "server": {"collections": collections, "peak_memory_bytes": 29000000},
        "round": number,
    }


def convoy(backend, scheme, busy, number):
    slow = 5 if scheme != "none" and busy else 0.02
    times = [round(slow * (1 + i / 40) + 0.001 * number, 4) for i in range(40)]
    return {
        "backend": backend,
        "scheme": scheme,
        "busy": busy,
        "requests": len(times),
        "interval_us": 5000 if scheme == "cpython" else 0,
        "busy_operations_per_second": 1e7 * busy,
        "times_ms": times,
        "round": number,
    }


def description(name):
    about, unit, sharing, _, kind = WORKLOADS[name]
    own = "its threads share no objects"
    causes = dict.fromkeys(("sharing", "counting"), own if sharing == "own" else None)
    return {
        "name": name,
        "description": about,
        "unit": unit,
        "sharing": sharing,
        "kind": kind,
        "in_price": name == "churn",
        "takes_text": False,
        "in_quick": True,
        "least_sample_ms": 0,
        "causes": causes | {"collector": None, "locks": "locks stay"},
        "parameters": [],
        "variants": [],
        "quick_variants": [],
    }


def make(day):
    run = Run(day)
    places = [(w, b, t) for w in WORKLOADS for t in THREADS for b in BACKENDS]
    every = [(*place, number) for number in range(ROUNDS) for place in places]
    variants = [("gc-live", b, t, v) for v in (10000, 100000) for b in BACKENDS for t in THREADS]
    without = [
        ("list-shared-read", "atomic", "counting", 2, 3.2),
        ("list-shared-read", "atomic", "counting", 1, 1.05),
        ("list-shared-read", "biased", "counting", 2, 1.01),
        *((w, b, "collector", 1, 1.02) for w in ("churn", "list-shared-read") for b in BACKENDS),
        *((w, b, None, 1, 1) for w in WORKLOADS for b in ABLATIONS),
    ]
    causes = {w: description(w)["causes"] for w in WORKLOADS}
    return {
        "format": "tally-results",
        "version": 4,
        "started": "2026-01-0%dT10:00:00Z" % day,
        "seed": day,
        "margin": 0.02,
        "self": False,
        "incomplete": False,
        "workloads": [description(name) for name in WORKLOADS],
        "backends": [
            {"name": b, "role": "product", "refcount": f[0], "locking": f[1], "collector": f[2]}
            for b, f in BACKENDS.items()
        ]
        + [
            {
                "name": b,
                "role": "ablation",
                "refcount": f[0][0],
                "locking": "gil/lock",
                "collector": "gil/generations",
            }
            for b, f in ABLATIONS.items()
        ],
        "machine": {
            "cpu": "Example Processor",
            "cores": 2,
            "memory_mib": 8192,
            "kernel": "Linux 6.1 x86_64",
            "load_before": 0.1 if day == 1 else 1.4,
            "conditions": [
                {"name": "cores", "state": "spoils", "found": "2", "advice": "take more"},
                {"name": "turbo", "state": "unknown", "found": "not told", "advice": None},
                {"name": "steal time", "state": "spoils", "found": "0.7 %", "advice": "wait"},
            ],
            "steal_share": 0.012,
        },
        "build": {"compiler": "cc 1", "flags": "-O2", "type": "Release", "commit": f"c{day}"},
        "runs": [run.run("timed", *place) for place in every],
        "control": [
            run.run("timed", w, "gil", 1 + i % 2, number, control=True)
            for number in range(ROUNDS)
            for i, w in enumerate(WORKLOADS)
        ],
        "totals": [run.run("totals", *place) for place in every if place[3] < 3],
        "processes": [],
        "variants": [
            run.run("variants", w, b, t, number, variant=f"nodes={v}")
            for number in range(2)
            for w, b, t, v in variants
        ],
        "python": [],
        "patterns": [],
        "convoy": [
            convoy(b, s, busy, number)
            for number in range(3)
            for b, s in (("gil", "cpython"), ("biased", "none"))
            for busy in (0, 2)
        ],
        "servers": [server(b, v, n) for n in range(3) for b in ("gil", "biased") for v in (1, 2)],
        "what_if": [
            run.run("what_if", w, b, threads, number, without=cause, times=factor)
            for number in range(ROUNDS)
            for w, b, cause, threads, factor in without
        ],
        "every_cause": True,
        "counted": [run.counted(*place) for place in places],
        "causes": dict.fromkeys(BACKENDS, causes),
        "failures": [],
        "ledger": [
            run.run("ledger", "churn", b, 2, 0, ledger=[reading(b, i / 5) for i in range(6)])
            for b in ("gil", "biased")
        ],
    }
