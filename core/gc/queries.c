/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * queries.c: lists of tracked objects, freezing, and immortal objects.
 *
 * Objects found while the world is stopped are counted and put into memory of malloc. They become a
 * list once the world runs: another query could find and lock the list, so a stop is no place to
 * append to it.
 */
#include "collector.h"

typedef struct query {
    tally_object *object;
    tally_object **at;
    ptrdiff_t count, capacity;
    bool failed, found;
} query;

static void take_object(tally_object *object, void *context) {
    query *q = context;
    if (q->failed) return;
    if (q->count == q->capacity) {
        ptrdiff_t capacity = q->capacity ? q->capacity * 2 : 64;
        tally_object **at = realloc(q->at, (size_t)capacity * sizeof *at);
        if (!at) {
            q->failed = true;
            return;
        }
        q->at = at;
        q->capacity = capacity;
    }
    tally_incref(object);
    q->at[q->count++] = object;
}
static tally_object *finish(query *q) {
    tally_object *list = q->failed ? NULL : tally_list_new(q->count);
    for (ptrdiff_t i = 0; i < q->count; i++) {
        if (list)
            tally_list_put_new(list, q->at[i]);
        else
            tally_decref(q->at[i]);
    }
    free(q->at);
    if (!list) tally_no_memory();
    return list;
}

tally_object *tally_gc_get_objects(int generation) {
    tally_thread_require();
    if (generation < -1 || generation > 2)
        return tally_fail_null(TALLY_VALUE_ERROR,
                               "there are generations 0, 1 and 2, and -1 for all, not %d",
                               generation);
    query q = {0};
    tally_stop_the_world();
    tally_collector_each(generation, take_object, &q);
    tally_resume_the_world();
    return finish(&q);
}

static void compare_child(tally_object *child, void *context) {
    query *q = context;
    if (child == q->object) q->found = true;
}
static void take_if_referrer(tally_object *object, void *context) {
    query *q = context;
    tally_type *type = tally_type_entry(object);
    q->found = type->class_ && type->object == q->object;
    tally_children(object, type, compare_child, q);
    if (q->found) take_object(object, q);
}

tally_object *tally_gc_get_referrers(tally_object *object) {
    tally_thread_require();
    query q = {.object = object};
    tally_stop_the_world();
    tally_collector_each(-1, take_if_referrer, &q);
    tally_resume_the_world();
    return finish(&q);
}

tally_object *tally_gc_get_referents(tally_object *object) {
    if (!object) return tally_expected_null("an object", NULL);
    tally_thread_require();
    query q = {0};
    tally_type *type = tally_type_entry(object);
    tally_stop_the_world();
    tally_children(object, type, take_object, &q);
    if (type->class_) take_object(type->object, &q);
    tally_resume_the_world();
    return finish(&q);
}

int tally_gc_is_tracked(tally_object *object) {
    TALLY_PLAIN_CALL();
    return object ? tally_is_tracked(object) : tally_expected("an object", NULL);
}
int tally_gc_is_finalized(tally_object *object) {
    TALLY_PLAIN_CALL();
    if (!object) return tally_expected("an object", NULL);
    return (tally_load_relaxed(&object->flags) & TALLY_FLAG_FINALIZED) != 0;
}

void tally_gc_freeze(void) {
    tally_thread_require();
    tally_stop_the_world();
    tally_collector_freeze();
    tally_resume_the_world();
}
void tally_gc_unfreeze(void) {
    tally_thread_require();
    tally_stop_the_world();
    tally_collector_unfreeze();
    tally_resume_the_world();
}
/* The world is stopped, so no thread is inside a refcount or a short lock. An untracked object
 * holds its children as if from outside, so they live on, too. */
static void immortalize(tally_object *object, void *context) {
    if (tally_refcount_is_immortal(&object->refcount) ||
        tally_refcount_is_queued(&object->refcount))
        return;
    tally_make_immortal(object);
}
/* World stopped. An entry in a merge queue finds its object immortal. */
static void make_constant(tally_object *object, unsigned depth) {
    if (tally_refcount_is_immortal(&object->refcount)) return;
    tally_make_immortal(object);
    if (object->type != TALLY_TYPE_TUPLE || depth == TALLY_CONSTANT_DEPTH) return;
    tally_tuple *tuple = (tally_tuple *)object;
    for (ptrdiff_t i = 0; i < tuple->length; i++) make_constant(tuple->items[i], depth + 1);
}
void tally_immortalize(tally_object *object) {
    tally_thread_require();
    if (!object) tally_fatal(NULL, "tally_immortalize: NULL, where an object is due");
    if (tally_refcount_is_immortal(&object->refcount)) return;
    tally_stop_the_world();
    make_constant(object, 1);
    tally_resume_the_world();
}
void tally_gc_immortalize_heap(void) {
    tally_thread_require();
    tally_stop_the_world();
    tally_memory_each_object(immortalize, NULL);
    tally_resume_the_world();
}
ptrdiff_t tally_gc_freeze_count(void) {
    tally_thread_require();
    tally_stop_the_world();
    size_t count = tally_collector_frozen();
    tally_resume_the_world();
    return (ptrdiff_t)count;
}
