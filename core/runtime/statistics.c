/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* statistics.c: the events of all threads, and the census of live objects. */
#include "objects/object.h"

static void require(const void *place, const char *function) {
    tally_thread_require();
    if (!place) tally_fatal(NULL, function);
}

void tally_stats(tally_stats_result *result) {
    require(result, "tally_stats: NULL, where a place for the result is due");
    memset(result, 0, sizeof *result);
#ifdef TALLY_COUNT_EVENTS
    result->detailed = true;
#endif
    tally_each_thread(thread) {
#define SUM(name) result->name += tally_load_relaxed(&thread->head.events[TALLY_EVENT_##name]);
        TALLY_STATS_CHEAP(SUM)
        TALLY_STATS_DETAILED(SUM)
#undef SUM
    }
    size_t now, most;
    tally_reclaim_backlog(&now, &most);
    result->waiting = now;
    result->waiting_most = most;
    tally_refcount_queued_bytes(&now, &most);
    result->merge_waiting = now;
    result->merge_waiting_most = most;
}

/*
 * A hash of type and owner finds the row, so a census takes time in proportion to the objects,
 * however many types there are. Nothing is allocated while the world is stopped: a census with too
 * little room is taken again with more. `at` has twice as many places as there may be rows; a place
 * has the number of a row, counted from 1, or 0.
 */
typedef struct census {
    tally_census_row *rows;
    uint64_t *keys;
    uint32_t *at;
    size_t count, room;
    bool full;
} census;

static void census_visit(tally_object *object, void *context) {
    census *c = context;
    if (c->full || tally_is_immortal(object)) return;
    unsigned owner = tally_refcount_owner(&object->refcount);
    uint64_t key = (uint64_t)object->type << 32 | owner;
    size_t mask = 2 * c->room - 1, i = (size_t)((key * UINT64_C(0x9e3779b97f4a7c15)) >> 32) & mask;
    while (c->at[i] && c->keys[c->at[i] - 1] != key) i = (i + 1) & mask;
    if (!c->at[i]) {
        c->full = c->count == c->room;
        if (c->full) return;
        c->keys[c->count] = key;
        c->rows[c->count] =
            (tally_census_row){.type = tally_type_entry(object)->name, .owner = owner};
        c->at[i] = (uint32_t)++c->count;
    }
    tally_census_row *row = &c->rows[c->at[i] - 1];
    row->objects++;
    row->bytes += tally_size_locked(object);
}

static void census_free(census *c) {
    free(c->rows);
    free(c->keys);
    free(c->at);
}
/* room is a power of two. False: no memory. */
static bool census_take(census *c, size_t room) {
    *c = (census){.room = room};
    c->rows = malloc(room * sizeof *c->rows);
    c->keys = malloc(room * sizeof *c->keys);
    c->at = calloc(2 * room, sizeof *c->at);
    if (!c->rows || !c->keys || !c->at) {
        census_free(c);
        return false;
    }
    tally_stop_the_world();
    tally_memory_each_object(census_visit, c);
    tally_resume_the_world();
    return true;
}

int tally_heap_census(tally_census_row **rows, size_t *count) {
    tally_thread_require();
    if (!rows || !count)
        return tally_fail(TALLY_VALUE_ERROR, "a census needs places for its rows and their number");
    census c;
    for (size_t room = 1024;; room *= 4) {
        if (!census_take(&c, room)) return tally_no_memory();
        if (!c.full) break;
        census_free(&c);
    }
    *rows = c.rows;
    *count = c.count;
    c.rows = NULL;
    census_free(&c);
    return 0;
}
