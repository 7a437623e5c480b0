/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * epoch.pml: all biases of an owner end at once, and a bias of an owner that does not run is
 * revoked without a membarrier.
 * Stands for nogil/locking/biased_lock.c end_epoch, bias_is_over, tally_lock_revoke;
 * tally_lock_biased in locking_inline.h; the changes of status in
 * nogil/stop_the_world/thread_status.c tally_become_blocked, become_running.
 *
 * Bounds: two containers with a bias of the first epoch. Their owner tries ROUNDS times to lock one
 * of them by its bias, and may block and run again between. One thread ends the epoch, then locks
 * the first. Another locks the second at any time. Stores go through buffers. Full state space.
 *
 * Safety: one thread at a time in a container.
 *
 * Left out: all of bias.pml (parking, the freed array, readers, the end of ownership).
 */
#ifndef ROUNDS
#define ROUNDS 2
#endif
#define LOCK 0              /* of the first container; of the second: LOCK + 1 */
#define MARK 2              /* 0, or 1 + the container that the owner is in */
#define BIAS 3
#define OVER 4
#define STATUS 5            /* 1: running */
#define WORDS 6
#define BUFFERS 3
#define DEPTH 3
#define ON_STORE(word) skip
#define FREE 0
#define HELD 1
#define FIRST 4
#define NEXT 12
#include "buffer.pml"

byte inside[2];
byte done;

inline enter(o) { d_step { assert(inside[o] == 0); inside[o]++ } }
inline leave(o) { d_step { assert(inside[o] == 1); inside[o]-- } }

proctype owner() {
    byte rounds = ROUNDS, o;
    short seen, bias;

    do
    :: rounds > 0 ->
        rounds--;
        if
        :: o = 0
        :: o = 1
        fi;
        store(0, MARK, o + 1);
        load(0, LOCK + o, seen);
        load(0, BIAS, bias);
        if
        :: seen == bias -> enter(o); leave(o)
        :: else
        fi;
        store(0, MARK, 0)
    :: rounds > 0 ->
        store_seq_cst(0, STATUS, 0);
        store_seq_cst(0, STATUS, 1)
    :: rounds == 0 -> break
    od;
    done++
}

/* An ordinary lock: the byte has no bias, or no thread can be inside by it. */
inline pass(p, o) {
    enter(o);
    leave(o);
    store_seq_cst(p, LOCK + o, FREE)
}

/* tally_lock_revoke of a byte with the first epoch */
inline revoke_and_pass(p, o) {
#ifdef OVER_IS_BIAS
    load(p, BIAS, seen);
    seen = (seen == NEXT -> FIRST : 0);
#else
    load(p, OVER, seen);
#endif
#ifdef STATUS_FIRST
    load(p, STATUS, status);
#endif
    if
    :: seen >= FIRST -> atomic { drained(p) -> assert(mem[LOCK + o] == FIRST);
            mem[LOCK + o] = HELD }
    :: else ->
        atomic { drained(p) -> assert(mem[LOCK + o] == FIRST); mem[LOCK + o] = FIRST + HELD };
#ifndef STATUS_FIRST
        load(p, STATUS, status);
#endif
        if
        :: status == 1 ->
            drain(0); drain(1); drain(2);
            mem[MARK] != o + 1
        :: else
        fi
    fi;
    pass(p, o)
}

/* Revokes a third container of the owner, and ends the epoch by that. */
proctype ender() {
    short seen, status;

    store_seq_cst(1, BIAS, NEXT);
#ifdef OVER_FIRST
    store(1, OVER, FIRST);
#endif
#ifndef NO_MEMBARRIER
    drain(0); drain(1); drain(2);
#endif
    load(1, MARK, seen);
    if
    :: seen > 0 -> (mem[MARK] != seen || mem[LOCK + seen - 1] != FIRST)
    :: else
    fi;
    store(1, OVER, FIRST);
    seen = 0;
    revoke_and_pass(1, 0);
    done++
}

proctype other() {
    short seen, status;

    revoke_and_pass(2, 1);
    done++
}

init {
    atomic {
        mem[LOCK] = FIRST;
        mem[LOCK + 1] = FIRST;
        mem[BIAS] = FIRST;
        mem[STATUS] = 1;
        run owner();
        run ender();
        run other()
    };
    (done == 3)
}
