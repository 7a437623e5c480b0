/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * range.c: the sum of the numbers of a range, from a list of them all (Python 2's
 * range), or from one after the other, each made when it is needed (xrange).
 */
#include "experiment.h"

enum { WHOLE, LAZY };
static const char *const variants[] = {[WHOLE] = "whole", [LAZY] = "lazy", NULL};

static tally_object *plus(tally_object *sum, tally_object *number) {
    tally_object *next = program_object(tally_add(sum, number));

    tally_decref(sum);
    tally_decref(number);
    return next;
}

static void run(unsigned variant) {
    int64_t count = (int64_t)experiment_size(1000000);
    size_t before = experiment_peak();
    uint64_t began = program_now();
    tally_object *sum = program_object(tally_int_new(0));

    if (variant == WHOLE) {
        tally_object *list = program_object(tally_list_new(0));

        for (int64_t i = 0; i < count; i++) {
            tally_object *number = program_object(tally_int_new(i));

            program_done(tally_list_append(list, number));
            tally_decref(number);
            tally_safepoint();
        }
        for (int64_t i = 0; i < count; i++) {
            sum = plus(sum, program_object(tally_list_get(list, (ptrdiff_t)i)));
            tally_safepoint();
        }
        tally_decref(list);
    } else {
        for (int64_t i = 0; i < count; i++) {
            sum = plus(sum, program_object(tally_int_new(i)));
            tally_safepoint();
        }
    }
    experiment_report("time_ns", (double)(program_now() - began) / (double)count);
    experiment_report("peak_bytes", (double)(experiment_peak() - before));
    if (tally_int_value(sum) != count * (count - 1) / 2) program_fail("the sum is wrong");
    tally_decref(sum);
}

const experiment range = {"range", "a whole list of a range against one number after the other",
                          variants, run};
