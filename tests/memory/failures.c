/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * failures.c: every public operation that allocates is run with its first
 * allocation failing, then its second, until it succeeds. Each time it must say
 * TALLY_MEMORY_ERROR and leave everything as it was: contents, references, the
 * census, the blocks in use. Once with containers that only this thread knows,
 * once with containers that another thread has been in.
 *
 * What cannot fail (drops, removals) is run with no memory to be had at all.
 */
#include "cycles.h"
#include "instrument/failpoint.h"

#include <pthread.h>

enum { NAMES = 6, MOST_ALLOCATIONS = 200 };

/* Whatever an operation may touch. */
static struct {
    tally_object *list, *dict, *tuple, *slim_class, *wide_class, *slim, *wide, *text, *number,
        *real, *native, *native_container;
    tally_object *names[NAMES]; /* the last is no attribute yet */
    tally_object *plain_type, *container_type;
} w;
static tally_object *made; /* by the operation */

static tally_object **every[] = {&w.list,       &w.dict,     &w.tuple,   &w.slim_class,
                                 &w.wide_class, &w.slim,     &w.wide,    &w.text,
                                 &w.number,     &w.real,     &w.native,  &w.native_container,
                                 &w.names[0],   &w.names[4], &w.names[5]};
enum { EVERY = sizeof every / sizeof *every };

static void traverse_one(tally_object *self, tally_visit visit, void *context) {
    tally_object **held = tally_object_data(self);
    if (*held) visit(*held, context);
}
static void clear_one(tally_object *self) {
    tally_object **held = tally_object_data(self), *old = *held;
    *held = NULL;
    tally_xdecref(old);
}

static const char *const slots[] = {"first", "second", NULL};
static const tally_class_spec slim_spec = {.name = "Slim", .slots = slots},
                              wide_spec = {.name = "Wide"};
static const tally_type_spec plain_spec = {.name = "plain", .size = 24};
static const tally_type_spec container_spec = {.name = "holder",
                                               .size = sizeof(tally_object *),
                                               .flags = TALLY_TYPE_CONTAINER,
                                               .traverse = traverse_one,
                                               .clear = clear_one};

/* Appends until the next append has to grow the list. */
static void fill_to_the_brim(tally_object *list) {
    tally_object *twin = tally_list_new(0);
    check_int(tally_list_extend(twin, list), 0);
    ptrdiff_t size = tally_sizeof(twin), room = 0;
    while (check_int(tally_list_append(twin, tally_none), 0), tally_sizeof(twin) == size) room++;
    tally_decref(twin);
    while (room-- > 0) check_int(tally_list_append(list, tally_none), 0);
}

static void make_world(void) {
    memset(&w, 0, sizeof w);
    char name[32];
    w.number = tally_int_new(123456);
    w.real = tally_float_new(1.25);
    w.text = text("some text");
    w.tuple = pair(w.number, w.text);
    w.list = tally_list_new(0);
    tally_object *first = list_of(1000, 1002);
    check_int(tally_list_extend(w.list, first), 0);
    tally_decref(first);
    fill_to_the_brim(w.list);
    w.dict = tally_dict_new();
    w.slim_class = tally_class_new(&slim_spec);
    w.wide_class = tally_class_new(&wide_spec);
    w.slim = tally_instance_new(w.slim_class);
    w.wide = tally_instance_new(w.wide_class);
    w.plain_type = tally_type_new(&plain_spec);
    w.container_type = tally_type_new(&container_spec);
    w.native = tally_object_new(w.plain_type, 0);
    w.native_container = tally_object_new(w.container_type, 0);
    for (int i = 0; i < NAMES; i++) {
        snprintf(name, sizeof name, "attribute %d", i);
        w.names[i] = text(name);
        if (i == NAMES - 1) break; /* with those before it, a table is full */
        check_int(tally_dict_set(w.dict, w.names[i], w.number), 0);
        check_int(tally_set_attr(w.wide, w.names[i], w.number), 0);
        check_int(tally_set_attr(w.wide_class, w.names[i], w.real), 0);
    }
    check_int(tally_slot_set(w.slim, 0, w.number), 0);
}

static void drop_world(void) {
    tally_object *objects[] = {w.native,     w.native_container,
                               w.slim,       w.wide,
                               w.slim_class, w.wide_class,
                               w.dict,       w.list,
                               w.tuple,      w.text,
                               w.real,       w.number};
    for (size_t i = 0; i < sizeof objects / sizeof *objects; i++) tally_decref(objects[i]);
    for (int i = 0; i < NAMES; i++) tally_decref(w.names[i]);
}

/* Another thread has been everywhere: nothing is private any more. */
static void visit_world(void *argument) {
    tally_object *read;
    for (int i = 0; i < NAMES; i++) {
        tally_xdecref(tally_dict_get(w.dict, w.names[i]));
        read = tally_get_attr(w.wide, w.names[i]);
        tally_xdecref(read);
        read = tally_get_attr(w.wide_class, w.names[i]);
        tally_xdecref(read);
    }
    tally_xdecref(tally_list_get(w.list, 0));
    tally_xdecref(tally_tuple_get(w.tuple, 0));
    tally_xdecref(tally_slot_get(w.slim, 0));
    tally_error_clear();
}

/* ---- what there is ---- */

typedef struct picture {
    char text[6000];
    ptrdiff_t references[EVERY], bytes[EVERY];
    size_t objects, object_bytes, blocks, large_blocks, large_bytes;
} picture;

static void add_text(picture *p, tally_object *shown) {
    size_t length = strlen(p->text);
    tally_object *repr = shown ? tally_repr(shown) : NULL;
    snprintf(p->text + length, sizeof p->text - length, "%s;", repr ? tally_str_data(repr) : "-");
    tally_xdecref(repr);
    tally_error_clear();
}

static void take_picture(picture *p) {
    memset(p, 0, sizeof *p);
    for (int i = 0; i < EVERY; i++) {
        p->references[i] = tally_refcount(*every[i]);
        p->bytes[i] = tally_sizeof(*every[i]);
        add_text(p, *every[i]);
    }
    for (int i = 0; i < NAMES; i++) {
        tally_object *a = tally_get_attr(w.wide, w.names[i]),
                     *b = tally_get_attr(w.wide_class, w.names[i]);
        add_text(p, a);
        add_text(p, b);
        tally_xdecref(a);
        tally_xdecref(b);
    }
    for (int i = 0; i < 2; i++) {
        tally_object *a = tally_slot_get(w.slim, i);
        add_text(p, a);
        tally_xdecref(a);
    }
    tally_census_row *rows;
    size_t count;
    check_int(tally_heap_census(&rows, &count), 0);
    for (size_t i = 0; i < count; i++) {
        p->objects += rows[i].objects;
        p->object_bytes += rows[i].bytes;
    }
    free(rows);
    static tally_memory_result memory;
    tally_memory_stats(&memory);
    for (int i = 0; i < TALLY_SIZE_CLASSES; i++) p->blocks += memory.classes[i].blocks;
    p->large_blocks = memory.large_blocks;
    p->large_bytes = memory.large_bytes;
}

static void check_same(const picture *before, const picture *after) {
    check(strcmp(before->text, after->text) == 0);
    check_int(after->objects, before->objects);
    check_int(after->object_bytes, before->object_bytes);
    check_int(after->blocks, before->blocks);
    check_int(after->large_blocks, before->large_blocks);
    check_int(after->large_bytes, before->large_bytes);
    for (int i = 0; i < EVERY; i++) {
        check_int(after->references[i], before->references[i]);
        check_int(after->bytes[i], before->bytes[i]);
    }
}

/* What others freed and what waits has come home: pictures can be compared. */
static void settle(void) {
    double end = now() + SUITE_PATIENCE_SECONDS;
    for (int i = 0; now() < end; i++) {
        tally_stats_result stats;
        tally_safepoint();
        tally_stats(&stats);
        if (i > 3 && stats.retired == stats.reclaimed) break;
        tally_blocking_begin();
        usleep(500);
        tally_blocking_end();
    }
}

/* ---- runs ---- */

static void fail_each(int (*operation)(void), int shared) {
    static picture before, after;
    make_world();
    if (shared) run_threads(1, visit_world, NULL, 0);
    settle();
    int nth = 1;
    for (; nth <= MOST_ALLOCATIONS; nth++) {
        take_picture(&before);
        made = NULL;
        tally_failpoint_failure(nth, 0);
        int result = operation();
        bool failed = tally_failpoint_failed();
        if (!failed) {
            check_int(result, 0);
            break;
        }
        check_int(result, -1);
        check_error(TALLY_MEMORY_ERROR);
        check(made == NULL);
        settle(); /* what died may wait for a grace period */
        take_picture(&after);
        check_same(&before, &after);
        if (result == 0) break;
    }
    check(nth > 1 && nth <= MOST_ALLOCATIONS);
    tally_xdecref(made);
    drop_world();
    settle();
}

#define ALLOCATES(name, call)                      \
    static int run_##name(void) { return (call); } \
    TEST(name) {                                   \
        fail_each(run_##name, 0);                  \
        fail_each(run_##name, 1);                  \
    }
#define MAKES(name, call) ALLOCATES(name, (made = (call)) ? 0 : -1)

/* ---- values ---- */

MAKES(int_new, tally_int_new(1 << 20))
MAKES(float_new, tally_float_new(0.5))
MAKES(str_new, tally_str_new("a short text", -1))
static const char long_text[3000];
MAKES(str_new_of_a_class_of_its_own, tally_str_new(long_text, 450))
MAKES(str_new_large, tally_str_new(long_text, sizeof long_text))
/* A text that is not interned yet, at every call. */
static tally_object *intern_new(void) {
    static int count;
    char data[40];
    snprintf(data, sizeof data, "text number %d", count++);
    tally_object *str = text(data), *interned = str ? tally_str_intern(str) : NULL;
    tally_xdecref(str);
    return interned;
}
MAKES(str_intern, intern_new())
MAKES(repr_of_int, tally_repr(w.number))
MAKES(repr_of_float, tally_repr(w.real))
MAKES(repr_of_str, tally_repr(w.text))
MAKES(repr_of_none, tally_repr(tally_none))
MAKES(repr_of_bool, tally_repr(tally_true))
MAKES(repr_of_tuple, tally_repr(w.tuple))
MAKES(repr_of_list, tally_repr(w.list))
MAKES(repr_of_dict, tally_repr(w.dict))
MAKES(repr_of_class, tally_repr(w.slim_class))
MAKES(repr_of_instance, tally_repr(w.slim))
MAKES(repr_of_native, tally_repr(w.native))

/* ---- numbers, and add of the rest ---- */

MAKES(add_ints, tally_add(w.number, w.number))
MAKES(add_floats, tally_add(w.real, w.number))
MAKES(add_strs, tally_add(w.text, w.text))
MAKES(add_tuples, tally_add(w.tuple, w.tuple))
MAKES(add_lists, tally_add(w.list, w.list))
MAKES(subtract, tally_subtract(w.real, w.number))
MAKES(multiply, tally_multiply(w.number, w.number))
MAKES(divide, tally_divide(w.number, w.real))
MAKES(floor_divide, tally_floor_divide(w.number, tally_true))
MAKES(remainder_of_floats, tally_remainder(w.number, w.real))

/* ---- containers ---- */

static tally_object *large_tuple(void) {
    tally_object *items[100];
    for (int i = 0; i < 100; i++) items[i] = w.number;
    return tally_tuple_new(items, 100);
}
MAKES(tuple_new, pair(w.number, w.text))
MAKES(tuple_new_large, large_tuple())
MAKES(list_new, tally_list_new(0))
MAKES(list_new_with_room, tally_list_new(10))
MAKES(list_new_large, tally_list_new(1000))
ALLOCATES(list_append, tally_list_append(w.list, w.text))
ALLOCATES(list_insert, tally_list_insert(w.list, 1, w.text))
ALLOCATES(list_extend_by_list, tally_list_extend(w.list, w.list))
ALLOCATES(list_extend_by_tuple, tally_list_extend(w.list, w.tuple))
MAKES(dict_new, tally_dict_new())
ALLOCATES(dict_set_in_a_full_table, tally_dict_set(w.dict, w.names[NAMES - 1], w.real))
ALLOCATES(dict_set_of_a_tuple, tally_dict_set(w.dict, w.tuple, w.real))
MAKES(dict_set_default, tally_dict_set_default(w.dict, w.names[NAMES - 1], w.real))

static tally_object *dict_of_one(void) {
    tally_object *dict = tally_dict_new();
    if (dict && tally_dict_set(dict, w.text, w.number) < 0) {
        tally_decref(dict);
        return NULL;
    }
    return dict;
}
MAKES(dict_set_in_an_empty_dict, dict_of_one())

/* ---- classes and native types ---- */

MAKES(class_new_open, tally_class_new(&wide_spec))
static int new_slots;
static tally_object *class_with_new_slots(void) {
    /* names that are not interned yet, each time */
    static char names[2][32];
    snprintf(names[0], sizeof names[0], "slot name %d", new_slots++);
    snprintf(names[1], sizeof names[1], "slot name %d", new_slots++);
    static const char *const fresh[] = {names[0], names[1], NULL};
    return tally_class_new(&(tally_class_spec){.name = "Fresh", .slots = fresh});
}
MAKES(class_new_with_slots, class_with_new_slots())
MAKES(instance_new_open, tally_instance_new(w.wide_class))
MAKES(instance_new_with_slots, tally_instance_new(w.slim_class))
ALLOCATES(set_attr_of_an_instance, tally_set_attr(w.wide, w.names[NAMES - 1], w.text))
ALLOCATES(set_attr_of_a_class, tally_set_attr(w.wide_class, w.names[NAMES - 1], w.text))
MAKES(object_new_plain, tally_object_new(w.plain_type, 0))
MAKES(object_new_large, tally_object_new(w.plain_type, 2000))
MAKES(object_new_container, tally_object_new(w.container_type, 0))
MAKES(object_new_large_container, tally_object_new(w.container_type, 2000))
MAKES(type_new, tally_type_new(&container_spec))

static int census(void) {
    tally_census_row *rows = NULL;
    size_t count = 0;
    int result = tally_heap_census(&rows, &count);
    check((rows != NULL) == (result == 0));
    free(rows);
    return result;
}
ALLOCATES(heap_census, census())

static int heap_snapshot(void) {
    char name[] = "/tmp/tally-heap-XXXXXX", temporary[40];
    int file = mkstemp(name);
    check(file >= 0 && close(file) == 0);
    snprintf(temporary, sizeof temporary, "%s.tmp", name);
    tally_heap_result taken = {0};
    int result = tally_heap_snapshot(name, &taken);
    check((taken.objects > 0) == (result == 0));
    check_int(access(temporary, F_OK), -1); /* nothing half written is left */
    check_int(unlink(name), 0);
    return result;
}
static int heap_snapshot_file(void) {
    FILE *file = fopen("/dev/null", "w");
    int result = tally_heap_snapshot_file(file, NULL);
    check_int(fclose(file), 0);
    return result;
}
static int heap_ledger(void) {
    tally_ledger_result ledger = {.resident = 1};
    int result = tally_heap_ledger(&ledger);
    check((ledger.resident == 1) == (result < 0));
    return result;
}
ALLOCATES(heap_ledger, heap_ledger())
ALLOCATES(heap_snapshot, heap_snapshot())
ALLOCATES(heap_snapshot_file, heap_snapshot_file())

/* ---- threads ---- */

static int started;
static void count_start(void *argument) { started++; }

/* No stack for it: a run-time error; no room for its state: a memory error. */
TEST(thread_start) {
    for (int nth = 1;; nth++) {
        tally_thread thread;
        started = 0;
        tally_failpoint_failure(nth, 0);
        int result = tally_thread_start(&thread, count_start, NULL);
        if (!tally_failpoint_failed()) {
            check_int(result, 0);
            check_int(tally_thread_join(&thread), 0);
            check_int(started, 1);
            check(nth > 2);
            break;
        }
        check_int(result, -1);
        check_error(nth == 1 ? TALLY_RUNTIME_ERROR : TALLY_MEMORY_ERROR);
        check_int(started, 0);
        check(nth < 10);
    }
}

static void *attach_without_memory(void *argument) {
    tally_failpoint_failure(1, 0);
    check_int(tally_thread_attach(), -1);
    check(tally_failpoint_failed());
    check_error(TALLY_MEMORY_ERROR);
    check_int(tally_thread_attach(), 0);
    tally_thread_detach();
    return NULL;
}

TEST(thread_attach) {
    pthread_t thread;
    check_int(pthread_create(&thread, NULL, attach_without_memory, NULL), 0);
    join_blocked(thread);
}

TEST(init_can_be_called_again) {
    check_int(tally_finish(), 0);
    int nth = 1, refused = 0;
    for (; nth <= MOST_ALLOCATIONS; nth++) {
        tally_failpoint_failure(nth, 0);
        int result = tally_init(NULL);
        if (!tally_failpoint_failed()) {
            check_int(result, 0);
            break;
        }
        if (result == 0 && nth <= 2) { /* the region of arenas and its notes: it starts with half of
                                          the address space */
            check_int(tally_finish(), 0);
            continue;
        }
        check_int(result, -1);
        check_error(TALLY_MEMORY_ERROR);
        if (result == 0) break;
        refused++;
    }
    check(refused > 5 && nth <= MOST_ALLOCATIONS);
    tally_object *list = list_of(1, 100);
    check_int(tally_list_length(list), 100);
    tally_decref(list);
}

/* ---- a collection ---- */

static int collections_begun, collections_ended;
static void count_collection(const tally_gc_info *info, void *context) {
    ++*(info->finished ? &collections_ended : &collections_begun);
}

/* The live list has more members than the mark stack has room for at first. */
static void collect_without(int64_t more) {
    begin_nodes();
    collections_begun = collections_ended = 0;
    check_int(tally_gc_add_callback(count_collection, NULL), 0);
    tally_object *live = tally_list_new(0);
    for (int i = 0; i < 20000; i++) append_new(live, tally_list_new(0));
    int rings = 0, failures = 0, collections = 0;
    for (int nth = 1;; nth++) {
        int waiting = rings * 3 - freed();
        if (!waiting) {
            tally_decref(ring_of(finalized_node_type, 3));
            rings++;
            waiting = 3;
        }
        tally_failpoint_failure(nth, more);
        ptrdiff_t found = tally_gc_collect(2);
        bool failed = tally_failpoint_failed();
        collections++;
        if (found < 0) {
            failures++;
            check(failed);
            check_error(TALLY_MEMORY_ERROR);
            check_int(freed(), rings * 3 - waiting);
        } else {
            check_int(found, waiting);
            check_int(freed(), rings * 3);
        }
        check_int(collections_begun, collections);
        check_int(collections_ended, collections);
        check_int(tally_list_length(live), 20000);
        if (!failed) break;
        check(nth < MOST_ALLOCATIONS);
    }
    if (has_gil())
        check_int(failures, 0);
    else
        check(failures > 0);
    check_int(finalized(), freed());
    check_int(tally_gc_remove_callback(count_collection, NULL), 0);
    tally_decref(live);
}

TEST(a_collection) { collect_without(0); }
TEST(a_collection_without_any_memory) { collect_without(INT64_MAX / 2); }

static tally_object *brought_back;
static void bring_back_the_first(tally_object *self) {
    if (node_of(self)->id != 0) return;
    brought_back = self;
    tally_incref(self);
}

/* What was brought back is marked with whatever memory there is; a wide one, too. */
TEST(a_collection_in_which_a_finalizer_brings_back) {
    enum { WIDE = 300 };
    for (int nth = 1;; nth++) {
        begin_nodes();
        atomic_store_explicit(&on_finalize, bring_back_the_first, memory_order_relaxed);
        brought_back = NULL;
        tally_object *ring = ring_of(finalized_node_type, 3), *wide = tally_list_new(WIDE);
        for (int i = 0; i < WIDE; i++) {
            tally_object *inner = tally_list_new(0);
            tally_list_append(inner, wide);
            append_new(wide, inner);
        }
        node_of(ring)->child[1] = wide;
        tally_decref(ring);
        tally_failpoint_failure(nth, INT64_MAX / 2);
        ptrdiff_t found = tally_gc_collect(2);
        bool failed = tally_failpoint_failed();
        if (found < 0) {
            check(failed);
            check_error(TALLY_MEMORY_ERROR);
            check_int(tally_gc_collect(2), 0);
        } else {
            check_int(found, 0);
        }
        check(brought_back != NULL);
        check_int(ring_length(brought_back), 3);
        check_int(tally_list_length(wide), WIDE);
        check_int(freed(), 0);
        tally_decref(brought_back);
        check_int(tally_gc_collect(2), 3 + WIDE + 1);
        check_int(freed(), 3);
        if (!failed) break;
        check(nth < MOST_ALLOCATIONS);
    }
}

/* ---- what cannot fail ---- */

/*
 * A list that holds itself so often that the collector needs memory to count it: without, it lives
 * until a collection that has some. What it cannot count of a live one keeps that alive, too.
 */
TEST(a_collection_without_memory_to_count_with_keeps_what_it_cannot_count) {
    enum { REFERENCES = 1000 };
    tally_object *live = tally_list_new(0), *outer = live;
    for (int i = 0; i < 20000; i++) {
        tally_object *inner = tally_list_new(0);
        tally_list_append(inner, live);
        append_new(outer, inner);
        if (i % 100 == 0) outer = inner;
    }
    int kept = 0, found_all = 0;
    for (int nth = 1; !found_all; nth++) {
        tally_object *list = tally_list_new(0);
        for (int i = 0; i < REFERENCES; i++) tally_list_append(list, list);
        tally_decref(list);
        tally_failpoint_failure(nth, INT64_MAX / 2);
        ptrdiff_t found = tally_gc_collect(2);
        bool failed = tally_failpoint_failed();
        if (found < 0) check_error(TALLY_MEMORY_ERROR);
        if (found < 1) {
            check(failed);
            kept++;
            check_int(tally_gc_collect(2), 1);
        } else {
            check_int(found, 1);
        }
        found_all = !failed;
        check(nth < MOST_ALLOCATIONS);
    }
    check(kept > 0);
    tally_failpoint_failure(1, INT64_MAX / 2);
    check_int(tally_gc_collect(2), 0);
    tally_failpoint_failed();
    check_int(tally_list_length(live), 1);
    check_int(tally_refcount(live), 1 + 20000);
    tally_decref(live);
    check_int(tally_gc_collect(2), 20001);
}

static void without_memory(void) { tally_failpoint_failure(1, INT64_MAX / 2); }

/* Removals from containers, private ones and others, and the death of what they held. */
static void remove_all(int shared) {
    make_world();
    if (shared) run_threads(1, visit_world, NULL, 0);
    tally_object *class = mortal_class(), *held[4];
    for (int i = 0; i < 4; i++) held[i] = tally_instance_new(class);
    check_int(tally_list_set(w.list, 0, held[0]), 0);
    check_int(tally_dict_set(w.dict, w.names[0], held[1]), 0);
    check_int(tally_set_attr(w.wide, w.names[0], held[2]), 0);
    check_int(tally_slot_set(w.slim, 0, held[3]), 0);
    for (int i = 0; i < 4; i++) tally_decref(held[i]);
    ptrdiff_t length = tally_list_length(w.list);
    without_memory();
    check_is(tally_list_pop(w.list, 0), held[0]);
    check_int(tally_list_length(w.list), length - 1);
    check_int(tally_dict_delete(w.dict, w.names[0]), 0);
    check_int(tally_dict_contains(w.dict, w.names[0]), 0);
    check_int(tally_dict_length(w.dict), 4);
    check_int(tally_delete_attr(w.wide, w.names[0]), 0);
    check_int(tally_slot_set(w.slim, 0, NULL), 0);
    check_int(deaths(), 4);
    check_int(tally_list_clear(w.list), 0);
    check_int(tally_dict_clear(w.dict), 0);
    tally_safepoint();
    tally_failpoint_failed();
    tally_decref(class);
    drop_world();
    settle();
}

TEST(removals_need_no_memory) { remove_all(0); }
TEST(removals_from_shared_containers_need_no_memory) { remove_all(1); }

/* A removed key that could not be noted for later goes with its table. */
TEST(a_removed_key_without_memory_is_not_lost) {
    make_world();
    run_threads(1, visit_world, NULL, 0);
    settle();
    ptrdiff_t references = tally_refcount(w.names[1]);
    without_memory();
    check_int(tally_dict_delete(w.dict, w.names[1]), 0);
    tally_failpoint_failed();
    check_int(tally_dict_set(w.dict, w.names[NAMES - 1], w.real), 0); /* a new table */
    settle_until(tally_refcount(w.names[1]) == references - 1);
    check_int(tally_refcount(w.names[1]), references - 1);
    check_int(tally_dict_set(w.dict, w.names[1], w.real), 0);
    check_int(tally_refcount(w.names[1]), references);
    drop_world();
}

/* What failed holds no reference until a safepoint, if it was not the last: the next drop of an
 * item frees it where it would have without the failure. */
TEST(a_failed_extend_or_sum_holds_no_items) {
    tally_object *item = tally_float_new(1.0), *source = tally_list_new(1);
    check_int(tally_list_append(source, item), 0);
    for (int sum = 0; sum < 2; sum++) {
        bool failed = true;
        int nth = 1;
        for (; failed && nth <= MOST_ALLOCATIONS; nth++) {
            tally_object *target = tally_list_new(0), *joined = NULL;
            tally_failpoint_failure(nth, 0);
            if (sum)
                joined = tally_add(source, source);
            else
                tally_list_extend(target, source);
            failed = tally_failpoint_failed();
            if (failed) check_error(TALLY_MEMORY_ERROR);
            check_int(tally_refcount(item), failed ? 2 : sum ? 4 : 3);
            tally_decref(target);
            tally_xdecref(joined);
        }
        check(nth > 2 && !failed);
    }
    tally_decref(source);
    check_int(tally_refcount(item), 1);
    tally_decref(item);
}

/* Deep and broad, with native types in between, which drop in their own way. */
TEST(a_large_structure_dies_without_memory) {
    tally_object *class = mortal_class(), *type = tally_type_new(&container_spec),
                 *top = tally_list_new(0);
    enum { DEPTH = 2000, BREADTH = 20 };
    for (int i = 0; i < DEPTH; i++) {
        tally_object *level = tally_list_new(0);
        append_new(level, top);
        append_new(level, tally_instance_new(class));
        tally_object *holder = tally_object_new(type, 0), *inner = tally_list_new(0);
        *(tally_object **)tally_object_data(holder) = inner;
        for (int j = 0; j < BREADTH; j++) append_new(inner, tally_instance_new(class));
        append_new(level, holder);
        top = level;
    }
    without_memory();
    tally_decref(top);
    tally_failpoint_failed();
    check_int(deaths(), DEPTH * (BREADTH + 1));
    tally_decref(class);
}

/* A native object that drops many at once: they are noted in a list that cannot grow. */
enum { MANY = 300 };
static void clear_many(tally_object *self) {
    tally_object **held = tally_object_data(self);
    for (int i = 0; i < MANY; i++) {
        tally_object *old = held[i];
        held[i] = NULL;
        tally_xdecref(old);
    }
}
static void traverse_many(tally_object *self, tally_visit visit, void *context) {
    tally_object **held = tally_object_data(self);
    for (int i = 0; i < MANY; i++)
        if (held[i]) visit(held[i], context);
}

TEST(what_a_native_object_held_dies_without_asking_for_memory) {
    tally_object *class = mortal_class();
    tally_object *type = tally_type_new(&(tally_type_spec){.name = "many",
                                                           .size = MANY * sizeof(tally_object *),
                                                           .flags = TALLY_TYPE_CONTAINER,
                                                           .traverse = traverse_many,
                                                           .clear = clear_many});
    tally_object *many = tally_object_new(type, 0);
    for (int i = 0; i < MANY; i++)
        ((tally_object **)tally_object_data(many))[i] = tally_instance_new(class);
    without_memory();
    tally_decref(many);
    check(!tally_failpoint_failed()); /* death asks for none */
    check_int(deaths(), MANY);
    tally_decref(class);
}

static tally_object *handed;
static void drop_without_memory(void *argument) {
    without_memory();
    tally_decref(handed);
    tally_failpoint_failed();
}

/* The thread has no table to count the class in, no entry for a queue, no batch to hand over. */
TEST(an_instance_of_another_thread_is_dropped_without_memory) {
    tally_object *class = mortal_class();
    for (int i = 1; i <= 20; i++) {
        handed = tally_instance_new(class);
        check_int(tally_slot_set(handed, 0, class), 0);
        run_threads(1, drop_without_memory, NULL, 0);
        check(wait_for(&suite_deaths, i));
        check_int(tally_refcount(class), 1);
    }
    tally_decref(class);
}

/* What is retired stays in its thread's list for as long as there is no batch for it. */
TEST(retired_memory_waits_until_there_is_memory) {
    make_world();
    run_threads(1, visit_world, NULL, 0);
    settle();
    tally_object *lists[200];
    for (int i = 0; i < 200; i++) {
        lists[i] = list_of(1, 5);
        check_int(tally_dict_set(w.dict, w.names[0], lists[i]), 0);
    }
    for (int i = 0; i < 200; i++) {
        tally_object *key = tally_int_new(100000 + i);
        check_int(tally_dict_set(w.dict, key, lists[i]), 0);
        tally_decref(key);
    }
    without_memory();
    check_int(tally_dict_clear(w.dict), 0);
    for (int i = 0; i < 200; i++) {
        tally_decref(lists[i]);
        tally_safepoint();
    }
    tally_failpoint_failed();
    drop_world();
    settle();
}

static void borrow_world(void *argument) {
    check(tally_borrowed_object(tally_list_borrow(made, 0)) != NULL);
    check(tally_borrowed_object(tally_list_borrow(made, 1)) != NULL);
}

/* Borrowable objects die, and wait, without memory; all of it comes home. */
TEST(a_borrowable_object_dies_without_memory) {
    tally_object *class = mortal_class();
    static picture before, after;
    make_world();
    settle();
    take_picture(&before);
    for (int round = 1; round <= 3; round++) {
        tally_object *instance = tally_instance_new(class), *dict = tally_dict_new();
        for (int i = 0; i < 100; i++)
            set_new(dict, tally_int_new(100000 + i), tally_tuple_new(&instance, 1));
        made = tally_list_new(0);
        append_new(made, dict);
        append_new(made, instance);
        for (int i = 0; i < 1000; i++) append_new(made, tally_int_new(100000 + i));
        run_threads(1, borrow_world, NULL, 0);
        without_memory();
        tally_decref(made);
        tally_safepoint();
        tally_failpoint_failed();
        check_int(deaths(), round);
    }
    made = NULL;
    settle();
    take_picture(&after);
    check_same(&before, &after);
    drop_world();
    tally_decref(class);
    settle();
}

/* A borrow takes no memory, by whichever way. */
TEST(nothing_is_allocated_to_borrow) {
    make_world();
    without_memory();
    check(tally_borrowed_object(tally_list_borrow(w.list, 0)) != NULL);
    check(tally_borrowed_object(tally_dict_borrow(w.dict, w.names[0])) == w.number);
    check(tally_borrowed_object(tally_slot_borrow(w.slim, 0)) == w.number);
    check(!tally_failpoint_failed());
    tally_safepoint();
    drop_world();
    settle();
}

/* ---- a table of numbers ---- */

static void count_without_memory(void *class_) {
    for (int i = 0; i < 3; i++) tally_incref(class_);
    tally_failpoint_failure(1, 1000);
    for (int i = 0; i < 2; i++) tally_decref(class_);
    check_int(tally_failpoint_failed(), is_biased() && !has_gil());
    check_int(tally_refcount(class_), 2);
    tally_decref(class_); /* now there is memory */
    tally_incref(class_);
    tally_decref(class_);
}

TEST(a_thread_that_gets_no_table_of_numbers_counts_a_class_all_the_same) {
    tally_object *class_ = tally_class_new(&wide_spec),
                 *reference = tally_weakref_new(class_, NULL, NULL);
    run_threads(1, count_without_memory, class_, 0); /* in a slot that had no table before */
    check_int(tally_refcount(class_), 1);
    tally_decref(class_);
    tally_gc_collect(2);
    tally_object *got = tally_weakref_get(reference);
    check(got == tally_none);
    drop(got, reference);
}
