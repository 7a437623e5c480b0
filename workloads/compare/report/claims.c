// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The claims; see claims.h.
#include "claims.h"

static const char ZAKHARENKO[] =
    "N. Zakharenko, Memory Management in Python: The Basics, PyCon 2016";
static const char PYTEL[] =
    "M. Pytel, Memory management in Python: how it works and is it worth messing with it?, 2015";

#define EXPERIMENT(name, variant) \
    { LIST_FINDINGS, name, variant, 1, NULL }
#define SAME(name, experiment, variant) \
    { name, EXPERIMENT(experiment, variant), EXPERIMENT(experiment, variant) }
#define TIMED(workload, threads, backend) \
    { LIST_TIMED, workload, NULL, threads, backend }
#define CELL(head, figure) \
    { head, figure, false }
// Of the other place.
#define BELOW(head, figure) \
    { head, figure, true }
#define TWO_TASKS                                                              \
    {                                                                          \
        { "", TIMED("tasks-weakref", 1, NULL), TIMED("tasks-cycle", 1, NULL) } \
    }
#define SCHEME(name, scheme, busy, scheme_under, busy_under)      \
    {                                                             \
        name, {LIST_CONVOY, "convoy", scheme, busy, NULL}, {      \
            LIST_CONVOY, "convoy", scheme_under, busy_under, NULL \
        }                                                         \
    }

/* clang-format off */
const struct claim claims[] = {
    {.title = "Counting on every assignment",
     .talk = ZAKHARENKO,
     .quote = "execution overhead - reference count changed on every assignment",
     .measured = "name = value for objects of the thread's own. The new object's refcount goes "
                 "up and the old one's goes down. The other loop is the same without the two. "
                 "Callgrind counts the instructions, where valgrind is installed.",
     .subject = "an assignment with refcounts takes", .bound = 1.1,
     .predicate = "times as long as one without",
     .over = "assignment_ns", .under = "assignment_without_counts_ns",
     .cases = {SAME("", "counting", "time")},
     .cells = {CELL("with refcounts\nns", "assignment_ns"),
               CELL("without\nns", "assignment_without_counts_ns"),
               CELL("instructions with", "instructions"),
               CELL("instructions without", "instructions_without_counts")}},
    {.title = "Refcounts in every object",
     .talk = ZAKHARENKO,
     .quote = "space overhead - reference count is stored for every object",
     .measured = "the bytes of the refcounts, of the header that holds them, and of an int. They "
                 "are constants of the build, without noise.",
     .subject = "the refcounts are", .bound = 0.1, .predicate = "of an int",
     .over = "counts_bytes", .under = "int_bytes",
     .cases = {SAME("", "counting", "time")},
     .cells = {CELL("refcounts", "counts_bytes"), CELL("header", "header_bytes"),
               CELL("header of a container", "container_header_bytes"), CELL("int", "int_bytes")}},
    {.title = "Cycles against weak references",
     .talk = PYTEL,
     .quote = "Relying on GC is expensive",
     .measured = "the talk's server without its network (tasks-cycle and tasks-weakref, one "
                 "thread): throughput and the longest operation.",
     .subject = "throughput with weak references is", .bound = 1.05,
     .predicate = "times that with cycles",
     .over = "rate", .under = "rate", .cases = TWO_TASKS,
     .cells = {BELOW("cycles", "rate"), CELL("weak references", "rate"),
               BELOW("longest operation, cycles", "longest_ns"),
               CELL("longest operation, weak references", "longest_ns")}},
    {.title = "Weak references avoid collections",
     .talk = PYTEL,
     .quote = "In most cases when they are necessary we can use weakrefs",
     .measured = "collections per operation of the same two workloads.",
     .subject = "weak references have", .less = true, .bound = 0.1,
     .predicate = "times the collections per operation that cycles have",
     .over = "collections_per_operation", .under = "collections_per_operation",
     .cases = TWO_TASKS,
     .cells = {BELOW("collections, cycles", "collections"),
               CELL("weak references", "collections")}},
    {.title = "The cost of a collection of each generation",
     .talk = PYTEL,
     .quote = "Lower generation collections are significantly cheaper",
     .measured = "a collection among a million lists that live long: of generation 0 with 700 "
                 "new ones, of generation 1 with 7,000, of all. Atomic refcounts without a GIL "
                 "have one generation.",
     .subject = "a full collection takes", .bound = 10, .predicate = "times one of generation 0",
     .generations = true,
     .over = "generation_2_of_1000000_ns", .under = "generation_0_of_1000000_ns",
     .cases = {SAME("", "generations", NULL)},
     .cells = {CELL("generation 0", "generation_0_of_1000000_ns"),
               CELL("generation 1", "generation_1_of_1000000_ns"),
               CELL("generation 2", "generation_2_of_1000000_ns")}},
    {.title = "Collections grow with the program",
     .talk = PYTEL,
     .quote = "cost is (at least) linear with regard to the number of references in program",
     .measured = "a full collection among 10 thousand, 100 thousand and a million lists of two "
                 "references.",
     .subject = "ten times the objects, a million for 100 thousand, take", .bound = 9,
     .predicate = "times as long",
     .over = "generation_2_of_1000000_ns", .under = "generation_2_of_100000_ns",
     .cases = {SAME("", "generations", NULL)},
     .cells = {CELL("10 thousand", "generation_2_of_10000_ns"),
               CELL("100 thousand", "generation_2_of_100000_ns"),
               CELL("a million", "generation_2_of_1000000_ns")}},
    {.title = "Full collections are rare",
     .talk = PYTEL,
     .quote = "2nd generation collection is run very rarely",
     .measured = "the share of full collections in tasks-cycle. Atomic refcounts without a GIL "
                 "have one generation.",
     .subject = "full collections are", .less = true, .bound = 0.1, .predicate = "of all",
     .generations = true,
     .over = "full_collections", .under = "collections",
     .cases = {{"", TIMED("tasks-cycle", 1, NULL), TIMED("tasks-cycle", 1, NULL)}},
     .cells = {CELL("collections", "collections"), CELL("full ones", "full_collections")}},
    {.title = "Slots against attributes of any name: memory",
     .talk = ZAKHARENKO,
     .quote = "If we're going to be creating many instances of a class",
     .measured = "bytes of an instance with three attributes, over a hundred thousand of them.",
     .subject = "an instance without slots takes", .bound = 1.5, .predicate = "times the bytes",
     .over = "dict_instance_bytes", .under = "slots_instance_bytes",
     .cases = {SAME("", "slots", NULL)},
     .cells = {CELL("slots", "slots_instance_bytes"), CELL("no slots", "dict_instance_bytes")}},
#define SLOTS_TIME(work, words)                                                            \
    {.title = "Slots against attributes of any name: " words,                              \
     .talk = ZAKHARENKO,                                                                   \
     .quote = "What are __slots__?",                                                       \
     .measured = words " by name, three attributes. The talk claims memory; time is our "  \
                 "question.",                                                              \
     .subject = "without slots it takes", .bound = 1.05, .predicate = "times as long",     \
     .over = "dict_" work "_ns", .under = "slots_" work "_ns",                             \
     .cases = {SAME("", "slots", NULL)},                                                   \
     .cells = {CELL("slots", "slots_" work "_ns"), CELL("no slots", "dict_" work "_ns")}}
    SLOTS_TIME("make", "making an instance"),
    SLOTS_TIME("read", "reading an attribute"),
    SLOTS_TIME("write", "writing an attribute"),
    {.title = "A dict against a tuple",
     .talk = ZAKHARENKO,
     .quote = "sizeof dict: 288 bytes sizeof tuple: 48 bytes",
     .measured = "an empty dict and an empty tuple (the talk: CPython 2.7). An empty dict has no "
                 "table yet.",
     .subject = "the dict takes", .bound = 1.5, .predicate = "times the bytes",
     .over = "empty_dict_bytes", .under = "empty_tuple_bytes",
     .cases = {SAME("", "slots", NULL)},
     .cells = {CELL("dict", "empty_dict_bytes"), CELL("tuple", "empty_tuple_bytes")}},
#define RANGES {{"", EXPERIMENT("range", "whole"), EXPERIMENT("range", "lazy")}}
    {.title = "A whole range against a lazy one: memory",
     .talk = PYTEL,
     .quote = "xrange instead of range in long loops makes a difference. Seriously, use generators",
     .measured = "growth of peak memory by the sum of a million numbers, from a list of them all "
                 "or each made when it is needed.",
     .subject = "the list takes", .bound = 2, .predicate = "times the memory",
     .over = "peak_bytes", .under = "peak_bytes", .cases = RANGES,
     .cells = {CELL("list", "peak_bytes"), BELOW("one by one", "peak_bytes")}},
    {.title = "A whole range against a lazy one: time",
     .talk = PYTEL,
     .quote = "xrange instead of range in long loops makes a difference",
     .measured = "the time of the same sum, per number.",
     .subject = "the list takes", .bound = 1.1, .predicate = "times as long",
     .over = "time_ns", .under = "time_ns", .cases = RANGES,
     .cells = {CELL("list", "time_ns"), BELOW("one by one", "time_ns")}},
    {.title = "Memory that does not go back",
     .talk = ZAKHARENKO,
     .quote = "After garbage collection, the size of the python program likely won't go down",
     .measured = "memory of the process with a million ints, and after all of them, or all but "
                 "one in 1000 or in 100, were freed.",
     .subject = "what stays is", .bound = 0.5, .predicate = "of the memory",
     .over = "left_resident_bytes", .under = "full_resident_bytes",
     .cases = {SAME("none survives", "memory", "none"),
               SAME("one in 1000 survives", "memory", "thousandth"),
               SAME("one in 100 survives", "memory", "hundredth")},
     .cells = {CELL("full", "full_resident_bytes"), CELL("left", "left_resident_bytes"),
               CELL("in use by objects", "left_used_bytes")}},
    // With the memory of the process, as the claim before: if survivors keep half of it, they
    // keep far more than they use, so the two verdicts cannot contradict each other.
    {.title = "Survivors hold their blocks",
     .talk = PYTEL,
     .quote = "Memory is allocated in blocks and only released once all objects in a block are "
              "deallocated (fragmentation!)",
     .measured = "memory of the process after the same, over what the survivors use.",
     .subject = "survivors keep", .bound = 10, .predicate = "times the memory that they use",
     .over = "left_resident_bytes", .under = "left_used_bytes",
     .cases = {SAME("one in 1000 survives", "memory", "thousandth"),
               SAME("one in 100 survives", "memory", "hundredth")},
     .cells = {CELL("in use by objects", "left_used_bytes"), CELL("left", "left_resident_bytes")}},
    {.title = "Freed memory is used again",
     .talk = PYTEL,
     .quote = "Python is able to reuse freed memory",
     .measured = "what the allocator holds when a million ints, all but one in 1000, were freed "
                 "and made again, over what it held with the first million.",
     .subject = "it holds", .less = true, .bound = 1.05, .predicate = "times as much",
     .over = "refilled_held_bytes", .under = "full_held_bytes",
     .cases = {SAME("", "memory", "thousandth")},
     .cells = {CELL("first", "full_held_bytes"), CELL("again", "refilled_held_bytes")}},
#define MANY_OVER_ONE(workload, backend)                                         \
    {backend " (" workload ")", TIMED(workload, MANY, backend), TIMED(workload, 1, "gil")}
    {.title = "One thread at a time",
     .talk = ZAKHARENKO,
     .quote = "no matter how many threads exist, only one thread will be executed at a time",
     .measured = "all threads together, as many as processors (4 at the most), over one thread "
                 "with a GIL. The rows of biased show the same without a GIL.",
     .subject = "the threads together do", .less = true, .bound = 1.1,
     .predicate = "times the work of one",
     .over = "rate", .under = "rate",
     .cases = {MANY_OVER_ONE("churn", "gil"), MANY_OVER_ONE("churn", "biased"),
               MANY_OVER_ONE("wordcount", "gil"), MANY_OVER_ONE("wordcount", "biased")},
     .cells = {BELOW("one thread, gil", "rate"), CELL("threads", "rate")}},
#define PROCESSES(workload, threads, backend) \
    {workload, {LIST_PROCESSES, workload, NULL, MANY, "gil"}, TIMED(workload, threads, backend)}
    {.title = "Processes instead of threads",
     .talk = ZAKHARENKO,
     .quote = "Use multi-processing instead of multi-threading",
     .measured = "processes with a GIL each, as many as processors (4 at the most), over one "
                 "thread with a GIL.",
     .subject = "processes do", .bound = 1.3, .predicate = "times the work of one thread",
     .over = "rate", .under = "rate",
     .cases = {PROCESSES("churn", 1, "gil"), PROCESSES("wordcount", 1, "gil")},
     .cells = {BELOW("one thread", "rate"), CELL("processes", "rate"),
               BELOW("memory, one thread", "memory_bytes"),
               CELL("memory, processes", "memory_bytes")}},
    {.title = "Processes instead of threads without a GIL",
     .talk = ZAKHARENKO,
     .quote = "Use multi-processing instead of multi-threading",
     .measured = "the same processes over as many threads of biased. The talk does not claim "
                 "this; it is our question.",
     .subject = "processes do", .bound = 1, .predicate = "times the work of the threads",
     .over = "rate", .under = "rate",
     .cases = {PROCESSES("churn", MANY, "biased"), PROCESSES("wordcount", MANY, "biased")},
     .cells = {BELOW("threads, biased", "rate"), CELL("processes", "rate"),
               BELOW("memory, threads", "memory_bytes"),
               CELL("memory, processes", "memory_bytes")}},
    {.title = "Ticks against intervals: the answer of a thread that waits",
     .talk = ZAKHARENKO,
     .quote = "Dave Beazley - New GIL in Python 3.2 (further reading)",
     .measured = "the answer of a thread that waits for a socket, beside two that never wait: the "
                 "median and the 90th percentile. ticks: before CPython 3.2. cpython and "
                 "deadline: by an interval. The section on convoys has the experiment.",
     .subject = "the median answer takes", .bound = 10,
     .predicate = "times as long beside busy threads as beside none",
     .over = "p50_ns", .under = "p50_ns",
     .cases = {SCHEME("ticks", "ticks", 2, "ticks", 0),
               SCHEME("cpython", "cpython", 2, "cpython", 0),
               SCHEME("deadline", "deadline", 2, "deadline", 0), SCHEME("", "none", 2, "none", 0)},
     .cells = {BELOW("50 %, none busy", "p50_ns"), CELL("50 %, two busy", "p50_ns"),
               CELL("90 %, two busy", "p90_ns")}},
    {.title = "Ticks against intervals: the work of busy threads",
     .talk = ZAKHARENKO,
     .quote = "Dave Beazley - Guide on how the GIL Operates (further reading)",
     .measured = "operations of the two busy threads meanwhile.",
     .subject = "with intervals they do", .bound = 1.1,
     .predicate = "times the work that they do with ticks",
     .over = "rate", .under = "rate",
     .cases = {SCHEME("cpython", "cpython", 2, "ticks", 2),
               SCHEME("deadline", "deadline", 2, "ticks", 2)},
     .cells = {BELOW("ticks", "rate"), CELL("by interval", "rate")}},
    {.title = "Immediate freeing",
     .talk = ZAKHARENKO,
     .quote = "When refcount is 0, objects are immediately deleted",
     .measured = "the time from the last reference to the finalizer, of objects that their own "
                 "thread drops, or another one. With biased refcounts the other thread queues the "
                 "object for its owner. The clock's own time is in it.",
     .subject = "99 in 100 are finalized after", .less = true, .bound = 1000,
     .predicate = "nanoseconds",
     .over = "delay_p99_ns",
     .cases = {SAME("dropped by its own thread", "freeing", "owner"),
               SAME("dropped by another thread", "freeing", "other")},
     .cells = {CELL("median", "delay_p50_ns"), CELL("99 %", "delay_p99_ns"),
               CELL("longest", "delay_longest_ns")}},
    {.title = "Deferred freeing",
     .talk = ZAKHARENKO,
     .quote = "If you have a cycle, you need to wait for garbage collection",
     .measured = "the same of objects that refer to themselves, and how far memory grows in the "
                 "course of a hundred thousand.",
     .subject = "the median waits", .bound = 10,
     .predicate = "times as long as that of objects that refcounts free",
     .over = "delay_p50_ns", .under = "delay_p50_ns",
     .cases = {{"", EXPERIMENT("freeing", "cycle"), EXPERIMENT("freeing", "owner")}},
     .cells = {BELOW("refcounts, median", "delay_p50_ns"), CELL("cycle, median", "delay_p50_ns"),
               CELL("cycle, longest", "delay_longest_ns"),
               BELOW("memory, refcounts", "peak_bytes"), CELL("memory, cycles", "peak_bytes")}},
};
/* clang-format on */
const size_t claim_count = sizeof claims / sizeof *claims;
