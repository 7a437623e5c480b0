/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * memory.c: what goes back to the system when objects die. A list of a million
 * ints loses all of them, or all but one in a thousand or in a hundred, evenly
 * scattered over the memory; then it is filled again.
 */
#include "experiment.h"

static const char *const variants[] = {"none", "thousandth", "hundredth", NULL};
static const ptrdiff_t kept_of[] = {0, 1000, 100};

static void fill(tally_object *list, ptrdiff_t count, ptrdiff_t kept) {
    for (ptrdiff_t i = 0; i < count; i++) {
        tally_object *number;

        if (kept && i % kept == 0) continue;
        number = program_object(tally_int_new(1000 + i));
        program_done(tally_list_set(list, i, number));
        tally_decref(number);
        tally_safepoint();
    }
}

static void run(unsigned variant) {
    ptrdiff_t count = (ptrdiff_t)experiment_size(1000000), kept = kept_of[variant];
    tally_object *list = program_object(tally_list_new(count));
    size_t held_before, resident_before, used_before, held, resident;

    for (ptrdiff_t i = 0; i < count; i++) program_done(tally_list_append(list, tally_none));
    experiment_settle();
    held_before = experiment_held();
    resident_before = experiment_resident();
    used_before = experiment_used();

    fill(list, count, 0);
    held = experiment_held() - held_before;
    resident = experiment_resident() - resident_before;
    experiment_report("full_held_bytes", (double)held);
    experiment_report("full_resident_bytes", (double)resident);
    for (ptrdiff_t i = 0; i < count; i++) {
        if (!kept || i % kept != 0) program_done(tally_list_set(list, i, tally_none));
        tally_safepoint();
    }
    experiment_settle();
    experiment_report("left_used_bytes", (double)experiment_used() - (double)used_before);
    experiment_report("left_held_bytes", (double)experiment_held() - (double)held_before);
    experiment_report("left_resident_bytes",
                      (double)experiment_resident() - (double)resident_before);
    fill(list, count, kept);
    experiment_report("refilled_held_bytes", (double)experiment_held() - (double)held_before);
    program_done(tally_list_clear(list));
    tally_decref(list);
}

const experiment memory = {
    "memory", "memory that does not go back when none, or one object in 1000 or 100, survives",
    variants, run};
