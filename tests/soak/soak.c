/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * soak.c: threaded stress. More threads than cores do everything at once to the
 * same objects: foreign threads attach and detach, classes come and go, sections
 * nest, and finalizers, callbacks, hash and equal do all of that in turn.
 *
 *     soak-BACKEND [--seconds N] [--threads N] [--seed S] [--delays S] [--without ACTION]
 *
 * Invariants, checked while it runs and at the end:
 *  - Every object is finalized once, every native object deallocated once, every
 *    callback of a watched weak reference called once; nothing is alive at the end.
 *  - What a section or a mutex guards is counted exactly, and so are the items of a list and of a
 *    dict that all threads fill and empty.
 *  - No operation fails with an error that it cannot have, and no hook runs in a
 *    call that is marked [plain].
 *  - A run in which no thread gets on for HANG_SECONDS is ended, with all stacks.
 *
 * What is counted here orders no memory, so that ThreadSanitizer sees the orders of
 * the run time alone.
 */
#include "instrument/failpoint.h"
#include "suite.h"

#include <getopt.h>
#include <sys/prctl.h>

enum {
    MAX_THREADS = 64,
    CELLS = 24,
    LISTS = 3,
    DICTS = 3,
    SHARED = 4,
    NAMES = 6,
    GUARDS = 4,
    WATCHED = 200,
    LONGEST = 300,
    MOST_IMMORTAL = 200,
    MOST_COUNTED = 60,
    CLASS_CELLS = 4,
    STONES = 8,
    KEYS = 48
};
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
enum { HANG_SECONDS = 180 };
#else
enum { HANG_SECONDS = 60 };
#endif

/* Main holds a reference to each. */
static struct {
    tally_object *cells, *weak_cells, *class_cells, *lists[LISTS], *dicts[DICTS], *open[SHARED],
        *slim[SHARED], *guards[GUARDS];
    tally_object *names[NAMES], *tag, *link_type, *key_type, *stones[STONES], *keys[KEYS];
    tally_object *queue, *balance; /* only on_queue, on_balance change these */
    int64_t guarded[GUARDS];       /* by a section on guards[i] */
    int64_t locked;                /* by mutex */
    tally_mutex mutex;
    tally_condition condition;
} world;

static struct {
    _Atomic int64_t operations, made, made_sum, finalized, finalized_sum, links_made, links_freed,
        callbacks, watched_called;
    _Atomic int64_t guarded[GUARDS], locked, threads, immortal, counted, next_tag, risen, queued,
        balanced;
} tallied;

static _Atomic int stopping, finished;
static uint64_t first_seed;

#define COUNT(field, n) atomic_fetch_add_explicit(&tallied.field, (n), memory_order_relaxed)
#define READ(field)     atomic_load_explicit(&tallied.field, memory_order_relaxed)

/* ---- what a thread keeps ---- */

static _Thread_local struct {
    uint64_t random;
    int depth;    /* of hooks under way */
    int plain;    /* in a call that is marked [plain] */
    bool mutex;   /* holds the mutex */
    bool section; /* is in a section */
} own;

static uint32_t draw(uint32_t below) {
    uint64_t z = own.random += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return (uint32_t)((z >> 33) % below);
}

/* The value of a call that is marked [plain]. */
#define PLAIN(call)                        \
    ({                                     \
        own.plain++;                       \
        typeof(call) plain_value = (call); \
        own.plain--;                       \
        plain_value;                       \
    })

/* The call failed; errors are the ones that other threads can cause. */
static void failed_with(int line, unsigned errors) {
    if (!(errors >> tally_error_kind() & 1))
        check_failed(__FILE__, line, "not an error that the call can have");
    tally_error_clear();
}
#define FAILED(errors) failed_with(__LINE__, errors)
enum {
    NONE = 1 << TALLY_NO_ERROR,
    INDEX = 1 << TALLY_INDEX_ERROR,
    KEY = 1 << TALLY_KEY_ERROR,
    TYPE = 1 << TALLY_TYPE_ERROR,
    ATTRIBUTE = 1 << TALLY_ATTRIBUTE_ERROR,
    RUNTIME = 1 << TALLY_RUNTIME_ERROR,
    VALUE = 1 << TALLY_VALUE_ERROR
};

static void act(void);

/* Some operations within a hook; the innermost hooks only look. */
static void act_in_hook(void) {
    check(own.plain == 0);
    if (own.depth >= 2 || atomic_load_explicit(&finished, memory_order_relaxed)) return;
    int plain = own.plain;
    own.plain = 0;
    own.depth++;
    for (uint32_t i = draw(3); i > 0; i--) act();
    own.depth--;
    own.plain = plain;
}

/* ---- objects ---- */

static void finalize(tally_object *self) {
    int64_t tag = take_int(tally_get_attr(self, world.tag));
    check(tag > 0);
    COUNT(finalized, 1);
    COUNT(finalized_sum, tag);
    if (draw(16) == 0 && !atomic_load_explicit(&finished, memory_order_relaxed)) { /* lives on */
        check(tally_list_set(world.cells, draw(CELLS), self) == 0);
        COUNT(risen, 1);
    }
    act_in_hook();
}

static void called_back(tally_object *reference, void *context) {
    tally_object *referent = tally_weakref_get(reference);
    check(referent == tally_none);
    if (context) COUNT(watched_called, 1);
    COUNT(callbacks, 1);
    act_in_hook();
}

/* A native object that holds one, and knows its number. */
static void link_traverse(tally_object *self, tally_visit visit, void *context) {
    tally_object **held = tally_object_data(self);
    if (*held) visit(*held, context);
}
static void link_clear(tally_object *self) {
    tally_object **data = tally_object_data(self), *held = *data;
    *data = NULL;
    tally_xdecref(held);
}
static void link_dealloc(tally_object *self) { COUNT(links_freed, 1); }

/* A native key: four hashes for sixteen values; equal may change what is being looked at. */
static int64_t key_hash(tally_object *self) {
    if (draw(64) == 0) act_in_hook();
    return *(int64_t *)tally_object_data(self) / 4;
}
static int key_equal(tally_object *self, tally_object *other) {
    const char *name = tally_type_name(other);
    if (draw(64) == 0) act_in_hook();
    return strcmp(name, "key") == 0 &&
           *(int64_t *)tally_object_data(self) == *(int64_t *)tally_object_data(other);
}

static tally_object *new_key(void) {
    tally_object *key = tally_object_new(world.key_type, 0);
    check(key != NULL);
    *(int64_t *)tally_object_data(key) = draw(16);
    return key;
}

static tally_object *new_link(tally_object *held) {
    tally_object *link = tally_object_new(world.link_type, 0);
    check(link != NULL);
    COUNT(links_made, 1);
    tally_incref(held);
    *(tally_object **)tally_object_data(link) = held;
    return link;
}

static const char *const slim_slots[] = {"tag", "a0", "a1", "a2", "__weakref__", NULL};

static tally_object *new_class(bool slim) {
    tally_object *class_ = tally_class_new(
        &(tally_class_spec){slim ? "Slim" : "Wide", slim ? slim_slots : NULL, finalize});
    check(class_ != NULL);
    return class_;
}

/* Its number is set before anybody can drop it. */
static tally_object *new_instance(tally_object *class_) {
    tally_object *self = tally_instance_new(class_);
    check(self != NULL);
    int64_t number = COUNT(next_tag, 1) + 1;
    tally_object *tag = tally_int_new(number);
    check(tally_set_attr(self, world.tag, tag) == 0);
    tally_decref(tag);
    COUNT(made, 1);
    COUNT(made_sum, number);
    return self;
}

static tally_object *any_class(void) {
    tally_object *class_ = tally_list_get(world.class_cells, draw(CLASS_CELLS));
    check(class_ != NULL);
    return class_;
}

static tally_object *any_instance(void) {
    tally_object *class_ = any_class(), *self = new_instance(class_);
    tally_decref(class_);
    return self;
}

/* No container, so that what holds it is flat for repr and equal. */
static tally_object *leaf(void) {
    switch (draw(8)) {
    case 0: return tally_int_new(draw(100000));
    case 1: return tally_float_new(draw(1000) * 0.5);
    case 2: return tally_str_new("text", draw(5));
    case 3:
    case 4: return any_instance();
    case 5: return new_link(world.stones[draw(STONES)]);
    case 6: return new_key();
    default: {
        tally_object *item = tally_list_get(world.cells, draw(CELLS));
        check(item != NULL);
        const char *name = tally_type_name(item);
        if (strcmp(name, "list") != 0 && strcmp(name, "tuple") != 0 && strcmp(name, "dict") != 0)
            return item;
        tally_decref(item);
        return tally_int_new(-1);
    }
    }
}

static tally_object *fresh(void) {
    tally_object *a = leaf(), *b, *made = NULL;
    switch (draw(6)) {
    case 0:
        b = leaf();
        made = tally_tuple_new((tally_object *[]){a, b}, 2);
        tally_decref(b);
        break;
    case 1:
        made = tally_list_new(draw(4));
        check(made && tally_list_append(made, a) == 0);
        break;
    case 2:
        made = tally_dict_new();
        check(made && tally_dict_set(made, world.names[draw(NAMES)], a) == 0);
        break;
    default: return a;
    }
    check(made != NULL);
    tally_decref(a);
    return made;
}

static tally_object *any_key(void) {
    tally_object *item, *key;
    switch (draw(6)) {
    case 0: return tally_int_new(draw(20));
    case 1: return tally_float_new(draw(10));
    case 2:
        item = tally_int_new(draw(10)), key = tally_tuple_new(&item, 1), tally_decref(item);
        return key;
    case 3:
    case 4: return new_key();
    default:
        key = world.names[draw(NAMES)];
        tally_incref(key);
        return key;
    }
}

static tally_object *any_shared(void) {
    switch (draw(6)) {
    case 0: return world.cells;
    case 1: return world.lists[draw(LISTS)];
    case 2: return world.dicts[draw(DICTS)];
    case 3: return world.open[draw(SHARED)];
    case 4: return world.slim[draw(SHARED)];
    default: return world.guards[draw(GUARDS)];
    }
}

/* ---- operations ---- */

static void on_cells(void) {
    tally_object *item;
    if (draw(3) == 0) {
        item = fresh();
        check(tally_list_set(world.cells, draw(CELLS), item) == 0);
    } else {
        item = PLAIN(tally_list_get(world.cells, draw(CELLS)));
        check(item != NULL && PLAIN(tally_refcount(item)) > 0);
    }
    tally_xdecref(item);
}

/* What takes the cells' lock for more than one slot. There are never fewer than CELLS. */
static void on_all_cells(void) {
    ptrdiff_t index = draw(CELLS);
    tally_object *item, *again;
    tally_critical section;
    switch (draw(4)) {
    case 0:
        tally_critical_begin(&section, world.cells);
        item = PLAIN(tally_list_get(world.cells, index));
        again = PLAIN(tally_list_get(world.cells, index));
        check(item != NULL && item == again); /* nobody stores meanwhile */
        tally_critical_end(&section);
        drop(item, again);
        return;
    case 1:
        item = tally_list_new(0);
        check(PLAIN(tally_list_extend(item, world.cells)) == 0);
        check(tally_list_length(item) >= CELLS);
        if (draw(16) == 0) check(tally_equal(item, world.cells) >= 0);
        tally_decref(item);
        return;
    case 2: check(tally_list_append(world.cells, world.stones[draw(STONES)]) == 0); break;
    default: check(tally_list_insert(world.cells, index, world.stones[draw(STONES)]) == 0); break;
    }
    item = tally_list_pop(world.cells, -1);
    check(item != NULL);
    tally_xdecref(item);
}

static void on_queue(void) {
    tally_object *item;
    if (draw(2)) {
        item = fresh();
        check((draw(2) ? tally_list_append(world.queue, item)
                       : tally_list_insert(world.queue, (ptrdiff_t)draw(9) - 4, item)) == 0);
        COUNT(queued, 1);
    } else {
        item = PLAIN(tally_list_pop(world.queue, draw(2) ? -1 : 0));
        if (item)
            COUNT(queued, -1);
        else
            FAILED(INDEX);
    }
    tally_xdecref(item);
}

static void on_balance(void) {
    tally_object *key = world.keys[draw(KEYS)];
    if (draw(2)) {
        tally_object *mark = tally_float_new(1.0),
                     *value = tally_dict_set_default(world.balance, key, mark);
        check(value != NULL);
        if (value == mark) COUNT(balanced, 1);
        tally_xdecref(value);
        tally_decref(mark);
    } else if (tally_dict_delete(world.balance, key) == 0) {
        COUNT(balanced, -1);
    } else {
        FAILED(KEY);
    }
}

static void on_counts(void) {
    tally_object *item = draw(2) ? world.stones[draw(STONES)] : world.keys[draw(KEYS)];
    uint32_t times = 1 + draw(20);
    for (uint32_t i = 0; i < times; i++) tally_incref(item);
    check(PLAIN(tally_refcount(item)) > 0);
    for (uint32_t i = 0; i < times; i++) tally_decref(item);
}

static void on_lists(void) {
    tally_object *list = world.lists[draw(LISTS)], *item = NULL;
    ptrdiff_t length = PLAIN(tally_list_length(list));
    switch (draw(length > LONGEST ? 5 : 12)) {
    case 0: check(tally_list_clear(list) == 0); break;
    case 1:
    case 2:
    case 3:
    case 4:
        item = PLAIN(tally_list_pop(list, draw(2) ? -1 : 0));
        if (!item) FAILED(INDEX);
        break;
    case 5:
        item = fresh();
        check(PLAIN(tally_list_insert(list, (ptrdiff_t)draw(9) - 4, item)) == 0);
        break;
    case 6:
        item = tally_list_new(0);
        check(PLAIN(tally_list_extend(item, list)) == 0);
        break;
    case 7:
        item = fresh();
        if (tally_list_set(list, draw(8), item) < 0) FAILED(INDEX);
        break;
    case 8:
        item = PLAIN(tally_list_get(list, draw(8)));
        if (!item) FAILED(INDEX);
        break;
    default:
        item = fresh();
        check(PLAIN(tally_list_append(list, item)) == 0);
        break;
    }
    tally_xdecref(item);
}

static void on_dicts(void) {
    tally_object *dict = world.dicts[draw(DICTS)], *key = any_key(), *value = NULL, *k, *v;
    ptrdiff_t position = 0;
    int result;
    switch (draw(14)) {
    case 0:
    case 1:
    case 2:
        value = fresh();
        check(tally_dict_set(dict, key, value) == 0);
        break;
    case 3:
    case 4:
        if (tally_dict_delete(dict, key) < 0) FAILED(KEY);
        break;
    case 5: check(tally_dict_contains(dict, key) >= 0); break;
    case 6: {
        tally_object *fallback = fresh();
        value = tally_dict_set_default(dict, key, fallback);
        check(value != NULL);
        tally_decref(fallback);
        break;
    }
    case 7:
        while ((result = tally_dict_next(dict, &position, &k, &v)) == 1) {
            tally_decref(k);
            tally_decref(v);
        }
        if (result < 0) FAILED(RUNTIME);
        break;
    case 8:
        if (draw(30) == 0) check(tally_dict_clear(dict) == 0);
        break;
    default:
        value = tally_dict_get(dict, key);
        check(tally_error_kind() == TALLY_NO_ERROR);
        break;
    }
    tally_xdecref(value);
    tally_decref(key);
}

static void on_attributes(void) {
    tally_object *object = draw(2) ? world.open[draw(SHARED)] : world.slim[draw(SHARED)];
    tally_object *name = world.names[draw(NAMES)], *value = NULL;
    switch (draw(6)) {
    case 0:
    case 1:
        value = fresh();
        if (tally_set_attr(object, name, value) < 0) FAILED(ATTRIBUTE);
        break;
    case 2:
        if (tally_delete_attr(object, name) < 0) FAILED(ATTRIBUTE);
        break;
    case 3:
        value = fresh();
        check(tally_slot_set(world.slim[draw(SHARED)], 1 + draw(3), draw(4) ? value : NULL) == 0);
        break;
    case 4:
        value = PLAIN(tally_slot_get(world.slim[draw(SHARED)], 1 + draw(3)));
        if (!value) FAILED(ATTRIBUTE);
        break;
    default:
        value = PLAIN(tally_get_attr(object, name));
        if (!value) FAILED(ATTRIBUTE);
        break;
    }
    tally_xdecref(value);
}

static void on_cycles(void) {
    tally_object *a = any_instance(), *b = any_instance(), *list = tally_list_new(0);
    check(tally_list_append(list, a) == 0 && tally_list_append(list, b) == 0);
    check(tally_set_attr(a, world.names[0], list) == 0 &&
          tally_set_attr(b, world.names[0], a) == 0);
    if (draw(3) == 0) check(tally_list_set(world.cells, draw(CELLS), a) == 0);
    if (draw(4) == 0) {
        tally_object *reference = tally_weakref_new(a, called_back, NULL);
        check(reference && tally_list_append(list, reference) == 0);
        tally_decref(reference);
    }
    tally_decref(a);
    tally_decref(b);
    tally_decref(list);
}

static void on_classes(void) {
    tally_object *class_;
    switch (draw(4)) {
    case 0:
        class_ = new_class(draw(2));
        check(tally_list_set(world.class_cells, draw(CLASS_CELLS), class_) == 0);
        break;
    case 1: {
        class_ = any_class();
        tally_object *value = tally_int_new(draw(1000));
        check(tally_set_attr(class_, world.names[draw(NAMES)], value) == 0);
        tally_decref(value);
        break;
    }
    case 2: {
        class_ = any_class();
        tally_object *value = tally_get_attr(class_, world.names[draw(NAMES)]);
        if (!value) FAILED(ATTRIBUTE);
        tally_xdecref(value);
        break;
    }
    default: {
        tally_object *self = any_instance();
        class_ = tally_type_of(self);
        check(tally_list_set(world.cells, draw(CELLS), self) == 0);
        tally_decref(self);
        break;
    }
    }
    tally_decref(class_);
}

/* Weak references to what is in the cells: all three kinds of reading, and lists of them. */
static void on_weakrefs(void) {
    tally_object *item = tally_list_get(world.cells, draw(CELLS)), *reference = NULL, *got;
    check(item != NULL);
    switch (draw(6)) {
    case 0:
    case 1:
        reference = tally_weakref_new(item, draw(2) ? called_back : NULL, NULL);
        if (!reference)
            FAILED(TYPE);
        else
            check(tally_list_set(world.weak_cells, draw(CELLS), reference) == 0);
        break;
    case 2:
        reference = tally_weakref_list(item);
        check(reference != NULL);
        check(PLAIN(tally_weakref_count(item)) >= 0);
        break;
    case 3: { /* borrowed: it may die, and be retained or not, while it is looked at */
        tally_borrowed borrowed = tally_list_borrow(world.weak_cells, draw(CELLS));
        reference = PLAIN(tally_retain(borrowed));
        break;
    }
    default: reference = PLAIN(tally_list_get(world.weak_cells, draw(CELLS))); break;
    }
    tally_decref(item);
    if (reference && strcmp(tally_type_name(reference), "weakref") == 0) {
        got = PLAIN(tally_weakref_get(reference));
        check(got != NULL && PLAIN(tally_refcount(got)) > 0);
        if (draw(8) == 0 && tally_hash(reference) == -1) FAILED(TYPE | NONE);
        tally_decref(got);
    }
    tally_xdecref(reference);
}

static void look_at(tally_borrowed borrowed) {
    tally_object *object = tally_borrowed_object(borrowed);
    const char *name = tally_type_name(object);
    if (strcmp(name, "list") == 0) {
        check(tally_list_length(object) >= 0);
        if (!tally_borrowed_object(tally_list_borrow(object, 0))) FAILED(RUNTIME | INDEX);
    } else if (strcmp(name, "tuple") == 0) {
        check(tally_tuple_length(object) == 2);
    } else if (strcmp(name, "int") == 0) {
        check(tally_int_value(object) < 100000);
    } else if (strcmp(name, "float") == 0) {
        check(tally_float_value(object) >= 0.0);
    }
}

static void on_borrowed(void) {
    for (uint32_t i = 1 + draw(6); i > 0; i--) {
        tally_borrowed borrowed;
        tally_object *key = any_key();
        uint32_t which = draw(4);
        switch (which) {
        case 0: borrowed = tally_dict_borrow(world.dicts[draw(DICTS)], key); break;
        case 1: borrowed = tally_slot_borrow(world.slim[draw(SHARED)], 1 + draw(3)); break;
        default: borrowed = tally_list_borrow(world.cells, draw(CELLS)); break;
        }
        if (!tally_borrowed_object(borrowed)) {
            check(which < 2);
            FAILED(which == 1 ? ATTRIBUTE : NONE);
        } else if (draw(3) == 0) {
            tally_object *retained = PLAIN(tally_retain(borrowed));
            check(!retained || PLAIN(tally_refcount(retained)) > 0);
            tally_xdecref(retained);
        } else {
            look_at(borrowed);
        }
        tally_decref(key);
    }
}

/* Nested sections on one or two objects; within, operations on what others contend for. */
static void in_sections(void) {
    tally_critical outer, inner;
    uint32_t i = draw(GUARDS), j = draw(GUARDS), nested = draw(3);
    bool before = own.section;
    own.section = true;
    if (draw(2))
        tally_critical_begin2(&outer, world.guards[i], any_shared());
    else
        tally_critical_begin(&outer, world.guards[i]);
    world.guarded[i]++;
    COUNT(guarded[i], 1);
    if (nested == 1) {
        act(); /* may wait, block, run hooks */
    } else if (nested == 2) {
        tally_critical_begin2(&inner, world.guards[j], world.guards[i]);
        world.guarded[j]++;
        world.guarded[i]++;
        COUNT(guarded[j], 1);
        COUNT(guarded[i], 1);
        if (draw(2)) on_lists();
        tally_critical_end(&inner);
    } else {
        tally_object *item = fresh();
        check(PLAIN(tally_list_append(world.guards[i], item)) == 0);
        tally_decref(item);
        item = PLAIN(tally_list_pop(world.guards[i], -1));
        if (!item) FAILED(INDEX);
        tally_xdecref(item);
    }
    tally_critical_end(&outer);
    own.section = before;
}

static void with_mutex(void) {
    if (own.mutex) return;
    own.mutex = true;
    tally_mutex_lock(&world.mutex);
    int64_t locked = world.locked;
    if (draw(8) == 0)
        tally_safepoint(); /* finalizers run with the mutex held, and leave it alone */
    world.locked = locked + 1;
    COUNT(locked, 1);
    if (draw(8) == 0 && own.depth == 0 && !own.section &&
        !atomic_load_explicit(&stopping, memory_order_relaxed)) {
        tally_condition_wait(&world.condition, &world.mutex);
        world.locked++;
        COUNT(locked, 1);
    }
    tally_condition_broadcast(&world.condition);
    tally_mutex_unlock(&world.mutex);
    own.mutex = false;
}

static void collected(const tally_gc_info *info, void *context) {
    check(info->generation >= 0 && info->generation <= 2);
    if (draw(4) == 0)
        check(tally_gc_remove_callback(collected, context) == 0 || (FAILED(VALUE), true));
}

static void on_collector(void) {
    tally_object *list = NULL;
    int numbers[3];
    switch (draw(24)) {
    case 0: check(tally_gc_collect((int)draw(3)) >= 0); break;
    case 1: tally_gc_enable(); break;
    case 2: draw(4) ? tally_gc_enable() : tally_gc_disable(); break;
    case 3:
        numbers[0] = (int)draw(1000), numbers[1] = numbers[2] = 1 + (int)draw(10);
        check(tally_gc_set_threshold(numbers) == 0);
        break;
    case 4: tally_gc_get_count(numbers); break;
    case 5:
        if (draw(8) == 0) {
            list = tally_gc_get_objects((int)draw(4) - 1);
            check(list != NULL);
        }
        break;
    case 6:
        list = tally_gc_get_referrers(any_shared());
        check(list != NULL);
        break;
    case 7:
        list = tally_gc_get_referents(any_shared());
        check(list != NULL);
        break;
    case 8:
        if (draw(8) == 0) tally_gc_freeze();
        break;
    case 9: tally_gc_unfreeze(); break;
    case 10: check(tally_gc_freeze_count() >= 0); break;
    case 11: {
        static char contexts[4];
        char *context = &contexts[draw(4)];
        if (draw(2) ? tally_gc_add_callback(collected, context)
                    : tally_gc_remove_callback(collected, context))
            FAILED(RUNTIME | VALUE);
        break;
    }
    case 12: {
        tally_census_row *rows = NULL;
        size_t count;
        check(tally_heap_census(&rows, &count) == 0);
        free(rows);
        break;
    }
    case 13: {
        tally_memory_result memory;
        tally_stats_result stats;
        tally_memory_stats(&memory);
        tally_stats(&stats);
        check(memory.arenas > 0 && stats.retired >= stats.reclaimed);
        break;
    }
    case 14: {
        tally_contention_row *rows = NULL;
        size_t count;
        check(tally_contention(&rows, &count) == 0);
        free(rows);
        break;
    }
    default: check(PLAIN(tally_gc_is_tracked(world.cells)) >= 0); break;
    }
    tally_xdecref(list);
}

static void on_lives(void) {
    char text[40];
    tally_object *made = NULL;
    switch (draw(8)) {
    case 0:
        if (COUNT(immortal, 1) < MOST_IMMORTAL) {
            tally_object *number = tally_int_new(100000 + draw(1000));
            made = tally_tuple_new(&number, 1);
            tally_decref(number);
            tally_immortalize(made);
            check(tally_is_immortal(made) == 1);
        }
        break;
    case 1:
        if (COUNT(counted, 1) < MOST_COUNTED) {
            tally_defer_count(world.open[draw(SHARED)]);
            made = any_class();
            tally_defer_count(made);
        }
        break;
    default:
        snprintf(text, sizeof text, "interned %u", draw(64));
        tally_object *plain = tally_str_new(text, -1);
        made = tally_str_intern(plain);
        check(made && tally_equal(made, plain) == 1);
        tally_decref(plain);
        break;
    }
    tally_xdecref(made);
}

static void read_whole(void) {
    tally_object *object = draw(2) ? world.lists[draw(LISTS)] : world.dicts[draw(DICTS)],
                 *text = NULL;
    int order;
    switch (draw(12)) {
    case 0:
        text = tally_repr(object);
        check(text != NULL);
        break;
    case 1:
        check(tally_equal(object, draw(2) ? world.lists[draw(LISTS)] : world.dicts[draw(DICTS)]) >=
              0);
        break;
    case 2:
        if (tally_compare(world.cells, world.lists[draw(LISTS)], &order) < 0) FAILED(TYPE | VALUE);
        break;
    default: check(PLAIN(tally_sizeof(object)) > 0); break;
    }
    tally_xdecref(text);
}

static void pause_a_little(void) {
    if (draw(40) == 0 && !own.mutex) {
        tally_blocking_begin();
        usleep(draw(300));
        tally_blocking_end();
    } else if (draw(40) == 0) {
        for (volatile uint32_t i = draw(20000); i > 0; i--) {}
    }
    if (draw(20) == 0) tally_turns_force(draw(3) != 0);
    TALLY_FAILPOINT(safepoint);
    tally_safepoint();
}

/* An action and how often it is drawn; --without sets that to 0 before any thread starts. */
static struct {
    const char *name;
    void (*run)(void);
    uint32_t weight;
} actions[] = {{"cells", on_cells, 30},       {"lists", on_lists, 30},
               {"dicts", on_dicts, 30},       {"attributes", on_attributes, 20},
               {"cycles", on_cycles, 10},     {"classes", on_classes, 10},
               {"weakrefs", on_weakrefs, 20}, {"borrowed", on_borrowed, 10},
               {"sections", in_sections, 20}, {"mutex", with_mutex, 10},
               {"lives", on_lives, 10},       {"whole", read_whole, 10},
               {"pause", pause_a_little, 10}, {"collector", on_collector, 4},
               {"queue", on_queue, 20},       {"balance", on_balance, 20},
               {"counts", on_counts, 20},     {"all cells", on_all_cells, 2}};
enum { ACTIONS = sizeof actions / sizeof *actions };
static uint32_t all_weights;

static void act(void) {
    uint32_t at = draw(all_weights);
    int i = 0;
    while (at >= actions[i].weight) at -= actions[i++].weight;
    actions[i].run();
    check(tally_error_kind() == TALLY_NO_ERROR);
    tally_error_clear();
    COUNT(operations, 1);
    if (draw(4) == 0) pause_a_little();
}

/* ---- threads ---- */

static void begin_thread(uint64_t seed) {
    memset(&own, 0, sizeof own);
    own.random = seed;
}

static void act_some(void *argument) {
    begin_thread(*(uint64_t *)argument);
    for (uint32_t i = draw(400); i > 0; i--) act();
    COUNT(threads, 1);
}

/* Made elsewhere: attaches and detaches, perhaps more than once. */
static void *come_and_go(void *argument) {
    uint64_t seed = *(uint64_t *)argument;
    for (uint32_t times = 1 + seed % 3; times > 0; times--, seed++) {
        check(tally_thread_attach() == 0);
        act_some(&seed);
        tally_thread_detach();
        if (seed % 2) sched_yield();
    }
    return NULL;
}

/* Keeps weak references to objects that it hands to the others. */
static void watch_one(tally_object *watched) {
    if (tally_list_length(watched) >= WATCHED) return;
    tally_object *self = any_instance(),
                 *reference = tally_weakref_new(self, called_back, (void *)1);
    check(reference != NULL && tally_list_append(watched, reference) == 0);
    tally_decref(reference);
    check(tally_list_set(world.cells, draw(CELLS), self) == 0);
    tally_decref(self);
}

typedef struct life {
    uint64_t seed;
    tally_object *watched;
} life;

static void live(void *argument) {
    life *l = argument;
    begin_thread(l->seed);
    while (!atomic_load_explicit(&stopping, memory_order_relaxed)) {
        uint64_t first = l->seed ^ ((uint64_t)draw(1 << 30) << 20), second = first + 77;
        tally_thread started;
        pthread_t made;
        bool elsewhere = draw(2);
        check(tally_thread_start(&started, act_some, &first) == 0);
        if (elsewhere) check(pthread_create(&made, NULL, come_and_go, &second) == 0);
        for (int i = 0; i < 400 && !atomic_load_explicit(&stopping, memory_order_relaxed); i++) {
            act();
            if (i % 50 == 0) watch_one(l->watched);
        }
        check(tally_thread_join(&started) == 0);
        if (elsewhere) {
            tally_blocking_begin();
            pthread_join(made, NULL);
            tally_blocking_end();
        }
    }
    COUNT(threads, 1);
}

/* ---- a hang ---- */

static void show_stacks(void) {
    char command[200];
    fprintf(stderr, "soak: no operation for %d seconds; all stacks:\n", HANG_SECONDS);
    prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
    snprintf(command, sizeof command,
             "command -v gdb >/dev/null && timeout 60 gdb -p %d -batch -ex 'thread apply all "
             "backtrace' >&2 2>/dev/null"
             " || echo 'gdb is not there'",
             (int)getpid());
    if (system(command) != 0) fprintf(stderr, "no stacks\n");
}

static _Atomic int ended;

static void *watch_dog(void *argument) {
    int64_t before = -1;
    for (int quiet = 0; !atomic_load_explicit(&ended, memory_order_relaxed); sleep(1)) {
        int64_t now = READ(operations);
        quiet = now == before ? quiet + 1 : 0;
        before = now;
        if (quiet >= HANG_SECONDS) {
            show_stacks();
            abort();
        }
    }
    return NULL;
}

/* ---- the program ---- */

static void build(void) {
    char name[32];
    for (int i = 0; i < NAMES; i++) {
        snprintf(name, sizeof name, "a%d", i);
        world.names[i] = tally_str_new(name, -1);
    }
    world.tag = tally_str_new("tag", -1);
    world.link_type = tally_type_new(
        &(tally_type_spec){.name = "link",
                           .size = sizeof(tally_object *),
                           .flags = TALLY_TYPE_CONTAINER | TALLY_TYPE_WEAKLY_REFERENCABLE,
                           .traverse = link_traverse,
                           .clear = link_clear,
                           .dealloc = link_dealloc});
    world.key_type = tally_type_new(&(tally_type_spec){
        .name = "key", .size = sizeof(int64_t), .hash = key_hash, .equal = key_equal});
    for (int i = 0; i < STONES; i++) world.stones[i] = tally_float_new(i);
    for (int i = 0; i < KEYS; i++) {
        snprintf(name, sizeof name, "key number %d", i);
        tally_object *number = tally_int_new(3000 + i);
        world.keys[i] = i % 3 == 0   ? text(name)
                        : i % 3 == 1 ? tally_int_new(2000 + i)
                                     : one_tuple(number);
        tally_decref(number);
    }
    world.queue = tally_list_new(0);
    world.balance = tally_dict_new();
    world.class_cells = tally_list_new(0);
    world.cells = tally_list_new(0);
    world.weak_cells = tally_list_new(0);
    for (int i = 0; i < CELLS; i++) {
        check(tally_list_append(world.cells, world.stones[i % STONES]) == 0);
        check(tally_list_append(world.weak_cells, tally_none) == 0);
    }
    for (int i = 0; i < LISTS; i++) world.lists[i] = tally_list_new(0);
    for (int i = 0; i < DICTS; i++) world.dicts[i] = tally_dict_new();
    for (int i = 0; i < GUARDS; i++) world.guards[i] = tally_list_new(0);
    /* Every fourth seed: what is there by now is counted no longer. What it holds at the end is
     * taken out. */
    if (first_seed % 4 == 3) tally_gc_immortalize_heap();
    for (int i = 0; i < CLASS_CELLS; i++) {
        tally_object *class_ = new_class(i % 2);
        check(tally_list_append(world.class_cells, class_) == 0);
        tally_decref(class_);
    }
    tally_object *wide = new_class(false), *slim = new_class(true);
    for (int i = 0; i < SHARED; i++) {
        world.open[i] = new_instance(wide);
        world.slim[i] = new_instance(slim);
    }
    tally_decref(wide);
    tally_decref(slim);
    tally_mutex_init(&world.mutex);
    tally_condition_init(&world.condition);
}

/* No other thread has a reference any more. Borrowable objects and removed keys drop their
 * references after a grace period: for a moment more than one reference is right. */
static void drop_last(tally_object **objects, size_t count) {
    for (size_t i = 0; i < count; i++) {
        int immortal = tally_is_immortal(objects[i]);
        for (int waits = 0; !immortal && tally_refcount(objects[i]) != 1 && waits < 30000; waits++)
            rest();
        if (!immortal) check_int(tally_refcount(objects[i]), 1);
        tally_decref(objects[i]);
    }
}

static void empty_world(void) {
    tally_gc_unfreeze();
    check_int(tally_list_length(world.cells), CELLS);
    check_int(tally_list_length(world.queue), READ(queued));
    check_int(tally_dict_length(world.balance), READ(balanced));
    check(tally_list_clear(world.queue) == 0 && tally_dict_clear(world.balance) == 0);
    check(tally_list_clear(world.cells) == 0 && tally_list_clear(world.weak_cells) == 0 &&
          tally_list_clear(world.class_cells) == 0);
    for (int i = 0; i < LISTS; i++) check(tally_list_clear(world.lists[i]) == 0);
    for (int i = 0; i < DICTS; i++) check(tally_dict_clear(world.dicts[i]) == 0);
    for (int i = 0; i < GUARDS; i++) check(tally_list_clear(world.guards[i]) == 0);
    drop_last(world.open, SHARED);
    drop_last(world.slim, SHARED);
    drop_last(world.lists, LISTS);
    drop_last(world.dicts, DICTS);
    drop_last(world.guards, GUARDS);
    drop_last((tally_object *[]){world.cells, world.weak_cells, world.class_cells, world.queue,
                                 world.balance},
              5);
}

/* What waits for a grace period or a collection is gone once the condition holds. */
static void settle(int64_t watched) {
    for (int i = 0; i < 20000; i++) {
        if (i % 20 == 0) {
            tally_gc_unfreeze();
            check(tally_gc_collect(2) >= 0);
        }
        if (READ(made) == READ(finalized) && READ(links_made) == READ(links_freed) &&
            READ(watched_called) == watched)
            return;
        rest();
        if (i % 1000 == 0) COUNT(operations, 1);
    }
}

static void check_totals(int64_t watched) {
    check(READ(made) == READ(finalized));
    check(READ(made_sum) == READ(finalized_sum));
    check(READ(links_made) == READ(links_freed));
    check(READ(watched_called) == watched);
    for (int i = 0; i < GUARDS; i++) check(world.guarded[i] == READ(guarded[i]));
    check(world.locked == READ(locked));
}

static long number(const char *program, const char *word, long most) {
    char *end;
    long value = strtol(word, &end, 10);
    if (end == word || *end || value < 0 || value > most) {
        fprintf(
            stderr,
            "usage: %s [--seconds N] [--threads N] [--seed S] [--delays S] [--without ACTION]\n",
            program);
        exit(2);
    }
    return value;
}

int main(int count, char **words) {
    static const struct option options[] = {{"seconds", 1, 0, 't'}, {"threads", 1, 0, 'n'},
                                            {"seed", 1, 0, 's'},    {"delays", 1, 0, 'd'},
                                            {"without", 1, 0, 'w'}, {0}};
    long duration = 5, threads = 2 * sysconf(_SC_NPROCESSORS_ONLN), delays = 0;
    threads = threads < 8 ? 8 : threads > MAX_THREADS ? MAX_THREADS : threads;
    first_seed = 1;
    for (int c; (c = getopt_long(count, words, "", options, NULL)) != -1;) {
        switch (c) {
        case 't': duration = number(words[0], optarg, 1000000); break;
        case 'n': threads = number(words[0], optarg, MAX_THREADS); break;
        case 's': first_seed = (uint64_t)number(words[0], optarg, INT64_MAX); break;
        case 'd': delays = number(words[0], optarg, INT64_MAX); break;
        case 'w':
            for (int i = 0; i < ACTIONS; i++)
                if (strcmp(actions[i].name, optarg) == 0) actions[i].weight = 0;
            break;
        default: number(words[0], "?", 0);
        }
    }
    for (int i = 0; i < ACTIONS; i++) all_weights += actions[i].weight;
    if (optind < count || threads < 1) number(words[0], "?", 0);
#ifdef TALLY_FAILPOINTS
    tally_failpoint_delays((uint64_t)delays);
#else
    if (delays) {
        fprintf(stderr, "--delays needs the program soak-delays-BACKEND\n");
        return 2;
    }
#endif
    setvbuf(stdout, NULL, _IOLBF, 4096);
    static tally_thread handles[MAX_THREADS];
    static life lives[MAX_THREADS];
    pthread_t dog;
    pthread_create(&dog, NULL, watch_dog, NULL);
    begin_thread(first_seed);
    check(tally_init(NULL) == 0);
    build();
    for (long i = 0; i < threads; i++) {
        lives[i] = (life){first_seed * 1000003 + (uint64_t)i * 7919, tally_list_new(0)};
        check(tally_thread_start(&handles[i], live, &lives[i]) == 0);
    }
    for (double end = now() + (double)duration; now() < end && check_failures() < 20;) {
        tally_blocking_begin();
        usleep(100000);
        tally_blocking_end();
        tally_safepoint();
    }
    /* Within the mutex: a thread waits for the condition, and is woken, or it sees that all end. */
    tally_mutex_lock(&world.mutex);
    atomic_store_explicit(&stopping, 1, memory_order_relaxed);
    tally_condition_broadcast(&world.condition);
    tally_mutex_unlock(&world.mutex);
    for (long i = 0; i < threads; i++) {
        check(tally_thread_join(&handles[i]) == 0);
    }
    atomic_store_explicit(&finished, 1, memory_order_relaxed);
    int64_t watched = 0;
    for (long i = 0; i < threads; i++) watched += tally_list_length(lives[i].watched);
    empty_world();
    settle(watched);
    check_totals(watched);
    for (long i = 0; i < threads; i++) tally_decref(lives[i].watched);
    drop_last(world.stones, STONES);
    drop_last(world.keys, KEYS);
    drop_all(world.names, NAMES);
    tally_decref(world.tag);
    tally_gc_collect(2);
    check(tally_error_kind() == TALLY_NO_ERROR);
    const char *backend = tally_backend();
    ptrdiff_t live_objects = tally_finish();
    check_int(live_objects, 0);
    atomic_store_explicit(&ended, 1, memory_order_relaxed);
    pthread_join(dog, NULL);
    printf("%s: %" PRId64 " operations by %" PRId64 " threads, %ld at once, seed %" PRIu64
           ", %" PRId64 " objects finalized, %" PRId64 " brought back, %" PRId64 " callbacks: %s\n",
           backend, READ(operations), READ(threads), threads, first_seed, READ(finalized),
           READ(risen), READ(callbacks), check_failures() ? "FAILED" : "all counts exact");
    return check_failures() != 0;
}
