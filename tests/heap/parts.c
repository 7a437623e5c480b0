/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * parts.c: a program whose memory has a known part: parts FILE WHAT writes FILE.before and FILE and
 * prints the bytes that were made between them, as tally_sizeof, and the sums of the ledger as they
 * are after FILE. ledger.py looks at the rows.
 */
#include <tally.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FLOATS = 100000, KEPT_EACH = 2000, CYCLES = 10000, BORROWED = 1000 };

static void check(int good) {
    if (good) return;
    fprintf(stderr, "parts: %s\n", tally_error_message());
    exit(1);
}
static tally_object *floats(int count) {
    tally_object *list = tally_list_new(count); /* outgrown arrays would wait beside it */
    for (int i = 0; i < count; i++) {
        tally_object *item = tally_float_new(i + 0.5);
        check(item && tally_list_append(list, item) == 0);
        tally_decref(item);
    }
    return list;
}

static void borrow(void *list) { tally_list_borrow(list, 0); }

int main(int argc, char **argv) {
    char before[4096];
    long bytes = 0;
    tally_object *kept = NULL;
    if (argc != 3) return 2;
    check(tally_init(NULL) == 0);
    tally_gc_disable();
    snprintf(before, sizeof before, "%s.before", argv[1]);
    tally_object *one = tally_float_new(0.25);
    long block = (tally_sizeof(one) + 15) & ~15L; /* of a float */
    tally_decref(one);
    check(tally_heap_snapshot(before, NULL) == 0);
    if (strcmp(argv[2], "live") == 0) {
        kept = floats(FLOATS);
        bytes = FLOATS * block;
    } else if (strcmp(argv[2], "cycles") == 0) {
        for (int i = 0; i < CYCLES; i++) {
            tally_object *list = tally_list_new(0);
            check(tally_list_append(list, list) == 0);
            bytes += (tally_sizeof(list) + 15) & ~15L;
            tally_decref(list);
        }
    } else if (strcmp(argv[2], "pinned") == 0) {
        tally_object *all = floats(FLOATS);
        kept = tally_list_new(0);
        for (int i = 0; i < FLOATS; i += KEPT_EACH) {
            tally_object *item = tally_list_get(all, i);
            check(tally_list_append(kept, item) == 0);
            tally_decref(item);
        }
        tally_decref(all);
        bytes = (FLOATS - FLOATS / KEPT_EACH) * block;
    } else { /* a list that is borrowed waits when it dies, and so do its items */
        tally_object *list = floats(BORROWED);
        tally_thread reader;
        check(tally_thread_start(&reader, borrow, list) == 0 && tally_thread_join(&reader) == 0);
        tally_list_borrow(list, 0);
        tally_safepoint();
        bytes = BORROWED * block + tally_sizeof(list);
        tally_decref(list);
    }
    check(tally_heap_snapshot(argv[1], NULL) == 0);
    printf("%ld\n", bytes);
    tally_ledger_result sums;
    check(tally_heap_ledger(&sums) == 0);
#define PRINT(name) printf(#name " %zu\n", sums.name);
    TALLY_LEDGER_ROWS(PRINT)
    tally_xdecref(kept);
    tally_gc_collect(2);
    return tally_finish() == 0 ? 0 : 1;
}
