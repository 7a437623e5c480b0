/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * grace.pml: retired memory is freed after a grace period, and it is freed: batches, the count of
 * those under way, the breaker's bit, and liburcu's QSBR.
 * Stands for nogil/reclaim/grace_period.c (wait_for_grace_periods, tally_grace_period_announce,
 * tally_reclaim_offline, _online) and retire.c (tally_retire, tally_reclaim_flush, _safepoint,
 * _free); the first bits of the breaker in core/runtime/threads.c attach; of liburcu, urcu-qsbr.h's
 * quiescent_state, thread_offline, thread_online, synchronize_rcu.
 *
 * Bounds: one place that points to a block. A writer replaces it RETIRES times and retires the old
 * block, each as a batch of its own. A reader attaches late, reads READS times, and blocks once.
 * One thread waits for grace periods. All three store through buffers. Full state space.
 *
 * Safety: no thread looks at a block that was freed. A block stands for all memory that waits for a
 * grace period: an array, a table, a removed key, a pool that changes kind. Nothing is lost:
 * threads pass the slow path of a safepoint only with the bit set, and the end is reached only when
 * all retired blocks are freed (else an invalid end state).
 *
 * Left out: the limit of bytes (throttle), a stop of the world as a grace period, batches of more
 * than one piece, no memory for a batch, detaching with a list, the end of the run time.
 */
#ifndef RETIRES
#define RETIRES 2
#endif
#ifndef READS
#define READS 2
#endif
#define PLACE 0
#define CTR(t) (1 + (t))    /* liburcu's: 0 offline, else the last period seen */
#define WORDS 3
#define BUFFERS 3
#define DEPTH 2
#define ON_STORE(word) skip
#define WRITER 0
#define READER 1
#define WAITER 2
#include "buffer.pml"

bool quiesce[2];                /* TALLY_BREAK_QUIESCE */
bool blocked;                   /* the reader's status */
byte under_way;
byte queued, expired;          /* batches: a bit for each block */
byte period = 1;            /* gp.ctr */
bool registered[2];
bool freed[RETIRES + 1];
bool finished[2];
bool all_freed;

#define CHECK_ALL all_freed = (freed[0] + freed[1] == 2)

inline quiescent(t) {
    /* a full fence on either side */
    atomic { drained(t) -> seen = period };
    store_seq_cst(t, CTR(t), seen)
}
inline offline(t) { store_seq_cst(t, CTR(t), 0) }
inline online(t) {
    seen = period;
    store(t, CTR(t), seen);
#ifndef ONLINE_WITHOUT_FENCE
    drained(t)
#endif
}

inline free_expired(t) {
    atomic { drained(t) -> batch = expired; expired = 0 };
    atomic {
        if
        :: batch & 1 -> assert(!freed[0]); freed[0] = true; under_way--
        :: else
        fi;
        if
        :: batch & 2 -> assert(!freed[1]); freed[1] = true; under_way--
        :: else
        fi;
        batch = 0;
        CHECK_ALL
    }
}

/* tally_reclaim_safepoint, from the quiescent state on */
inline safepoint(t) {
    quiescent(t);
    free_expired(t);
#ifdef COUNT_THEN_CLEAR
    again = under_way > 0;
    atomic { drained(t) -> quiesce[t] = false };
#else
    atomic { drained(t) -> quiesce[t] = false };
    again = under_way > 0;
#endif
    if
    :: again -> quiesce[t] = true
    :: else
    fi
}

/* tally_reclaim_flush of one block */
inline flush(block) {
#ifdef FREE_AT_ONCE
    freed[block] = true;
    CHECK_ALL;
#else
#ifdef BITS_THEN_COUNT
    quiesce[WRITER] = true;
    quiesce[READER] = true;
#endif
    atomic { drained(WRITER) -> under_way++ };
    queued = queued | (1 << block);     /* rcu.mutex */
#ifndef BITS_THEN_COUNT
    quiesce[WRITER] = true;
    if
    :: !blocked -> quiesce[READER] = true
    :: blocked
    fi
#endif
#endif
}


/* A thread goes on with safepoints. Only those are steps that take the slow path and change
 * something; so a wait in vain for one is an invalid end state. */
inline idle(t) {
    do
    :: quiesce[t] && !all_freed && (mem[CTR(t)] != period || expired) -> safepoint(t)
    :: all_freed -> break
    od
}

proctype writer() {
    byte block, next, batch;
    short seen;
    bool again;

    registered[WRITER] = true;
    online(WRITER);
    next = 0;
    do
    :: next < RETIRES ->
        block = next;
        next++;
#ifdef RETIRE_THEN_REPLACE
        flush(block);
        safepoint(WRITER);
        store(WRITER, PLACE, next);
#else
        store(WRITER, PLACE, next);
        /* the lock's release, a read-modify-write */
        drained(WRITER);
        flush(block)
#endif
    :: quiesce[WRITER] -> safepoint(WRITER)
    :: next == RETIRES -> break
    od;
    idle(WRITER);
    finished[WRITER] = true
}

proctype reader() {
    byte reads = READS, batch;
    short seen, block;
    bool again, blocks = true;

    /* attach: the breaker first, then liburcu knows the thread */
#ifdef ATTACH_WITHOUT_BIT
    quiesce[READER] = false;
#else
    quiesce[READER] = true;
#endif
    online(READER);
    registered[READER] = true;
    do
    :: reads > 0 ->
        reads--;
        load(READER, PLACE, block);
#ifdef SAFEPOINT_IN_READ
        if
        :: quiesce[READER] -> safepoint(READER)
        :: true
        fi;
#endif
        assert(!freed[block])
    :: quiesce[READER] -> safepoint(READER)
    :: blocks ->
        blocks = false;
#ifndef BLOCKS_ONLINE
        offline(READER);
        atomic { drained(READER) -> blocked = true };
        /* The thread may stay blocked until others have freed all. */
        if
        :: all_freed
        :: true
        fi;
#ifdef LOOK_WHILE_BLOCKED
        again = under_way > 0;
#endif
        blocked = false;
        online(READER);
        /* tally_reclaim_online */
#if !defined(LOOK_WHILE_BLOCKED) && !defined(NO_LOOK_ONLINE)
        again = under_way > 0;
#endif
#ifndef NO_LOOK_ONLINE
        if
        :: again -> quiesce[READER] = true
        :: else
        fi
#else
        skip
#endif
#else
        all_freed
#endif
    :: reads == 0 -> break
    od;
    idle(READER);
    finished[READER] = true
}

/* wait_for_grace_periods, synchronize_rcu */
proctype waiter() {
    byte batch;

end:
    do
    :: atomic { queued -> batch = queued; queued = 0 };
#ifndef NO_WAIT
        atomic { drained(WAITER) -> period++ };
        if
        :: atomic { registered[WRITER] -> mem[CTR(WRITER)] == 0 || mem[CTR(WRITER)] == period }
        :: !registered[WRITER]
        fi;
        if
        :: registered[READER] ->
            (mem[CTR(READER)] == 0 || mem[CTR(READER)] == period)
        :: !registered[READER]
        fi;
#endif
        expired = expired | batch
    od
}

init {
    atomic { run writer(); run reader(); run waiter() }
}
