/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * turns.pml: threads that contend take turns. One has the turn; it passes it on at a safepoint,
 * or gives it up before it waits for something else. Turns begin and end at any time.
 * Stands for nogil/locking/turns.c grant, begin, end, tally_turns_contended, wait_for_turn,
 * has_to_wait, tally_turns_safepoint, tally_turns_leave;
 * nogil/stop_the_world/thread_status.c tally_become_blocked.
 *
 * Bounds: THREADS threads that all contend. Each passes STEPS safepoints or blocked regions, then
 * exits; the last safepoint may never come, and the thread stays at work elsewhere until the
 * others are done. Turns begin and end CHANGES times. All is under one mutex, so there are no
 * buffers. Time is left out: a slice may be over at any moment. Full state space.
 *
 * Safety: no thread waits for its turn for ever (an invalid end state), if nobody is overtaken but
 * a holder that comes to no safepoint. Whoever waits is in the queue or has been granted a turn,
 * and if one waits, another thread has the turn. A granted turn is not lost.
 *
 * Left out: what is measured, and which threads contend.
 */
#ifndef THREADS
#define THREADS 3
#endif
#ifndef STEPS
#define STEPS 2
#endif
#ifndef CHANGES
#define CHANGES 2
#endif
#define NONE 9

bool on = true;
byte holder = NONE;
chan queue = [THREADS] of { byte };
bool granted[THREADS], waits[THREADS];
bool breaker[THREADS];      /* TALLY_BREAK_TURN */
bool stuck[THREADS];        /* it comes to no safepoint until the others are done */
byte done;

#define is_first(p) (!granted[p] && queue?[eval(p)])

inline grant() {
    if
    :: nempty(queue) -> queue?holder; granted[holder] = true
    :: empty(queue) -> holder = NONE
    fi
}
inline end() {
    on = false;
#ifndef END_FORGETS_WAITERS
    do
    :: nempty(queue) -> queue?holder; granted[holder] = true
    :: empty(queue) -> break
    od;
#endif
    holder = NONE
}

/* tally_turns_leave */
inline leave(p) {
    if
    :: atomic { holder == p ->
#ifndef LEAVES_WITH_TURN
           grant();
#endif
           breaker[p] = true }
    :: holder != p
    fi
}

/* The thread joins the waiters after it has become BLOCKED. */
inline wait_for_turn(p) {
#ifdef JOINS_FIRST
    atomic { queue!p; waits[p] = true; granted[p] = false };
    leave(p);
#else
    leave(p);
    atomic {
        queue!p; waits[p] = true; granted[p] = false;
        if
#ifndef WAITS_WITHOUT_LOOK
        :: !on -> end()
        :: on && holder == NONE -> grant()
#endif
        :: else
        fi
    };
#endif
    do
    :: granted[p] -> break
    :: atomic { !granted[p] && (holder == NONE || holder == p) -> assert(false) }
    /* It is the first: the holder's slice is over, and it asks, or goes on without it. */
#ifndef NO_REQUEST
    :: atomic { is_first(p) && holder != NONE && !breaker[holder] && !stuck[holder] ->
           breaker[holder] = true }
#endif
#ifndef NO_OVERTAKING
    :: atomic { is_first(p) && holder != NONE && stuck[holder] -> grant(); assert(holder == p) }
#endif
    od;
    waits[p] = false
}

inline safepoint(p) {
    if
    :: !breaker[p]
    :: atomic { breaker[p] ->
           breaker[p] = false;
           goes = false;
           if
           :: !on
           :: on && holder == NONE -> holder = p
           :: on && holder == p && empty(queue)
           :: on && holder == p && nempty(queue) -> grant(); goes = true
           :: on && holder != p && holder != NONE -> goes = true
           fi };
        if
        :: goes -> wait_for_turn(p)
        :: else
        fi
    fi
}

proctype thread(byte p) {
    byte steps = STEPS;
    bool goes;

    do
    :: steps > 0 ->
        steps--;
        if
        :: safepoint(p)
        :: leave(p) /* a blocked region, from which it returns without a turn */
        :: atomic { on && holder != p -> breaker[p] = true }; /* tally_turns_contended */
           safepoint(p)
        fi
    :: steps == 0 -> break
    od;
    if
    :: true
    :: stuck[p] = true;
       done >= THREADS - 1 || (stuck[0] + stuck[1] + stuck[THREADS - 1] > 1)
    fi;
    leave(p);
    done++
}

proctype changer() {
    byte changes = CHANGES;
    do
    :: changes > 0 ->
        changes--;
        if
        :: atomic { on -> end() }
        :: atomic { !on ->
               on = true;
               breaker[0] = true; breaker[1] = true; breaker[THREADS - 1] = true }
        fi
    :: changes == 0 -> break
    od
}

init {
    atomic {
        breaker[0] = true; breaker[1] = true; breaker[THREADS - 1] = true;
        run thread(0);
        run thread(1);
        if
        :: THREADS == 3 -> run thread(2)
        :: else
        fi;
        run changer()
    };
    done == THREADS;
    assert(empty(queue) && holder == NONE)
}
