/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * slice.pml: a contended lock that one thread keeps for a slice. The keeper enters by its note of
 * the object, without a fence; a waiter deletes the note and takes the lock after a membarrier. The
 * keeper may begin a section, which holds the lock, or give the lock up before it waits. A thread
 * may keep the lock that no other thread waits for, without an end.
 * Stands for nogil/locking/locking_inline.h tally_lock_sliced, tally_lock_object,
 * tally_unlock_object; nogil/locking/parking.c park, take, tally_lock_let_go, tally_unlock_slow;
 * nogil/locking/slices.c tally_lock_sample, tally_slice_keep, tally_slice_take_alone,
 * tally_slice_end, tally_slice_hold, give_up, tally_lock_forget; critical_section.c section_try.
 *
 * Bounds: one object, THREADS threads. Each takes the lock ROUNDS times, by an operation or by a
 * section, and gives its slice up at its end, or at any time before a wait. Time is left out: a
 * slice may be over at any moment, and a waiter that sleeps with a time may wake at any moment.
 * Stores of marks go through buffers. Notes change under the bucket's mutex, which drains, but the
 * keeper looks at its note without it. Full state space.
 *
 * Safety: one thread at a time is in the lock. At the end no thread keeps it, the byte is free and
 * no thread sleeps (a lost wake-up is an invalid end state).
 *
 * Left out: the bias, hand-over after a millisecond, cold objects, several objects of a bucket,
 * waiters that take the lock out of turn.
 */
#ifndef THREADS
#define THREADS 2
#endif
#ifndef ROUNDS
#define ROUNDS 2
#endif
#define MARK(p) (p)
#define WORDS 3
#define BUFFERS 3
#define DEPTH 2
#define ON_STORE(word) skip
#define HELD 1
#define PARKED 2
#include "buffer.pml"

byte lock;                  /* the byte: only read-modify-writes, which drain */
bool bucket;                /* the bucket's mutex */
bool note[3];
byte keeper = 9;            /* the bucket's record: 9 none */
byte alone = 9;             /* the thread that keeps the lock without an end; 9 none */
bool sampled;               /* the thread in the lock is to keep it alone */
bool sleeps[3], timed[3], woken[3], handed[3];
byte inside, done;          /* for the assertions only */

#define NONE 9
#define any_waits (sleeps[0] || sleeps[1] || sleeps[2])

/* A thread that keeps the lock alone lets go once another waits. */
#ifdef ALONE_KEEPS
#define LETS_GO(p) false
#else
#define LETS_GO(p) (alone == p && any_waits)
#endif

inline enter() { d_step { assert(inside == 0); inside++ } }
inline leave() { d_step { assert(inside == 1); inside-- } }

/* The first waiter: any, since the order does not matter for safety. */
inline let_go(p) {
    if
    :: sleeps[0] -> next = 0
    :: sleeps[1] -> next = 1
    :: sleeps[2] -> next = 2
    :: !any_waits -> next = NONE
    fi;
    if
    :: next != NONE ->
        alone = NONE;
        sleeps[next] = false; woken[next] = true;
        if
        :: handed[next] = true; lock = HELD | PARKED
        :: handed[next] = false; lock = (any_waits -> PARKED : 0)
        fi;
        next = NONE
    :: else -> lock = 0
    fi
}

/* tally_unlock_object of a lock that is held; keeping: it may be kept */
inline unlock(p, keeping) {
    if
    :: true
    :: atomic { drained(p) && lock == HELD ->
           lock = HELD | PARKED; sampled = true } /* tally_lock_sample */
    fi;
    if
    :: atomic { drained(p) && lock == HELD -> lock = 0 }
    :: atomic { lock != HELD -> assert(lock == (HELD | PARKED)) };
        atomic { drained(p) && !bucket ->
            if
            :: keeping && !LETS_GO(p) ->
                alone = (alone == p || (sampled && !any_waits) -> p : NONE);
                keeper = p; note[p] = true;
                /* the first waiter looks at the time from now on */
#ifndef NO_SIGNAL
                timed[0] = timed[0] || alone == NONE;
                timed[1] = timed[1] || alone == NONE;
                timed[2] = timed[2] || alone == NONE
#endif
            :: let_go(p)
            fi;
            sampled = false }
    fi
}

/* tally_slice_hold: sets mine */
inline hold(p) {
    mine = false;
    if
    :: note[p] ->
        atomic { drained(p) && !bucket ->
            if
            :: note[p] -> mine = true; note[p] = false; keeper = NONE
            :: else
            fi }
    :: else
    fi
}

/* tally_lock_wait: sleeps until it is handed the lock, or takes it */
inline wait_for_lock(p) {
    do
    :: atomic { keeper != NONE && alone == keeper && keeper != p && drained(p) && !bucket ->
           /* tally_slice_take_alone */
           holder = keeper; keeper = NONE; alone = NONE; note[holder] = false;
           lock = (any_waits -> HELD | PARKED : HELD) };
#ifndef TAKES_ALONE_AT_ONCE
       drain(0); drain(1); drain(2);
       mem[MARK(holder)] == 0;
#endif
       break
    :: atomic { drained(p) && !(lock & HELD) -> lock = lock | HELD; break }
    :: atomic { (lock & HELD) && drained(p) && !bucket ->
           lock = lock | PARKED;
           woken[p] = false; handed[p] = false;
           timed[p] = (keeper != NONE); sleeps[p] = true };
sleeping:
       if
       :: woken[p] ->
           if
           :: handed[p] -> break
           :: else
           fi
       :: atomic { timed[p] && !woken[p] && keeper != NONE && drained(p) && !bucket ->
              holder = keeper; keeper = NONE; alone = NONE; sleeps[p] = false;
#ifndef KEEPS_NOTE
              note[holder] = false
#endif
          };
#ifndef NO_MEMBARRIER
          drain(0); drain(1); drain(2);
#endif
#ifndef NO_WAIT
          mem[MARK(holder)] == 0;
#endif
#ifdef TAKER_CLEARS_PARKED
          atomic { drained(p) -> lock = HELD };
#endif
          break
       fi
    od
}

inline give_up(p) {
    hold(p);
    if
    :: mine -> atomic { drained(p) && !bucket -> let_go(p) }
    :: else
    fi
}

proctype thread(byte p) {
    byte rounds = ROUNDS, next = NONE, holder;
    bool mine, entered;

    do
    :: rounds > 0 ->
        rounds--;
        if
        :: /* an operation */
            entered = false;
            if
            :: note[p] ->
#ifdef LOOK_FIRST
                entered = note[p];
                store(p, MARK(p), 1);
#else
                store(p, MARK(p), 1);
                entered = note[p];
#endif
                if
                :: entered ->
                    enter(); leave();
                    store(p, MARK(p), 0)
                :: else -> store(p, MARK(p), 0)
                fi
            :: else
            fi;
            if
            :: !entered ->
                if
                :: atomic { drained(p) && lock == 0 -> lock = HELD }
                :: lock != 0 -> give_up(p); wait_for_lock(p)
                fi;
                enter(); leave();
                unlock(p, true)
            :: else
            fi
        :: /* a section */
#ifdef SECTION_BY_NOTE
            mine = note[p];
#else
            hold(p);
#endif
            if
            :: mine
            :: atomic { !mine && drained(p) && lock == 0 -> lock = HELD }
            :: !mine && lock != 0 -> give_up(p); wait_for_lock(p)
            fi;
            enter(); leave();
            unlock(p, true)
        fi
    :: rounds == 0 -> break
    od;
    /* Thread 0 goes on with other work for as long as the others need the lock. */
    p != 0 || done == THREADS - 1;
#ifndef EXITS_WITH_SLICE
    give_up(p);
#endif
    done++
}

init {
    atomic {
        run thread(0);
        run thread(1);
        if
        :: THREADS == 3 -> run thread(2)
        :: else
        fi
    };
    (done == THREADS && drained(0) && drained(1) && drained(2));
    assert(lock == 0 && keeper == NONE && !note[0] && !note[1] && !note[2])
}
