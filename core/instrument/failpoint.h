/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * failpoint.h: places where a test steps into the run time: it holds a thread there, calls a
 * function there, delays threads at random, or lets an allocation fail. They exist only in builds
 * with TALLY_FAILPOINTS (libraries `-failpoints`, made for the tests); elsewhere they are nothing.
 *
 * Invariant: a failpoint orders no memory. All its accesses are relaxed, and a held thread polls.
 * So ThreadSanitizer sees the orders of the run time alone, and a missing order is not hidden by
 * the test that looks for it.
 */
#ifndef TALLY_FAILPOINT_H
#define TALLY_FAILPOINT_H

#ifndef TALLY_FAILPOINTS

#    define TALLY_FAILPOINT(name)    ((void)0)
#    define TALLY_ALLOCATION_FAILS() 0

#else

#    include <errno.h>
#    include <pthread.h>
#    include <stdatomic.h>
#    include <stdbool.h>
#    include <stdint.h>
#    include <stdlib.h>
#    include <string.h>
#    include <sys/mman.h>

extern _Atomic bool tally_failpoints_on;          /* a failpoint is armed, or all delay */
extern _Atomic int64_t tally_failpoint_countdown; /* until an allocation fails; 0: none does */
void tally_failpoint_reached(const char *point);
bool tally_failpoint_fails(void);

#    define TALLY_FAILPOINT(name) \
        (tally_load_relaxed(&tally_failpoints_on) ? tally_failpoint_reached(#name) : (void)0)
#    define TALLY_ALLOCATION_FAILS() \
        (tally_load_relaxed(&tally_failpoint_countdown) > 0 && tally_failpoint_fails())

/* The library itself: its requests to the system may fail, too. */
#    ifdef TALLY_FAILPOINTS_INSIDE
#        define malloc(size)         (TALLY_ALLOCATION_FAILS() ? NULL : (malloc)(size))
#        define calloc(count, size)  (TALLY_ALLOCATION_FAILS() ? NULL : (calloc)(count, size))
#        define realloc(block, size) (TALLY_ALLOCATION_FAILS() ? NULL : (realloc)(block, size))
#        define aligned_alloc(alignment, size) \
            (TALLY_ALLOCATION_FAILS() ? NULL : (aligned_alloc)(alignment, size))
#        define pthread_create(...) \
            (TALLY_ALLOCATION_FAILS() ? EAGAIN : (pthread_create)(__VA_ARGS__)) /* no stack */
#        define mmap(...) \
            (TALLY_ALLOCATION_FAILS() ? errno = ENOMEM, MAP_FAILED : (mmap)(__VA_ARGS__))
#        define mprotect(...) \
            (TALLY_ALLOCATION_FAILS() ? errno = ENOMEM, -1 : (mprotect)(__VA_ARGS__))
#        undef strdup
#        define strdup(text) (TALLY_ALLOCATION_FAILS() ? NULL : (strdup)(text))
#    endif

/* ---- for tests ---------------------------------------------------------- */

/* A thread chooses a role, 1 to 9; only threads with a role are held or call. */
void tally_failpoint_role(int role);
/* The next thread of this role that reaches the failpoint waits there, once. `point` lives on. */
void tally_failpoint_hold(int role, const char *point);
/* Likewise, but the thread calls the function. */
void tally_failpoint_call(int role, const char *point, void (*function)(void *), void *argument);
/* Until tally_failpoint_reset each thread of this role calls the function. It is not awaited. */
void tally_failpoint_call_always(int role, const char *point, void (*function)(void *),
                                 void *argument);
/* Waits until the thread is held, or has called, there. False, reported on stderr: not in time. */
bool tally_failpoint_await(int role, const char *point);
/* A thread of this role is held there now. */
bool tally_failpoint_is_held(int role, const char *point);
void tally_failpoint_release(int role, const char *point);
/* Disarms all failpoints; how many waits have run out of time since the last call. */
int tally_failpoint_reset(void);
/* Every failpoint delays now and then, by a yield or a short sleep; 0: no more. */
void tally_failpoint_delays(uint64_t seed);
/* The nth allocation from now on fails, in whichever thread, and `more` after it; 0: none. */
void tally_failpoint_failure(int64_t nth, int64_t more);
/* Ends it. False: no allocation has failed since. */
bool tally_failpoint_failed(void);

#endif
#endif
