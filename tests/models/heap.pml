/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * heap.pml: blocks that other threads free into a heap are taken home by the heap's thread, or by
 * another while that thread is blocked or gone. Meanwhile another heap may adopt the pool.
 * Stands for core/memory/pool.c (tally_memory_free_remote, push_remote, take_remote, take_home,
 * serve, claim_heap, adopt, tally_heap_drain); of nogil/stop_the_world/thread_status.c and
 * core/runtime/threads.c the claim of a blocked thread, its way back, exit and attach.
 *
 * Bounds: one pool of two blocks, both in use, made by thread A. A blocks, runs again, exits,
 * attaches again, and takes blocks home when it runs. B frees one block, serves A's heap and may
 * adopt the pool. C does the same with the other block. The words exchanged here are changed by
 * read-modify-writes or under a claim, so there are no store buffers. Full state space.
 *
 * Safety: one thread at a time touches a pool's counters, and it has the heap that the pool is in.
 * Each block goes home once, to the pool, whichever heap has it then. Nothing is lost: the end is
 * reached only when both blocks are home (else an invalid end state).
 *
 * Left out: size classes, several pools of a heap, empty pools (grace.pml), the count that says
 * when to serve: a pusher may serve at any time.
 */
#define RUNNING 0
#define BLOCKED 1
#define CLAIMED 2
#define VACANT 3
#define A 0
#define B 1
#define C 2

byte status[3];             /* B and C run all the time */
byte thread_list;          /* the thread-list lock: 0 free, else 1 + its holder */
byte owner = A;             /* of the pool */
byte remote[3];             /* a bit for each block */
byte home;                  /* a bit for each block that is back in the pool */
byte inside;                /* threads that touch the pool's counters */
bool user[3];               /* in the heap of A, B, C */

inline has(heap) { d_step { assert(!user[heap]); user[heap] = true } }
inline has_not(heap) { d_step { assert(user[heap]); user[heap] = false } }

/* free_local, by the thread that has the heap that the pool is in */
inline put_back(bits, heap) {
    d_step { assert(inside == 0); inside++; assert(owner == heap && user[heap]) };
    d_step { assert((home & bits) == 0); home = home | bits; inside-- }
}

/* take_home of one block */
inline take_home(bits, heap) {
#ifdef NO_PASS_ON
    put_back(bits, heap)
#else
    to = owner;
    if
    :: to == heap -> put_back(bits, heap)
    :: else -> atomic { assert((remote[to] & bits) == 0); remote[to] = remote[to] | bits }
    fi
#endif
}

/* Takes all that was pushed to the heap in one exchange, then one by one. */
inline drain(heap) {
#ifdef TAKE_BY_LOAD_AND_STORE
    taken = remote[heap];
    remote[heap] = 0;
#else
    atomic { taken = remote[heap]; remote[heap] = 0 };
#endif
    if
    :: taken & 1 -> take_home(1, heap)
    :: else
    fi;
    if
    :: taken & 2 -> take_home(2, heap)
    :: else
    fi;
    taken = 0
}

/* claim_heap of A; got: 0 failed, 1 A is claimed, 2 the thread list is locked */
inline claim(who) {
    got = 0;
    if
#ifdef CLAIM_BY_LOAD
    :: status[A] == BLOCKED -> got = 1
#else
    :: atomic { status[A] == BLOCKED -> status[A] = CLAIMED; got = 1 }
#endif
    :: status[A] == VACANT ->
#ifdef VACANT_WITHOUT_LOCK
        got = 2
#else
        if
        :: atomic { thread_list == 0 -> thread_list = 1 + who };
            if
            :: status[A] == VACANT -> got = 2
#ifdef NO_LOOK_UNDER_LOCK
            :: status[A] != VACANT -> got = 2
#else
            :: status[A] != VACANT -> thread_list = 0
#endif
            fi
        :: thread_list != 0
        fi
#endif
    :: status[A] == RUNNING || status[A] == CLAIMED
    fi
}
inline claim_end() {
    if
    :: got == 1 -> status[A] = BLOCKED
#ifndef VACANT_WITHOUT_LOCK
    :: got == 2 -> thread_list = 0
#else
    :: got == 2
#endif
    fi;
    got = 0
}

proctype other(byte who; byte block) {
    byte to, taken, got;
    bool pushed, mine;

    do
    /* tally_memory_free: the pool is in the heap of this thread, or is not */
    :: !pushed ->
        if
        :: owner == who -> has(who); put_back(block, who); has_not(who)
        :: owner != who -> to = owner; atomic { assert((remote[to] & block) == 0);
                remote[to] = remote[to] | block }
        fi;
        pushed = true
    /* serve, and adopt */
    :: status[A] != RUNNING && (remote[A] || (owner == A && !mine)) ->
        claim(who);
        if
        :: got ->
            has(A);
            drain(A);
            if
            :: owner == A && !mine -> owner = who; mine = true  /* once, so that the model ends */
            :: true
            fi;
            has_not(A);
            claim_end()
        :: else
        fi
    /* takes home the blocks freed into its own heap */
    :: remote[who] -> has(who); drain(who); has_not(who)
    :: pushed && home == 3 -> break
    od
}

proctype maker() {
    byte to, taken, blocks = 2, exits = 1;

    do
    :: remote[A] -> has(A); drain(A); has_not(A)
    :: blocks > 0 ->
        blocks--;
        status[A] = BLOCKED;
        if
        :: home == 3    /* it may sleep until the others have done all */
        :: true
        fi;
#ifdef RUNS_WHEN_CLAIMED
        status[A] = RUNNING
#else
        atomic { status[A] == BLOCKED -> status[A] = RUNNING }
#endif
    :: exits > 0 ->
        exits--;
        atomic { thread_list == 0 -> thread_list = 1 + A };
        has(A); drain(A); has_not(A);
        status[A] = VACANT;
        thread_list = 0;
        if
        :: home == 3
        :: true
        fi;
        /* a thread attaches in the slot */
        atomic { thread_list == 0 -> thread_list = 1 + A };
        status[A] = RUNNING;
        thread_list = 0
    :: home == 3 -> break
    od
}

init {
    atomic { run maker(); run other(B, 1); run other(C, 2) }
}
