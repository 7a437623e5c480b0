/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * test_stress.c: a program, not a suite: more threads than cores do everything
 * at once to the same objects, while threads start, exit, block and attach. What
 * they count themselves must be what is there at the end, and nothing is left.
 *
 *     test_stress [milliseconds [seed]]      default: 5000 1
 *
 * Built with the points of core/instrument/failpoint.h: TALLY_DELAYS=seed in the environment
 * makes every point and every safepoint delay now and then.
 */
#include "instrument/failpoint.h"
#include <tally.h>

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { MAX_THREADS = 48, ITEMS = 64, KEYS = 48, SLOTS = 4, NAMES = 6, CELLS = 16 };

/* The shared world: each thread may do any operation to any of these. */
static struct {
    tally_object *items[ITEMS]; /* mortal; main holds one reference to each */
    tally_object *keys[KEYS];
    tally_object *list, *cells, *dict, *balance, *slim, *wide;
    tally_object *slim_class, *wide_class, *link_type;
    tally_object *names[NAMES];
    int64_t sectioned; /* guarded by a critical section on balance */
    int64_t guarded;   /* guarded by mutex */
    tally_mutex mutex;
    tally_condition condition;
} world;

/* What the threads count by themselves. */
static struct {
    _Atomic int64_t appended, popped, added, deleted, sectioned, guarded;
    _Atomic int64_t made, finalized, links_made, links_freed, operations, threads, failures;
} tallied;

static _Atomic int stop;

#define COUNT(field, n)   atomic_fetch_add_explicit(&tallied.field, (n), memory_order_relaxed)
#define READ(field)       atomic_load_explicit(&tallied.field, memory_order_relaxed)
#define EXPECT(condition) ((condition) ? (void)0 : fail(__LINE__, #condition))

static void fail(int line, const char *what) {
    if (COUNT(failures, 1) < 20)
        fprintf(stderr, "%s:%d: not so: %s (pending error: %d %s)\n", __FILE__, line, what,
                (int)tally_error_kind(), tally_error_message());
}

/* The call failed with one of the errors that other threads can cause. */
static void expect_error(int line, tally_error kind) {
    if (tally_error_kind() != kind) fail(line, "the error that was expected");
    tally_error_clear();
}

/* ---- random numbers, one state a thread ---- */

typedef struct random_state {
    uint64_t state;
} random_state;

static uint32_t draw(random_state *random, uint32_t below) {
    random->state = random->state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)((random->state >> 33) % below);
}

static tally_object *any_item(random_state *random) { return world.items[draw(random, ITEMS)]; }

/* ---- native links: hold one object each ---- */

static void link_traverse(tally_object *self, tally_visit visit, void *context) {
    tally_object **data = tally_object_data(self);
    if (*data) visit(*data, context);
}

static void link_clear(tally_object *self) {
    tally_object **data = tally_object_data(self), *held = *data;
    *data = NULL;
    tally_xdecref(held);
}

static void link_dealloc(tally_object *self) {
    (void)self;
    COUNT(links_freed, 1);
}

static void count_finalized(tally_object *self) {
    (void)self;
    COUNT(finalized, 1);
}

static tally_object *new_instance(int slim) {
    tally_object *object = tally_instance_new(slim ? world.slim_class : world.wide_class);
    EXPECT(object != NULL);
    COUNT(made, 1);
    return object;
}

static tally_object *new_link(tally_object *held) {
    tally_object *link = tally_object_new(world.link_type, 0);
    EXPECT(link != NULL);
    COUNT(links_made, 1);
    tally_incref(held);
    *(tally_object **)tally_object_data(link) = held;
    return link;
}

/* ---- operations ---- */

/* Something fresh, perhaps nested, that only the caller holds. */
static tally_object *fresh(random_state *random) {
    tally_object *item = any_item(random), *object, *pair[2];
    switch (draw(random, 7)) {
    case 0: return tally_int_new(draw(random, 100000));
    case 1: return tally_float_new(draw(random, 1000) * 0.5);
    case 2: return new_instance(1);
    case 3:
        object = new_instance(0);
        EXPECT(tally_set_attr(object, world.names[draw(random, NAMES)], item) == 0);
        return object;
    case 4: return new_link(item);
    case 5: pair[0] = item, pair[1] = item; return tally_tuple_new(pair, 2);
    default:
        object = tally_list_new(2);
        EXPECT(tally_list_append(object, item) == 0);
        return object;
    }
}

static void on_list(random_state *random) {
    tally_object *item;
    switch (draw(random, 4)) {
    case 0:
        EXPECT(tally_list_append(world.list, any_item(random)) == 0);
        COUNT(appended, 1);
        break;
    case 1:
        item = fresh(random);
        EXPECT(tally_list_insert(world.list, (ptrdiff_t)draw(random, 9) - 4, item) == 0);
        tally_decref(item);
        COUNT(appended, 1);
        break;
    default:
        item = tally_list_pop(world.list, draw(random, 2) ? -1 : 0);
        if (item)
            COUNT(popped, 1);
        else
            expect_error(__LINE__, TALLY_INDEX_ERROR);
        tally_xdecref(item);
        break;
    }
}

/* What takes the cells' lock for more than one slot. There are never fewer than CELLS. */
static void with_all_cells(random_state *random) {
    ptrdiff_t index = draw(random, CELLS);
    if (draw(random, 2)) {
        tally_critical section;
        tally_critical_begin(&section, world.cells);
        tally_object *item = tally_list_get(world.cells, index),
                     *again = tally_list_get(world.cells, index);
        EXPECT(item != NULL && item == again); /* nobody stores meanwhile */
        tally_critical_end(&section);
        tally_xdecref(item);
        tally_xdecref(again);
        return;
    }
    if (draw(random, 2))
        EXPECT(tally_list_append(world.cells, any_item(random)) == 0);
    else
        EXPECT(tally_list_insert(world.cells, index, any_item(random)) == 0);
    tally_object *popped = tally_list_pop(world.cells, -1);
    EXPECT(popped != NULL);
    tally_xdecref(popped);
}

static void on_cells(random_state *random) {
    if (draw(random, 100) == 0) {
        with_all_cells(random);
        return;
    }
    ptrdiff_t index = draw(random, CELLS);
    if (draw(random, 3) == 0) {
        tally_object *item = fresh(random);
        EXPECT(tally_list_set(world.cells, index, item) == 0);
        tally_decref(item);
    } else {
        tally_object *item = tally_list_get(world.cells, index);
        EXPECT(item != NULL && tally_refcount(item) > 0);
        tally_xdecref(item);
    }
}

static void on_dict(random_state *random) {
    tally_object *key = world.keys[draw(random, KEYS)], *value;
    ptrdiff_t position = 0;
    int result;
    switch (draw(random, 12)) {
    case 0:
    case 1:
        value = fresh(random);
        EXPECT(tally_dict_set(world.dict, key, value) == 0);
        tally_decref(value);
        break;
    case 2:
        if (tally_dict_delete(world.dict, key) != 0) expect_error(__LINE__, TALLY_KEY_ERROR);
        break;
    case 3: EXPECT(tally_dict_contains(world.dict, key) >= 0); break;
    case 4:
        while ((result = tally_dict_next(world.dict, &position, &key, &value)) == 1) {
            tally_decref(key);
            tally_decref(value);
        }
        if (result < 0) expect_error(__LINE__, TALLY_RUNTIME_ERROR);
        break;
    case 5:
        if (draw(random, 200) == 0) EXPECT(tally_dict_clear(world.dict) == 0);
        break;
    default:
        value = tally_dict_get(world.dict, key);
        EXPECT(tally_error_kind() == TALLY_NO_ERROR);
        tally_xdecref(value);
        break;
    }
}

/* Only set_default and delete touch this dict, so its length is their difference. */
static void on_balance(random_state *random) {
    tally_object *key = world.keys[draw(random, KEYS)];
    if (draw(random, 2)) {
        tally_object *mark = tally_float_new(1.0),
                     *value = tally_dict_set_default(world.balance, key, mark);
        EXPECT(value != NULL);
        if (value == mark) COUNT(added, 1);
        tally_xdecref(value);
        tally_decref(mark);
    } else if (tally_dict_delete(world.balance, key) == 0) {
        COUNT(deleted, 1);
    } else {
        expect_error(__LINE__, TALLY_KEY_ERROR);
    }
}

static void on_attributes(random_state *random) {
    tally_object *value, *name = world.names[draw(random, NAMES)];
    switch (draw(random, 6)) {
    case 0:
        value = fresh(random);
        EXPECT(tally_set_attr(world.wide, name, value) == 0);
        tally_decref(value);
        break;
    case 1:
        if (tally_delete_attr(world.wide, name) != 0) expect_error(__LINE__, TALLY_ATTRIBUTE_ERROR);
        break;
    case 2:
        EXPECT(tally_slot_set(world.slim, draw(random, SLOTS),
                              draw(random, 4) ? any_item(random) : NULL) == 0);
        break;
    case 3:
        value = tally_slot_get(world.slim, draw(random, SLOTS));
        if (!value) expect_error(__LINE__, TALLY_ATTRIBUTE_ERROR);
        tally_xdecref(value);
        break;
    default:
        value = tally_get_attr(world.wide, name);
        if (!value) expect_error(__LINE__, TALLY_ATTRIBUTE_ERROR);
        tally_xdecref(value);
        break;
    }
}

static void on_counts(random_state *random) {
    tally_object *item = any_item(random);
    uint32_t times = 1 + draw(random, 20);
    for (uint32_t i = 0; i < times; i++) tally_incref(item);
    EXPECT(tally_refcount(item) > 0);
    for (uint32_t i = 0; i < times; i++) tally_decref(item);
}

static void in_section(random_state *random) {
    tally_critical outer, section;
    int nested = draw(random, 4) == 0, two = draw(random, 3) == 0;
    tally_object *other = draw(random, 2) ? world.list : world.dict;
    if (nested) tally_critical_begin(&outer, other);
    if (!two)
        tally_critical_begin(&section, world.balance);
    else if (draw(random, 2))
        tally_critical_begin2(&section, world.balance, other);
    else
        tally_critical_begin2(&section, other, world.balance);
    world.sectioned++;
    tally_critical_end(&section);
    if (nested) tally_critical_end(&outer);
    COUNT(sectioned, 1);
}

static void with_mutex(random_state *random) {
    tally_mutex_lock(&world.mutex);
    int64_t value = world.guarded;
    if (draw(random, 4) == 0) tally_safepoint();
    world.guarded = value + 1;
    tally_condition_broadcast(&world.condition);
    tally_mutex_unlock(&world.mutex);
    COUNT(guarded, 1);
}

static void look_around(random_state *random) {
    if (draw(random, 40) != 0) return;
    tally_memory_result memory;
    tally_stats_result stats;
    tally_census_row *rows = NULL;
    size_t count = 0;
    tally_memory_stats(&memory);
    EXPECT(memory.arenas > 0);
    tally_stats(&stats);
    EXPECT(stats.retired >= stats.reclaimed);
    EXPECT(tally_heap_census(&rows, &count) == 0);
    free(rows);
}

static void read_whole(random_state *random) {
    tally_object *text =
        tally_repr(draw(random, 2) ? world.wide : world.items[draw(random, ITEMS)]);
    EXPECT(text != NULL);
    tally_xdecref(text);
    if (draw(random, 50) == 0) {
        tally_object *copy = tally_list_new(0);
        EXPECT(tally_list_extend(copy, world.cells) == 0);
        EXPECT(tally_list_length(copy) >= CELLS);
        EXPECT(tally_equal(copy, world.cells) >= 0);
        tally_decref(copy);
    }
}

/* Reads without a count: a thing, and what it holds. */
static void look_at(tally_borrowed borrowed) {
    tally_object *object = tally_borrowed_object(borrowed);
    const char *type = tally_type_name(object);
    if (strcmp(type, "int") == 0) {
        EXPECT(tally_int_value(object) < 100000);
    } else if (strcmp(type, "float") == 0) {
        EXPECT(tally_float_value(object) >= 0.0);
    } else if (strcmp(type, "list") == 0) {
        object = tally_borrowed_object(tally_list_borrow(object, 0));
        if (!object) expect_error(__LINE__, TALLY_RUNTIME_ERROR); /* the list has died */
    } else if (strcmp(type, "tuple") == 0) {
        EXPECT(tally_tuple_length(object) == 2);
    }
}

static void on_borrowed(random_state *random) {
    for (uint32_t i = 1 + draw(random, 10); i > 0; i--) {
        tally_borrowed borrowed;
        uint32_t which = draw(random, 8);
        if (which < 5)
            borrowed = tally_list_borrow(world.cells, draw(random, CELLS));
        else if (which < 7)
            borrowed = tally_dict_borrow(world.dict, world.keys[draw(random, KEYS)]);
        else
            borrowed = tally_slot_borrow(world.slim, draw(random, SLOTS));
        if (!tally_borrowed_object(borrowed)) {
            if (which == 7) expect_error(__LINE__, TALLY_ATTRIBUTE_ERROR);
            EXPECT(tally_error_kind() == TALLY_NO_ERROR);
            EXPECT(which >= 5);
        } else if (draw(random, 4) == 0) {
            tally_object *retained = tally_retain(borrowed);
            EXPECT(!retained || tally_refcount(retained) > 0);
            tally_xdecref(retained);
        } else {
            look_at(borrowed);
        }
    }
}

static void pause_a_little(random_state *random) {
    switch (draw(random, 30)) {
    case 0:
        tally_blocking_begin();
        usleep(draw(random, 300));
        tally_blocking_end();
        break;
    case 1:
        for (volatile uint32_t i = draw(random, 20000); i > 0; i--) {}
        break;
    default: break;
    }
    TALLY_FAILPOINT(safepoint);
    tally_safepoint();
}

static void act(random_state *random) {
    static void (*const actions[])(random_state *) = {
        on_list,    on_list,    on_cells,      on_cells,      on_dict,     on_dict,
        on_dict,    on_balance, on_attributes, on_attributes, on_counts,   on_counts,
        in_section, with_mutex, look_around,   read_whole,    on_borrowed, on_borrowed,
    };
    actions[draw(random, sizeof actions / sizeof actions[0])](random);
    COUNT(operations, 1);
    if (draw(random, 4) == 0) pause_a_little(random);
}

/* ---- threads ---- */

static void short_life(void *argument) {
    random_state random = *(random_state *)argument;
    for (uint32_t i = draw(&random, 300); i > 0; i--) act(&random);
    COUNT(threads, 1);
}

static void *attached_life(void *argument) {
    EXPECT(tally_thread_attach() == 0);
    short_life(argument);
    tally_thread_detach();
    return NULL;
}

/* Makes threads of both kinds, and acts while they live. */
static void long_life(void *argument) {
    random_state random = *(random_state *)argument;
    while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
        random_state first = {random.state ^ 0x9e3779b97f4a7c15u}, second = {random.state + 77};
        tally_thread started;
        pthread_t made;
        int elsewhere = draw(&random, 2);
        EXPECT(tally_thread_start(&started, short_life, &first) == 0);
        if (elsewhere) EXPECT(pthread_create(&made, NULL, attached_life, &second) == 0);
        for (int i = 0; i < 500; i++) act(&random);
        EXPECT(tally_thread_join(&started) == 0);
        if (elsewhere) {
            tally_blocking_begin();
            pthread_join(made, NULL);
            tally_blocking_end();
        }
    }
    COUNT(threads, 1);
}

/* ---- the program ---- */

static void build(void) {
    static const char *const slots[] = {"a", "b", "c", "d", NULL};
    for (int i = 0; i < ITEMS; i++)
        world.items[i] = i % 2 ? tally_int_new(1000 + i) : tally_float_new(i);
    for (int i = 0; i < KEYS; i++) {
        char name[32];
        snprintf(name, sizeof name, "key number %d", i);
        tally_object *number = tally_int_new(3000 + i);
        world.keys[i] = i % 3 == 0   ? tally_str_new(name, -1)
                        : i % 3 == 1 ? tally_int_new(2000 + i)
                                     : tally_tuple_new(&number, 1);
        tally_decref(number);
    }
    for (int i = 0; i < NAMES; i++) {
        char name[32];
        snprintf(name, sizeof name, "attribute%d", i);
        world.names[i] = tally_str_new(name, -1);
    }
    world.slim_class = tally_class_new(&(tally_class_spec){"Slim", slots, count_finalized});
    world.wide_class = tally_class_new(&(tally_class_spec){"Wide", NULL, count_finalized});
    world.link_type = tally_type_new(&(tally_type_spec){.name = "link",
                                                        .size = sizeof(tally_object *),
                                                        .flags = TALLY_TYPE_CONTAINER,
                                                        .traverse = link_traverse,
                                                        .clear = link_clear,
                                                        .dealloc = link_dealloc});
    world.list = tally_list_new(0);
    world.cells = tally_list_new(CELLS);
    for (int i = 0; i < CELLS; i++) EXPECT(tally_list_append(world.cells, world.items[i]) == 0);
    world.dict = tally_dict_new();
    world.balance = tally_dict_new();
    world.slim = new_instance(1);
    world.wide = new_instance(0);
    tally_mutex_init(&world.mutex);
    tally_condition_init(&world.condition);
}

static void check_totals(void) {
    EXPECT(tally_list_length(world.list) == READ(appended) - READ(popped));
    EXPECT(tally_list_length(world.cells) == CELLS);
    EXPECT(tally_dict_length(world.balance) == READ(added) - READ(deleted));
    EXPECT(world.sectioned == READ(sectioned));
    EXPECT(world.guarded == READ(guarded));
}

static void wait_a_little(void) {
    tally_blocking_begin();
    usleep(1000);
    tally_blocking_end();
    tally_safepoint();
}

static void drop_all(void) {
    tally_object *containers[] = {world.list,    world.cells, world.dict,
                                  world.balance, world.slim,  world.wide};
    for (size_t i = 0; i < sizeof containers / sizeof containers[0]; i++) {
        EXPECT(tally_refcount(containers[i]) == 1);
        tally_decref(containers[i]);
    }
    for (int i = 0; i < 10; i++) tally_safepoint();
    /* A link that was handed out lets go of what it holds after a grace period. */
    for (int waits = 0; READ(links_made) != READ(links_freed) && waits < 30000; waits++)
        wait_a_little();
    for (int i = 0; i < ITEMS; i++) {
        EXPECT(tally_refcount(world.items[i]) == 1);
        tally_decref(world.items[i]);
    }
    for (int i = 0; i < KEYS; i++) {
        /* A removed key is dropped after a grace period: for a moment more than one reference is
         * right. */
        for (int waits = 0; tally_refcount(world.keys[i]) != 1 && waits < 30000; waits++)
            wait_a_little();
        EXPECT(tally_refcount(world.keys[i]) == 1);
        tally_decref(world.keys[i]);
    }
    for (int i = 0; i < NAMES; i++) tally_decref(world.names[i]);
    EXPECT(READ(made) == READ(finalized));
    EXPECT(READ(links_made) == READ(links_freed));
    tally_decref(world.slim_class);
    tally_decref(world.wide_class);
    tally_decref(world.link_type);
}

static int number(const char *word, uint64_t *value) {
    char *end;
    *value = strtoull(word, &end, 10);
    return *word != '\0' && *word != '-' && *end == '\0';
}

int main(int count, char **words) {
    uint64_t milliseconds = 5000, seed = 1;
    if (count > 3 || (count > 1 && !number(words[1], &milliseconds)) ||
        (count > 2 && !number(words[2], &seed))) {
        fprintf(stderr, "usage: %s [milliseconds [seed]]\n", words[0]);
        return 2;
    }
#ifdef TALLY_FAILPOINTS
    uint64_t delays = 0;
    if (getenv("TALLY_DELAYS") && (!number(getenv("TALLY_DELAYS"), &delays) || !delays)) {
        fprintf(stderr, "TALLY_DELAYS is to be a number above 0\n");
        return 2;
    }
    printf("TALLY_DELAYS=%" PRIu64 "\n", delays);
    fflush(stdout);
    tally_failpoint_delays(delays);
#endif
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    int threads = cores * 3 > MAX_THREADS ? MAX_THREADS : cores * 3 < 6 ? 6 : (int)cores * 3;
    static tally_thread handles[MAX_THREADS];
    static random_state randoms[MAX_THREADS];

    EXPECT(tally_init(NULL) == 0);
    build();
    for (int i = 0; i < threads; i++) {
        randoms[i].state = seed * 1000003 + (uint64_t)i * 7919;
        EXPECT(tally_thread_start(&handles[i], long_life, &randoms[i]) == 0);
    }
    tally_blocking_begin();
    nanosleep(
        &(struct timespec){(time_t)(milliseconds / 1000), (long)(milliseconds % 1000) * 1000000},
        NULL);
    tally_blocking_end();
    atomic_store_explicit(&stop, 1, memory_order_relaxed);
    for (int i = 0; i < threads; i++) EXPECT(tally_thread_join(&handles[i]) == 0);
    tally_safepoint();
    check_totals();
    drop_all();
    EXPECT(tally_error_kind() == TALLY_NO_ERROR);
    const char *backend = tally_backend();
    ptrdiff_t live = tally_finish();
    if (live != 0) {
        fprintf(stderr, "%td objects are still alive\n", live);
        COUNT(failures, 1);
    }
    printf("%s: %" PRId64 " operations by %" PRId64
           " threads, at most %d busy at once, seed %" PRIu64 ": %s\n",
           backend, READ(operations), READ(threads), threads * 3, seed,
           READ(failures) ? "FAILED" : "all counts exact");
    return READ(failures) != 0;
}
