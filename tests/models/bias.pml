/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bias.pml: the biased lock of a container. Its owner enters and leaves without a fence; another
 * thread revokes the bias with a membarrier. While the lock is biased a replaced array is freed at
 * once, and lock-free readers keep out. The owner may give the object up.
 * Stands for nogil/locking/locking_inline.h tally_lock_biased, tally_lock_object,
 * tally_unlock_object, tally_lock_unbias, tally_may_read_unlocked; locking_internal.h
 * tally_lock_try; nogil/locking/biased_lock.c tally_lock_revoke, wait_for_owner;
 * nogil/locking/parking.c park, tally_unlock_slow.
 *
 * Bounds: one container. Its owner holds the lock ROUNDS times, replaces the array each time, and
 * may then give the object up. Two other threads lock once each; the first replaces the array, too.
 * A lock-free reader reads once. Stores of all but the reader, which makes none, go through
 * buffers. Full state space.
 *
 * Safety: one thread at a time holds the lock. A reader touches no array that was freed at once. At
 * the end the lock is free and no thread sleeps (a lost wake-up is an invalid end state).
 *
 * Left out: spinning and blocked regions while waiting, hand-over after a millisecond, buckets
 * that locks share, critical sections of two objects, the count that ends biasing.
 */
#ifndef ROUNDS
#define ROUNDS 2
#endif
#define LOCK 0
#define MARK 1
#define ARRAY 2
#define WORDS 3
#define BUFFERS 3
#define DEPTH 3
#define ON_STORE(word) skip
#define FREE 0
#define HELD 1
#define PARKED 2
#define BIASED 4
#include "buffer.pml"

bool owned = true;          /* the owner's id is in the object */
bool bucket;                /* the bucket's mutex */
bool sleeps[3], woken[3];
/* For the assertions only. */
byte inside;
bool gone[8];               /* arrays freed at once */
byte arrays;
byte done;

inline enter() { d_step { assert(inside == 0); inside++ } }
inline leave() { d_step { assert(inside == 1); inside-- } }

/* Publishes a new array. The old one is freed at once if the lock is held by bias, else retired. */
inline replace(p, private) {
    load(p, ARRAY, old);
    d_step { arrays++; fresh = arrays };
    store(p, ARRAY, fresh);
    if
    :: private -> atomic { assert(!gone[old]); gone[old] = true }
    :: else
    fi
}

/* park, by a thread that has found the lock held */
inline park(p) {
    atomic { !bucket -> bucket = true };
    if
    :: atomic { drained(p) && (mem[LOCK] & HELD) ->
#ifndef SLEEP_UNMARKED
           mem[LOCK] = mem[LOCK] | PARKED;
#endif
           woken[p] = false; sleeps[p] = true; bucket = false }
       woken[p];
       atomic { !bucket -> bucket = true }
    :: !(mem[LOCK] & HELD)
    fi;
    bucket = false
}

/* tally_lock_revoke, after the compare-and-swap: the byte is biased and held. */
inline revoke(p) {
    if
    :: owner ->
#ifndef NO_MEMBARRIER
        drain(0); drain(1); drain(2);
#endif
#ifndef NO_WAIT
        mem[MARK] == 0
#endif
    :: else
    fi;
    atomic {
        drained(p) ->
#ifdef STORE_LOSES_PARKED
        mem[LOCK] = HELD
#else
        mem[LOCK] = mem[LOCK] & ~BIASED
#endif
    }
}

/* tally_lock_try until it succeeds */
inline lock(p) {
    do
    :: atomic { drained(p) && mem[LOCK] == BIASED -> owner = owned };
        if
        :: atomic { drained(p) && mem[LOCK] == BIASED ->
#ifdef BIAS_GOES_FIRST
               mem[LOCK] = HELD
#else
               mem[LOCK] = HELD | BIASED
#endif
           };
           revoke(p);
           break
        :: mem[LOCK] != BIASED
        fi
    :: atomic { drained(p) && mem[LOCK] != BIASED && !(mem[LOCK] & HELD) ->
            mem[LOCK] = mem[LOCK] | HELD; break }
    :: atomic { mem[LOCK] & HELD -> skip };
        park(p)
    od
}

inline unlock(p) {
    if
    :: atomic { drained(p) && mem[LOCK] == HELD -> mem[LOCK] = FREE }
    :: atomic { mem[LOCK] != HELD -> assert(mem[LOCK] == (HELD | PARKED)) };
        atomic { !bucket -> bucket = true };
        /* The first waiter is woken; the bit stays if there are others. The mutex drains. */
        atomic {
            drained(p) ->
            if
            :: sleeps[0] -> sleeps[0] = false; woken[0] = true
            :: sleeps[1] -> sleeps[1] = false; woken[1] = true
            :: sleeps[2] -> sleeps[2] = false; woken[2] = true
            :: else
            fi;
#ifdef ONE_WAITER
            mem[LOCK] = FREE;
#else
            mem[LOCK] = (sleeps[0] || sleeps[1] || sleeps[2] -> PARKED : FREE);
#endif
            bucket = false
        }
    fi
}

proctype owner_thread() {
    byte rounds = ROUNDS;
    short old, fresh, seen;
    bool owner;

    do
    :: rounds > 0 ->
        rounds--;
        if
        :: owned ->
#ifdef LOOK_FIRST
            load(0, LOCK, seen);
            store(0, MARK, 1);
#else
            store(0, MARK, 1);
            load(0, LOCK, seen);
#endif
            if
            :: seen == BIASED ->
                enter();
                replace(0, true);
                leave();
                store(0, MARK, 0);
                goto next
            :: else -> store(0, MARK, 0)
            fi
        :: else
        fi;
        lock(0);
        enter();
        replace(0, false);
        leave();
        unlock(0);
next:   skip
    :: owned ->
        /* tally_lock_unbias; then the owner, or a thread that has claimed it, clears the owner */
        atomic {
            drained(0) ->
            if
            :: mem[LOCK] == BIASED -> mem[LOCK] = FREE
            :: else
            fi
        };
        owned = false
    :: rounds == 0 -> break
    od;
    done++
}

proctype other(byte p) {
    short old, fresh;
    bool owner;

    lock(p);
    enter();
    if
    :: p == 1 -> replace(p, false)
    :: else
    fi;
    leave();
    unlock(p);
    done++
}

proctype reader() {
    short array;

    if
    :: !(mem[LOCK] & BIASED) ->
        array = mem[ARRAY];
        assert(!gone[array])
    :: true
    fi;
    done++
}

init {
    atomic {
        mem[LOCK] = BIASED;
        run owner_thread();
        run other(1);
        run other(2);
        run reader()
    };
    (done == 4 && drained(0) && drained(1) && drained(2));
    assert(mem[LOCK] == FREE)
}
