/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pauses.c: sums up collections and writes them as JSON.
 */
#include "pauses.h"

#include <string.h>

static void keep_if_long(pauses *all, const tally_gc_info *info) {
    unsigned at = all->longest_count;
    if (at == PAUSES_LONGEST) {
        if (info->pause <= all->longest[at - 1].pause) return;
        at--;
    } else {
        all->longest_count++;
    }
    for (; at > 0 && all->longest[at - 1].pause < info->pause; at--)
        all->longest[at] = all->longest[at - 1];
    all->longest[at] = *info;
}

static void count_last(pauses *all, const tally_gc_info *info) {
    const char *was = info->last_thread == 0 ? "nobody was waited for" : info->last_was;
    if (info->stop == 0) /* a GIL: there is no stop */
        return;
    for (unsigned i = 0; was != NULL && i < PAUSES_REASONS; i++) {
        if (all->last[i].was != NULL && strcmp(all->last[i].was, was) != 0) continue;
        all->last[i].was = was;
        all->last[i].times++;
        return;
    }
}

static void add(pauses *all, const tally_gc_info *info) {
    pauses_part *part = &all->generations[info->generation];
    histogram_add(&part->pause, info->pause);
    histogram_add(&part->stop, info->stop);
    part->automatic += info->automatic;
    part->mark += info->mark;
    part->finalize += info->finalize;
    part->check += info->check;
    part->free += info->free;
    part->reentry += info->reentry;
    part->examined += info->examined;
    part->collected += (uint64_t)info->collected;
    part->collected_running += info->pause ? 0 : (uint64_t)info->collected;
    part->uncollectable += (uint64_t)info->uncollectable;
    part->helpers += info->helpers;
    keep_if_long(all, info);
    count_last(all, info);
}

static void record(const tally_gc_info *info, void *context) {
    pauses *all = context;
    if (!info->finished) return;
    pthread_mutex_lock(&all->mutex);
    if (all->recording && info->shared)
        all->shared++;
    else if (all->recording)
        add(all, info);
    pthread_mutex_unlock(&all->mutex);
}

void pauses_watch(pauses *all) {
    pthread_mutex_init(&all->mutex, NULL);
    workload_done(tally_gc_add_callback(record, all));
}

void pauses_begin(pauses *all) {
    pthread_mutex_lock(&all->mutex);
    all->shared = 0;
    memset(all->generations, 0, sizeof all->generations);
    memset(all->last, 0, sizeof all->last);
    all->longest_count = 0;
    all->began = workload_clock();
    all->recording = true;
    pthread_mutex_unlock(&all->mutex);
}

void pauses_end(pauses *all) {
    pthread_mutex_lock(&all->mutex);
    all->watched = workload_clock() - all->began;
    all->recording = false;
    pthread_mutex_unlock(&all->mutex);
}

/* ---- JSON ----------------------------------------------------------------- */

static json_t *integer(uint64_t value) { return json_integer((json_int_t)value); }

json_t *pauses_spread(const histogram *histogram) {
    return json_pack("{s:o, s:o, s:o, s:o}", "total", integer(histogram->total), "median",
                     integer(histogram_quantile(histogram, 0.5)), "p99",
                     integer(histogram_quantile(histogram, 0.99)), "longest",
                     integer(histogram->longest));
}

#define SUMS(X) \
    X(automatic) X(examined) X(collected) X(collected_running) X(uncollectable) X(helpers)
#define TIMES(X) X(mark) X(finalize) X(check) X(free) X(reentry)

static json_t *part_to_json(const pauses_part *part) {
    json_t *result = json_object();
    json_object_set_new(result, "collections", integer(part->pause.count));
    json_object_set_new(result, "pause_ns", pauses_spread(&part->pause));
    json_object_set_new(result, "stop_ns", pauses_spread(&part->stop));
#define TIME(name) json_object_set_new(result, #name "_ns", integer(part->name));
    TIMES(TIME)
#define SUM(name) json_object_set_new(result, #name, integer(part->name));
    SUMS(SUM)
    return result;
}

static json_t *collection_to_json(const tally_gc_info *info) {
    json_t *result = json_object();
    json_object_set_new(result, "generation", json_integer(info->generation));
    json_object_set_new(result, "automatic", json_boolean(info->automatic));
    json_object_set_new(result, "pause_ns", integer(info->pause));
    json_object_set_new(result, "stop_ns", integer(info->stop));
#define TIME_OF(name) json_object_set_new(result, #name "_ns", integer(info->name));
    TIMES(TIME_OF)
    json_object_set_new(result, "examined", integer(info->examined));
    json_object_set_new(result, "collected", json_integer(info->collected));
    json_object_set_new(result, "uncollectable", json_integer(info->uncollectable));
    json_object_set_new(result, "helpers", json_integer(info->helpers));
    json_object_set_new(result, "last_thread", json_integer(info->last_thread));
    json_object_set_new(result, "last_was",
                        json_string(info->last_was != NULL ? info->last_was : ""));
    return result;
}

static void merge_part(pauses_part *into, const pauses_part *from) {
    histogram_merge(&into->pause, &from->pause);
    histogram_merge(&into->stop, &from->stop);
#define MERGE(name) into->name += from->name;
    TIMES(MERGE)
    SUMS(MERGE)
}

json_t *pauses_to_json(const pauses *all) {
    pauses_part *whole = workload_allocate(sizeof *whole);
    json_t *generations = json_array(), *longest = json_array(), *last = json_object();
    for (unsigned i = 0; i < 3; i++) {
        merge_part(whole, &all->generations[i]);
        json_array_append_new(generations, part_to_json(&all->generations[i]));
    }
    for (unsigned i = 0; i < all->longest_count; i++)
        json_array_append_new(longest, collection_to_json(&all->longest[i]));
    for (unsigned i = 0; i < PAUSES_REASONS && all->last[i].was != NULL; i++)
        json_object_set_new(last, all->last[i].was, integer(all->last[i].times));
    json_t *result = part_to_json(whole);
    json_object_set_new(result, "watched_ns", integer(all->watched));
    json_object_set_new(result, "shared", integer(all->shared));
    json_object_set_new(result, "generations", generations);
    json_object_set_new(result, "last_was", last);
    json_object_set_new(result, "longest", longest);
    free(whole);
    return result;
}
