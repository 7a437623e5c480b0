/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * grace.pml: retired memory is freed after a grace period, and it is freed: batches, the clock,
 * what the threads note of it, the count of batches under way, the breaker's bit, and the batches
 * that a thread leaves when it goes offline.
 * Stands for nogil/reclaim/grace_period.c (all but the waits in liburcu) and retire.c
 * (tally_retire, tally_reclaim_flush, _safepoint, _free); the first bits of the breaker in
 * core/runtime/threads.c attach.
 *
 * Bounds: one place that points to a block. A writer replaces it RETIRES times and retires the old
 * block, each as a batch of its own; it may block for ever then. A reader attaches late, reads
 * READS times, and blocks once. Both store through buffers. Full state space.
 *
 * Safety: no thread looks at a block that was freed. A block stands for all memory that waits for a
 * grace period: an array, a table, a removed key, a pool that changes kind. Nothing is lost:
 * threads pass the slow path of a safepoint only with the bit set, and the end is reached only when
 * all retired blocks are freed (else an invalid end state).
 *
 * Left out: the limit of bytes (throttle), a stop of the world as a grace period, batches of more
 * than one piece, no memory for a batch, the end of the run time, the thread that is looked at
 * first (laggard).
 */
#ifndef RETIRES
#define RETIRES 2
#endif
#ifndef READS
#define READS 2
#endif
#define PLACE 0
#define NOTED(t) (1 + (t))    /* 0: offline */
#define WORDS 3
#define BUFFERS 2
#define DEPTH 2
#define ON_STORE(word) skip
#define WRITER 0
#define READER 1
#include "buffer.pml"

bool quiesce[2];                /* TALLY_BREAK_QUIESCE */
bool blocked[2];                /* the status */
byte under_way;
byte clock = 1;
byte tick[RETIRES];             /* of a batch, here a block */
byte mine, left;                /* the writer's batches, those left: a bit for each block */
bool freed[RETIRES + 1];
bool finished[2];
bool all_freed;
bool taken;                     /* left.mutex, and its list is looked at */

#define CHECK_ALL all_freed = (freed[0] + freed[1] == 2)

/* note: two steps */
inline quiescent(t) {
    seen = clock;
    store(t, NOTED(t), seen)
}
inline offline(t) {
#ifndef BLOCKS_WITH_BATCHES
    if
    :: t == WRITER && mine -> atomic { drained(t) -> left = left | mine; mine = 0 }
    :: else
    fi;
#endif
    store(t, NOTED(t), 0)
}
inline online(t) {
    seen = clock;
    store(t, NOTED(t), seen);
#ifndef ONLINE_WITHOUT_FENCE
    drained(t)
#endif
}

/* noted_by_all: a load for each thread, at different times; then a batch that is done is freed. */
#ifdef NO_LOOK
#define PASSED(b) true
#else
#define PASSED(b) (least >= tick[b])
#endif
inline look(t) {
    least = 255;
    load(t, NOTED(WRITER), seen);
    if
    :: seen && seen < least -> least = seen
    :: else
    fi;
    load(t, NOTED(READER), seen);
    if
    :: seen && seen < least -> least = seen
    :: else
    fi
}
inline free_block(b, list) {
    if
    :: (list & (1 << b)) && PASSED(b) ->
        assert(!freed[b]);
        freed[b] = true;
        under_way--;
        list = list & ~(1 << b)
    :: else
    fi
}
inline free_expired(t) {
    /* left.mutex, one thread at a time */
    if
    :: atomic { drained(t) && left && !taken -> taken = true };
        look(t);
        atomic { free_block(0, left); free_block(1, left); taken = false; CHECK_ALL }
    :: else
    fi;
    if
    :: t == WRITER && mine ->
        look(t);
        atomic { drained(t) -> free_block(0, mine); free_block(1, mine); CHECK_ALL }
    :: else
    fi
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

inline announce() {
    quiesce[WRITER] = true;
    if
    :: !blocked[READER] -> quiesce[READER] = true
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
    announce();
#endif
    atomic { drained(WRITER) -> under_way++ };
#ifdef NO_TICK
    tick[block] = clock;
#else
    atomic { drained(WRITER) -> clock++; tick[block] = clock };
#endif
    mine = mine | (1 << block);
#ifndef BITS_THEN_COUNT
    announce()
#endif
#endif
}

/* A thread goes on with safepoints. Only those are steps that take the slow path and change
 * something; so a wait in vain for one is an invalid end state. */
#define PAST(t, b) (mem[NOTED(t)] == 0 || mem[NOTED(t)] >= tick[b])
#define CAN_FREE(list) (((list & 1) && PAST(WRITER, 0) && PAST(READER, 0)) || \
                        ((list & 2) && PAST(WRITER, 1) && PAST(READER, 1)))
inline idle(t) {
    do
    :: quiesce[t] && !all_freed && (mem[NOTED(t)] != clock ||
            (!taken && CAN_FREE(left)) || (t == WRITER && CAN_FREE(mine))) -> safepoint(t)
    :: all_freed -> break
    od
}

proctype writer() {
    byte block, next, least;
    short seen;
    bool again;

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
    if
    :: true -> idle(WRITER)
    :: true ->
        offline(WRITER);
        atomic { drained(WRITER) -> blocked[WRITER] = true };
        all_freed
    fi;
    finished[WRITER] = true
}

proctype reader() {
    byte reads = READS, least;
    short seen, block;
    bool again, blocks = true;

    /* attach: the breaker first */
#ifdef ATTACH_WITHOUT_BIT
    quiesce[READER] = false;
#else
    quiesce[READER] = true;
#endif
    online(READER);
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
        atomic { drained(READER) -> blocked[READER] = true };
        /* The thread may stay blocked until others have freed all. They can, unless all are. */
        if
        :: all_freed
        :: true
        fi;
#ifdef LOOK_WHILE_BLOCKED
        again = under_way > 0;
#endif
        blocked[READER] = false;
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

init {
    atomic { run writer(); run reader() }
}
