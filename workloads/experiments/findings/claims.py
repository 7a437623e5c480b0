# SPDX-License-Identifier: LGPL-2.1-or-later
"""The claims of the talks that can be measured: what is asked of the results, the rule of the
verdict, and the page of findings. Estimates are (median, low, high).

A verdict: the claim holds where the whole interval is on its side of a bound, does not hold
where the whole interval is on the other, and is undecided where the bound lies inside.
"""

TALKS = {
    "Zakharenko": "N. Zakharenko, Memory Management in Python: The Basics, PyCon 2016",
    "Pytel": (
        "M. Pytel, Memory management in Python: how it works and is it worth messing with it?, 2015"
    ),
    "Post": "Python Memory management, 2021, after A. Artem (rushter.com)",
    "Shah": "N. Shah, Python Memory Understanding, Conf42",
}
# The experiments of findings-<backend>; findings.py adds those of other programs.
PROGRAM_RUNS = [
    "counting",
    "generations",
    "slots",
    "range whole",
    "range lazy",
    "memory none",
    "memory thousandth",
    "memory hundredth",
    "freeing owner",
    "freeing other",
    "freeing cycle",
]
BACKENDS = ["gil", "atomic", "biased"]
HOLDS, NOT, UNDECIDED, NONE = "holds", "does not hold", "undecided", "not measured"


def above(estimate, bound):
    if estimate is None:
        return NONE
    return HOLDS if estimate[1] > bound else NOT if estimate[2] <= bound else UNDECIDED


def below(estimate, bound):
    if estimate is None:
        return NONE
    return HOLDS if estimate[2] < bound else NOT if estimate[1] >= bound else UNDECIDED


# ---- how numbers are shown ------------------------------------------------------


def plain(value):
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def scaled(estimate, units, step):
    if estimate is None:
        return "–"
    power = 0
    while power < len(units) - 1 and abs(estimate[0]) >= step:
        estimate = [value / step for value in estimate]
        power += 1
    middle, low, high = (plain(value) for value in estimate)
    return f"{middle} {units[power]}" + ("" if low == high else f" ({low} to {high})")


def ns(estimate):
    return scaled(estimate, ["ns", "µs", "ms", "s"], 1000)


def size(estimate):
    return scaled(estimate, ["bytes", "KiB", "MiB", "GiB"], 1024)


def kib(estimate):
    return size(estimate and [1024 * value for value in estimate])


def rate(estimate):
    return scaled(estimate, ["a second", "thousand a second", "million a second"], 1000)


def times(estimate):
    return scaled(estimate, ["times"], 1e300)


def number(estimate):
    return scaled(estimate, [""], 1e300).replace("  ", " ").strip()


# ---- the claims -----------------------------------------------------------------

CLAIMS = []


class Claim:
    """rows(results) gives (what, the cells of `heads`, verdict)."""

    def __init__(self, title, talk, quote, measured, rule, keys, heads, rows):
        self.title, self.talk, self.quote, self.measured, self.rule = (
            title,
            talk,
            quote,
            measured,
            rule,
        )
        self.keys, self.heads, self.rows = keys, heads, rows


def claim(**facts):
    def add(rows):
        CLAIMS.append(Claim(rows=rows, **facts))
        return rows

    return add


@claim(
    title="Counting on every assignment",
    talk="Zakharenko",
    quote="execution overhead - reference count changed on every assignment",
    measured=(
        "`name = value` for objects of the thread's own: the new object counted up, the old one"
        " down, against the same loop without the two. Instructions by callgrind."
    ),
    rule="an assignment with counts takes more than 1.1 times one without.",
    keys=["counting {}"],
    heads=["with counts", "without", "instructions with, without", "ratio of times"],
)
def counting_time(results):
    for backend in BACKENDS:
        key, told = f"counting {backend}", results.instructions(backend)
        ratio = results.ratio((key, "assignment_ns"), (key, "assignment_without_counts_ns"))
        yield backend, [
            ns(results.figure(key, "assignment_ns")),
            ns(results.figure(key, "assignment_without_counts_ns")),
            f"{told['counted']:g}, {told['bare']:g}" if told else "not available (no valgrind)",
            times(ratio),
        ], above(ratio, 1.1)


@claim(
    title="Counts in every object",
    talk="Zakharenko",
    quote="space overhead - reference count is stored for every object",
    measured=(
        "the bytes of the counts, of the header they are in, and of an int. Constants of the build,"
        " without noise."
    ),
    rule="the counts are more than a tenth of an int.",
    keys=["counting {}"],
    heads=["counts", "header", "header of a container", "int", "counts of an int"],
)
def counting_space(results):
    for backend in BACKENDS:
        key = f"counting {backend}"
        share = results.ratio((key, "counts_bytes"), (key, "int_bytes"))
        yield backend, [
            size(results.figure(key, name))
            for name in ("counts_bytes", "header_bytes", "container_header_bytes", "int_bytes")
        ] + [number(share)], above(share, 0.1)


@claim(
    title="Cycles against weak references",
    talk="Pytel",
    quote="Relying on GC is expensive",
    measured=(
        "the talk's server without its network (workloads tasks-cycle and tasks-weakref, one"
        " thread): operations a second and the longest operation."
    ),
    rule="throughput with weak references is more than 1.05 times that with cycles.",
    keys=["tasks-cycle {}", "tasks-weakref {}"],
    heads=[
        "cycles",
        "weak references",
        "throughput, ratio",
        "longest operation, cycles",
        "weak references",
    ],
)
def weakrefs(results):
    for backend in BACKENDS:
        cycle, weak = f"tasks-cycle {backend}", f"tasks-weakref {backend}"
        ratio = results.ratio((weak, "rate"), (cycle, "rate"))
        yield backend, [
            rate(results.figure(cycle, "rate")),
            rate(results.figure(weak, "rate")),
            times(ratio),
            ns(results.figure(cycle, "longest_ns")),
            ns(results.figure(weak, "longest_ns")),
        ], above(ratio, 1.05)


@claim(
    title="Weak references avoid collections",
    talk="Pytel",
    quote="In most cases when they are necessary we can use weakrefs",
    measured="collections in the samples of the same two workloads.",
    rule=(
        "with weak references there are less than a tenth of the collections (0.1 at most is shown"
        " as a ratio)."
    ),
    keys=["tasks-weakref {}"],
    heads=["collections, cycles", "weak references", "ratio"],
)
def fewer_collections(results):
    for backend in BACKENDS:
        cycle, weak = f"tasks-cycle {backend}", f"tasks-weakref {backend}"
        ratio = results.ratio((weak, "collections"), (cycle, "collections"))
        yield backend, [
            number(results.figure(cycle, "collections")),
            number(results.figure(weak, "collections")),
            number(ratio),
        ], below(ratio, 0.1)


@claim(
    title="What a collection of each generation costs",
    talk="Pytel",
    quote="Lower generation collections are significantly cheaper",
    measured=(
        "a collection among a million lists that live long: of generation 0 with 700 new ones, of"
        " generation 1 with 7,000, of all. Without a GIL there is one generation, and each of these"
        " is a full collection."
    ),
    rule="a full collection takes more than 10 times one of generation 0.",
    keys=["generations {}"],
    heads=["generation 0", "generation 1", "generation 2", "2 over 0"],
)
def generations(results):
    for backend in BACKENDS:
        key = f"generations {backend}"
        ratio = results.ratio(
            (key, "generation_2_of_1000000_ns"), (key, "generation_0_of_1000000_ns")
        )
        yield backend, [
            ns(results.figure(key, f"generation_{g}_of_1000000_ns")) for g in range(3)
        ] + [times(ratio)], above(ratio, 10)


@claim(
    title="Collections grow with the program",
    talk="Pytel",
    quote="cost is (at least) linear with regard to the number of references in program",
    measured=(
        "a full collection among 10 thousand, 100 thousand and a million lists of two references."
    ),
    rule="ten times the objects, from 100 thousand to a million, take more than 9 times as long.",
    keys=["generations {}"],
    heads=["10 thousand", "100 thousand", "a million", "a million over 100 thousand"],
)
def linear(results):
    for backend in BACKENDS:
        key = f"generations {backend}"
        ratio = results.ratio(
            (key, "generation_2_of_1000000_ns"), (key, "generation_2_of_100000_ns")
        )
        yield backend, [
            ns(results.figure(key, f"generation_2_of_{count}_ns"))
            for count in (10000, 100000, 1000000)
        ] + [times(ratio)], above(ratio, 9)


@claim(
    title="Full collections are rare",
    talk="Pytel",
    quote="2nd generation collection is run very rarely",
    measured="the share of full collections in all of tasks-cycle. Without a GIL all are full.",
    rule="less than one in ten is full.",
    keys=["tasks-cycle {}"],
    heads=["collections", "full ones", "share"],
)
def rare(results):
    for backend in BACKENDS:
        key = f"tasks-cycle {backend}"
        share = results.ratio((key, "full_collections"), (key, "collections"))
        yield backend, [
            number(results.figure(key, "collections")),
            number(results.figure(key, "full_collections")),
            number(share),
        ], below(share, 0.1)


@claim(
    title="Slots against attributes of any name: memory",
    talk="Zakharenko",
    quote="If we're going to be creating many instances of a class",
    measured="bytes of an instance with three attributes, over a hundred thousand of them.",
    rule="an instance without slots takes more than 1.5 times the bytes.",
    keys=["slots {}"],
    heads=["slots", "no slots", "ratio"],
)
def slots_bytes(results):
    for backend in BACKENDS:
        key = f"slots {backend}"
        ratio = results.ratio((key, "dict_instance_bytes"), (key, "slots_instance_bytes"))
        yield backend, [
            size(results.figure(key, "slots_instance_bytes")),
            size(results.figure(key, "dict_instance_bytes")),
            times(ratio),
        ], above(ratio, 1.5)


@claim(
    title="Slots against attributes of any name: time",
    talk="Zakharenko",
    quote="What are __slots__?",
    measured=(
        "making an instance with three attributes, reading one and writing one by its name. The"
        " talk claims memory; time is our question."
    ),
    rule="without slots it takes more than 1.05 times as long.",
    keys=["slots {}"],
    heads=["slots", "no slots", "ratio"],
)
def slots_time(results):
    for backend in BACKENDS:
        key = f"slots {backend}"
        for work in "make", "read", "write":
            ratio = results.ratio((key, f"dict_{work}_ns"), (key, f"slots_{work}_ns"))
            yield f"{backend}, {work}", [
                ns(results.figure(key, f"slots_{work}_ns")),
                ns(results.figure(key, f"dict_{work}_ns")),
                times(ratio),
            ], above(ratio, 1.05)


@claim(
    title="A dict against a tuple",
    talk="Zakharenko",
    quote="sizeof dict: 288 bytes sizeof tuple: 48 bytes",
    measured=(
        "an empty dict and an empty tuple (the talk: CPython 2.7). An empty dict has no table yet."
    ),
    rule="the dict is more than 1.5 times as large.",
    keys=["slots {}"],
    heads=["dict", "tuple", "ratio"],
)
def dict_size(results):
    for backend in BACKENDS:
        key = f"slots {backend}"
        ratio = results.ratio((key, "empty_dict_bytes"), (key, "empty_tuple_bytes"))
        yield backend, [
            size(results.figure(key, "empty_dict_bytes")),
            size(results.figure(key, "empty_tuple_bytes")),
            times(ratio),
        ], above(ratio, 1.5)


@claim(
    title="A whole range against a lazy one: memory",
    talk="Pytel",
    quote="xrange instead of range in long loops makes a difference. Seriously, use generators",
    measured=(
        "the sum of a million numbers, from a list of them all or each made when it is needed:"
        " growth of peak memory."
    ),
    rule="the list takes more than 2 times the memory.",
    keys=["range whole {}", "range lazy {}"],
    heads=["list", "one by one", "ratio"],
)
def range_memory(results):
    for backend in BACKENDS:
        whole, lazy = f"range whole {backend}", f"range lazy {backend}"
        ratio = results.ratio((whole, "peak_bytes"), (lazy, "peak_bytes"))
        yield backend, [
            size(results.figure(whole, "peak_bytes")),
            size(results.figure(lazy, "peak_bytes")),
            times(ratio),
        ], above(ratio, 2)


@claim(
    title="A whole range against a lazy one: time",
    talk="Pytel",
    quote="xrange instead of range in long loops makes a difference",
    measured="the time of the same, for each number.",
    rule="the list takes more than 1.1 times as long.",
    keys=["range whole {}", "range lazy {}"],
    heads=["list", "one by one", "ratio"],
)
def range_time(results):
    for backend in BACKENDS:
        whole, lazy = f"range whole {backend}", f"range lazy {backend}"
        ratio = results.ratio((whole, "time_ns"), (lazy, "time_ns"))
        yield backend, [
            ns(results.figure(whole, "time_ns")),
            ns(results.figure(lazy, "time_ns")),
            times(ratio),
        ], above(ratio, 1.1)


KEPT = [
    ("none", "none survives"),
    ("thousandth", "one in 1000 survives"),
    ("hundredth", "one in 100 survives"),
]


@claim(
    title="Memory that does not go back",
    talk="Zakharenko",
    quote="After garbage collection, the size of the python program likely won't go down",
    measured=(
        "memory of the process with a million ints, and after all, or all but one in 1000 or in"
        " 100, have been freed."
    ),
    rule="more than half of the memory stays.",
    keys=["memory none {}", "memory thousandth {}", "memory hundredth {}"],
    heads=["full", "left", "in use by objects", "left over full"],
)
def held(results):
    for backend in BACKENDS:
        for name, what in KEPT:
            key = f"memory {name} {backend}"
            ratio = results.ratio((key, "left_resident_bytes"), (key, "full_resident_bytes"))
            yield f"{backend}, {what}", [
                size(results.figure(key, f"{part}_bytes"))
                for part in ("full_resident", "left_resident", "left_used")
            ] + [number(ratio)], above(ratio, 0.5)


@claim(
    title="Survivors hold their blocks",
    talk="Pytel",
    quote=(
        "Memory is allocated in blocks and only released once all objects in a block are"
        " deallocated (fragmentation!)"
    ),
    measured=(
        "what the allocator holds after the same, one in 1000 alive, over what it holds with none"
        " alive."
    ),
    rule="one survivor in 1000 makes the allocator hold more than 2 times as much.",
    keys=["memory thousandth {}", "memory none {}"],
    heads=["none survives", "one in 1000 survives", "ratio"],
)
def fragmented(results):
    for backend in BACKENDS:
        some, none = f"memory thousandth {backend}", f"memory none {backend}"
        ratio = results.ratio((some, "left_held_bytes"), (none, "left_held_bytes"))
        yield backend, [
            size(results.figure(none, "left_held_bytes")),
            size(results.figure(some, "left_held_bytes")),
            times(ratio),
        ], above(ratio, 2)


@claim(
    title="Freed memory is used again",
    talk="Pytel",
    quote="Python is able to reuse freed memory",
    measured=(
        "what the allocator holds after a million ints were freed, but one in 1000, and made again,"
        " over what it held with the first million."
    ),
    rule="it holds less than 1.05 times as much.",
    keys=["memory thousandth {}"],
    heads=["first", "again", "ratio"],
)
def reused(results):
    for backend in BACKENDS:
        key = f"memory thousandth {backend}"
        ratio = results.ratio((key, "refilled_held_bytes"), (key, "full_held_bytes"))
        yield backend, [
            size(results.figure(key, "full_held_bytes")),
            size(results.figure(key, "refilled_held_bytes")),
            times(ratio),
        ], below(ratio, 1.05)


@claim(
    title="One thread at a time",
    talk="Zakharenko",
    quote="no matter how many threads exist, only one thread will be executed at a time",
    measured="all threads together, as many as processors (4 at the most), against one thread.",
    rule="the threads together do less than 1.1 times the work of one.",
    keys=["churn threads gil", "wordcount threads gil"],
    heads=["one thread", "threads", "ratio"],
)
def one_at_a_time(results):
    for workload in "churn", "wordcount":
        for backend in "gil", "biased":
            one = f"{workload} one gil"
            many = f"{workload} threads {backend}"
            ratio = results.ratio((many, "rate"), (one, "rate"))
            yield f"{backend}, {workload}", [
                rate(results.figure(one, "rate")) + " (gil)",
                rate(results.figure(many, "rate")),
                times(ratio),
            ], below(ratio, 1.1)


@claim(
    title="Processes instead of threads",
    talk="Zakharenko",
    quote="Use multi-processing instead of multi-threading",
    measured=(
        "as many processes with a GIL each as processors (4 at the most), against one thread with a"
        " GIL, and against threads without one."
    ),
    rule=(
        "processes do more than 1.3 times the work of one thread; against threads without a GIL:"
        " more than theirs."
    ),
    keys=["churn processes gil", "churn threads biased", "wordcount processes gil"],
    heads=["the other", "processes", "ratio of work", "memory, the other", "memory, processes"],
)
def processes(results):
    for workload in "churn", "wordcount":
        for what, key, bound in ("one thread, gil", "one gil", 1.3), (
            "threads, biased",
            "threads biased",
            1,
        ):
            other, many = f"{workload} {key}", f"{workload} processes gil"
            ratio = results.ratio((many, "rate"), (other, "rate"))
            yield f"{workload}, against {what}", [
                rate(results.figure(other, "rate")),
                rate(results.figure(many, "rate")),
                times(ratio),
                kib(results.figure(other, "memory_kib")),
                kib(results.figure(many, "memory_kib")),
            ], above(ratio, bound)


@claim(
    title="Ticks against intervals: the answer of a thread that waits",
    talk="Zakharenko",
    quote="Dave Beazley - New GIL in Python 3.2 (further reading)",
    measured=(
        "the answer of a thread that waits for a socket beside two that never wait, median and 99th"
        " percentile; **ticks** before CPython 3.2, **cpython** and **deadline** by the interval of"
        " 5 ms. [Convoys](../convoy.md) has the experiment."
    ),
    rule="busy threads make the median answer more than 10 times as long as none do.",
    keys=["convoy cpython 2 gil"],
    heads=["50 %, none busy", "50 %, two busy", "99 %, two busy", "median, two over none"],
)
def convoys(results):
    for backend, scheme in (
        ("gil", "ticks"),
        ("gil", "cpython"),
        ("gil", "deadline"),
        ("atomic", "none"),
        ("biased", "none"),
    ):
        alone, beside = f"convoy {scheme} 0 {backend}", f"convoy {scheme} 2 {backend}"
        ratio = results.ratio((beside, "p50_ms"), (alone, "p50_ms"))
        cells = [
            ns([1e6 * value for value in figure] if figure else None)
            for figure in (
                results.figure(alone, "p50_ms"),
                results.figure(beside, "p50_ms"),
                results.figure(beside, "p99_ms"),
            )
        ]
        yield backend if scheme == "none" else f"{backend}, {scheme}", cells + [
            times(ratio)
        ], above(ratio, 10)


@claim(
    title="Ticks against intervals: the work of busy threads",
    talk="Zakharenko",
    quote="Dave Beazley - Guide on how the GIL Operates (further reading)",
    measured="operations of the two busy threads meanwhile.",
    rule="with intervals they do more than 1.1 times the work that they do with ticks.",
    keys=["convoy ticks 2 gil", "convoy cpython 2 gil"],
    heads=["ticks", "by interval", "ratio"],
)
def busy_work(results):
    for scheme in "cpython", "deadline":
        old, new = "convoy ticks 2 gil", f"convoy {scheme} 2 gil"
        ratio = results.ratio(
            (new, "busy_operations_per_second"), (old, "busy_operations_per_second")
        )
        yield f"gil, {scheme}", [
            rate(results.figure(old, "busy_operations_per_second")),
            rate(results.figure(new, "busy_operations_per_second")),
            times(ratio),
        ], above(ratio, 1.1)


@claim(
    title="Immediate freeing",
    talk="Zakharenko",
    quote="When refcount is 0, objects are immediately deleted",
    measured=(
        "the time from the last reference to the finalizer, for objects that their own thread"
        " drops, or another one. With biased counts the other thread queues the object for its"
        " owner."
    ),
    rule="99 in 100 are finalized within a microsecond (the clock's own time is in it).",
    keys=["freeing owner {}", "freeing other {}"],
    heads=["median", "99 %", "longest"],
)
def immediate(results):
    for backend in BACKENDS:
        for who in "owner", "other":
            key = f"freeing {who} {backend}"
            p99 = results.figure(key, "delay_p99_ns")
            yield (
                f"{backend}, dropped by {'its own thread' if who == 'owner' else 'another thread'}",
                [
                    ns(results.figure(key, "delay_p50_ns")),
                    ns(p99),
                    ns(results.figure(key, "delay_longest_ns")),
                ],
                below(p99, 1000),
            )


@claim(
    title="Deferred freeing",
    talk="Zakharenko",
    quote="If you have a cycle, you need to wait for garbage collection",
    measured=(
        "the same for objects that refer to themselves, and how far memory grows in the course of a"
        " hundred thousand."
    ),
    rule="the median waits more than 10 times as long as one that counts free.",
    keys=["freeing cycle {}", "freeing owner {}"],
    heads=[
        "counts, median",
        "cycle, median",
        "cycle, longest",
        "ratio of medians",
        "memory, counts",
        "memory, cycles",
    ],
)
def deferred(results):
    for backend in BACKENDS:
        cycle, owner = f"freeing cycle {backend}", f"freeing owner {backend}"
        ratio = results.ratio((cycle, "delay_p50_ns"), (owner, "delay_p50_ns"))
        yield backend, [
            ns(results.figure(owner, "delay_p50_ns")),
            ns(results.figure(cycle, "delay_p50_ns")),
            ns(results.figure(cycle, "delay_longest_ns")),
            times(ratio),
            size(results.figure(owner, "peak_bytes")),
            size(results.figure(cycle, "peak_bytes")),
        ], above(ratio, 10)


# ---- the page -------------------------------------------------------------------


def judged(results):
    """Every claim with its rows, each a list: what, its cells, the verdict."""
    return [(entry, list(entry.rows(results))) for entry in CLAIMS]


def shown_verdicts(rows):
    """Each verdict with the rows it is of, or alone where it is of all."""
    by_verdict = {}
    for what, _, verdict in rows:
        by_verdict.setdefault(verdict, []).append(what.replace(",", ""))
    if len(by_verdict) == 1:
        return next(iter(by_verdict))
    return "; ".join(
        f"{verdict}: {', '.join(whats) if len(whats) <= 3 else f'{len(whats)} of {len(rows)}'}"
        for verdict, whats in by_verdict.items()
    )


def summary(results):
    lines = [(entry.title, shown_verdicts(rows)) for entry, rows in judged(results)]
    width = max(len(title) for title, _ in lines)
    return "".join(f"{title:<{width}}  {verdict}\n" for title, verdict in lines)


def anchor(title):
    return "".join(c for c in title.lower().replace(" ", "-") if c.isalnum() or c == "-")


def commands(entry, results):
    """One command a key, on biased or on the backend that the key names."""
    for key in entry.keys:
        command = results.command(key.format("biased"))
        if command:
            yield f"    build/release/{command}"


def introduction(facts, rank, coverage):
    machine, rounds = facts["machine"], facts["rounds"]
    but = "" if rank == 1 else f" but {rank - 1}"
    what = (
        f"from the smallest{but} to the largest{but} of {rounds} rounds, which holds the true"
        f" median with {100 * coverage:.1f} %"
    )
    text = [
        "# Findings",
        "",
        "What talks on CPython's memory claim, measured on Tally. Written by",
        "",
        "    ./tally findings --output docs/results",
        "",
        (
            f"on {machine['processors']} processors {machine['processor']}, {machine['system']}, on"
            f" {facts['started'][:10]}, load average before {machine['load_average']:.1f}, commit"
            f" {facts['commit']}, in {facts.get('seconds', 0):.0f} s. Each figure is the median"
            f" over {rounds} rounds, every one in a fresh process; in brackets {what}. Ratios are"
            " formed within rounds. All rounds are in [findings.json](findings.json)."
        ),
        "",
        (
            "A claim **holds** where the whole interval is on its side of the bound that its rule"
            " names, **does not hold** where the whole interval is on the other, and is"
            " **undecided** where the bound lies inside. The claims are of CPython; the figures are"
            " of Tally's object model, whose parts are built alike."
        ),
        "",
    ]
    if facts["machine"]["load_average"] > 0.5 * machine["processors"]:
        text += [
            (
                "**Measured beside other load** (the load average above): times are to be taken"
                " again on a quiet machine."
            ),
            "",
        ]
    if facts["quick"] or facts["size_percent"] != 100:
        text += ["**A quick run**: small experiments and few rounds, for a look only.", ""]
    if facts["incomplete"]:
        text += ["**Incomplete**: the run was stopped before its end.", ""]
    return text


def page(results, facts, interval):
    text = introduction(facts, *interval)
    all_claims = judged(results)
    text += ["| claim | verdict |", "| :--- | :--- |"]
    text += [
        f"| [{entry.title}](#{anchor(entry.title)}) | {shown_verdicts(rows)} |"
        for entry, rows in all_claims
    ]
    for entry, rows in all_claims:
        text += [
            "",
            f"## {entry.title}",
            "",
            f"> {entry.quote.replace('__', chr(92) + '_' + chr(92) + '_')}",
            ">",
            f"> {TALKS[entry.talk]}",
            "",
            f"Measured: {entry.measured}",
            "",
            f"Rule: it holds if {entry.rule}",
            "",
            "| " + " | ".join(["", *entry.heads, "verdict"]) + " |",
            "| :--- |" + " ---: |" * len(entry.heads) + " :--- |",
        ]
        text += [
            f"| {what} | " + " | ".join(cells) + f" | {verdict} |" for what, cells, verdict in rows
        ]
        text += ["", *commands(entry, results)]
    if facts["failures"]:
        text += ["", "## Failed", ""] + [
            f"- {failure['experiment']}: {failure['why']}" for failure in facts["failures"]
        ]
    return "\n".join(text) + "\n"
