/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * section.pml: when a critical section is held. Sections meet short locks that have to wait,
 * blocked regions, finalizers that have sections of their own, and a stop of the world.
 * Stands for nogil/locking/critical_section.c section_lock, section_ensure, tally_critical_begin,
 * _end, _suspend, _resume; nogil/locking/parking.c tally_lock_slow, tally_unlock_waited;
 * nogil/stop_the_world/thread_status.c tally_wait_begin, tally_blocking_begin, _end;
 * nogil/stop_the_world/stop_the_world.c tally_stop_the_world, tally_resume_the_world.
 *
 * Bounds: two objects, and a mutex of the program. A has a section on object 0. Inside it A makes
 * an operation on object 1, passes a safepoint, and waits for the mutex in a blocked region.
 * Before that blocks, a finalizer has a section on object 1. B does the same with the objects
 * exchanged, but holds the mutex all along, and waits in a blocked region for nothing. C stops the
 * world twice and looks at both objects. Full state space.
 *
 * Safety: when a call returns to the program, its thread holds the lock of the innermost section's
 * object. A thread that waits holds no lock of an object. During a stop no other thread is within
 * an operation, and the thread that stopped the world waits for nothing. No deadlock.
 *
 * Left out: sections of two objects, hand-over of a lock, biases (bias.pml), the queue whose merge
 * runs the finalizer (counts.pml).
 */
#define FREE 0
#define A 1
#define B 2

byte lock[2];           /* the thread that holds it, or FREE */
bool mutex;             /* of the program */
bool running[3];        /* A and B: while one is not blocked the world cannot be stopped */
bool stopping, stopped;
byte done;

#define holds_nothing(me) (lock[0] != me && lock[1] != me)

/* tally_critical_suspend; at most one section holds a lock. */
inline suspend(me, object) {
    if
    :: lock[object] == me -> lock[object] = FREE
    :: else
    fi
}
inline become_running(me) { atomic { !stopping -> running[me] = true } }

/* tally_lock_wait; section: the object of the section that is suspended. */
inline take(me, object, section) {
    if
    :: atomic { lock[object] == FREE -> lock[object] = me }
    :: lock[object] != FREE ->
#ifndef WAIT_HOLDING
        suspend(me, section);
#endif
        running[me] = false;
#ifndef WAIT_HOLDING
        assert(holds_nothing(me));
#endif
        atomic { lock[object] == FREE -> lock[object] = me };
        /* handed over, or taken; the thread runs again before it returns */
        become_running(me)
    fi
}
inline resume(me, section) {
    if
    :: lock[section] == me
    :: else -> take(me, section, section)
    fi
}

/* An operation on an object, within a section on another. */
inline operation(me, object, section) {
    take(me, object, section);
    assert(!stopped);
    lock[object] = FREE;
#ifndef NO_RESUME
    resume(me, section);
#endif
    assert(lock[section] == me)
}

/* A finalizer with a section of its own, inside a section that may be suspended. */
inline finalizer(me, object, section) {
    take(me, object, section);
    assert(lock[object] == me);
    lock[object] = FREE;
    resume(me, section)
}

inline safepoint(me) {
    if
    :: stopping -> running[me] = false; become_running(me)
    :: else
    fi
}

inline blocking_begin(me, object, section) {
#ifdef SUSPEND_FIRST
    suspend(me, section);
    finalizer(me, object, section);
#else
    finalizer(me, object, section);
    suspend(me, section);
#endif
    running[me] = false;
    assert(holds_nothing(me))
}
inline blocking_end(me, section) {
    become_running(me);
    resume(me, section);
    assert(lock[section] == me)
}

proctype a() {
    take(A, 0, 0);
    operation(A, 1, 0);
    safepoint(A);
    assert(lock[0] == A);
    blocking_begin(A, 1, 0);
    atomic { !mutex -> mutex = true };
    blocking_end(A, 0);
    mutex = false;
    lock[0] = FREE;
    running[A] = false;
    done++
}

proctype b() {
    take(B, 1, 1);
    operation(B, 0, 1);
    safepoint(B);
    assert(lock[1] == B);
    blocking_begin(B, 0, 1);
    blocking_end(B, 1);
    lock[1] = FREE;
    /* The mutex goes last: A waits for it, and must not lock what B needs before. */
    take(B, 0, 0);
    lock[0] = FREE;
    mutex = false;
    running[B] = false;
    done++
}

proctype c() {
    byte stops = 2;
    do
    :: stops > 0 ->
        stops--;
        stopping = true;
        atomic { !running[A] && !running[B] -> stopped = true };
#ifdef STOPPER_LOCKS
        /* as a query would that appends to a shared list */
        atomic { lock[0] == FREE -> lock[0] = 3 };
        lock[0] = FREE;
#endif
        atomic { stopped = false; stopping = false }
    :: stops == 0 -> break
    od;
    done++
}

init {
    atomic {
        mutex = true;
        running[A] = true;
        running[B] = true;
        run a(); run b(); run c()
    };
    (done == 3);
    assert(lock[0] == FREE && lock[1] == FREE)
}
