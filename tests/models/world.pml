/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * world.pml: a thread stops all others. Running threads park at a safepoint, blocked threads are
 * claimed where they are, and exiting threads wait for the thread-list lock. A thread that waited
 * for the resume has run before the next stop.
 * Stands for nogil/stop_the_world/thread_status.c tally_become_blocked, become_running,
 * tally_claim, tally_thread_list_lock, tally_locking_safepoint;
 * nogil/stop_the_world/stop_the_world.c tally_world_wait_for_resume, tally_world_has_resumed,
 * wait_for_resuming, claim_all, wait_for_all, tally_stop_the_world, tally_resume_the_world;
 * core/runtime/threads.c tally_thread_detach.
 *
 * Bounds: three threads. Threads 0 and 1 stop the world STOPS0 and STOPS1 times. Threads 1 and 2
 * enter a blocked region BLOCKS1 and BLOCKS2 times. CLAIMS times thread 0 claims a blocked thread
 * 2 as a merger does. All pass safepoints and exit. Statuses go through store buffers. Full state
 * space.
 *
 * Safety: while the world is stopped no other thread runs code of its own. When a stop is
 * announced, no thread is left that waited for the last resume and has not run since. No lost
 * wake-up: no thread sleeps for ever (an invalid end state), and the timeout of wait_for_all is
 * needed only where a merger's claim was met.
 *
 * Left out: the helpers' work (tally_helpers_gather), merge queues (counts.pml), grace periods
 * (grace.pml), attaching, which holds the thread-list lock from its first look at a slot to its
 * last.
 */
#ifndef STOPS0
#define STOPS0 2
#endif
#ifndef STOPS1
#define STOPS1 1
#endif
#ifndef BLOCKS1
#define BLOCKS1 0
#endif
#ifndef BLOCKS2
#define BLOCKS2 1
#endif
#ifndef CLAIMS
#define CLAIMS 0
#endif
#define STATUS(t) (t)
#define WORDS 3
#define BUFFERS 3
#define DEPTH 1
#define ON_STORE(word) skip
#define VACANT 0
#define RUNNING 1
#define BLOCKED 2
#define CLAIMED 3
#define NOBODY 9
#include "buffer.pml"

bool stopper, mutex, thread_list;           /* held */
bool stopping;
bool breaker[3];                            /* TALLY_BREAK_STOP */
bool by_stop[3];                            /* claimed_by_stop */
bool stop_requested;                        /* the world stops once resuming is 0 */
byte resuming;
bool parked_early[3];                       /* parked while a stop was requested; the code counts */
bool resumes;                               /* its parity: no thread misses two */
bool on_parked[3], on_started[3];           /* asleep on these conditions */
/* For the assertions only. */
byte stopped_by = NOBODY;
byte stops_over;
/* for the resume, with the world stopped, and has not run since */
bool waited[3];
bool met_claim;                             /* wait_for_all has met a merger's claim */

#define acquire(m) atomic { !m -> m = true }
#define release(m) m = false

inline broadcast_parked() { d_step { on_parked[0] = false; on_parked[1] = false;
        on_parked[2] = false } }
inline broadcast_started() { d_step { on_started[0] = false; on_started[1] = false;
        on_started[2] = false } }

/* The thread's own code. */
inline runs(t) { assert(stopped_by == NOBODY || stopped_by == t) }

inline become_blocked(t) {
#ifdef WEAK_BLOCKED
    store(t, STATUS(t), BLOCKED);
#else
    store_seq_cst(t, STATUS(t), BLOCKED);
#endif
    if
    :: stopping ->
        acquire(mutex);
#ifndef NO_PARKED_SIGNAL
        broadcast_parked();
#endif
        release(mutex)
    :: !stopping
    fi
}

#define HAS_TO_WAIT(parked) (stopping || (parked && stop_requested))

/* become_running; parked: at a safepoint, which also heeds a requested stop. */
inline become_running_from(t, parked) {
    late = false;
    do
    ::
        if
        :: !late && HAS_TO_WAIT(parked) ->
            acquire(mutex);
            if
            :: HAS_TO_WAIT(parked) ->
                /* tally_world_wait_for_resume */
                atomic {
                    seen = resumes;
                    if
#ifndef NO_ENTERING
                    :: stopping -> resuming++
#else
                    :: stopping
#endif
                    :: !stopping -> parked_early[t] = true
                    fi;
                    waited[t] = stopping;
                    late = true
                };
#ifdef WAITS_AGAIN
#define STILL_WAITS(parked) HAS_TO_WAIT(parked)
#else
#define STILL_WAITS(parked) (resumes == seen)
#endif
                do
                :: atomic { STILL_WAITS(parked) -> on_started[t] = true; mutex = false };
                    atomic { !on_started[t] && !mutex -> mutex = true }
                :: !STILL_WAITS(parked) -> break
                od
            :: else
            fi;
            release(mutex)
        :: else
        fi;
#ifdef RUNS_WHEN_CLAIMED
        atomic { drained(t) -> mem[STATUS(t)] = RUNNING; waited[t] = false; break }
#else
        if
        :: atomic { drained(t) && mem[STATUS(t)] == BLOCKED -> mem[STATUS(t)] = RUNNING;
                waited[t] = false; break }
        :: drained(t) && mem[STATUS(t)] != BLOCKED /* claimed: again */
        fi
#endif
    od;
#ifndef NO_ENTERING
    if
    :: late ->
        acquire(mutex);
        atomic {
            resuming--;
            if
            :: resuming == 0 -> broadcast_parked()
            :: else
            fi
        };
        release(mutex)
    :: else
    fi;
#endif
    late = false
}
#define become_running(t) become_running_from(t, false)

/* claim_all for one thread. */
inline claim_one(t, other) {
    if
    :: other == t || by_stop[other]
    :: atomic { other != t && !by_stop[other] && mem[STATUS(other)] == VACANT -> skip }
    :: atomic { other != t && !by_stop[other] && mem[STATUS(other)] == BLOCKED ->
            mem[STATUS(other)] = CLAIMED; by_stop[other] = true }
    :: atomic { other != t && !by_stop[other] &&
            (mem[STATUS(other)] == RUNNING || mem[STATUS(other)] == CLAIMED) ->
           met_claim = met_claim || mem[STATUS(other)] == CLAIMED;
           all = false }
    fi
}

inline world_stop(t) {
    /* trylock of stopper, else blocked */
    if
    :: atomic { !stopper -> stopper = true }
    :: stopper ->
        become_blocked(t);
        acquire(stopper);
        become_running(t)
    fi;
#ifndef STOPS_AT_ONCE
    /* wait_for_resuming */
    acquire(mutex);
    if
    :: resuming > 0 ->
        stop_requested = true;
        breaker[(t + 1) % 3] = true;
        breaker[(t + 2) % 3] = true;
        do
        :: atomic { resuming > 0 -> on_parked[t] = true; mutex = false };
            atomic { !on_parked[t] && !mutex -> mutex = true }
        :: resuming == 0 -> break
        od
    :: else
    fi;
    release(mutex);
#endif
    acquire(thread_list);
    acquire(mutex);
    atomic {
        assert(!waited[0] && !waited[1] && !waited[2]);
        stopping = true;
        stop_requested = false;
#ifndef FORGETS_EARLY
        resuming = resuming + parked_early[0] + parked_early[1] + parked_early[2];
#endif
        waited[0] = parked_early[0]; waited[1] = parked_early[1]; waited[2] = parked_early[2];
        parked_early[0] = false; parked_early[1] = false; parked_early[2] = false
    };
    release(mutex);
#ifndef NO_BREAKER
    breaker[(t + 1) % 3] = true;
    breaker[(t + 2) % 3] = true;
#endif
    /* wait_for_all */
    acquire(mutex);
    do
    ::
        all = true;
        met_claim = false;
        claim_one(t, 0);
        claim_one(t, 1);
        claim_one(t, 2);
        if
        :: all -> break
        :: else
        fi;
        atomic { on_parked[t] = true; mutex = false };
        if
        :: atomic { !on_parked[t] && !mutex -> mutex = true }
        :: timeout -> atomic { assert(met_claim); on_parked[t] = false; assert(!mutex);
                mutex = true }
        fi
    od;
    release(mutex);
    stopped_by = t
}

inline start_one(other) {
    atomic { breaker[other] = false };
    atomic {
        if
        :: by_stop[other] -> by_stop[other] = false; mem[STATUS(other)] = BLOCKED
        :: else
        fi
    }
}

inline world_start(t) {
    stopped_by = NOBODY;
    start_one(0);
    start_one(1);
    start_one(2);
#ifdef START_WITHOUT_MUTEX
    broadcast_started();
    stopping = false;
    resumes = !resumes;
#else
    acquire(mutex);
    stopping = false;
    resumes = !resumes;
    broadcast_started();
    release(mutex);
#endif
    release(thread_list);
    release(stopper)
}

proctype thread(byte t; byte stops; byte blocks; byte claims) {
    bool late, all, seen;
    bool stays;     /* the thread runs on, and exits only after the last stop */

    do
    :: breaker[t] ->
        /* tally_locking_safepoint */
        if
        :: HAS_TO_WAIT(true) ->
            become_blocked(t);
            become_running_from(t, true)
        :: !HAS_TO_WAIT(true)
        fi
    :: stops > 0 ->
        stops--;
        runs(t);
        world_stop(t);
        runs(t);
        world_start(t);
        stops_over++;
        runs(t)
    :: blocks > 0 ->
        blocks--;
        runs(t);
        become_blocked(t);
        become_running(t);
        runs(t)
    :: claims > 0 ->
        claims--;
        /* tally_claim, a merge, tally_claim_end */
        if
        :: atomic { mem[STATUS(2)] == BLOCKED -> mem[STATUS(2)] = CLAIMED };
            runs(t);
            mem[STATUS(2)] = BLOCKED
        :: mem[STATUS(2)] != BLOCKED
        fi
    :: !stays && stops + blocks + claims == 0 -> break
    :: !stays -> stays = true
    :: stays && stops + blocks + claims == 0 && stops_over == STOPS0 + STOPS1 -> break
    od;
    runs(t);

    /* tally_thread_detach */
#ifdef EXITS_AT_ONCE
    store_seq_cst(t, STATUS(t), VACANT);
    runs(t)
#else
    if
    :: atomic { !thread_list -> thread_list = true }
    :: thread_list ->
        become_blocked(t);
        acquire(thread_list);
        become_running(t)
    fi;
    runs(t);
    store_seq_cst(t, STATUS(t), VACANT);
    release(thread_list)
#endif
}

init {
    atomic {
        mem[STATUS(0)] = RUNNING;
        mem[STATUS(1)] = RUNNING;
        mem[STATUS(2)] = RUNNING;
        run thread(0, STOPS0, 0, CLAIMS);
        run thread(1, STOPS1, BLOCKS1, 0);
        run thread(2, 0, BLOCKS2, 0)
    }
}
