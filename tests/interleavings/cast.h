/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cast.h: interleavings, each forced. Threads are actors: they do what the director (the test's
 * own thread, in a blocked region) tells them, and are held at a failpoint of
 * core/instrument/failpoint.h in the middle of it.
 *
 *     INTERLEAVING(no_gil, a_reader_sees_none) {
 *         tell(OWNER, make_list);                       a command from its begin to its end
 *         while_held(OTHER, read_first, "try_incref")   the reader is held at this failpoint
 *             tell(OWNER, put_none);                    and the owner stores meanwhile
 *         check(result == tally_none);                  the reader has gone on and is done
 *     }
 *
 * All actors are attached when the body starts (the curtain rises), and leave after it. Every
 * instance that they made has died once by then.
 *
 * An idle actor runs, without a safepoint; with a GIL it would keep everybody out, so there it is
 * in a blocked region.
 */
#ifndef TALLY_TESTS_CAST_H
#define TALLY_TESTS_CAST_H

#include "instrument/failpoint.h"
#include "suite.h"

/* The owner made the object; the others do something to it. */
enum { OWNER = 1, OTHER, THIRD, ACTORS };

typedef void actor_command(void);

typedef struct actor {
    pthread_t thread;
    int role;
    int attached, blocked;
    actor_command *_Atomic command;
    _Atomic int told, done; /* how many commands */
} actor;

extern actor actors[ACTORS];
extern _Thread_local actor *me;

/* ---- scenes ---- */

#define INTERLEAVING(applies, name) RUNNER_TEST(name, applies, run_with_curtain)
void run_with_curtain(void (*body)(void));
/* For a TEST_IF that plays more than one scene, looks at something after it, or in which the
 * actor `outside` is not attached at first. */
void raise_curtain(void);
void raise_curtain_but(int outside);
void drop_curtain(void);

/* no_gil: a thread holds the GIL at most failpoints, so no other comes in between. */
#define any_backend       NULL
#define has_queues        is_biased /* an object has an owner, for whom it can be queued */
#define has_queues_no_gil biased_without_gil
#define has_per_thread    biased_without_gil /* objects other than classes are counted per thread */
int has_bias(void);                          /* of locks */

/* ---- what the director does ---- */

/* Tells the actor to begin the command, and does not wait for its end. */
void begin(int role, actor_command *command);
/* Waits for the end; a scene cannot go on without. */
void finish(int role);
int is_done(int role);
/* Tells the actor to do these, one after the other, and waits. */
#define tell(role, ...)                              \
    tell_all(role, (actor_command *[]){__VA_ARGS__}, \
             sizeof((actor_command *[]){__VA_ARGS__}) / sizeof(actor_command *))
void tell_all(int role, actor_command *const *commands, size_t count);

/* It is still at it after a while. */
int stands(int role);
#define check_waits(role, command) (begin(role, command), check(stands(role)))

/* The actor begins the command and is held at the failpoint while the next statement runs; then it
 * goes on, and the command ends. */
#define while_held(role, command, point) \
    for (int held = stop_at(role, command, point); held; held = go_on(role, point))
/* The two ends of while_held, where what happens between them is no block. */
int stop_at(int role, actor_command *command, const char *point);
int go_on(int role, const char *point);
/* Lets the actor, which is held at one failpoint, go on to the next. */
void move_on(int role, const char *from, const char *to);

/* The single steps, where an actor passes more than one failpoint in a command. */
#define hold(role, point)    tally_failpoint_hold(role, point)
#define await(role, point)   check(tally_failpoint_await(role, point))
#define release(role, point) tally_failpoint_release(role, point)
#define is_held(role, point) tally_failpoint_is_held(role, point)

/* ---- what a scene is about, and commands ---- */

extern tally_object *class_, *object, *list, *other_list, *result;
extern tally_object *first_of_list, *first_of_other;
extern _Atomic int flag, finalizing;
extern uint64_t merges;
extern tally_critical sections[ACTORS];

/* A new instance of class_, whose death is counted. */
tally_object *instance(void);
/* Another class_, with this finalizer; for the director. */
void finalize_by(void (*finalize)(tally_object *self));

actor_command attach, detach, block, unblock, safepoint, safepoints_until_flag, stop_world, collect;
actor_command make_object, drop_object, take_object, check_one_left, check_some_left, drop_result;
actor_command make_list, make_other_list, drop_list, drop_other_list, clear_list;
actor_command put_fresh, put_none, put_result, put_fresh_in_other, note_first, append_none;
actor_command read_first, read_and_drop, read_other_and_drop;
actor_command enter_section, leave_section, pass_section;
actor_command count_merges;
void check_merged_once(void);
void raise_flag(void);
/* The list of the scene, which this actor drops at its end. */
void set_list(tally_object *made);
extern _Atomic int answer; /* of a collection, or of another command */

/* In list, which readers try without its lock, is a new object of which the owner holds nothing
 * else. */
void set_scene_for_reader(void);

/* The owner's list has what put stores; it has been borrowed once, so it is marked, and so is what
 * is stored in list from now on. */
extern tally_borrowed borrowed;
extern tally_error error;
actor_command borrow;
void set_scene_for_borrow(actor_command *put);

#endif
