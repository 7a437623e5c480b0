/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * kept.pml: a lock that one thread alone takes, and keeps. The keeper enters by its note of the
 * object, without a fence; another thread deletes the note and takes the lock after a membarrier.
 * The keeper may begin a section, which holds the lock, or give the lock up before it waits.
 * Stands for nogil/locking/locking_inline.h tally_lock_kept, tally_lock_object,
 * tally_unlock_object; nogil/locking/parking.c park, tally_lock_let_go, tally_unlock_slow;
 * nogil/locking/kept_lock.c tally_lock_sample, tally_lock_keep, tally_kept_lock_take,
 * tally_kept_lock_hold, give_up; nogil/locking/critical_section.c section_try.
 *
 * Bounds: one object, THREADS threads. Each takes the lock ROUNDS times, by an operation or by a
 * section, and gives a kept lock up at its end, or before a wait. Each unlock of a lock taken by
 * compare-and-swap may be the one that keeps it. Stores of marks go through buffers. Notes change
 * under the bucket's mutex, which drains, but the keeper looks at its note without it. Full state
 * space.
 *
 * Safety: one thread at a time is in the lock. No thread sleeps for a kept lock. At the end no
 * thread keeps it, the byte is free and no thread sleeps (a lost wake-up is an invalid end state).
 *
 * Left out: the bias, several objects of a bucket, the time for which a thread keeps none.
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
bool kept;                  /* the bucket's record: a thread keeps the lock */
byte keeper = 9;            /* which; or which may keep it again after its section; 9 none */
bool sampled;               /* the thread in the lock is to keep it */
bool sleeps[3], woken[3], handed[3];
byte inside, done;          /* for the assertions only */

#define NONE 9
#define any_waits (sleeps[0] || sleeps[1] || sleeps[2])
#ifdef KEEPS_FROM_WAITER
#define MAY_KEEP(p) (!kept && (sampled || keeper == p))
#else
#define MAY_KEEP(p) (!kept && (sampled || keeper == p) && !any_waits)
#endif
#ifdef SLEEPS_FOR_KEPT
#define MAY_SLEEP true
#else
#define MAY_SLEEP (!kept)
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
    keeper = NONE;
    if
    :: next != NONE ->
        sleeps[next] = false; woken[next] = true;
        if
        :: handed[next] = true; lock = HELD | PARKED
        :: handed[next] = false; lock = (any_waits -> PARKED : 0)
        fi;
        next = NONE
    :: else -> lock = 0
    fi
}

/* tally_unlock_object of a lock that is held */
inline unlock(p) {
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
            :: MAY_KEEP(p) -> keeper = p; kept = true; note[p] = true
            :: else -> let_go(p)
            fi;
            sampled = false }
    fi
}

/* tally_kept_lock_hold: sets mine */
inline hold(p) {
    mine = false;
    if
    :: note[p] ->
        atomic { drained(p) && !bucket ->
            if
            :: note[p] -> mine = true; note[p] = false; kept = false
            :: else
            fi }
    :: else
    fi
}

/* tally_lock_wait: takes a kept lock, or a free one, or sleeps until an unlock wakes it */
inline wait_for_lock(p) {
    do
    :: atomic { kept && keeper != p && drained(p) && !bucket ->
           assert(!any_waits);
           holder = keeper; keeper = NONE; kept = false; lock = HELD;
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
       break
    :: atomic { drained(p) && !(lock & HELD) -> lock = lock | HELD; break }
    :: atomic { (lock & HELD) && MAY_SLEEP && drained(p) && !bucket ->
           lock = lock | PARKED;
           woken[p] = false; handed[p] = false; sleeps[p] = true };
       woken[p];
       if
       :: handed[p] -> break
       :: else
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
                unlock(p)
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
            unlock(p)
        fi
    :: rounds == 0 -> break
    od;
    /* Thread 0 goes on with other work for as long as the others need the lock. */
    p != 0 || done == THREADS - 1;
#ifndef EXITS_KEEPING
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
    assert(lock == 0 && !kept && !note[0] && !note[1] && !note[2])
}
