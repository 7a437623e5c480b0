// SPDX-License-Identifier: LGPL-2.1-or-later
//
// allocator-benchmark: measures the small-object allocator of one backend side by
// side with mimalloc and glibc's malloc, in one thread and one process, and prints
// nanoseconds for each pair of allocation and free.
//
// Each allocator is reached by one indirect call: malloc and mi_malloc directly,
// Tally's inline functions through a function around them. Sizes and slots are
// drawn beforehand and are the same for all. What is measured holds the loop, the
// two calls and a store into the block. The order of cases, and of allocators
// within a case, is drawn anew in each round. Ratios and intervals are by the
// comparison's model of rounds (statistics.h), so that a machine that changes its
// speed between rounds does no harm.
// Exit status: 0, 1 where something failed, 2 for bad input.
#define _GNU_SOURCE
#include "objects/object.h"
#include "program.h"
#include "statistics.h"

#include <argp.h>
#include <dlfcn.h>
#include <math.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TALLY, MIMALLOC, GLIBC, ALLOCATORS };
enum { AT_ONCE, LIFO, FIFO, RANDOM, PATTERNS };
enum {
    SIZES = 8,
    CASES = PATTERNS * SIZES,
    BATCH = 100,
    LIVE = 1000,
    PAIRS = 200000, // a multiple of BATCH, and so for QUICK_PAIRS
    QUICK_PAIRS = 20000,
    WARM_UP = 10, // a part of this many of the pairs comes before, not timed
    LEAST_ROUNDS = 15,
    MOST_ROUNDS = 1000,
};

struct allocator {
    const char *name;
    void *(*alloc)(size_t size);
    void (*free)(void *block);
};

static const char *const pattern_names[PATTERNS] = {"at once", "100 LIFO", "100 FIFO",
                                                    "1000 random"};
static const size_t sizes[SIZES] = {16, 32, 48, 64, 128, 256, 512, 0}; // 0: mixed, 16..512

static uint16_t drawn_sizes[SIZES][PAIRS];
static uint16_t drawn_slots[PAIRS];
static double logs[ALLOCATORS][CASES][MOST_ROUNDS]; // of nanoseconds
static uint64_t random_state = 0x9e3779b97f4a7c15u;

static uint64_t draw(uint64_t limit) // xorshift64*
{
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return ((random_state * 0x2545f4914f6cdd1du) >> 32) * limit >> 32;
}

static void shuffle(unsigned *items, unsigned count) {
    for (unsigned i = 0; i < count; i++) items[i] = i;
    for (unsigned i = count; i > 1; i--) {
        unsigned other = (unsigned)draw(i), kept = items[i - 1];
        items[i - 1] = items[other];
        items[other] = kept;
    }
}

static __attribute__((noinline)) void *tally_alloc_called(size_t size) {
    return tally_memory_alloc(TALLY_RAW, size);
}
static __attribute__((noinline)) void tally_free_called(void *block) {
    tally_memory_free(TALLY_RAW, block);
}

static inline void *take(const struct allocator *allocator, size_t size) {
    size_t *block = allocator->alloc(size);
    if (TALLY_UNLIKELY(!block)) program_fail("out of memory");
    *(volatile size_t *)block = size;
    return block;
}

// Each runs `pairs` pairs; none is inlined, so that all allocators run the same code.
static __attribute__((noinline)) void run_at_once(const struct allocator *allocator,
                                                  const uint16_t *size, size_t pairs) {
    for (size_t i = 0; i < pairs; i++) allocator->free(take(allocator, size[i]));
}

static __attribute__((noinline)) void run_lifo(const struct allocator *allocator,
                                               const uint16_t *size, size_t pairs) {
    void *blocks[BATCH];
    for (size_t start = 0; start < pairs; start += BATCH) {
        for (size_t i = 0; i < BATCH; i++) blocks[i] = take(allocator, size[start + i]);
        for (size_t i = BATCH; i-- > 0;) allocator->free(blocks[i]);
    }
}

static __attribute__((noinline)) void run_fifo(const struct allocator *allocator,
                                               const uint16_t *size, size_t pairs) {
    void *blocks[BATCH];
    for (size_t start = 0; start < pairs; start += BATCH) {
        for (size_t i = 0; i < BATCH; i++) blocks[i] = take(allocator, size[start + i]);
        for (size_t i = 0; i < BATCH; i++) allocator->free(blocks[i]);
    }
}

static __attribute__((noinline)) void run_random(const struct allocator *allocator,
                                                 const uint16_t *size, size_t pairs, void **live) {
    for (size_t i = 0; i < pairs; i++) {
        void **slot = &live[drawn_slots[i]];
        allocator->free(*slot);
        *slot = take(allocator, size[i]);
    }
}

static void run(const struct allocator *allocator, unsigned pattern, const uint16_t *size,
                size_t pairs, void **live) {
    switch (pattern) {
    case AT_ONCE: run_at_once(allocator, size, pairs); break;
    case LIFO: run_lifo(allocator, size, pairs); break;
    case FIFO: run_fifo(allocator, size, pairs); break;
    case RANDOM: run_random(allocator, size, pairs, live); break;
    }
}

// Nanoseconds for a pair.
static double measure(const struct allocator *allocator, unsigned number, size_t pairs) {
    static void *live[LIVE];
    unsigned pattern = number / SIZES;
    const uint16_t *size = drawn_sizes[number % SIZES];
    if (pattern == RANDOM)
        for (size_t i = 0; i < LIVE; i++) live[i] = take(allocator, size[i]);
    run(allocator, pattern, size, pairs / WARM_UP, live);
    uint64_t began = program_now();
    run(allocator, pattern, size, pairs, live);
    uint64_t spent = program_now() - began;
    if (pattern == RANDOM)
        for (size_t i = 0; i < LIVE; i++) allocator->free(live[i]);
    return (double)spent / (double)pairs;
}

static void print_interval(struct interval interval, int digits) {
    char text[64];
    snprintf(text, sizeof text, "%.*f [%.*f, %.*f]", digits, interval.estimate, digits,
             interval.low, digits, interval.high);
    printf("  %-20s", text);
}

static void print_results(const struct allocator *allocators, const bool *there, unsigned rounds) {
    static double means[MOST_ROUNDS];
    unsigned reference = there[MIMALLOC] ? MIMALLOC : GLIBC;
    printf("%-12s %5s", "pattern", "size");
    for (unsigned a = 0; a < ALLOCATORS; a++)
        if (there[a]) printf("  %-20s", allocators[a].name);
    for (unsigned a = 0; a < ALLOCATORS; a++)
        if (there[a] && a != reference) {
            char text[64];
            snprintf(text, sizeof text, "%s/%s", allocators[a].name, allocators[reference].name);
            printf("  %-20s", text);
        }
    putchar('\n');
    for (unsigned number = 0; number < CASES; number++) {
        printf("%-12s ", pattern_names[number / SIZES]);
        if (sizes[number % SIZES])
            printf("%5zu", sizes[number % SIZES]);
        else
            printf("mixed");
        for (unsigned a = 0; a < ALLOCATORS; a++)
            if (there[a]) print_interval(mean_over_rounds(logs[a][number], rounds, 0), 2);
        for (unsigned a = 0; a < ALLOCATORS; a++)
            if (there[a] && a != reference)
                print_interval(pair_ratio(logs[a][number], logs[reference][number], rounds, 0), 3);
        for (unsigned k = 0; k < rounds; k++)
            means[k] += (logs[TALLY][number][k] - logs[reference][number][k]) / CASES;
        putchar('\n');
    }
    struct interval mean = mean_over_rounds(means, rounds, 0);
    printf("geometric mean %s/%s: %.3f [%.3f, %.3f]\n", allocators[TALLY].name,
           allocators[reference].name, mean.estimate, mean.low, mean.high);
}

struct options {
    unsigned rounds;
    bool quick;
};

enum key { ROUNDS = 256, QUICKLY };

static const struct argp_option option_list[] = {
    {"rounds", ROUNDS, "N", 0,
     "Measure each case N times, 15 to 1000 (default: 31; with --quick: 15)", 0},
    {"quick", QUICKLY, NULL, 0, "Measure shorter: 20000 pairs at a time instead of 200000", 0},
    {0},
};

static error_t parse(int key, char *argument, struct argp_state *state) {
    struct options *options = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->err_stream = NULL; // getopt's one line says enough
        return 0;
    case QUICKLY: options->quick = true; return 0;
    case ROUNDS:
        options->rounds = program_number("rounds", argument, LEAST_ROUNDS, MOST_ROUNDS);
        return 0;
    case ARGP_KEY_ARG:
        fprintf(stderr, "allocator-benchmark: unexpected argument %s; see --help\n", argument);
        exit(2);
    default: return ARGP_ERR_UNKNOWN;
    }
}

// Local symbols: the library's own malloc must not take the place of glibc's.
static bool load_mimalloc(struct allocator *mimalloc) {
    static const char *const names[] = {"libmimalloc.so.2", "libmimalloc.so.3",
                                        "libmimalloc.so.2.0", "libmimalloc.so"};
    void *library = NULL;
    for (size_t i = 0; !library && i < sizeof names / sizeof *names; i++)
        library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
    if (!library) return false;
    mimalloc->alloc = (void *(*)(size_t))dlsym(library, "mi_malloc");
    mimalloc->free = (void (*)(void *))dlsym(library, "mi_free");
    return mimalloc->alloc && mimalloc->free;
}

int main(int argc, char **argv) {
    struct options options = {0};
    output_watch("allocator-benchmark");
    const struct argp argp = {
        option_list, parse,
        NULL,        "Measures the small-object allocator beside mimalloc and glibc's malloc.",
        NULL,        NULL,
        NULL};
    if (argp_parse(&argp, argc, argv, 0, NULL, &options) != 0) return 2;
    unsigned rounds = options.rounds ? options.rounds : options.quick ? LEAST_ROUNDS : 31;
    size_t pairs = options.quick ? QUICK_PAIRS : PAIRS;

    char name[64];
    snprintf(name, sizeof name, "tally-%s", tally_backend());
    struct allocator allocators[ALLOCATORS] = {
        [TALLY] = {name, tally_alloc_called, tally_free_called},
        [MIMALLOC] = {"mimalloc", NULL, NULL},
        [GLIBC] = {"glibc", malloc, free},
    };
    bool there[ALLOCATORS] = {true, load_mimalloc(&allocators[MIMALLOC]), true};
    if (!there[MIMALLOC])
        fputs("allocator-benchmark: no libmimalloc found (Debian: libmimalloc-dev); its column is "
              "left out\n",
              stderr);
    if (tally_init(NULL) != 0) program_fail("the run time does not start");

    // One processor, where that is allowed: its caches stay warm.
    cpu_set_t processors;
    CPU_ZERO(&processors);
    CPU_SET((size_t)sched_getcpu(), &processors);
    sched_setaffinity(0, sizeof processors, &processors);

    for (unsigned s = 0; s < SIZES; s++)
        for (size_t i = 0; i < PAIRS; i++)
            drawn_sizes[s][i] = (uint16_t)(sizes[s] ? sizes[s] : 16 + draw(512 - 16 + 1));
    for (size_t i = 0; i < PAIRS; i++) drawn_slots[i] = (uint16_t)draw(LIVE);

    printf("Nanoseconds for an allocation and its free: mean [95 %% interval] of %u rounds of "
           "%zu pairs\n",
           rounds, pairs);
    if (!output_written(NULL)) // before minutes of measuring
        return 1;
    for (unsigned round = 0; round < rounds; round++) {
        unsigned cases[CASES], order[ALLOCATORS];
        shuffle(cases, CASES);
        for (unsigned i = 0; i < CASES; i++) {
            shuffle(order, ALLOCATORS);
            for (unsigned k = 0; k < ALLOCATORS; k++)
                if (there[order[k]])
                    logs[order[k]][cases[i]][round] =
                        log(measure(&allocators[order[k]], cases[i], pairs));
        }
    }
    print_results(allocators, there, rounds);
    tally_finish();
    return 0;
}
