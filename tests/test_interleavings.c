/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * test_interleavings.c: the interleavings that docs/design/ argues about,
 * each forced. Threads are actors: they do what the director (the test's own
 * thread, in a blocking region) tells them, and are held at a point of
 * core/instrument/failpoint.h in the middle of it. In the end every object has died once.
 *
 * An idle actor runs, without a safepoint; with a GIL it would keep everybody
 * out, so there it is in a blocking region.
 */
#include "instrument/failpoint.h"
#include "suite.h"

#include <linux/membarrier.h>
#include <pthread.h>
#include <sys/syscall.h>

/* Roles: the owner made the object; the others do something to it. */
enum { OWNER = 1, OTHER, THIRD, ACTORS };

typedef struct actor {
    pthread_t thread;
    int role;
    int attached, blocked; /* its own */
    void (*_Atomic command)(void);
    _Atomic int told, done; /* how many commands */
} actor;

static actor actors[ACTORS];
static _Thread_local actor *me;

/* What a scenario is about. */
static tally_object *class_, *object, *list, *other_list, *result;
static _Atomic int flag, finalizing;
static tally_critical sections[ACTORS];

/* ---- actors ---- */

static void leave(void) {}

static void *play(void *argument) {
    me = argument;
    tally_failpoint_role(me->role);
    for (int next = 1;; next++) {
        int blocks = has_gil() && me->attached && !me->blocked;
        if (blocks) tally_blocking_begin();
        /* acquire: pairs with begin: what the director knows, and no more, comes before a command
         */
        while (atomic_load_explicit(&me->told, memory_order_acquire) < next) usleep(50);
        if (blocks) tally_blocking_end();
        void (*command)(void) = atomic_load_explicit(&me->command, memory_order_relaxed);
        command();
        atomic_store_explicit(&me->done, next, memory_order_release);
        if (command == leave) return NULL;
    }
}

static int is_done(int role) {
    return atomic_load_explicit(&actors[role].done, memory_order_acquire) ==
           atomic_load_explicit(&actors[role].told, memory_order_relaxed);
}

/* Tells the actor to do it. */
static void begin(int role, void (*command)(void)) {
    atomic_store_explicit(&actors[role].command, command, memory_order_relaxed);
    atomic_fetch_add_explicit(&actors[role].told, 1, memory_order_release);
}

/* Waits until it is done; a scenario cannot go on without. */
static void finish(int role) {
    double end = now() + SUITE_PATIENCE_SECONDS;
    while (!is_done(role)) {
        if (now() > end) {
            fprintf(stderr, "actor %d does not come to an end\n", role);
            abort();
        }
        usleep(50);
    }
}

static void tell(int role, void (*command)(void)) {
    begin(role, command);
    finish(role);
}

/* It is still at it after a while. */
static int stands(int role) {
    usleep(20000);
    return !is_done(role);
}

#define hold(role, point)    tally_failpoint_hold(role, #point)
#define await(role, point)   check(tally_failpoint_await(role, #point))
#define release(role, point) tally_failpoint_release(role, #point)
#define is_held(role, point) tally_failpoint_is_held(role, #point)

/* ---- commands ---- */

static void attach(void) {
    check_int(tally_thread_attach(), 0);
    me->attached = 1;
}
static void detach(void) {
    tally_thread_detach();
    me->attached = 0;
}
static void block(void) {
    tally_blocking_begin();
    me->blocked = 1;
}
static void unblock(void) {
    tally_blocking_end();
    me->blocked = 0;
}
static void safepoint(void) { tally_safepoint(); }
static void make_object(void) { object = tally_instance_new(class_); }
static void drop_object(void) { tally_decref(object); }
static void take_object(void) { tally_incref(object); }
static void check_one_left(void) { check_int(tally_refcount(object), 1); }
static void make_list(void) {
    list = tally_list_new(4);
    check_int(tally_list_append(list, tally_none), 0);
}
static void make_other_list(void) {
    other_list = tally_list_new(4);
    check_int(tally_list_append(other_list, tally_none), 0);
}
static void drop_list(void) { tally_decref(list); }
static void drop_other_list(void) { tally_decref(other_list); }
static void put_fresh(void) {
    tally_object *fresh = tally_instance_new(class_);
    check_int(tally_list_set(list, 0, fresh), 0);
    tally_decref(fresh);
}
static void put_none(void) { check_int(tally_list_set(list, 0, tally_none), 0); }
static void put_result(void) {
    check_int(tally_list_set(list, 0, result), 0);
    tally_decref(result);
}
static void read_first(void) { result = tally_list_get(list, 0); }
static void read_last(void) { result = tally_list_get(list, 99); }
static void read_and_drop(void) {
    tally_object *read = tally_list_get(list, 0);
    tally_decref(read);
}
static void read_other_and_drop(void) {
    tally_object *read = tally_list_get(other_list, 0);
    tally_decref(read);
}
static void append_none(void) { check_int(tally_list_append(list, tally_none), 0); }
static void stop_world(void) {
    tally_memory_result memory;
    tally_memory_stats(&memory);
}
static void safepoints_until_flag(void) {
    while (!atomic_load_explicit(&flag, memory_order_relaxed)) {
        tally_safepoint();
        usleep(20);
    }
}
static void enter_section(void) { tally_critical_begin(&sections[me->role], list); }
static void leave_section(void) { tally_critical_end(&sections[me->role]); }
static void pass_section(void) {
    enter_section();
    leave_section();
}

static uint64_t merges;
static void count_merges(void) {
    tally_stats_result stats;
    tally_stats(&stats);
    merges = stats.merges;
}

/* ---- scenarios ---- */

/* The director is blocked until curtain; all actors are attached but those of `outside`. */
static void raise_curtain_but(int outside) {
    class_ = mortal_class();
    atomic_store_explicit(&flag, 0, memory_order_relaxed);
    atomic_store_explicit(&finalizing, 0, memory_order_relaxed);
    tally_blocking_begin();
    for (int role = OWNER; role < ACTORS; role++) {
        actors[role] = (actor){.role = role};
        check_int(pthread_create(&actors[role].thread, NULL, play, &actors[role]), 0);
        if (role != outside) tell(role, attach);
    }
}
static void raise_curtain(void) { raise_curtain_but(0); }

static void drop_curtain(int wanted_deaths) {
    for (int role = OWNER; role < ACTORS; role++) {
        /* In step, since what one still holds may need another's safepoint. */
        if (actors[role].blocked) tell(role, unblock);
    }
    for (int role = OWNER; role < ACTORS; role++) {
        if (actors[role].attached) tell(role, detach);
        tell(role, leave);
        pthread_join(actors[role].thread, NULL);
    }
    tally_blocking_end();
    check_int(deaths(), wanted_deaths);
    check_int(tally_failpoint_reset(), 0);
    tally_decref(class_);
}

static int no_gil(void) {
    if (has_gil())
        suite_skip("the GIL is held at this point, so no other thread can come in between");
    return !has_gil();
}

static int has_queues(void) {
    if (!is_biased()) suite_skip("counts have no owner, so no object is queued for one");
    return is_biased();
}

static int has_queues_no_gil(void) { return has_queues() && no_gil(); }

static int has_bias(void) {
    if (!is_biased() || has_gil()) {
        suite_skip("locks are not biased");
        return 0;
    }
    if (syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) != 0) {
        suite_skip("there is no membarrier here, so locks are not biased");
        return 0;
    }
    return 1;
}

/* ---- a try-incref against the last decref ---- */

/* In list, which readers try without its lock, is a new object of which the owner holds nothing
 * else. */
static void set_scene_for_reader(void) {
    raise_curtain();
    tell(OWNER, make_list);
    tell(OTHER, read_and_drop);
    tell(OWNER, put_fresh);
}

/* The reader is held with the slot loaded; the object dies; the reader gets what is there now. */
static void reader_loses(const char *point) {
    tally_failpoint_hold(OTHER, point);
    begin(OTHER, read_first);
    check(tally_failpoint_await(OTHER, point));
    tell(OWNER, put_none);
    check_int(deaths(), 1);
    tally_failpoint_release(OTHER, point);
    finish(OTHER);
    check(result == tally_none);
    tell(OWNER, drop_list);
    drop_curtain(1);
}

TALLY_TEST(interleavings, try_incref_of_default_fails_after_the_owners_last_decref) {
    if (!no_gil()) return;
    set_scene_for_reader();
    reader_loses("try_incref");
}

TALLY_TEST(interleavings, try_incref_of_maybe_shared_fails_after_the_owners_last_decref) {
    if (!no_gil()) return;
    set_scene_for_reader();
    tell(OTHER, read_and_drop);
    reader_loses("try_incref");
}

TALLY_TEST(interleavings,
           try_incref_of_maybe_shared_that_read_the_count_fails_after_the_owners_last_decref) {
    if (!no_gil()) return;
    set_scene_for_reader();
    tell(OTHER, read_and_drop);
    reader_loses("try_incref_swap");
}

/* Merged: the owner's half went while the other held a reference. */
static void set_scene_merged(void) {
    set_scene_for_reader();
    tell(OTHER, read_first);
    tell(OWNER, put_none);
    tell(OTHER, put_result);
    check_int(deaths(), 0);
}

TALLY_TEST(interleavings, try_incref_of_merged_fails_after_the_last_decref) {
    if (!no_gil()) return;
    set_scene_merged();
    reader_loses("try_incref");
}

TALLY_TEST(interleavings, try_incref_of_merged_that_read_the_count_fails_after_the_last_decref) {
    if (!no_gil()) return;
    set_scene_merged();
    reader_loses("try_incref_swap");
}

static tally_object *first_of_list, *first_of_other;
static void note_first(void) {
    first_of_list = tally_list_get(list, 0);
    tally_decref(first_of_list);
}
static void put_fresh_in_other(void) {
    first_of_other = tally_instance_new(class_);
    check_int(tally_list_set(other_list, 0, first_of_other), 0);
    tally_decref(first_of_other);
}
static void check_one_reference(void) { check_int(tally_refcount(first_of_other), 1); }

/* The block that the reader knows has another object by now, in state default or (shared)
 * maybe-shared. */
static void reader_meets_another_object(const char *point, int shared) {
    raise_curtain();
    tell(OWNER, make_list);
    tell(OWNER, make_other_list);
    tell(OTHER, read_and_drop);
    tell(THIRD, read_other_and_drop);
    tell(OWNER, put_fresh);
    tell(OTHER, read_and_drop); /* maybe-shared */
    tell(OWNER, note_first);
    tally_failpoint_hold(OTHER, point);
    begin(OTHER, read_first);
    check(tally_failpoint_await(OTHER, point));
    tell(OWNER, put_none);
    tell(OWNER, put_fresh_in_other);
    check(first_of_other == first_of_list); /* else this tests nothing */
    if (shared) tell(THIRD, read_other_and_drop);
    tally_failpoint_release(OTHER, point);
    finish(OTHER);
    check(result == tally_none);
    tell(OWNER, check_one_reference);
    tell(OWNER, drop_list);
    tell(OWNER, drop_other_list);
    drop_curtain(2);
}

TALLY_TEST(interleavings, try_incref_of_a_reused_block_in_default_takes_nothing) {
    if (no_gil()) reader_meets_another_object("try_incref", 0);
}

TALLY_TEST(interleavings, try_incref_of_a_reused_block_in_maybe_shared_gives_the_reference_back) {
    if (no_gil()) reader_meets_another_object("try_incref", 1);
}

TALLY_TEST(interleavings,
           try_incref_of_a_reused_block_with_the_count_read_before_gives_the_reference_back) {
    if (no_gil()) reader_meets_another_object("try_incref_swap", 1);
}

static void clear_list(void) { check_int(tally_list_clear(list), 0); }

/* The list is cleared before the reader loads its array, and filled before it looks at the length.
 */
TALLY_TEST(interleavings, a_reader_that_loads_no_array_but_then_a_length_takes_the_lock) {
    if (!no_gil()) return;
    raise_curtain();
    tell(OWNER, make_list);
    tell(OTHER, read_and_drop);
    hold(OTHER, list_read);
    hold(OTHER, list_loaded);
    begin(OTHER, read_first);
    await(OTHER, list_read);
    tell(OWNER, clear_list);
    release(OTHER, list_read);
    await(OTHER, list_loaded);
    tell(OWNER, append_none);
    release(OTHER, list_loaded);
    finish(OTHER);
    check(result == tally_none);
    tell(OWNER, drop_list);
    drop_curtain(0);
}

/* The array that the reader has is shorter than the length that it sees. */
TALLY_TEST(interleavings, a_reader_of_a_replaced_array_takes_the_lock) {
    if (!no_gil()) return;
    raise_curtain();
    tell(OWNER, make_list);
    tell(OTHER, read_and_drop);
    hold(OTHER, list_loaded);
    begin(OTHER, read_last);
    await(OTHER, list_loaded);
    for (int i = 0; i < 99; i++) tell(OWNER, append_none);
    release(OTHER, list_loaded);
    finish(OTHER);
    check(result == tally_none);
    tell(OWNER, drop_list);
    drop_curtain(0);
}

static void make_object_in_list(void) {
    object = tally_instance_new(class_);
    check_int(tally_list_set(list, 0, object), 0); /* and a reference of its own: it lives on */
}

/* The slot of the replaced array is as it was; the list's is not. */
TALLY_TEST(interleavings, a_reader_of_a_replaced_array_looks_at_the_array_again) {
    if (!no_gil()) return;
    raise_curtain();
    tell(OWNER, make_list);
    tell(OTHER, read_and_drop);
    tell(OWNER, make_object_in_list);
    tell(OTHER, read_and_drop); /* maybe-shared */
    hold(OTHER, try_incref);
    begin(OTHER, read_first);
    await(OTHER, try_incref);
    for (int i = 0; i < 99; i++) tell(OWNER, append_none);
    tell(OWNER, put_none);
    release(OTHER, try_incref);
    finish(OTHER);
    check(result == tally_none);
    tell(OWNER, drop_object);
    tell(OWNER, drop_list);
    drop_curtain(1);
}

/* ---- walks over a dict without its lock ---- */

enum { DICT_KEYS = 5 }; /* as many as the first table has room for */

static tally_object *dict, *dict_keys[DICT_KEYS + 1], *walk_key, *walk_value, *old_value;
static ptrdiff_t walk_at;
static int walk_result;
static tally_error walk_error;

static void make_dict(void) {
    dict = tally_dict_new();
    for (int i = 0; i <= DICT_KEYS; i++) dict_keys[i] = tally_int_new(1000 + i);
    for (int i = 0; i < DICT_KEYS - 1; i++) {
        tally_object *value = tally_instance_new(class_);
        check_int(tally_dict_set(dict, dict_keys[i], value), 0);
        tally_decref(value);
    }
}
static void drop_dict(void) {
    tally_decref(dict);
    for (int i = 0; i <= DICT_KEYS; i++) tally_decref(dict_keys[i]);
}
static void walk_on(void) {
    walk_result = tally_dict_next(dict, &walk_at, &walk_key, &walk_value);
    walk_error = tally_error_kind();
    tally_error_clear();
}
static void drop_walked(void) {
    tally_xdecref(walk_key);
    tally_xdecref(walk_value);
    walk_key = walk_value = NULL;
}
static void walk_all(void) {
    walk_at = 0;
    int steps = 0;
    for (walk_on(); walk_result == 1; walk_on(), steps++) drop_walked();
    check_int(walk_result, 0);
    check_int(steps, DICT_KEYS - 1);
    walk_at = 0;
}
static void note_second(void) {
    old_value = tally_dict_get(dict, dict_keys[1]);
    tally_decref(old_value);
}
static void delete_second(void) { check_int(tally_dict_delete(dict, dict_keys[1]), 0); }
static void delete_third(void) { check_int(tally_dict_delete(dict, dict_keys[2]), 0); }
static void add_key(void) {
    check_int(tally_dict_set(dict, dict_keys[DICT_KEYS - 1], tally_none), 0);
}
static void add_keys(void) {
    add_key();
    check_int(tally_dict_set(dict, dict_keys[DICT_KEYS], tally_none), 0); /* another table */
}
static void clear_dict(void) { check_int(tally_dict_clear(dict), 0); }
static void replace_second(void) {
    tally_object *value = tally_instance_new(class_);
    check_int(tally_dict_set(dict, dict_keys[1], value), 0);
    tally_decref(value);
}

static const char *const walk_points[] = {"walk_begun", "walk_found", "walk_key", "walk_read"};

/* At each point of the step to the second entry, the owner does this to the dict. */
static void walk_meets(void (*change)(void), int deaths_by_it, void (*expect)(int point)) {
    if (!no_gil()) return;
    for (int i = 0; i < 4; i++) {
        atomic_store_explicit(&suite_deaths, 0, memory_order_relaxed);
        raise_curtain();
        tell(OWNER, make_dict);
        tell(OTHER, walk_all); /* the lock is no longer biased, and all in it is maybe-shared */
        tell(OWNER, note_second);
        tell(OTHER, walk_on);
        tell(OTHER, drop_walked);
        tally_failpoint_hold(OTHER, walk_points[i]);
        begin(OTHER, walk_on);
        check(tally_failpoint_await(OTHER, walk_points[i]));
        tell(OWNER, change);
        tally_failpoint_release(OTHER, walk_points[i]);
        finish(OTHER);
        expect(i);
        tell(OTHER, drop_walked);
        tell(OWNER, safepoint);
        check_int(deaths(), deaths_by_it);
        tell(OWNER, drop_dict);
        drop_curtain(DICT_KEYS - 1 + (change == replace_second));
    }
}

static void expect_error(int point) {
    (void)point;
    check_int(walk_result, -1);
    check_int(walk_error, TALLY_RUNTIME_ERROR);
    check(!walk_key && !walk_value);
}

/* Stored for that key, at a moment of the call. */
static void expect_second(int point) {
    check_int(walk_result, 1);
    check(walk_key == dict_keys[1]);
    check(walk_value && (walk_value == old_value) == (point == 3));
}

TALLY_TEST(interleavings, a_walk_that_meets_a_removal_of_its_entry_reports_it) {
    walk_meets(delete_second, 1, expect_error);
}
TALLY_TEST(interleavings, a_walk_that_meets_a_removal_of_another_entry_reports_it) {
    walk_meets(delete_third, 1, expect_error);
}
TALLY_TEST(interleavings, a_walk_that_meets_a_new_key_reports_it) {
    walk_meets(add_key, 0, expect_error);
}
TALLY_TEST(interleavings, a_walk_that_meets_a_new_table_reports_it) {
    walk_meets(add_keys, 0, expect_error);
}
TALLY_TEST(interleavings, a_walk_that_meets_a_clear_reports_it) {
    walk_meets(clear_dict, DICT_KEYS - 1, expect_error);
}
TALLY_TEST(interleavings, a_walk_that_meets_another_value_gives_one_that_was_there) {
    walk_meets(replace_second, 1, expect_second);
}

static int found;
static void look_for_second(void) { found = tally_dict_contains(dict, dict_keys[1]); }

/* A look that found the key in a table which is replaced, then the key removed, looks again. */
TALLY_TEST(interleavings, a_look_for_a_key_in_a_replaced_table_looks_again) {
    if (!no_gil()) return;
    static const char *const points[] = {"contains_found", "contains_value"};
    for (int i = 0; i < 2; i++) {
        atomic_store_explicit(&suite_deaths, 0, memory_order_relaxed);
        raise_curtain();
        tell(OWNER, make_dict);
        tell(OTHER, look_for_second);
        check_int(found, 1);
        tally_failpoint_hold(OTHER, points[i]);
        begin(OTHER, look_for_second);
        check(tally_failpoint_await(OTHER, points[i]));
        tell(OWNER, add_keys);
        tell(OWNER, delete_second);
        tally_failpoint_release(OTHER, points[i]);
        finish(OTHER);
        check_int(found, 0);
        tell(OWNER, drop_dict);
        drop_curtain(DICT_KEYS - 1);
    }
}

static void enter_dict(void) { tally_critical_begin(&sections[me->role], dict); }
static void read_dict(void) {
    walk_all();
    look_for_second();
    check_int(found, 1);
    tally_object *value = tally_dict_get(dict, dict_keys[1]);
    check(value != NULL);
    tally_xdecref(value);
    check_int(tally_dict_length(dict), DICT_KEYS - 1);
}
static void read_list(void) {
    read_and_drop();
    check_int(tally_list_length(list), 1);
}

/* The owner holds both locks; nothing changes underneath. */
TALLY_TEST(interleavings, reads_take_no_lock) {
    raise_curtain();
    tell(OWNER, make_dict);
    tell(OWNER, make_list);
    tell(OTHER, read_dict);
    tell(OTHER, read_list);
    tell(OWNER, enter_dict);
    tell(OTHER, read_dict);
    tell(OWNER, leave_section);
    tell(OWNER, enter_section);
    tell(OTHER, read_list);
    tell(OWNER, leave_section);
    tell(OWNER, drop_dict);
    tell(OWNER, drop_list);
    drop_curtain(DICT_KEYS - 1);
}

/* ---- what was written before a decref ---- */

static void check_written(tally_object *self) { check_int(*(int *)tally_object_data(self), 7); }
static tally_object *written_type;
static void make_written(void) { object = tally_object_new(written_type, 0); }
static void write_and_drop(void) {
    *(int *)tally_object_data(object) = 7;
    tally_decref(object);
}

/* No acquire by the director in between: only the counts order the write before the last decref.
 * For ThreadSanitizer. */
static void drop_after_write(int last) {
    begin(OTHER, write_and_drop);
    usleep(50000);
    begin(last, drop_object);
    finish(last);
    finish(OTHER);
    drop_curtain(0);
}

static void set_scene_for_write(void) {
    raise_curtain();
    tally_blocking_end();
    written_type = tally_type_new(
        &(tally_type_spec){.name = "written", .size = sizeof(int), .dealloc = check_written});
    tally_blocking_begin();
    tell(OWNER, make_written);
}

TALLY_TEST(interleavings, what_was_written_before_a_decref_is_seen_by_another_that_frees) {
    set_scene_for_write();
    tell(OWNER, take_object);
    tell(OWNER, take_object);
    tell(OTHER, drop_object);
    tell(OWNER, safepoint); /* merged */
    drop_after_write(THIRD);
}

TALLY_TEST(interleavings, what_was_written_before_a_decref_is_seen_by_the_owner_that_frees) {
    set_scene_for_write();
    tell(OTHER, take_object);
    drop_after_write(OWNER);
}

/* The reader's swap comes between the owner's last decref and the owner's own swap: the reader
 * frees it. */
TALLY_TEST(interleavings, a_reference_got_during_the_owners_last_decref_is_the_last) {
    if (!has_queues_no_gil()) return;
    set_scene_for_reader();
    tell(OTHER, read_and_drop); /* maybe-shared */
    hold(OTHER, try_incref);
    hold(OTHER, decref_shared);
    hold(OWNER, local_zero_swap);
    begin(OTHER, read_first);
    await(OTHER, try_incref);
    begin(OWNER, put_none);
    await(OWNER, local_zero_swap);
    release(OTHER, try_incref);
    await(OTHER, decref_shared); /* has it; sees that the slot changed; drops it */
    release(OWNER, local_zero_swap);
    finish(OWNER);
    check_int(deaths(), 0);
    release(OTHER, decref_shared);
    finish(OTHER);
    check_int(deaths(), 0); /* a read runs no finalizer */
    tell(OTHER, safepoint);
    check_int(deaths(), 1);
    check(result == tally_none);
    tell(OWNER, drop_list);
    drop_curtain(1);
}

/* As before, but the reader drops first: the owner frees it. */
TALLY_TEST(interleavings,
           a_reference_got_and_dropped_during_the_owners_last_decref_changes_nothing) {
    if (!has_queues_no_gil()) return;
    set_scene_for_reader();
    tell(OTHER, read_and_drop);
    hold(OTHER, try_incref);
    hold(OWNER, local_zero_swap);
    begin(OTHER, read_first);
    await(OTHER, try_incref);
    begin(OWNER, put_none);
    await(OWNER, local_zero_swap);
    release(OTHER, try_incref);
    finish(OTHER);
    check_int(deaths(), 0);
    release(OWNER, local_zero_swap);
    finish(OWNER);
    check_int(deaths(), 1);
    check(result == tally_none);
    tell(OWNER, drop_list);
    drop_curtain(1);
}

/* The reader comes and goes between the owner's count and its look at shared. */
TALLY_TEST(interleavings,
           a_reader_between_the_owners_count_and_its_look_at_shared_changes_nothing) {
    if (!has_queues_no_gil()) return;
    set_scene_for_reader();
    tell(OTHER, read_and_drop);
    hold(OTHER, try_incref_swap);
    hold(OWNER, local_zero);
    begin(OTHER, read_first);
    await(OTHER, try_incref_swap);
    begin(OWNER, put_none);
    await(OWNER, local_zero);
    release(OTHER, try_incref_swap);
    finish(OTHER);
    release(OWNER, local_zero);
    finish(OWNER);
    check_int(deaths(), 1);
    check(result == tally_none);
    tell(OWNER, drop_list);
    drop_curtain(1);
}

/* ---- the merge queue ---- */

/* The owner has made an object, whose only reference is the other's to drop. */
static void set_scene_for_push(int outside) {
    raise_curtain_but(outside);
    tell(OWNER, make_object);
}

static void end_of_push(void) {
    tell(OTHER, count_merges);
    check_int(merges, 1);
    drop_curtain(1);
}

TALLY_TEST(interleavings, an_object_pushed_to_a_blocked_owner_is_merged_by_the_pusher) {
    if (!has_queues()) return;
    set_scene_for_push(0);
    tell(OWNER, block);
    tell(OTHER, drop_object);
    check_int(deaths(), 1);
    end_of_push();
}

TALLY_TEST(interleavings, an_owner_that_blocks_before_the_push_leaves_it_to_the_pusher) {
    if (!has_queues_no_gil()) return;
    set_scene_for_push(0);
    hold(OTHER, push);
    begin(OTHER, drop_object);
    await(OTHER, push);
    tell(OWNER, block);
    check_int(deaths(), 0);
    release(OTHER, push);
    finish(OTHER);
    check_int(deaths(), 1);
    end_of_push();
}

TALLY_TEST(interleavings, an_owner_that_blocks_after_the_push_merges_first) {
    if (!has_queues_no_gil()) return;
    set_scene_for_push(0);
    hold(OTHER, pushed);
    begin(OTHER, drop_object);
    await(OTHER, pushed);
    tell(OWNER, block);
    check_int(deaths(), 1);
    release(OTHER, pushed);
    finish(OTHER);
    end_of_push();
}

TALLY_TEST(interleavings, a_push_between_the_owners_status_and_its_look_is_merged_once) {
    if (!has_queues_no_gil()) return;
    set_scene_for_push(0);
    hold(OWNER, blocked);
    begin(OWNER, block);
    await(OWNER, blocked);
    tell(OTHER, drop_object);
    check_int(deaths(), 1);
    release(OWNER, blocked);
    finish(OWNER);
    end_of_push();
}

TALLY_TEST(interleavings, an_owner_that_sees_an_entry_while_it_is_claimed_waits_and_finds_nothing) {
    if (!has_queues_no_gil()) return;
    set_scene_for_push(0);
    hold(OTHER, queue_entry); /* it has found the owner running */
    begin(OTHER, drop_object);
    await(OTHER, queue_entry);
    hold(OWNER, blocked);
    hold(OTHER, merge_claimed);
    hold(OWNER, running_claimed);
    begin(OWNER, block);
    await(OWNER, blocked);
    release(OTHER, queue_entry);
    await(OTHER, merge_claimed);
    release(OWNER, blocked);
    await(OWNER, running_claimed);
    check_int(deaths(), 0);
    release(OWNER, running_claimed);
    check(stands(OWNER));
    release(OTHER, merge_claimed);
    finish(OTHER);
    finish(OWNER);
    check_int(deaths(), 1);
    end_of_push();
}

/* The owner has cleared its half but not yet swapped: others go on counting. */
TALLY_TEST(interleavings, decrefs_during_a_merge_are_added_up) {
    if (!has_queues_no_gil()) return;
    set_scene_for_push(0);
    tell(OWNER, take_object);
    tell(OWNER, take_object);
    tell(THIRD, drop_object); /* queued; two references left */
    hold(OWNER, merge_swap);
    begin(OWNER, safepoint);
    await(OWNER, merge_swap);
    tell(OTHER, drop_object);
    check_int(deaths(), 0);
    release(OWNER, merge_swap);
    finish(OWNER);
    check_int(deaths(), 0);
    tell(OTHER, check_one_left);
    tell(THIRD, drop_object);
    check_int(deaths(), 1);
    end_of_push();
}

TALLY_TEST(interleavings, the_last_decref_during_a_merge_leaves_the_object_to_the_merger) {
    if (!has_queues_no_gil()) return;
    set_scene_for_push(0);
    tell(OWNER, take_object);
    tell(THIRD, drop_object);
    hold(OWNER, merge_swap);
    begin(OWNER, safepoint);
    await(OWNER, merge_swap);
    tell(OTHER, drop_object);
    check_int(deaths(), 0);
    release(OWNER, merge_swap);
    finish(OWNER);
    check_int(deaths(), 1);
    end_of_push();
}

/* ---- owner exit, and another in its slot ---- */

TALLY_TEST(interleavings, a_push_that_meets_a_closed_queue_merges_there) {
    if (!has_queues_no_gil()) return;
    set_scene_for_push(0);
    hold(OTHER, queue_entry);
    begin(OTHER, drop_object);
    await(OTHER, queue_entry);
    tell(OWNER, detach);
    check_int(deaths(), 0);
    release(OTHER, queue_entry);
    finish(OTHER);
    check_int(deaths(), 1);
    end_of_push();
}

TALLY_TEST(interleavings, a_drop_of_an_object_whose_owner_is_gone_merges_there) {
    if (!has_queues()) return;
    set_scene_for_push(0);
    tell(OWNER, detach);
    tell(OTHER, drop_object);
    check_int(deaths(), 1);
    end_of_push();
}

TALLY_TEST(interleavings, a_push_just_before_the_close_is_the_exiting_owners) {
    if (!has_queues_no_gil()) return;
    set_scene_for_push(0);
    hold(OWNER, queue_close);
    begin(OWNER, detach);
    await(OWNER, queue_close);
    tell(OTHER, drop_object);
    check_int(deaths(), 0);
    release(OWNER, queue_close);
    finish(OWNER);
    check_int(deaths(), 1);
    end_of_push();
}

TALLY_TEST(interleavings, a_pusher_that_is_late_to_say_so_finds_the_owner_gone) {
    if (!has_queues_no_gil()) return;
    set_scene_for_push(0);
    hold(OTHER, pushed);
    begin(OTHER, drop_object);
    await(OTHER, pushed);
    tell(OWNER, detach);
    check_int(deaths(), 1);
    release(OTHER, pushed);
    finish(OTHER);
    end_of_push();
}

static unsigned owner_slot;
static void note_slot(void) { owner_slot = tally_self.id; }
static void check_slot(void) { check_int(tally_self.id, owner_slot); }

/* The owner leaves and a third thread takes its slot, while the other is on its way to merge. */
static void slot_is_reused(const char *point, int owner_leaves_first) {
    set_scene_for_push(THIRD);
    tell(OWNER, note_slot);
    if (owner_leaves_first) tell(OWNER, detach);
    tally_failpoint_hold(OTHER, point);
    begin(OTHER, drop_object);
    check(tally_failpoint_await(OTHER, point));
    if (!owner_leaves_first) tell(OWNER, detach);
    tell(THIRD, attach);
    tell(THIRD, check_slot);
    check_int(deaths(), 0);
    tally_failpoint_release(OTHER, point);
    finish(OTHER);
    check_int(deaths(), 0); /* it runs, so it is the one to merge */
    tell(THIRD, safepoint);
    check_int(deaths(), 1);
    end_of_push();
}

TALLY_TEST(interleavings, who_attaches_in_the_slot_merges_for_a_pusher_that_saw_it_closed) {
    if (has_queues_no_gil()) slot_is_reused("merge_for_gone", 1);
}

TALLY_TEST(interleavings, who_attaches_in_the_slot_merges_for_a_pusher_that_has_not_looked_yet) {
    if (has_queues_no_gil()) slot_is_reused("queue_entry", 0);
}

TALLY_TEST(interleavings, who_attaches_in_the_slot_owns_what_is_being_queued) {
    if (has_queues_no_gil()) slot_is_reused("decref_shared", 0);
}

/* ---- claims ---- */

TALLY_TEST(interleavings, an_owner_cannot_return_before_a_claim_ends) {
    if (!has_queues_no_gil()) return;
    set_scene_for_push(0);
    tell(OWNER, block);
    hold(OTHER, merge_claimed);
    hold(OWNER, running_claimed);
    begin(OTHER, drop_object);
    await(OTHER, merge_claimed);
    begin(OWNER, unblock);
    await(OWNER, running_claimed);
    release(OWNER, running_claimed);
    check(stands(OWNER));
    check_int(deaths(), 0);
    release(OTHER, merge_claimed);
    finish(OWNER);
    finish(OTHER);
    check_int(deaths(), 1);
    end_of_push();
}

static void finalize_until_flag(tally_object *self) {
    atomic_store_explicit(&finalizing, 1, memory_order_relaxed);
    for (double end = now() + SUITE_PATIENCE_SECONDS;
         !atomic_load_explicit(&flag, memory_order_relaxed);) {
        usleep(50);
        if (now() > end) {
            check(!"the finalizer may go on");
            break;
        }
    }
    suite_count_death(self);
}

TALLY_TEST(interleavings, a_finalizer_runs_after_the_claim_has_ended) {
    if (!has_queues_no_gil()) return;
    raise_curtain();
    tally_blocking_end();
    tally_decref(class_);
    class_ =
        tally_class_new(&(tally_class_spec){.name = "Patient", .finalize = finalize_until_flag});
    tally_blocking_begin();
    tell(OWNER, make_object);
    tell(OWNER, block);
    begin(OTHER, drop_object);
    for (double end = now() + SUITE_PATIENCE_SECONDS;
         !atomic_load_explicit(&finalizing, memory_order_relaxed) && now() < end;)
        usleep(50);
    check(atomic_load_explicit(&finalizing, memory_order_relaxed));
    tell(OWNER, unblock); /* while the object of the claim is being finalized */
    tell(OWNER, safepoint);
    check(!is_done(OTHER));
    atomic_store_explicit(&flag, 1, memory_order_relaxed);
    finish(OTHER);
    end_of_push();
}

TALLY_TEST(interleavings, a_stop_of_the_world_waits_for_a_claim) {
    if (!has_queues_no_gil()) return;
    set_scene_for_push(0);
    tell(OWNER, block);
    hold(OTHER, merge_claimed);
    begin(OTHER, drop_object);
    await(OTHER, merge_claimed);
    hold(THIRD, world_claiming);
    hold(THIRD, world_stopped);
    begin(THIRD, stop_world);
    await(THIRD, world_claiming);
    release(THIRD, world_claiming);
    check(stands(THIRD));
    check(!is_held(THIRD, world_stopped));
    release(OTHER, merge_claimed);
    finish(OTHER);
    check_int(deaths(), 1);
    check(!is_held(THIRD, world_stopped)); /* the other still runs */
    begin(OTHER, safepoint);
    await(THIRD, world_stopped);
    check(stands(OTHER));
    release(THIRD, world_stopped);
    finish(THIRD);
    finish(OTHER);
    end_of_push();
}

TALLY_TEST(interleavings, what_is_pushed_for_an_owner_claimed_by_a_stop_is_merged_after_it) {
    if (!has_queues_no_gil()) return;
    set_scene_for_push(0);
    tell(OWNER, block);
    hold(THIRD, world_claiming);
    begin(THIRD, stop_world);
    await(THIRD, world_claiming); /* has claimed the owner, not yet the other */
    tell(OTHER, drop_object);
    check_int(deaths(), 0);
    release(THIRD, world_claiming);
    begin(OTHER, safepoint);
    finish(THIRD);
    finish(OTHER);
    check_int(deaths(), 1);
    end_of_push();
}

TALLY_TEST(interleavings, a_drop_without_memory_for_an_entry_stops_the_world) {
    if (!has_queues_no_gil()) /* with a GIL the owner is blocked: merged without an entry */
        return;
    set_scene_for_push(0);
    begin(OWNER, safepoints_until_flag);
    begin(THIRD, safepoints_until_flag);
    hold(OTHER, merge_stopped);
    tally_failpoint_failure(1, 0);
    begin(OTHER, drop_object);
    await(OTHER, merge_stopped);
    check_int(deaths(), 0);
    release(OTHER, merge_stopped);
    finish(OTHER);
    check(tally_failpoint_failed());
    check_int(deaths(), 1);
    atomic_store_explicit(&flag, 1, memory_order_relaxed);
    finish(OWNER);
    finish(THIRD);
    end_of_push();
}

/* It waits, blocked, while another has the world stopped. */
TALLY_TEST(interleavings, a_drop_without_memory_waits_for_a_stop_under_way) {
    if (!has_queues_no_gil()) return;
    set_scene_for_push(0);
    tell(OWNER, take_object);
    begin(OWNER, safepoints_until_flag);
    hold(THIRD, merge_stopped);
    tally_failpoint_failure(1, 0);
    begin(THIRD, drop_object);
    await(THIRD, merge_stopped);
    check(tally_failpoint_failed());
    hold(OTHER, world_claiming);
    hold(OTHER, world_stopped);
    begin(OTHER, stop_world);
    await(OTHER, world_claiming);
    release(THIRD, merge_stopped);
    release(OTHER, world_claiming);
    await(OTHER, world_stopped);
    check(stands(THIRD));
    release(OTHER, world_stopped);
    finish(OTHER);
    begin(OTHER, safepoints_until_flag);
    finish(THIRD);
    atomic_store_explicit(&flag, 1, memory_order_relaxed);
    finish(OTHER);
    finish(OWNER);
    check_int(deaths(), 0);
    tell(OTHER, drop_object);
    check_int(deaths(), 1);
    end_of_push();
}

TALLY_TEST(interleavings, who_pushes_to_the_next_thread_in_the_slot_finds_it_blocked) {
    if (!has_queues_no_gil()) return;
    set_scene_for_push(THIRD);
    tell(OWNER, note_slot);
    tell(OWNER, detach);
    hold(OTHER, merge_for_gone);
    begin(OTHER, drop_object);
    await(OTHER, merge_for_gone);
    tell(THIRD, attach);
    tell(THIRD, check_slot);
    tell(THIRD, block);
    release(OTHER, merge_for_gone);
    finish(OTHER);
    check_int(deaths(), 1); /* it is blocked, so the pusher merges */
    tell(THIRD, unblock);
    tell(THIRD, safepoint);
    check_int(deaths(), 1);
    end_of_push();
}

/* ---- biased locks ---- */

static void set_scene_for_lock(void) {
    raise_curtain();
    tell(OWNER, make_list);
}

static void check_three(void) { check_int(tally_list_length(list), 3); }

static void end_of_lock(void) {
    tell(OWNER, check_three); /* none, and one by each */
    tell(OWNER, drop_list);
    drop_curtain(0);
}

/* The owner is held there; the revoker has taken the byte and waits until it lets go. */
static void revoker_waits_for_owner(const char *point) {
    set_scene_for_lock();
    tally_failpoint_hold(OWNER, point);
    hold(OTHER, bias_wait);
    begin(OWNER, append_none);
    check(tally_failpoint_await(OWNER, point));
    begin(OTHER, append_none);
    await(OTHER, bias_wait);
    release(OTHER, bias_wait);
    check(stands(OTHER));
    tally_failpoint_release(OWNER, point);
    finish(OTHER);
    finish(OWNER);
    end_of_lock();
}

TALLY_TEST(interleavings, a_revoker_waits_for_an_owner_that_has_marked_but_not_looked) {
    if (has_bias()) revoker_waits_for_owner("bias_marked");
}

TALLY_TEST(interleavings, a_revoker_waits_for_an_owner_in_its_section) {
    if (has_bias()) revoker_waits_for_owner("bias_inside");
}

TALLY_TEST(interleavings, an_owner_that_comes_after_the_revokers_swap_waits) {
    if (!has_bias()) return;
    set_scene_for_lock();
    hold(OTHER, bias_taken);
    begin(OTHER, append_none);
    await(OTHER, bias_taken);
    begin(OWNER, append_none);
    check(stands(OWNER));
    release(OTHER, bias_taken);
    finish(OTHER);
    finish(OWNER);
    end_of_lock();
}

TALLY_TEST(interleavings, an_owner_that_comes_after_the_revocation_takes_the_lock) {
    if (!has_bias()) return;
    set_scene_for_lock();
    tell(OTHER, append_none);
    hold(OWNER, bias_marked);
    begin(OWNER, append_none);
    await(OWNER, bias_marked);
    release(OWNER, bias_marked);
    finish(OWNER);
    end_of_lock();
}

/* The owner's section is a private one, in which it frees an array at once: the byte is
 * not free for readers before the owner has left it. */
TALLY_TEST(interleavings, nobody_reads_without_the_lock_until_the_owner_has_left_its_section) {
    if (!has_bias()) return;
    set_scene_for_lock();
    hold(OWNER, bias_inside);
    hold(OTHER, bias_wait);
    begin(OWNER, append_none);
    await(OWNER, bias_inside);
    begin(OTHER, append_none);
    await(OTHER, bias_wait);
    begin(THIRD, read_and_drop);
    check(stands(THIRD));
    release(OTHER, bias_wait);
    check(stands(THIRD));
    release(OWNER, bias_inside);
    finish(OWNER);
    finish(OTHER);
    finish(THIRD);
    end_of_lock();
}

/* The owner of the list exits while the revoker, who knows it as the owner, looks at its mark. */
TALLY_TEST(interleavings, a_revoker_outlives_the_owner) {
    if (!has_bias()) return;
    set_scene_for_lock();
    tell(OWNER, append_none);
    hold(OTHER, bias_taken);
    begin(OTHER, append_none);
    await(OTHER, bias_taken);
    tell(OWNER, detach);
    release(OTHER, bias_taken);
    finish(OTHER);
    tell(OTHER, check_three);
    tell(OTHER, drop_list);
    drop_curtain(0);
}

/* ---- parking ---- */

static void set_scene_for_parking(void) {
    raise_curtain();
    tell(OWNER, make_list);
    tell(OWNER, enter_section);
}

static void end_of_parking(void) {
    tell(OWNER, drop_list);
    drop_curtain(0);
}

TALLY_TEST(interleavings, an_unlock_before_the_waiter_says_that_it_sleeps_is_seen) {
    if (!no_gil()) return;
    set_scene_for_parking();
    hold(OTHER, park);
    begin(OTHER, pass_section);
    await(OTHER, park);
    tell(OWNER, leave_section);
    release(OTHER, park);
    finish(OTHER);
    end_of_parking();
}

TALLY_TEST(interleavings, an_unlock_after_the_waiter_has_said_that_it_sleeps_wakes_it) {
    if (!no_gil()) return;
    set_scene_for_parking();
    hold(OTHER, parking);
    hold(OWNER, unlock_slow);
    begin(OTHER, pass_section);
    await(OTHER, parking);
    begin(OWNER, leave_section);
    await(OWNER, unlock_slow);
    release(OWNER, unlock_slow);
    check(stands(OWNER));
    check(stands(OTHER));
    release(OTHER, parking);
    finish(OTHER);
    finish(OWNER);
    end_of_parking();
}

TALLY_TEST(interleavings, a_second_waiter_that_comes_during_an_unlock_is_woken_too) {
    if (!no_gil()) return;
    set_scene_for_parking();
    hold(OTHER, parking);
    begin(OTHER, pass_section);
    await(OTHER, parking);
    release(OTHER, parking);
    check(stands(OTHER));
    hold(OWNER, unlock_slow);
    begin(OWNER, leave_section);
    await(OWNER, unlock_slow);
    hold(THIRD, parking);
    begin(THIRD, pass_section);
    await(THIRD, parking);
    release(OWNER, unlock_slow);
    release(THIRD, parking);
    finish(OWNER);
    finish(OTHER);
    finish(THIRD);
    end_of_parking();
}

/* ---- the world stops ---- */

/* The third has stopped the world. */
static void stop_and_hold(void) {
    hold(THIRD, world_stopped);
    begin(THIRD, stop_world);
}

static void world_goes_on(void) {
    release(THIRD, world_stopped);
    finish(THIRD);
}

TALLY_TEST(interleavings, nobody_attaches_while_the_world_is_stopped) {
    if (!no_gil()) return;
    raise_curtain_but(OTHER);
    tell(OWNER, block);
    stop_and_hold();
    await(THIRD, world_stopped);
    begin(OTHER, attach);
    check(stands(OTHER));
    world_goes_on();
    finish(OTHER);
    drop_curtain(0);
}

TALLY_TEST(interleavings, a_stop_waits_for_a_thread_that_has_just_attached) {
    if (!no_gil()) return;
    raise_curtain_but(OTHER);
    tell(OWNER, block);
    hold(OTHER, attached);
    begin(OTHER, attach);
    await(OTHER, attached);
    hold(THIRD, world_claiming);
    stop_and_hold();
    await(THIRD, world_claiming);
    release(THIRD, world_claiming);
    check(stands(THIRD));
    check(!is_held(THIRD, world_stopped));
    release(OTHER, attached);
    finish(OTHER);
    check(!is_held(THIRD, world_stopped));
    begin(OTHER, safepoint);
    await(THIRD, world_stopped);
    check(stands(OTHER));
    world_goes_on();
    finish(OTHER);
    drop_curtain(0);
}

TALLY_TEST(interleavings, a_thread_that_detaches_counts_as_blocked_while_it_waits) {
    if (!no_gil()) return;
    raise_curtain();
    tell(OWNER, block);
    hold(OTHER, detach);
    begin(OTHER, detach);
    await(OTHER, detach);
    stop_and_hold();
    check(stands(THIRD));
    check(!is_held(THIRD, world_stopped));
    release(OTHER, detach);
    await(THIRD, world_stopped);
    check(stands(OTHER));
    world_goes_on();
    finish(OTHER);
    drop_curtain(0);
}

TALLY_TEST(interleavings, a_stop_waits_for_a_thread_that_holds_the_registration_lock) {
    if (!no_gil()) return;
    raise_curtain();
    tell(OWNER, block);
    hold(OTHER, queue_close);
    begin(OTHER, detach);
    await(OTHER, queue_close);
    stop_and_hold();
    check(stands(THIRD));
    check(!is_held(THIRD, world_stopped));
    release(OTHER, queue_close);
    finish(OTHER);
    await(THIRD, world_stopped);
    world_goes_on();
    drop_curtain(0);
}

TALLY_TEST(interleavings, a_thread_about_to_block_is_waited_for_and_then_claimed) {
    if (!no_gil()) return;
    raise_curtain();
    tell(OWNER, block);
    hold(OTHER, blocking);
    begin(OTHER, block);
    await(OTHER, blocking);
    stop_and_hold();
    check(stands(THIRD));
    check(!is_held(THIRD, world_stopped));
    release(OTHER, blocking);
    await(THIRD, world_stopped);
    finish(OTHER); /* it need not wait to be blocked */
    world_goes_on();
    drop_curtain(0);
}

TALLY_TEST(interleavings, a_blocked_thread_does_not_return_into_a_stopped_world) {
    if (!no_gil()) return;
    raise_curtain();
    tell(OWNER, block);
    tell(OTHER, block);
    stop_and_hold();
    await(THIRD, world_stopped);
    begin(OTHER, unblock);
    check(stands(OTHER));
    world_goes_on();
    finish(OTHER);
    drop_curtain(0);
}

/* It saw no stop, but has not yet swapped its status when the stop claims it. */
TALLY_TEST(interleavings, a_thread_that_returns_as_a_stop_begins_is_claimed_or_waited_for) {
    if (!no_gil()) return;
    raise_curtain();
    tell(OWNER, block);
    tell(OTHER, block);
    hold(OTHER, running);
    begin(OTHER, unblock);
    await(OTHER, running);
    stop_and_hold();
    await(THIRD, world_stopped);
    release(OTHER, running);
    check(stands(OTHER));
    world_goes_on();
    finish(OTHER);
    drop_curtain(0);
}

TALLY_TEST(interleavings, a_second_stop_waits_for_the_first) {
    if (!no_gil()) return;
    raise_curtain();
    tell(OWNER, block);
    hold(THIRD, world_claiming);
    stop_and_hold();
    await(THIRD, world_claiming);
    hold(OTHER, world_stopped);
    begin(OTHER, stop_world);
    release(THIRD, world_claiming);
    await(THIRD, world_stopped); /* the other is blocked, waiting to be the next */
    check(stands(OTHER));
    check(!is_held(OTHER, world_stopped));
    world_goes_on();
    begin(THIRD, safepoints_until_flag); /* the other's stop may not have begun yet */
    await(OTHER, world_stopped);
    release(OTHER, world_stopped);
    finish(OTHER);
    atomic_store_explicit(&flag, 1, memory_order_relaxed);
    finish(THIRD);
    drop_curtain(0);
}

/* ---- a finalizer that publishes its object ---- */

static tally_object *resurrected_type;
static _Atomic int finalized, deallocated;

static void resurrect(tally_object *self) {
    atomic_fetch_add_explicit(&finalized, 1, memory_order_relaxed);
    check_int(tally_list_set(list, 0, self), 0);
    atomic_store_explicit(&finalizing, 1, memory_order_relaxed);
    tally_blocking_begin();
    for (double end = now() + SUITE_PATIENCE_SECONDS;
         !atomic_load_explicit(&flag, memory_order_relaxed) && now() < end;)
        usleep(50);
    tally_blocking_end();
}
static void count_dealloc(tally_object *self) {
    (void)self;
    atomic_fetch_add_explicit(&deallocated, 1, memory_order_relaxed);
}
static void make_resurrected(void) { object = tally_object_new(resurrected_type, 0); }

/* The object dies, is published by its finalizer, and is dropped by another: before or after the
 * finalizer's end. */
static void drop_while_finalizing(int before) {
    raise_curtain();
    tally_blocking_end();
    resurrected_type = tally_type_new(&(tally_type_spec){
        .name = "Lazarus", .size = 8, .finalize = resurrect, .dealloc = count_dealloc});
    list = tally_list_new(1);
    check_int(tally_list_append(list, tally_none), 0);
    tally_blocking_begin();
    atomic_store_explicit(&finalized, 0, memory_order_relaxed);
    atomic_store_explicit(&deallocated, 0, memory_order_relaxed);
    tell(OWNER, make_resurrected);
    begin(OWNER, drop_object);
    for (double end = now() + SUITE_PATIENCE_SECONDS;
         !atomic_load_explicit(&finalizing, memory_order_relaxed) && now() < end;)
        usleep(50);
    check(atomic_load_explicit(&finalizing, memory_order_relaxed));
    if (before) tell(OTHER, put_none);
    check_int(deallocated, 0);
    if (!before && !has_gil()) hold(OWNER, drop_last);
    atomic_store_explicit(&flag, 1, memory_order_relaxed);
    if (!before && !has_gil()) {
        await(OWNER, drop_last);
        tell(THIRD, read_and_drop); /* a reader gets the object meanwhile, and gives it back */
        release(OWNER, drop_last);
    }
    finish(OWNER);
    check_int(deallocated, before ? 1 : 0);
    if (!before) tell(OTHER, put_none);
    check_int(deallocated, 1);
    check_int(finalized, 1);
    tally_blocking_end();
    tally_decref(list);
    tally_blocking_begin();
    drop_curtain(0);
}

TALLY_TEST(interleavings, a_resurrected_object_dropped_before_its_finalizer_ends_dies_there) {
    drop_while_finalizing(1);
}

TALLY_TEST(interleavings,
           a_resurrected_object_dropped_after_its_finalizer_ended_dies_by_the_other) {
    drop_while_finalizing(0);
}

/* 24 MB of an array that others may be reading: more than may wait for a grace period. So many
 * bytes would make a collection due, whose stop of the world would wait for idle actors. */
static void make_large_list(void) {
    tally_gc_disable();
    list = tally_list_new(3000000);
}

TALLY_TEST(interleavings, a_thread_that_waits_for_a_grace_period_delays_no_stop) {
    if (!no_gil()) return;
    raise_curtain();
    tell(THIRD, block);
    tell(OWNER, make_large_list);
    tell(OTHER, clear_list);
    hold(OTHER, quiescent); /* has seen that no stop is under way */
    begin(OTHER, safepoint);
    await(OTHER, quiescent);
    hold(OWNER, world_claiming);
    begin(OWNER, stop_world);
    await(OWNER, world_claiming);
    release(OWNER, world_claiming);
    release(OTHER, quiescent);
    finish(OWNER);
    tell(OWNER, block); /* or the grace period would wait for it */
    finish(OTHER);
    tell(OWNER, unblock);
    tell(OWNER, drop_list);
    drop_curtain(0);
}

/* ---- borrowed references against removal, death and reuse ---- */

static tally_borrowed borrowed, inner;
static tally_error error;
static void borrow(void) {
    borrowed = tally_list_borrow(list, 0);
    error = tally_error_kind();
    tally_error_clear();
}
static void borrow_inner(void) {
    inner = tally_slot_borrow(tally_borrowed_object(borrowed), 0);
    error = tally_error_kind();
    tally_error_clear();
}
static void retain(void) { result = tally_retain(borrowed); }
static void retain_inner(void) { result = tally_retain(inner); }
static void drop_result(void) { tally_decref(result); }
static void borrow_other(void) {
    check(tally_borrowed_object(tally_list_borrow(other_list, 0)) != NULL);
}
/* An instance that has an int. */
static void put_parent(void) {
    tally_object *parent = tally_instance_new(class_), *child = tally_int_new(4711000);
    check_int(tally_slot_set(parent, 0, child), 0);
    tally_decref(child);
    check_int(tally_list_set(list, 0, parent), 0);
    tally_decref(parent);
}
/* The parent is private to its owner no more; its child has not been handed out. */
static void pass_through_parent(void) {
    tally_object *parent = tally_retain(borrowed);
    check_null(tally_slot_get(parent, 1), TALLY_ATTRIBUTE_ERROR);
    tally_decref(parent);
}
static void look_at_inner(void) {
    check_int(tally_int_value(tally_borrowed_object(inner)), 4711000);
}

/* What was put has been borrowed once: it is marked, and so is what is stored in list from now on.
 */
static void set_scene_for_borrow(void (*put)(void)) {
    raise_curtain();
    tell(OWNER, make_list);
    tell(OWNER, put);
    tell(OTHER, borrow);
    tell(OTHER, safepoint);
}

TALLY_TEST(interleavings, what_is_borrowed_dies_at_once_and_cannot_be_retained) {
    if (!no_gil()) return;
    set_scene_for_borrow(put_parent);
    tell(OTHER, borrow);
    tell(OWNER, put_none);
    tell(OWNER, safepoint);
    check_int(deaths(), 1);
    tell(OTHER, retain);
    check(result == NULL);
    tell(OTHER, borrow_inner); /* what it holds is there still, and as dead */
    tell(OTHER, look_at_inner);
    tell(OTHER, retain_inner);
    check(result == NULL);
    tell(OWNER, drop_list);
    drop_curtain(1);
}

TALLY_TEST(interleavings, what_is_borrowed_and_retained_lives) {
    if (!no_gil()) return;
    set_scene_for_borrow(put_parent);
    tell(OTHER, borrow);
    tell(OTHER, retain);
    tell(OWNER, put_none);
    tell(OWNER, safepoint);
    check_int(deaths(), 0);
    tell(OTHER, drop_result);
    tell(OWNER, safepoint);
    tell(OWNER, drop_list);
    drop_curtain(1);
}

/* The owner removes and frees between a reader's load and its look at the flag. */
static void item_goes_under_a_borrower(const char *point, void (*put)(void), int dies) {
    set_scene_for_borrow(put);
    tally_failpoint_hold(OTHER, point);
    begin(OTHER, borrow);
    check(tally_failpoint_await(OTHER, point));
    tell(OWNER, put_none);
    tell(OWNER, safepoint);
    check_int(deaths(), dies);
    tally_failpoint_release(OTHER, point);
    finish(OTHER);
    check(tally_none == borrowed.object);
    tell(OWNER, drop_list);
    drop_curtain(dies);
}

TALLY_TEST(interleavings, an_item_goes_between_a_borrowers_load_and_its_look_at_the_flag) {
    if (no_gil()) item_goes_under_a_borrower("borrow_read", put_fresh, 1);
}

TALLY_TEST(interleavings, an_item_goes_between_a_borrowers_look_at_the_flag_and_at_the_slot) {
    if (no_gil()) item_goes_under_a_borrower("borrow_marked", put_fresh, 1);
}

/* An item without the flag is freed at once; its block has another object, in another list, with or
 * without it. */
static void borrower_meets_another_object(int marked) {
    raise_curtain();
    tell(OWNER, make_list);
    tell(OWNER, make_other_list);
    tell(OTHER, read_and_drop); /* not private any more, but nothing is handed out */
    tell(THIRD, read_other_and_drop);
    if (marked) {
        tell(THIRD, borrow_other);
        tell(THIRD, safepoint);
    }
    tell(OWNER, put_fresh);
    tell(OWNER, note_first);
    hold(OTHER, borrow_read);
    begin(OTHER, borrow);
    await(OTHER, borrow_read);
    tell(OWNER, put_none);
    check_int(deaths(), 1);
    tell(OWNER, put_fresh_in_other);
    check(first_of_other == first_of_list); /* else this tests nothing */
    release(OTHER, borrow_read);
    finish(OTHER);
    check(borrowed.object == tally_none);
    tell(OWNER, drop_list);
    tell(OWNER, drop_other_list);
    drop_curtain(2);
}

TALLY_TEST(interleavings, a_borrower_finds_another_object_in_the_block_without_the_flag) {
    if (no_gil()) borrower_meets_another_object(0);
}

TALLY_TEST(interleavings, a_borrower_finds_another_object_in_the_block_with_the_flag) {
    if (no_gil()) borrower_meets_another_object(1);
}

/* A parent dies, and its never shared child with it, under a reader of the parent's slot. */
TALLY_TEST(interleavings, a_parent_dies_under_a_borrower_that_has_loaded_its_child) {
    if (!no_gil()) return;
    set_scene_for_borrow(put_parent);
    tell(OTHER, borrow);
    tell(OTHER, pass_through_parent);
    tell(OTHER, borrow);
    hold(OTHER, borrow_read);
    begin(OTHER, borrow_inner);
    await(OTHER, borrow_read);
    tell(OWNER, put_none);
    tell(OWNER, safepoint);
    check_int(deaths(), 1);
    release(OTHER, borrow_read);
    finish(OTHER);
    check_int(error, TALLY_NO_ERROR);
    tell(OTHER, look_at_inner);
    tell(OTHER, retain_inner);
    check(result == NULL);
    tell(OTHER, safepoint);
    tell(OWNER, drop_list);
    drop_curtain(1);
}

/* The parent is dead, but its child has no flag yet: the borrower is told that it is gone. */
TALLY_TEST(interleavings, a_borrower_from_a_parent_whose_child_has_no_flag_yet_gets_nothing) {
    if (!no_gil()) return;
    set_scene_for_borrow(put_parent);
    tell(OTHER, borrow);
    hold(OWNER, dying_children);
    begin(OWNER, put_none);
    await(OWNER, dying_children);
    check_int(deaths(), 1);
    tell(OTHER, borrow_inner);
    check(inner.object == NULL);
    check_int(error, TALLY_RUNTIME_ERROR);
    release(OWNER, dying_children);
    finish(OWNER);
    tell(OTHER, safepoint);
    tell(OWNER, drop_list);
    drop_curtain(1);
}

/* The flag is on, the child's count not dropped yet. */
TALLY_TEST(interleavings, a_borrower_from_a_dying_parent_gets_a_child_with_the_flag) {
    if (!no_gil()) return;
    set_scene_for_borrow(put_parent);
    tell(OTHER, borrow);
    hold(OWNER, dying_marked);
    begin(OWNER, put_none);
    await(OWNER, dying_marked);
    tell(OTHER, borrow_inner);
    check(inner.object != NULL);
    release(OWNER, dying_marked);
    finish(OWNER);
    tell(OTHER, look_at_inner);
    tell(OTHER, retain_inner);
    check(result == NULL);
    tell(OTHER, safepoint);
    tell(OWNER, drop_list);
    drop_curtain(1);
}

/* The parent is held while its lock is waited for: it cannot die meanwhile. */
TALLY_TEST(interleavings, a_parent_whose_lock_a_borrower_waits_for_lives) {
    if (!no_gil()) return;
    set_scene_for_borrow(put_parent);
    tell(OTHER, borrow);
    hold(OTHER, borrow_secure);
    begin(OTHER, borrow_inner);
    await(OTHER, borrow_secure);
    tell(OWNER, put_none);
    tell(OWNER, safepoint);
    check_int(deaths(), 1);
    release(OTHER, borrow_secure);
    finish(OTHER);
    check_int(error, TALLY_RUNTIME_ERROR);
    tell(OTHER, safepoint);
    tell(OWNER, drop_list);
    drop_curtain(1);
}

/* The array is replaced between the borrower's load of it and of the slot; the item dies. */
static void grow_list_and_put_none(void) {
    for (int i = 0; i < 100; i++) check_int(tally_list_append(list, tally_none), 0);
    put_none();
}
TALLY_TEST(interleavings, a_borrower_of_a_replaced_array_looks_again) {
    if (!no_gil()) return;
    set_scene_for_borrow(put_fresh);
    hold(OTHER, borrow_loaded);
    begin(OTHER, borrow);
    await(OTHER, borrow_loaded);
    tell(OWNER, grow_list_and_put_none);
    tell(OWNER, safepoint);
    check_int(deaths(), 1);
    release(OTHER, borrow_loaded);
    finish(OTHER);
    check(borrowed.object == tally_none);
    tell(OWNER, drop_list);
    drop_curtain(1);
}

/* ---- a reader without the lock, and a list that grows ---- */

static int room;
static void grow_list(void) {
    while (tally_list_length(list) <= room) check_int(tally_list_append(list, tally_none), 0);
    room *= 2;
}
static void read_second_item(void) { tally_xdecref(tally_list_get(list, 1)); }
static void make_list_of_three(void) {
    list = tally_list_new(room = 8);
    for (int i = 0; i < 3; i++)
        check_int(tally_list_append(list, i < 2 ? tally_none : tally_true), 0);
}

/* The list grows between the reader's load of the array and of the length. */
static void read_ninth(void) { result = tally_list_get(list, 8); }
TALLY_TEST(interleavings, a_reader_that_sees_a_length_newer_than_its_array_looks_again) {
    if (!no_gil()) return;
    raise_curtain();
    tell(OWNER, make_list_of_three);
    tell(OTHER, read_second_item);
    hold(OTHER, list_loaded);
    begin(OTHER, read_ninth);
    await(OTHER, list_loaded);
    tell(OWNER, grow_list);
    release(OTHER, list_loaded);
    finish(OTHER);
    check(result == tally_none);
    tell(OWNER, drop_list);
    drop_curtain(0);
}

/* ---- what is counted of a fight ---- */

static tally_object *second;
static void read_second(void) { second = tally_list_get(list, 0); }
static void drop_second(void) { tally_decref(second); }

/* Its object may be shared; the list's lock is biased no more, which is a fight over the list. */
static void set_scene_for_counting(void) {
    set_scene_for_reader();
    tell(OTHER, read_and_drop);
}

static tally_contention_row fight_over(const char *type, size_t fights) {
    tally_contention_row *rows, row = {.share = 0};
    size_t count;

    check_int(tally_contention(&rows, &count), 0);
    check_int(count, fights);
    for (size_t i = 0; i < count; i++)
        if (strcmp(rows[i].type, type) == 0) row = rows[i];
    free(rows);
    return row;
}

static void check_lost_swap(void) {
    size_t fights = is_biased() ? 2 : 1;
    tally_contention_row row = fight_over("Mortal", fights);

    check_int(row.lost_cas, 1);
    check_int(row.lock_waits + row.lock_revocations + row.merges, 0);
    check_int(row.owner, is_biased() ? 2 : 0); /* the director is 1 */
    check_double(row.share, 1.0 / (double)fights);
}

TALLY_TEST(interleavings, a_swap_that_is_lost_to_another_reader_is_counted_once) {
    if (!no_gil()) return;
    set_scene_for_counting();
    hold(OTHER, try_incref_swap);
    begin(OTHER, read_first);
    await(OTHER, try_incref_swap);
    tell(THIRD, read_second);
    release(OTHER, try_incref_swap);
    finish(OTHER);
    tell(THIRD, drop_second);
    tell(OTHER, drop_result);
    tell(OWNER, drop_list);
    drop_curtain(1);
    check_lost_swap();
}

TALLY_TEST(interleavings, a_decref_that_is_lost_to_another_reader_is_counted_once) {
    if (!has_queues_no_gil()) return;
    set_scene_for_counting();
    tell(OTHER, read_first);
    hold(OTHER, decref_shared);
    begin(OTHER, drop_result);
    await(OTHER, decref_shared);
    tell(THIRD, read_second);
    release(OTHER, decref_shared);
    finish(OTHER);
    tell(THIRD, drop_second);
    tell(OWNER, drop_list);
    drop_curtain(1);
    check_lost_swap();
}

TALLY_TEST(interleavings, a_wait_that_takes_long_ends_by_a_handover_and_both_are_counted) {
    if (!no_gil()) return;
    set_scene_for_parking();
    hold(OTHER, parking);
    begin(OTHER, pass_section);
    await(OTHER, parking);
    usleep(5000); /* longer than a waiter waits for its turn */
    release(OTHER, parking);
    tell(OWNER, leave_section); /* finds the waiter: it has the bucket's mutex until it sleeps */
    finish(OTHER);
    tell(OWNER, drop_list);
    drop_curtain(0);
    tally_contention_row row = fight_over("list", 1);
    check_int(row.lock_waits, 1);
    check_int(row.lock_handovers, 1);
    check_int(row.lost_cas + row.merges, 0);
}

/* ---- a new object without a lock is merged as it is stored where others borrow ---- */

static void make_text(void) { object = tally_str_new("neither short nor shared", 24); }
static void put_object(void) { check_int(tally_list_set(list, 0, object), 0); }

/* What the owner stores is another thread's, which has never counted it. */
static void set_scene_for_new(void) {
    set_scene_for_borrow(put_fresh);
    tell(OWNER, make_text);
}

static void end_of_new(void) {
    tell(OTHER, check_one_left);
    tell(OWNER, drop_list);
    drop_curtain(1);
}

TALLY_TEST(interleavings, a_drop_while_a_new_item_is_merged_is_added_up) {
    if (!has_queues_no_gil()) return;
    set_scene_for_new();
    hold(OWNER, expose_new_swap);
    begin(OWNER, put_object);
    await(OWNER, expose_new_swap);
    tell(OTHER, drop_object);
    release(OWNER, expose_new_swap);
    finish(OWNER);
    end_of_new();
}

TALLY_TEST(interleavings, increfs_while_a_new_item_is_merged_are_added_up) {
    if (!has_queues_no_gil()) return;
    set_scene_for_new();
    hold(OWNER, expose_new_swap);
    begin(OWNER, put_object);
    await(OWNER, expose_new_swap);
    tell(OTHER, take_object);
    tell(OTHER, take_object);
    release(OWNER, expose_new_swap);
    finish(OWNER);
    tell(OTHER, drop_object);
    tell(OTHER, drop_object);
    tell(OTHER, drop_object);
    end_of_new();
}

TALLY_TEST(interleavings, a_new_item_that_is_queued_before_it_is_merged_is_dropped_once) {
    if (!has_queues_no_gil()) return;
    set_scene_for_new();
    hold(OWNER, expose_new);
    begin(OWNER, put_object);
    await(OWNER, expose_new);
    tell(OTHER, drop_object); /* an entry of the queue holds it now */
    release(OWNER, expose_new);
    finish(OWNER);
    tell(OWNER, safepoint);
    end_of_new();
}

TALLY_TEST(interleavings, a_drop_that_would_have_queued_finds_a_new_item_merged) {
    if (!has_queues_no_gil()) return;
    set_scene_for_new();
    hold(OTHER, decref_shared);
    begin(OTHER, drop_object);
    await(OTHER, decref_shared);
    tell(OWNER, put_object);
    release(OTHER, decref_shared);
    finish(OTHER);
    end_of_new();
}

/* ---- a thread that waits for a lock runs no foreign code ---------------- */

static tally_object *lower(void) { return list < other_list ? list : other_list; }
static tally_object *upper(void) { return list < other_list ? other_list : list; }
static void enter_upper(void) { tally_critical_begin(&sections[me->role], upper()); }
static void pass_both(void) {
    tally_critical_begin2(&sections[me->role], list, other_list);
    tally_critical_end(&sections[me->role]);
}
static void finalize_with_append(tally_object *self) {
    check_int(tally_list_append(lower(), tally_none), 0);
    suite_count_death(self);
}

TALLY_TEST(interleavings,
           what_dies_while_a_section_waits_for_its_objects_is_finalized_at_the_next_safepoint) {
    if (!has_queues_no_gil()) return;
    raise_curtain();
    tally_blocking_end();
    tally_decref(class_);
    class_ =
        tally_class_new(&(tally_class_spec){.name = "Appender", .finalize = finalize_with_append});
    tally_blocking_begin();
    tell(OWNER, make_list);
    tell(OWNER, make_other_list);
    tell(OWNER, make_object);
    tell(OTHER, enter_upper);
    tell(THIRD, drop_object); /* left to the owner, which runs */
    begin(OWNER, pass_both);
    check(stands(OWNER));
    tell(OTHER, leave_section);
    finish(OWNER);
    check_int(deaths(), 0);
    tell(OWNER, safepoint);
    check_int(deaths(), 1);
    tell(OWNER, drop_list);
    tell(OWNER, drop_other_list);
    drop_curtain(1);
}

/* A deposit whose finalizer counts, and an append that waits: the finalizer runs at the safepoint
 * after it. */
TALLY_TEST(interleavings, an_append_that_waits_runs_no_finalizer) {
    if (!has_queues_no_gil()) return;
    raise_curtain();
    tell(OWNER, make_list);
    tell(OWNER, make_object);
    tell(OTHER, enter_section);
    tell(THIRD, drop_object);
    begin(OWNER, append_none);
    check(stands(OWNER));
    check_int(deaths(), 0);
    tell(OTHER, leave_section);
    finish(OWNER);
    check_int(deaths(), 0);
    tell(OWNER, safepoint);
    check_int(deaths(), 1);
    tell(OWNER, drop_list);
    drop_curtain(1);
}

/* ---- sections are held again after whatever waited in them -------------- */

static tally_critical inner_sections[ACTORS], innermost_sections[ACTORS];
static void append_to_other(void) { check_int(tally_list_append(other_list, tally_none), 0); }
static void enter_other(void) { tally_critical_begin(&sections[me->role], other_list); }
static void enter_inner_other(void) { tally_critical_begin(&inner_sections[me->role], other_list); }
static void leave_inner(void) { tally_critical_end(&inner_sections[me->role]); }
static void enter_innermost_list(void) {
    tally_critical_begin(&innermost_sections[me->role], list);
}
static void leave_innermost(void) { tally_critical_end(&innermost_sections[me->role]); }

/* Nobody can store to the list while the owner is where it is; and then can. */
static void check_excluded(void) {
    begin(OTHER, put_none);
    check(stands(OTHER));
}

static void set_scene_of_sections(void) {
    raise_curtain();
    tell(OWNER, make_list);
    tell(OTHER, make_other_list);
}
static void leave_scene_of_sections(int dead) {
    tell(OWNER, drop_list);
    tell(OTHER, drop_other_list);
    drop_curtain(dead);
}

TALLY_TEST(interleavings, a_section_is_held_again_after_an_operation_that_waited) {
    if (!no_gil()) return;
    set_scene_of_sections();
    tell(THIRD, enter_other);
    tell(OWNER, enter_section);
    begin(OWNER, append_to_other);
    check(stands(OWNER));
    tell(OTHER, put_none); /* while it waits, others may */
    tell(THIRD, leave_section);
    finish(OWNER);
    check_excluded();
    tell(OWNER, leave_section);
    finish(OTHER);
    leave_scene_of_sections(0);
}

/* The wait is over, the lock of the section is not back yet, and another has it: the call waits for
 * that, too. */
TALLY_TEST(interleavings, an_operation_that_waited_returns_with_the_section) {
    if (!no_gil()) return;
    set_scene_of_sections();
    tell(THIRD, enter_other);
    tell(OWNER, enter_section);
    hold(OWNER, unlock_waited);
    begin(OWNER, append_to_other);
    check(stands(OWNER));
    tell(THIRD, leave_section);
    await(OWNER, unlock_waited);
    tell(OTHER, enter_section);
    release(OWNER, unlock_waited);
    check(stands(OWNER));
    tell(OTHER, leave_section);
    finish(OWNER);
    check_excluded();
    tell(OWNER, leave_section);
    finish(OTHER);
    leave_scene_of_sections(0);
}

/* A section on an object that an outer one holds, with one on another object between them. */
TALLY_TEST(interleavings, an_innermost_section_is_held_whoever_had_its_lock_before) {
    if (!no_gil()) return;
    set_scene_of_sections();
    tell(OWNER, enter_section);
    tell(OWNER, enter_inner_other);
    tell(OWNER, enter_innermost_list);
    tell(OWNER, block);
    tell(OTHER, put_none);
    tell(OWNER, unblock);
    check_excluded();
    tell(OWNER, leave_innermost);
    finish(OTHER);
    tell(OWNER, leave_inner);
    check_excluded(); /* the outermost again */
    tell(OWNER, leave_section);
    finish(OTHER);
    leave_scene_of_sections(0);
}

/* On its way into a blocking region it runs a finalizer that has a section of its own. */
static void finalize_in_section(tally_object *self) {
    tally_critical section;
    tally_critical_begin(&section, other_list);
    tally_critical_end(&section);
    suite_count_death(self);
}
static void enter_two(void) {
    enter_section();
    enter_inner_other();
}
static void leave_two(void) {
    leave_inner();
    leave_section();
}
static void block_with_the_section(int both) {
    set_scene_of_sections();
    tally_blocking_end();
    tally_decref(class_);
    class_ =
        tally_class_new(&(tally_class_spec){.name = "Locker", .finalize = finalize_in_section});
    tally_blocking_begin();
    tell(OWNER, make_object);
    tell(OWNER, both ? enter_two : enter_section);
    tell(THIRD, drop_object); /* left to the owner, which runs */
    tell(OWNER, block);
    check_int(deaths(), 1);
    tell(OTHER, put_none); /* a thread that waits holds nothing */
    tell(OTHER, append_to_other);
    tell(OWNER, unblock);
    if (both) {
        begin(OTHER, append_to_other);
        check(stands(OTHER));
    } else {
        check_excluded();
    }
    tell(OWNER, both ? leave_two : leave_section);
    finish(OTHER);
    leave_scene_of_sections(1);
}
TALLY_TEST(interleavings, a_thread_that_blocks_holds_no_section_although_a_finalizer_had_one) {
    if (has_queues_no_gil()) block_with_the_section(0);
}
TALLY_TEST(interleavings,
           a_thread_that_blocks_holds_none_of_two_sections_although_a_finalizer_had_one) {
    if (has_queues_no_gil()) block_with_the_section(1);
}

/* ---- a query of the heap meets a section on what it finds ---- */

static void query_objects(void) {
    for (int i = 0; i < 20; i++) tally_decref(tally_gc_get_objects(-1));
    block(); /* an idle actor that runs would keep the world from stopping */
}
static void query_and_enter(void) {
    while (!atomic_load_explicit(&flag, memory_order_relaxed)) {
        tally_object *found = tally_gc_get_objects(-1);
        for (ptrdiff_t i = 0; i < tally_list_length(found); i++) {
            tally_object *item = tally_list_get(found, i);
            tally_critical section;
            tally_critical_begin(&section, item);
            tally_safepoint(); /* parks here, if the world is to stop */
            tally_critical_end(&section);
            tally_decref(item);
        }
        tally_decref(found);
    }
    block();
}
TALLY_TEST(interleavings,
           a_query_of_the_heap_stops_the_world_although_what_it_finds_is_in_a_section) {
    if (!no_gil()) return;
    set_scene_of_sections();
    begin(OTHER, query_and_enter);
    begin(THIRD, query_and_enter);
    tell(OWNER, query_objects);
    atomic_store_explicit(&flag, 1, memory_order_relaxed);
    finish(OTHER);
    finish(THIRD);
    tell(OWNER, unblock);
    tell(OTHER, unblock);
    leave_scene_of_sections(0);
}

/* ---- biases end without a membarrier each ------------------------------- */

enum { BIASED_LISTS = 400 };
static tally_object *biased_lists[BIASED_LISTS];
static uint64_t revoked_before, revoked_after;
static uint64_t revocations_now(void) {
    tally_stats_result stats;
    tally_stats(&stats);
    return stats.lock_revocations;
}
static void make_biased_lists(void) {
    for (int i = 0; i < BIASED_LISTS; i++)
        check_int(tally_list_append(biased_lists[i] = tally_list_new(2), tally_none), 0);
}
static void use_biased_lists(void) {
    revoked_before = revocations_now();
    for (int i = 0; i < BIASED_LISTS; i++)
        check_int(tally_list_append(biased_lists[i], tally_none), 0);
    revoked_after = revocations_now();
}
static void check_and_drop_biased_lists(void) {
    for (int i = 0; i < BIASED_LISTS; i++) {
        check_int(tally_list_append(biased_lists[i], tally_none), 0);
        check_int(tally_list_length(biased_lists[i]), 3);
        tally_decref(biased_lists[i]);
    }
}

TALLY_TEST(interleavings, biases_of_a_blocked_owner_go_without_a_membarrier) {
    if (!has_bias()) return;
    raise_curtain();
    tell(OWNER, make_biased_lists);
    tell(OWNER, block);
    tell(OTHER, use_biased_lists);
    check_int(revoked_after - revoked_before, 0);
    tell(OWNER, unblock);
    tell(OWNER, check_and_drop_biased_lists);
    drop_curtain(0);
}

TALLY_TEST(interleavings, biases_of_a_running_owner_end_all_at_once) {
    if (!has_bias()) return;
    raise_curtain();
    tell(OWNER, make_biased_lists);
    tell(OTHER, use_biased_lists);
    check(revoked_after - revoked_before <= 32);
    tell(OWNER, check_and_drop_biased_lists);
    drop_curtain(0);
}

/* The owner is in one of the lists by its bias while the epoch ends: nobody takes the bias for over
 * before it has left. */
static void append_to_last_biased(void) {
    check_int(tally_list_append(biased_lists[BIASED_LISTS - 1], tally_none), 0);
}
static void pop_two_of_last_biased(void) {
    check_int(tally_list_length(biased_lists[BIASED_LISTS - 1]), 4);
    for (int i = 0; i < 2; i++) tally_decref(tally_list_pop(biased_lists[BIASED_LISTS - 1], -1));
}
TALLY_TEST(interleavings, an_epoch_of_biases_is_over_when_the_owner_has_left) {
    if (!has_bias()) return;
    raise_curtain();
    tell(OWNER, make_biased_lists);
    hold(OWNER, bias_inside);
    begin(OWNER, append_to_last_biased);
    await(OWNER, bias_inside);
    hold(OTHER, epoch_ends);
    begin(OTHER, use_biased_lists);
    await(OTHER, epoch_ends);
    release(OTHER, epoch_ends);
    check(stands(OTHER));
    begin(THIRD, append_to_last_biased);
    check(stands(THIRD));
    release(OWNER, bias_inside);
    finish(OWNER);
    finish(OTHER);
    finish(THIRD);
    tell(OWNER, pop_two_of_last_biased);
    tell(OWNER, check_and_drop_biased_lists);
    drop_curtain(0);
}

/* ---- one plain weak reference -------------------------------------------- */

static tally_object *weak_target, *weak_results[ACTORS];
static void make_weak_target(void) {
    tally_object *open = tally_class_new(&(tally_class_spec){.name = "Target"});
    weak_target = tally_instance_new(open);
    tally_decref(open);
}
static void make_plain_weakref(void) {
    weak_results[me->role] = tally_weakref_new(weak_target, NULL, NULL);
}
static void drop_plain_weakref(void) { tally_decref(weak_results[me->role]); }
static void drop_weak_target(void) { tally_decref(weak_target); }
TALLY_TEST(interleavings, two_threads_that_make_the_plain_weak_reference_get_one) {
    if (!no_gil()) return;
    raise_curtain();
    tell(OWNER, make_weak_target);
    hold(OTHER, weakref_made);
    begin(OTHER, make_plain_weakref);
    await(OTHER, weakref_made);
    tell(THIRD, make_plain_weakref);
    release(OTHER, weakref_made);
    finish(OTHER);
    check(weak_results[OTHER] == weak_results[THIRD]);
    tell(OTHER, drop_plain_weakref);
    tell(THIRD, drop_plain_weakref);
    tell(OWNER, drop_weak_target);
    drop_curtain(0);
}

/* ---- what each thread counts for itself ---- */

static tally_object *shared_dict, *shared_key, *weak;
static _Atomic int answer;

static void make_class(void) {
    object = tally_class_new(&(tally_class_spec){.name = "Looked up"});
    shared_dict = tally_dict_new();
    shared_key = text("key");
    weak = tally_weakref_new(object, NULL, NULL);
    check_int(tally_dict_set(shared_dict, shared_key, object), 0);
    tally_decref(object);
}
static void look_up(void) { result = tally_dict_get(shared_dict, shared_key); }
static void drop_looked_up(void) { tally_xdecref(result); }
static void delete_key(void) { check_int(tally_dict_delete(shared_dict, shared_key), 0); }
static void collect(void) {
    atomic_store_explicit(&answer, (int)tally_gc_collect(2), memory_order_relaxed);
}
static void drop_names(void) {
    tally_decref(shared_dict);
    tally_decref(shared_key);
    tally_decref(weak);
}
static void is_dead(void) {
    tally_object *got = tally_weakref_get(weak);
    check(got == tally_none);
    tally_decref(got);
}
static void is_alive(void) {
    tally_object *got = tally_weakref_get(weak);
    check(got == object);
    tally_decref(got);
}

TALLY_TEST(interleavings, a_class_whose_last_user_goes_while_another_looks_it_up_dies_after_that) {
    if (!no_gil()) return;
    raise_curtain();
    tell(OWNER, make_class);
    tell(OTHER, look_up); /* has been in: no lock is biased */
    tell(OTHER, drop_looked_up);
    hold(OTHER, try_incref);
    begin(OTHER, look_up); /* has found it in the dict */
    await(OTHER, try_incref);
    tell(OWNER, delete_key);
    begin(THIRD, collect);
    tell(OWNER, block);
    check(stands(THIRD)); /* the reader has come to no safepoint */
    release(OTHER, try_incref);
    finish(OTHER);
    check(result == NULL); /* it was in the dict no more at the second look */
    tell(OTHER, block);
    finish(THIRD);
    tell(THIRD, is_dead);
    tell(OWNER, unblock);
    tell(OWNER, drop_names);
    drop_curtain(0);
}

TALLY_TEST(interleavings, a_class_that_was_looked_up_in_time_outlives_its_place_in_the_dict) {
    if (!no_gil()) return;
    raise_curtain();
    tell(OWNER, make_class);
    tell(OTHER, look_up);
    check(result == object);
    tell(OWNER, delete_key);
    tell(OWNER, block);
    tell(OTHER, block); /* with the reference, in its number */
    tell(THIRD, collect);
    tell(THIRD, is_alive);
    tell(OTHER, unblock);
    tell(OTHER, drop_looked_up);
    tell(OTHER, detach); /* its number stays behind */
    tell(THIRD, collect);
    tell(THIRD, is_dead);
    tell(OWNER, unblock);
    tell(OWNER, drop_names);
    drop_curtain(0);
}

static void defer_object(void) {
    atomic_store_explicit(&answer, tally_defer_count(object), memory_order_relaxed);
}
static void make_deferred(void) {
    object = tally_instance_new(class_);
    weak = tally_weakref_new(object, NULL, NULL);
    defer_object();
    check_int(atomic_load_explicit(&answer, memory_order_relaxed), 1);
}
/* Sweeps without a collection, since so many are new. */
static void make_classes(void) {
    for (int i = 0; i < 200; i++)
        tally_decref(tally_class_new(&(tally_class_spec){.name = "One of many"}));
}
/* The stop needs the others at rest. */
static void defer_alone(int role, void (*command)(void)) {
    for (int other = OWNER; other < ACTORS; other++)
        if (other != role && actors[other].attached) tell(other, block);
    tell(role, command);
    for (int other = OWNER; other < ACTORS; other++)
        if (other != role && actors[other].attached) tell(other, unblock);
}
static void get_weakly(void) { result = tally_weakref_get(weak); }
static void drop_weak(void) { tally_decref(weak); }

static int has_numbers(void) {
    if (!is_biased() || has_gil()) suite_skip("no object but a class is counted by each thread");
    return is_biased() && !has_gil();
}

TALLY_TEST(interleavings,
           a_weak_reference_that_comes_between_a_sweep_and_the_end_keeps_the_object) {
    if (!has_numbers()) return;
    static const char *const weak_slots[] = {"a", "__weakref__", NULL};
    raise_curtain();
    tally_object *old = class_;
    tally_blocking_end();
    class_ = tally_class_new(
        &(tally_class_spec){.name = "Weak", .slots = weak_slots, .finalize = suite_count_death});
    tally_blocking_begin();
    defer_alone(OWNER, make_deferred);
    tell(OWNER, drop_object);
    hold(THIRD, sweep_started);
    tell(OWNER, block);
    tell(OTHER, block);
    begin(THIRD, make_classes);
    await(THIRD, sweep_started); /* the sweep's is the only reference */
    tell(OTHER, unblock);
    tell(OTHER, get_weakly);
    check(result == object);
    release(THIRD, sweep_started);
    tell(OTHER, block);
    finish(THIRD);
    tell(OTHER, unblock);
    check_int(deaths(), 0);
    tell(OTHER, drop_looked_up); /* an ordinary object: dies at once */
    check_int(deaths(), 1);
    tell(OTHER, drop_weak);
    tally_blocking_end();
    tally_decref(old);
    tally_blocking_begin();
    drop_curtain(1);
}

TALLY_TEST(interleavings, what_is_in_a_pushers_hand_is_not_deferred) {
    if (!has_queues_no_gil()) return;
    raise_curtain();
    tell(OWNER, make_object);
    tell(OWNER, take_object);
    tell(OWNER, detach); /* of its two, one is for OTHER and one for THIRD */
    hold(THIRD, world_claiming);
    begin(THIRD, defer_object);
    await(THIRD, world_claiming); /* has the registration lock */
    begin(OTHER, drop_object);
    check(stands(OTHER)); /* with the entry in its hand */
    release(THIRD, world_claiming);
    finish(THIRD);
    finish(OTHER);
    check_int(atomic_load_explicit(&answer, memory_order_relaxed), 0);
    check_int(deaths(), 0);
    tell(THIRD, check_one_left);
    defer_alone(THIRD, defer_object);
    check_int(atomic_load_explicit(&answer, memory_order_relaxed), 1);
    tell(THIRD, drop_object);
    check_int(deaths(), 0);
    tell(OTHER, block);
    tell(THIRD, collect);
    drop_curtain(1);
}

/* The owner gives up while the entry is on its way: nothing in the object tells that there is one.
 */
TALLY_TEST(interleavings, what_is_deferred_while_its_entry_is_in_hand_counts_the_entry_off) {
    if (!has_numbers()) return;
    raise_curtain();
    tell(OWNER, make_object);
    tell(OWNER, take_object);
    tell(OWNER, take_object);
    hold(OTHER, queue_entry);
    begin(OTHER, drop_object);
    await(OTHER, queue_entry);
    tell(THIRD, take_object);
    tell(THIRD, take_object);
    for (int i = 0; i < 3; i++)
        tell(OWNER, drop_object); /* its half is empty now: two are left, the entry's and THIRD's */
    tell(OWNER, detach);
    hold(THIRD, world_claiming);
    begin(THIRD, defer_object);
    await(THIRD, world_claiming);
    release(OTHER, queue_entry);
    check(stands(OTHER));
    release(THIRD, world_claiming);
    finish(THIRD);
    finish(OTHER);
    check_int(atomic_load_explicit(&answer, memory_order_relaxed), 1);
    check_int(deaths(), 0);
    tell(THIRD, check_one_left);
    tell(THIRD, drop_object);
    tell(OTHER, block);
    tell(THIRD, collect);
    drop_curtain(1);
}

/* A pusher has seen the owner; then the owner gives its word up; the pusher's swap and entry come
 * before the owner's swap. */
TALLY_TEST(interleavings, what_is_queued_while_its_owner_defers_it_is_counted_off) {
    if (!has_numbers()) return;
    for (int merged_late = 0; merged_late < 2; merged_late++) {
        raise_curtain();
        tell(OWNER, make_object);
        tell(OWNER, take_object); /* for OTHER, by the owner's hand */
        hold(OTHER, decref_shared);
        begin(OTHER, drop_object);
        await(OTHER, decref_shared);
        hold(OWNER, spread_swap);
        begin(OWNER, defer_object);
        await(OWNER, spread_swap);
        if (merged_late) /* with the entry in hand until the object is spread */
            hold(OTHER, queue_entry);
        release(OTHER, decref_shared);
        if (merged_late) {
            await(OTHER, queue_entry);
            release(OWNER, spread_swap);
            finish(OWNER);
            release(OTHER, queue_entry);
            finish(OTHER);
        } else {
            finish(OTHER);
            release(OWNER, spread_swap);
            finish(OWNER);
        }
        check_int(atomic_load_explicit(&answer, memory_order_relaxed), 1);
        tell(OWNER, safepoint); /* the entry is in its queue */
        check_int(deaths(), merged_late);
        tell(THIRD, take_object);
        tell(OTHER, take_object);
        tell(OWNER, drop_object);
        tell(OTHER, drop_object);
        tell(THIRD, check_one_left);
        tell(THIRD, drop_object);
        tell(OWNER, block);
        tell(OTHER, block);
        tell(THIRD, collect);
        check_int(deaths(), merged_late + 1);
        drop_curtain(merged_late + 1);
    }
}

/* A class that is being made is in no table of references yet: a sweep must not take it for unused.
 */
static void sweep_unborn(void *nothing) {
    (void)nothing;
    tally_object *key = tally_str_new("self", -1),
                 *garbage = tally_class_new(&(tally_class_spec){.name = "Garbage"});
    check_int(tally_set_attr(garbage, key, garbage), 0);
    tally_decref(garbage);
    tally_decref(key);
    check(tally_gc_collect(2) >= 1);
}
static void make_slotted_class(void) {
    static const char *const names[] = {"one", "two", NULL};
    result = tally_class_new(&(tally_class_spec){.name = "Unborn", .slots = names});
    tally_object *instance = tally_instance_new(result);
    check_int(tally_slot_set(instance, 1, tally_true), 0);
    check_int(strcmp(tally_type_name(instance), "Unborn"), 0);
    check_int(tally_refcount(result), 2);
    tally_decref(instance);
    tally_decref(result);
    check(tally_gc_collect(2) >= 0);
}

TALLY_TEST(interleavings, a_sweep_leaves_a_class_that_is_being_made) {
    raise_curtain();
    tell(OWNER, block);
    tell(OTHER, block);
    tally_failpoint_call(THIRD, "class_unborn", sweep_unborn, NULL);
    tell(THIRD, make_slotted_class);
    check(tally_failpoint_await(THIRD, "class_unborn"));
    drop_curtain(0);
}

TALLY_TEST(interleavings, a_merge_in_a_collection_adds_up_what_threads_count_both_ways) {
    if (!has_numbers()) return;
    raise_curtain();
    tell(OWNER, make_object);
    defer_alone(OWNER, defer_object);
    for (int i = 0; i < 3; i++) {
        tell(OTHER, take_object);
        tell(OTHER, take_object);
        tell(THIRD, drop_object);
        tell(OWNER, block);
        tell(OTHER, block);
        tell(THIRD, collect);
        check_int(deaths(), 0);
        tell(OTHER, unblock);
        tell(OWNER, unblock);
    }
    for (int i = 0; i < 3; i++) tell(OWNER, drop_object);
    tell(OTHER, check_one_left);
    tell(OTHER, drop_object); /* the numbers are -3, 5 and -3 */
    check_int(deaths(), 0);
    tell(OWNER, block);
    tell(OTHER, block);
    tell(THIRD, collect);
    check_int(deaths(), 1);
    drop_curtain(1);
}

/* ---- heaps of threads that are blocked or gone ---- */

enum { FLOATS = 4000, SERVED = 64 /* blocks pushed to a heap before somebody looks after it */ };
static tally_object *floats[FLOATS];
static _Atomic int adopted, passed_on;

static void make_floats(void) {
    for (int i = 0; i < FLOATS; i++) floats[i] = tally_float_new(i);
}
static void drop_even_floats(void) {
    for (int i = 0; i < FLOATS; i += 2) tally_decref(floats[i]);
}
static void drop_first_odd_float(void) { tally_decref(floats[1]); }
static void drop_other_odd_floats(void) {
    for (int i = 3; i < FLOATS; i += 2) tally_decref(floats[i]);
}
static void drop_some_floats(void) {
    for (int i = 0; i < SERVED; i++) tally_decref(floats[i]);
}
static void drop_other_floats(void) {
    for (int i = SERVED; i < FLOATS; i++) tally_decref(floats[i]);
}

static void make_floats_again_and_drop(void) {
    for (int i = 0; i < FLOATS; i++) tally_decref(tally_float_new(i));
}

static void set_flag(void *which) {
    atomic_store_explicit((_Atomic int *)which, 1, memory_order_relaxed);
}

/* Until *which is set: it needs one pool after the other. */
static void make_until(_Atomic int *which) {
    tally_object *list_ = tally_list_new(0);
    for (int i = 0; i < 200000 && !atomic_load_explicit(which, memory_order_relaxed); i++) {
        tally_object *number = tally_float_new(i);
        tally_list_append(list_, number);
        tally_decref(number);
    }
    tally_decref(list_);
}
static void make_until_adopted(void) { make_until(&adopted); }
static void make_until_passed_on(void) { make_until(&passed_on); }

static size_t float_blocks;
static void count_float_blocks(void) {
    tally_memory_result memory;
    tally_memory_stats(&memory);
    float_blocks = memory.classes[(tally_header_size(false) + sizeof(double) + 15) / 16 - 1].blocks;
}

/* A thread frees a block of a heap, another adopts its pool in between; the block gets home. */
TALLY_TEST(interleavings, a_block_on_its_way_to_a_heap_follows_its_pool) {
    if (!no_gil()) return;
    atomic_store(&adopted, 0);
    atomic_store(&passed_on, 0);
    count_float_blocks();
    size_t before = float_blocks;
    raise_curtain();
    tell(OWNER, make_floats);
    tell(OWNER, drop_even_floats);
    tell(OWNER, block);
    hold(OTHER, remote_push);
    begin(OTHER, drop_first_odd_float);
    await(OTHER, remote_push);
    tally_failpoint_call_always(THIRD, "heap_adopt", set_flag, &adopted);
    tell(THIRD, make_until_adopted);
    check(atomic_load(&adopted));
    release(OTHER, remote_push);
    finish(OTHER);
    tell(OTHER, drop_other_odd_floats);
    tell(OWNER, unblock);
    tell(OWNER, safepoint);
    tally_failpoint_call_always(OWNER, "heap_pass_on", set_flag, &passed_on);
    tell(OTHER, safepoint);
    if (!atomic_load(&passed_on)) /* it stays so if the pool adopted was another */
        tell(OWNER, make_until_passed_on);
    tell(OWNER, safepoint);
    tell(THIRD, safepoint);
    drop_curtain(0);
    count_float_blocks();
    check_int(float_blocks, before);
}

/* The heap of a blocked thread is served: the thread does not run before that is over. */
TALLY_TEST(interleavings, a_blocked_thread_waits_while_its_heap_is_served) {
    if (!no_gil()) return;
    raise_curtain();
    tell(OWNER, make_floats);
    tell(OWNER, block);
    hold(OTHER, heap_claimed);
    begin(OTHER, drop_some_floats);
    await(OTHER, heap_claimed);
    begin(OWNER, unblock);
    check(stands(OWNER));
    release(OTHER, heap_claimed);
    finish(OTHER);
    finish(OWNER);
    tell(OWNER, make_floats_again_and_drop);
    tell(OTHER, drop_other_floats);
    drop_curtain(0);
}

/* The heap of a vacant slot is served: nobody attaches there before that is over. */
TALLY_TEST(interleavings, nobody_attaches_while_the_heap_of_the_slot_is_served) {
    if (!no_gil()) return;
    raise_curtain();
    tell(OWNER, make_floats);
    tell(OWNER, detach);
    hold(OTHER, heap_claimed);
    begin(OTHER, drop_some_floats);
    await(OTHER, heap_claimed);
    begin(OWNER, attach);
    check(stands(OWNER));
    release(OTHER, heap_claimed);
    finish(OTHER);
    finish(OWNER);
    tell(OWNER, make_floats_again_and_drop);
    tell(OTHER, drop_other_floats);
    drop_curtain(0);
}
