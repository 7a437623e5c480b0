/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* world.h: what the files of this folder share: whether the world is to stop, and waits for that.
 */
#ifndef TALLY_WORLD_H
#define TALLY_WORLD_H

#include "internal.h"

struct tally_world {
    pthread_mutex_t stopper; /* held from before a stop until after the resume */
    pthread_mutex_t mutex;   /* of the conditions and the counts */
    pthread_cond_t parked;   /* a thread has left RUNNING, or resuming is 0 */
    pthread_cond_t resumed;
    _Atomic bool stopping;
    _Atomic bool stop_requested; /* the world stops once resuming is 0; changed under mutex */
    unsigned resuming;           /* threads that wait for the resume, or have not run since */
    unsigned parked_early;       /* threads parked while stop_requested; they will be resuming */
    uint64_t resumes;
};
extern struct tally_world tally_world;

/* parked: the thread is at a safepoint, where it also heeds that a stop is requested. */
static inline bool tally_world_has_to_wait(bool parked) {
    return tally_load_seq_cst(&tally_world.stopping) ||
           (parked && tally_load_seq_cst(&tally_world.stop_requested));
}

/* stop_the_world.c. Waits until the world is resumed; false: there was no need to. The thread
 * calls has_resumed once it runs. */
bool tally_world_wait_for_resume(bool parked);
void tally_world_has_resumed(void);

/* thread_status.c. */
void tally_become_blocked(tally_thread_state *thread, const char *doing);
void tally_become_running(tally_thread_state *thread);

/* helpers.c. mutex held, and released meanwhile: works if helpers are wanted; false: none is. */
bool tally_helpers_join(void);

#endif
