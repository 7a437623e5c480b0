/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * state.h: the life of a workload's states. The harness allocates the shared and the local state,
 * keeps the objects that the workload hands over, and checks and drops them in the end.
 */
#ifndef TALLY_HARNESS_STATE_H
#define TALLY_HARNESS_STATE_H

#include "../workload.h"

/* What setup made is immortal: its counts say nothing. Set before the workers start. */
extern bool workload_immortal;

struct workload_kept {
    struct kept_entry *entries;
    size_t count, room;
};

/* The context is a copy of the caller's with a list of its own, so a state must not move. */
typedef struct shared_state {
    struct shared *shared;
    workload_context context;
    struct workload_kept kept;
} shared_state;

typedef struct local_state {
    shared_state *over;
    struct local *local;
    workload_context context;
    struct workload_kept kept;
} local_state;

void state_set_up(shared_state *state, const tally_workload *workload,
                  const workload_context *context);
void state_tear_down(shared_state *state, const tally_workload *workload);

void state_enter(local_state *state, shared_state *over, const tally_workload *workload,
                 const workload_context *context);
void state_leave(local_state *state, const tally_workload *workload);

#endif
