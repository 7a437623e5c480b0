/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cast.h"

#include <linux/membarrier.h>
#include <sys/syscall.h>

actor actors[ACTORS];
_Thread_local actor *me;

tally_object *class_, *object, *list, *other_list, *result, *first_of_list, *first_of_other;
_Atomic int flag, finalizing, answer;
uint64_t merges;
tally_critical sections[ACTORS];
tally_borrowed borrowed;
tally_error error;

static _Atomic int instances;            /* of class_ */
static int list_maker, other_list_maker; /* roles; 0: it is dropped */

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
        actor_command *command = atomic_load_explicit(&me->command, memory_order_relaxed);
        command();
        atomic_store_explicit(&me->done, next, memory_order_release);
        if (command == leave) return NULL;
    }
}

int is_done(int role) {
    return atomic_load_explicit(&actors[role].done, memory_order_acquire) ==
           atomic_load_explicit(&actors[role].told, memory_order_relaxed);
}

void begin(int role, actor_command *command) {
    atomic_store_explicit(&actors[role].command, command, memory_order_relaxed);
    atomic_fetch_add_explicit(&actors[role].told, 1, memory_order_release);
}

void finish(int role) {
    poll_until(is_done(role));
    if (is_done(role)) return;
    fprintf(stderr, "actor %d does not come to an end\n", role);
    abort();
}

void tell_all(int role, actor_command *const *commands, size_t count) {
    for (size_t i = 0; i < count; i++) {
        begin(role, commands[i]);
        finish(role);
    }
}

int stands(int role) {
    usleep(20000);
    return !is_done(role);
}

int stop_at(int role, actor_command *command, const char *point) {
    hold(role, point);
    begin(role, command);
    await(role, point);
    return 1;
}

int go_on(int role, const char *point) {
    release(role, point);
    finish(role);
    return 0;
}

void move_on(int role, const char *from, const char *to) {
    hold(role, to);
    release(role, from);
    await(role, to);
}

/* ---- scenes ---- */

int has_bias(void) {
    /* Locks are not biased without membarrier. */
    return biased_without_gil() &&
           syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0;
}

void raise_curtain_but(int outside) {
    class_ = mortal_class();
    list_maker = other_list_maker = 0;
    forget_deaths();
    atomic_store_explicit(&instances, 0, memory_order_relaxed);
    atomic_store_explicit(&flag, 0, memory_order_relaxed);
    atomic_store_explicit(&finalizing, 0, memory_order_relaxed);
    tally_blocking_begin();
    for (int role = OWNER; role < ACTORS; role++) {
        actors[role] = (actor){.role = role};
        check_int(pthread_create(&actors[role].thread, NULL, play, &actors[role]), 0);
        if (role != outside) tell(role, attach);
    }
}

void raise_curtain(void) { raise_curtain_but(0); }

void drop_curtain(void) {
    /* In step, since what one still holds may need another's safepoint. */
    for (int role = OWNER; role < ACTORS; role++)
        if (actors[role].blocked) tell(role, unblock);
    if (list_maker) tell(list_maker, drop_list);
    if (other_list_maker) tell(other_list_maker, drop_other_list);
    for (int role = OWNER; role < ACTORS; role++) {
        if (actors[role].attached) tell(role, detach);
        tell(role, leave);
        pthread_join(actors[role].thread, NULL);
    }
    tally_blocking_end();
    check_int(deaths(), atomic_load_explicit(&instances, memory_order_relaxed));
    check_int(tally_failpoint_reset(), 0);
    tally_decref(class_);
}

static void (*scene)(void);
static void play_scene(void) {
    raise_curtain();
    scene();
    drop_curtain();
}
void run_with_curtain(void (*body)(void)) {
    scene = body;
    suite_run(play_scene);
}

/* ---- commands ---- */

tally_object *instance(void) {
    atomic_fetch_add_explicit(&instances, 1, memory_order_relaxed);
    return tally_instance_new(class_);
}

void finalize_by(void (*finalize)(tally_object *self)) {
    tally_blocking_end();
    tally_decref(class_);
    class_ = class_finalized("Finalized", finalize);
    tally_blocking_begin();
}

void attach(void) {
    check_int(tally_thread_attach(), 0);
    me->attached = 1;
}
void detach(void) {
    tally_thread_detach();
    me->attached = 0;
}
void block(void) {
    tally_blocking_begin();
    me->blocked = 1;
}
void unblock(void) {
    tally_blocking_end();
    me->blocked = 0;
}
void safepoint(void) { tally_safepoint(); }
void make_object(void) { object = instance(); }
void drop_object(void) { tally_decref(object); }
void take_object(void) { tally_incref(object); }
void check_one_left(void) { check_int(tally_refcount(object), 1); }
void check_some_left(void) { check(tally_refcount(object) > 0); }
static tally_object *list_with_none(void) {
    tally_object *made = tally_list_new(4);
    check_int(tally_list_append(made, tally_none), 0);
    return made;
}
/* A new reference. */
static void put(tally_object *into, tally_object *item) {
    check_int(tally_list_set(into, 0, item), 0);
    tally_decref(item);
}
void set_list(tally_object *made) {
    list = made;
    list_maker = me->role;
}
void make_list(void) { set_list(list_with_none()); }
void make_other_list(void) {
    other_list = list_with_none();
    other_list_maker = me->role;
}
void drop_list(void) {
    list_maker = 0;
    tally_decref(list);
}
void drop_other_list(void) {
    other_list_maker = 0;
    tally_decref(other_list);
}
void clear_list(void) { check_int(tally_list_clear(list), 0); }
void put_fresh(void) { put(list, instance()); }
void put_none(void) { check_int(tally_list_set(list, 0, tally_none), 0); }
void put_result(void) { put(list, result); }
void drop_result(void) { tally_xdecref(result); }
void read_first(void) { result = tally_list_get(list, 0); }
void read_and_drop(void) { tally_decref(tally_list_get(list, 0)); }
void read_other_and_drop(void) { tally_decref(tally_list_get(other_list, 0)); }
void note_first(void) {
    first_of_list = tally_list_get(list, 0);
    tally_decref(first_of_list);
}
void put_fresh_in_other(void) { put(other_list, first_of_other = instance()); }
void append_none(void) { check_int(tally_list_append(list, tally_none), 0); }
void stop_world(void) {
    tally_memory_result memory;
    tally_memory_stats(&memory);
}
void safepoints_until_flag(void) {
    while (!atomic_load_explicit(&flag, memory_order_relaxed)) {
        tally_safepoint();
        usleep(20);
    }
}
void enter_section(void) { tally_critical_begin(&sections[me->role], list); }
void leave_section(void) { tally_critical_end(&sections[me->role]); }
void pass_section(void) {
    enter_section();
    leave_section();
}

uint64_t merges;
void raise_flag(void) { atomic_store_explicit(&flag, 1, memory_order_relaxed); }
void collect(void) {
    atomic_store_explicit(&answer, (int)tally_gc_collect(2), memory_order_relaxed);
}

void count_merges(void) { merges = stats_now().merges; }
void check_merged_once(void) {
    tell(OTHER, count_merges);
    check_int(merges, 1);
}

void borrow(void) {
    borrowed = tally_list_borrow(list, 0);
    error = tally_error_kind();
    tally_error_clear();
}

/* ---- scenes of more than one chapter ---- */

void set_scene_for_reader(void) {
    tell(OWNER, make_list);
    tell(OTHER, read_and_drop);
    tell(OWNER, put_fresh);
}

void set_scene_for_borrow(actor_command *put_it) {
    tell(OWNER, make_list, put_it);
    tell(OTHER, borrow, safepoint);
}
