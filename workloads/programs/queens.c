/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * queens: all ways to put eight queens on a board so that none attacks another. It stands for
 * searches that try, look and go back: solvers, schedulers, game players. A board is a tuple of
 * columns, one a row; each step makes a longer one and leaves the old as it is.
 *
 * One run is the part of the search that begins in one column, so that it is short; how many
 * solutions each part has is known.
 */
#include "workload.h"

enum { QUEENS = 8 };

static const ptrdiff_t known[QUEENS] = {4, 8, 16, 18, 18, 16, 8, 4}; /* 92 in all */

struct local {
    tally_object *columns; /* the list of 0 ... QUEENS - 1 */
    unsigned first;        /* the next run's first column */
    uint64_t tried;
};

static void enter(struct shared *shared, struct local *local, const workload_context *context) {
    local->first = context->worker % QUEENS;
    local->columns = workload_keep(context, tally_list_new(QUEENS), 1);
    for (unsigned i = 0; i < QUEENS; i++) workload_append(local->columns, tally_int_new(i));
}

/* Whether no queen of the board attacks that column of the next row. */
static bool is_safe(tally_object *board, tally_object *column) {
    ptrdiff_t row = tally_tuple_length(board);
    bool safe = true;
    for (ptrdiff_t i = 0; i < row && safe; i++) {
        tally_object *other = workload_object(tally_tuple_get(board, i));
        tally_object *difference = workload_object(tally_subtract(other, column));
        int64_t distance = tally_int_value(difference);
        safe = distance != 0 && distance != row - i && distance != i - row;
        tally_decref(difference);
        tally_decref(other);
    }
    return safe;
}

/* board + (column,) */
static tally_object *put(tally_object *board, tally_object *column) {
    tally_object *tail = workload_object(tally_tuple_new(&column, 1));
    tally_object *longer = workload_object(tally_add(board, tail));
    tally_decref(tail);
    return longer;
}

static void search(struct local *local, tally_object *board, tally_object *solutions) {
    if (tally_tuple_length(board) == QUEENS) {
        workload_done(tally_list_append(solutions, board));
        return;
    }
    for (ptrdiff_t i = 0; i < QUEENS; i++) {
        tally_object *column = workload_object(tally_list_get(local->columns, i));
        if (is_safe(board, column)) {
            tally_object *longer = put(board, column);
            search(local, longer, solutions);
            tally_decref(longer);
        }
        tally_decref(column);
    }
    local->tried += QUEENS;
    tally_safepoint();
}

/* The right number, each a whole board, each later than the one before. */
static void check(const struct local *local, tally_object *solutions) {
    int64_t last = -1;
    if (tally_list_length(solutions) != known[local->first])
        workload_fail("%td solutions begin in column %u, not %td", tally_list_length(solutions),
                      local->first, known[local->first]);
    for (ptrdiff_t i = 0; i < known[local->first]; i++) {
        tally_object *board = workload_object(tally_list_get(solutions, i));
        int64_t code = 0;
        for (ptrdiff_t row = 0; row < QUEENS; row++) {
            tally_object *column = workload_object(tally_tuple_get(board, row));
            code = code * QUEENS + tally_int_value(column);
            tally_decref(column);
        }
        if (code <= last) workload_fail("solution %td is not later than the one before", i);
        last = code;
        tally_decref(board);
    }
}

static uint64_t run(struct shared *shared, struct local *local, const workload_context *context) {
    tally_object *solutions = workload_object(tally_list_new(0));
    tally_object *column = workload_object(tally_list_get(local->columns, local->first));
    tally_object *board = workload_object(tally_tuple_new(&column, 1));
    tally_decref(column);
    local->tried = 1;
    search(local, board, solutions);
    check(local, solutions);
    workload_check_count(board, 1);
    tally_decref(board);
    tally_decref(solutions);
    local->first = (local->first + 1) % QUEENS;
    return local->tried;
}

WORKLOAD(queens, .name = "queens", .kind = PROGRAMS,
         .description = "Search for all boards of eight queens with tuples of ints: "
                        "solvers, schedulers, games.",
         .unit = "placements", .read_only = true, .not_quick = true, LOCAL_STATE, .enter = enter,
         .run = run);
