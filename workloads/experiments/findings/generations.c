/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * generations.c: what a collection of each generation costs with more and more
 * objects that live long. With atomic refcounts, without a GIL, every collection is a full one.
 */
#include "experiment.h"

#include <stdio.h>

enum { POPULATIONS = 3, TIMES = 5, GENERATION_0 = 700, GENERATION_1 = 7000 };
static const size_t populations[POPULATIONS] = {10000, 100000, 1000000};

/* Lists of two references, one of them to the list before. */
static void add(tally_object *all, size_t count) {
    ptrdiff_t length = tally_list_length(all);
    tally_object *before = length ? program_object(tally_list_get(all, length - 1)) : tally_none;

    for (size_t i = 0; i < count; i++) {
        tally_object *list = program_object(tally_list_new(2));

        program_done(tally_list_append(list, all));
        program_done(tally_list_append(list, before));
        program_done(tally_list_append(all, list));
        tally_decref(before);
        before = list;
    }
    tally_decref(before);
}

/* The median time of a collection that finds so many new objects alive. */
static double collect(tally_object *all, size_t young, int generation) {
    uint64_t times[TIMES], began;

    for (unsigned i = 0; i < TIMES; i++) {
        ptrdiff_t length = tally_list_length(all);

        add(all, young);
        began = program_now();
        if (tally_gc_collect(generation) != 0)
            program_fail("a collection found garbage where there was none");
        times[i] = program_now() - began;
        while (tally_list_length(all) > length)
            tally_decref(program_object(tally_list_pop(all, -1)));
        tally_gc_collect(2); /* what a collection of generation 0 has moved up goes down no more */
    }
    program_sort(times, TIMES);
    return (double)times[TIMES / 2];
}

static void run(unsigned variant) {
    tally_object *all = program_object(tally_list_new(0));
    size_t count = 0;

    (void)variant;
    tally_gc_disable();
    for (unsigned p = 0; p < POPULATIONS; p++) {
        size_t population = experiment_size(populations[p]);
        char name[64];

        add(all, population - count);
        count = population;
        tally_gc_collect(2);
        for (int generation = 0; generation < 3; generation++) {
            snprintf(name, sizeof name, "generation_%d_of_%zu_ns", generation, populations[p]);
            experiment_report(
                name, collect(all, generation == 1 ? GENERATION_1 : GENERATION_0, generation));
        }
    }
    program_done(tally_list_clear(all));
    tally_decref(all);
}

const experiment generations = {
    "generations",
    "what a collection of each generation costs among 10 thousand to a million objects", NULL, run};
