/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * objects.c: what workloads make and drop alike: memory of its own cache lines,
 * and rows of objects.
 */
#include <stdio.h>
#include <string.h>

#include "../workload.h"

void *workload_allocate(size_t bytes) {
    size_t lines = (bytes + WORKLOAD_LINE - 1) / WORKLOAD_LINE;
    size_t whole = (lines > 0 ? lines : 1) * WORKLOAD_LINE;
    void *memory = aligned_alloc(WORKLOAD_LINE, whole);

    if (memory == NULL) workload_fail("no memory for %zu bytes", bytes);
    return memset(memory, 0, whole);
}

uint64_t workload_stand_by(void) {
    uint64_t end = workload_clock() + 100000;

    do
        for (unsigned i = 0; i < 256; i++) tally_safepoint();
    while (workload_clock() < end);
    return 0;
}

void workload_make_floats(tally_object **objects, size_t count, double first) {
    for (size_t i = 0; i < count; i++)
        objects[i] = workload_object(tally_float_new(first + (double)i));
}

tally_object *workload_key(unsigned number) {
    char name[32];

    snprintf(name, sizeof name, "key-%u", number);
    return workload_object(tally_str_new(name, -1));
}

void workload_check_and_drop(tally_object *const *objects, size_t count, ptrdiff_t holders) {
    for (size_t i = 0; i < count; i++) {
        workload_check_count(objects[i], holders);
        tally_decref(objects[i]);
    }
}
