// SPDX-License-Identifier: LGPL-2.1-or-later
//
// explain-<backend>: performs the steps of an example through tally.h, one at a time, and tells
// what the heap is after each. play.py compiles the example, starts this program and draws what it
// says.
//
// Input: "step LETTER" begins a step of thread A, B, ...; the lines up to the next are operations
// on a stack of references. Output: a JSON object per step, or one with the member "error".
//
// Invariants:
//  - One thread at a time performs a step; handing on is under a mutex. So tables need no lock.
//  - Thread A runs between its steps, without a safepoint. The others are in blocked regions, or
//    after run() at safepoints again and again. Where a step may need all threads (a collection, a
//    GIL), A is in a blocked region meanwhile, too.
#ifndef TALLY_EXPLAIN_H
#define TALLY_EXPLAIN_H

#include <jansson.h>
#include <tally.h>

extern _Thread_local unsigned explain_thread; // 0: A

_Noreturn void explain_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

// machine.c
void machine_run(const char *operation); // "list 2"
void machine_names(json_t *names, json_t *(*id_of)(tally_object *));
void machine_end(void);
bool machine_needs_world(const char *operation);
extern _Thread_local bool machine_runs; // between its steps, too

// photo.c. An object gets a number when it is made.
void photo_born(tally_object *object);
void photo_finalized(tally_object *object);
json_t *photo_take(void);
json_t *photo_dead(void); // since the last call

#endif
