/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * counts.pml: biased refcounts with the merge queue, blocked owners that are claimed, and an owner
 * that exits and whose slot another thread may take.
 * Stands for nogil/refcount/biased/tally_refcount.h, refcount_internal.h, merge_queue.c,
 * owner_exit.c and decref_slow.c; nogil/stop_the_world/thread_status.c tally_blocking_begin,
 * become_running, tally_claim, tally_thread_list_lock; the merge at the end of
 * tally_resume_the_world; attach and detach in core/runtime/threads.c.
 *
 * Bounds: two objects, X with three references and Y with two. One owner slot with a thread, and
 * perhaps a second one after it (LIVES 2): each runs, passes safepoints, blocks (BLOCKS times in
 * all), drops its references in any order and exits. Two other threads drop the references that
 * they were given; one may count a reference more. One thread claims the slot as a stop of the
 * world does (STOPPER). With GIVE the second of the others has no reference to X, and the first
 * gives one to the owner. With BATCH the second of the others may collect what it drops, and pushes
 * it before it ends; the stopper takes what it has collected. Full state space.
 *
 * Safety: no object dies with a reference left, or twice, or is touched when it is dead (no store
 * to its words either). A refcount becomes merged once. Nothing is lost: when the
 * others have finished, and the owner is blocked or has no breaker bit, its queue is empty; when
 * all have finished, both objects are dead.
 *
 * Left out: an entry for which there is no memory (merge_stopped), tally_refcount_adopt,
 * try-increfs (slot.pml, weakref.pml), the locks' bias (bias.pml), spurious failures of a weak
 * compare-and-swap. A queue is a set of objects, since its order does not matter.
 */
#ifndef LIVES
#define LIVES 2
#endif
#ifndef MORE
#define MORE 1
#endif
#ifndef GIVE
#define GIVE 0
#endif
#ifndef STOPPER
#define STOPPER 1
#endif
#ifndef BLOCKS
#define BLOCKS 1
#endif
#ifndef BATCH
#define BATCH 0
#endif

#define OWNED(o) (o)        /* local * 2 + owner: 0 none, 1 the slot */
#define SHARED(o) (2 + (o)) /* count * 4 + state */
#define STATUS 4
#define WORDS 5
#define BUFFERS 1           /* the slot's thread; see put() */
#define DEPTH 3
#define ON_STORE(word) assert((word) == STATUS || !freed[(word) % 2])
#define D 0
#define S 1
#define Q 2
#define M 3
#define ONE 4
#define VACANT 0
#define RUNNING 1
#define BLOCKED 2
#define CLAIMED 3
#define CLOSED 4            /* of the queue, else one bit for each object */
#define SLOT 0

bool freed[2];
#include "buffer.pml"

#define OTHER 1             /* not the slot's thread */

byte queue;
bool breaker;               /* TALLY_BREAK_MERGE */
bool thread_list;          /* held */
#if BATCH
byte open;                  /* what the batcher has dropped and not pushed yet */
byte batcher;
bool in_op;                 /* the batcher cannot be stopped */
bool stopped;               /* the world */
#endif
/* For the assertions only. */
byte refs[2];               /* references that threads hold */
bool merged[2];
byte done;
bool given;                 /* a reference to X, on its way to the slot's thread */

#define others_done (done == 3)
#define all_seen_to (queue == 0 || queue == CLOSED)

inline dies(o) {
    d_step {
        assert(!freed[o]);
        assert(refs[o] == 0);
        assert(mem[SHARED(o)] == M || !drained(SLOT));
        freed[o] = true
    }
}

inline die_all(p, bits) {
    atomic {
        if
        :: bits & 1 -> dies(0)
        :: else
        fi;
        if
        :: bits & 2 -> dies(1)
        :: else
        fi;
        bits = 0
    }
}

inline becomes_merged(o) {
    assert(!merged[o]);
    merged[o] = true
}

/* A plain store. The other threads store only in a merge, with the compare-and-swap right behind,
        so
 * they need no buffer. */
inline put(p, w, v) {
    if
    :: p == SLOT -> store(SLOT, w, v)
    :: else -> ON_STORE(w); mem[w] = v
    fi
}
inline get(p, w, v) {
    if
    :: p == SLOT -> load(SLOT, w, v)
    :: else -> v = mem[w]
    fi
}
#define settled(p) (p != SLOT || drained(SLOT))

/* tally_merge_and_drop: died gets the object's bit if that was the last reference. */
inline merge_and_drop(p, o, died) {
    atomic {
        assert(!freed[o]);
        get(p, OWNED(o), own);
        half = (own & 1 -> own / 2 : 0)
    };
#ifndef SWAP_FIRST
    atomic {
        if
        :: own & 1 -> put(p, OWNED(o), 0)
        :: else
        fi
    };
#endif
    atomic {
        settled(p) ->
        assert(!freed[o]);
        if
        :: (mem[SHARED(o)] & 3) != M -> becomes_merged(o)
        :: else
        fi;
        mem[SHARED(o)] = ((mem[SHARED(o)] >> 2) + half - 1) * ONE + M;
        assert(mem[SHARED(o)] >= 0);
        died = died | (mem[SHARED(o)] == M -> (1 << o) : 0);
        half = 0
#ifndef SWAP_FIRST
        ; own = 0
    }
#else
    };
    atomic {
        if
        :: own & 1 -> put(p, OWNED(o), 0)
        :: else
        fi;
        own = 0
    };
    settled(p)
#endif
}

inline merge_all(p, died) {
    do
    :: all & 1 -> all = all & 2; merge_and_drop(p, 0, died)
    :: !(all & 1) && (all & 2) -> all = 0; merge_and_drop(p, 1, died)
    :: all == 0 -> break
    od
}
/* tally_merge_take_queue */
inline take_queue(p, died) {
    atomic { settled(p) -> all = (queue == CLOSED -> 0 : queue); queue = (queue == CLOSED ->
            CLOSED : 0) };
    merge_all(p, died)
}
#if BATCH
/* tally_merge_take_open */
inline take_open(p, died) {
    atomic { settled(p) -> all = open; open = 0 };
    merge_all(p, died)
}
#endif

/* tally_claim: ok says whether it succeeded. */
inline claim(p, ok) {
    atomic {
        settled(p) ->
        ok = (mem[STATUS] == BLOCKED);
        if
        :: ok -> mem[STATUS] = CLAIMED
        :: else
        fi
    }
}
inline claim_end(p) { mem[STATUS] = BLOCKED }

/* tally_refcount_merge_blocked */
inline merge_blocked(p) {
    do
    :: atomic { mem[STATUS] != BLOCKED -> ok = false; break }
    :: atomic { mem[STATUS] == BLOCKED -> ok = true };
        if
        :: atomic { all_seen_to -> ok = false; break }
        :: !all_seen_to -> skip
        fi;
        claim(p, ok);
        if
        :: !ok -> break
        :: else
        fi;
        take_queue(p, gone);
        claim_end(p);
        die_all(p, gone)
    od
}

/* tally_merge_push; result: 0 first, 1 behind others, 2 closed. */
inline push(p, objects, result) {
    atomic {
        settled(p) ->
        if
        :: queue == CLOSED -> result = 2
        :: else -> result = (queue != 0 -> 1 : 0); queue = queue | (objects)
        fi
    }
}

/* merge_for_gone */
inline merge_for_gone(p, o) {
#ifndef GONE_WITHOUT_LOCK
    atomic { !thread_list -> thread_list = true };
    push(p, 1 << o, result);
#endif
    if
    :: result == 2 -> merge_and_drop(p, o, gone)
    :: else
    fi;
#ifndef GONE_WITHOUT_LOCK
    thread_list = false;
#endif
    die_all(p, gone);
    if
    :: result != 2 ->
        breaker = true;
#ifndef GONE_AND_BLOCKED
        merge_blocked(p)
#endif
    :: else
    fi
}

inline queue_at_once(p, o) {
    ok = false;
    if
    :: mem[STATUS] == BLOCKED -> claim(p, ok)
    :: else
    fi;
    if
    :: ok ->
        merge_and_drop(p, o, died);
        claim_end(p);
#ifndef NO_LOOK_AFTER_CLAIM
        merge_blocked(p);
#endif
        die_all(p, died)
    :: else ->
#ifdef LOOK_BEFORE_PUSH
        merge_blocked(p);
#endif
        push(p, 1 << o, result);
        if
        :: result == 0 ->
            breaker = true;
#ifndef LOOK_BEFORE_PUSH
            merge_blocked(p)
#endif
        :: result == 1
        :: result == 2 -> merge_for_gone(p, o)
        fi;
        result = 0
    fi
}

#if BATCH
/* push_for_gone: the world may be stopped, and the batch taken, where the thread waits. */
inline push_for_gone(p) {
    result = 3;
#ifndef BATCH_GONE_WITHOUT_LOCK
    in_op = false;
    atomic { !thread_list -> thread_list = true; in_op = true };
    if
    :: open -> push(p, open, result)
    :: else
    fi;
    if
    :: result < 2 -> open = 0
    :: else -> take_open(p, gone)
    fi;
    thread_list = false;
#else
    take_open(p, gone);
#endif
    if
    :: result < 2 -> breaker = true; merge_blocked(p)
    :: else
    fi;
    die_all(p, gone)
}

/* tally_merge_push_open */
inline push_open(p) {
    if
    :: open ->
        push(p, open, result);
        if
        :: result == 2 -> push_for_gone(p)
        :: result == 1 -> open = 0
        :: result == 0 ->
            open = 0;
            breaker = true;
            merge_blocked(p)
        fi;
        result = 0
    :: else
    fi
}
#endif

inline queue_object(p, o) {
    if
#if BATCH
    :: p == OTHER && _pid == batcher -> open = open | (1 << o)
#endif
    :: true -> queue_at_once(p, o)
    fi
}

/* drop_shared: a decref by another thread than the owner. */
inline drop_shared(p, o) {
    atomic {
        refs[o]--;
        assert(!freed[o]);
        get(p, SHARED(o), shared)
    };
    do
    ::
        atomic {
            assert(shared != M);
            queued = (shared == D || shared == S);
#ifdef QUEUED_TWICE
            queued = queued || shared == Q;
#endif
            if
            :: queued -> assert(!freed[o]); get(p, OWNED(o), own); queued = own & 1; own = 0
            :: else
            fi
        };
        atomic {
            settled(p) ->
            assert(!freed[o]);
            if
            :: mem[SHARED(o)] == shared ->
                mem[SHARED(o)] = (queued -> Q : shared - ONE);
                break
            :: else -> shared = mem[SHARED(o)]
            fi
        }
    od;
    if
    :: queued -> atomic { queued = false; shared = 0 }; queue_object(p, o)
    :: atomic { !queued && shared - ONE == M -> dies(o); shared = 0 }
    :: atomic { else -> shared = 0 }
    fi
}

inline incref_shared(p, o) {
    atomic { settled(p) -> assert(!freed[o]); mem[SHARED(o)] = mem[SHARED(o)] + ONE; refs[o]++ }
}

/* A decref by the slot's thread: tally_refcount_drop, give_up; or drop_shared, once it has given up
 * the object. */
inline decref_owner(o) {
    load(SLOT, OWNED(o), own);
    if
    :: !(own & 1) -> own = 0; drop_shared(SLOT, o)
    :: (own & 1) && own >= 5 -> refs[o]--; store(SLOT, OWNED(o), own - 2)
    :: else ->
        refs[o]--;
        load(SLOT, SHARED(o), shared);
        if
        :: shared == D ->
            /* No other thread has a reference or can get one: plain stores. */
            becomes_merged(o);
            store(SLOT, SHARED(o), M);
            store(SLOT, OWNED(o), 0);
            drained(SLOT); /* other threads get the block by read-modify-writes only */
            dies(o)
        :: else ->
#ifndef GIVE_UP_WITHOUT_SWAP
            store(SLOT, OWNED(o), 0);
            atomic {
                drained(SLOT) ->
                assert(!freed[o]);
                shared = (mem[SHARED(o)] & ~3) | M;
                if
                :: (mem[SHARED(o)] & 3) != M -> becomes_merged(o)
                :: else
                fi;
                mem[SHARED(o)] = shared
            };
#else
            store(SLOT, OWNED(o), 0);
            shared = (shared & ~3) | M;
            becomes_merged(o);
            store(SLOT, SHARED(o), shared);
            drained(SLOT);
#endif
            if
            :: shared == M -> dies(o)
            :: else
            fi
        fi
    fi;
    own = 0;
    shared = 0
}

/* tally_refcount_safepoint */
inline safepoint() {
    atomic { drained(SLOT) -> breaker = false };
    take_queue(SLOT, gone);
    die_all(SLOT, gone)
}

inline become_blocked() {
#ifdef WEAK_BLOCKED
    store(SLOT, STATUS, BLOCKED)
#else
    store_seq_cst(SLOT, STATUS, BLOCKED)
#endif
}
inline become_running() {
    atomic { drained(SLOT) && mem[STATUS] == BLOCKED -> mem[STATUS] = RUNNING }
}

inline enter_blocking() {
    do
    ::
        become_blocked();
#ifdef NO_PENDING
        break
#else
        if
        :: queue == 0 -> break
        :: else
        fi;
        become_running();
        safepoint()
#endif
    od
}

/* The thread of the slot; after it, perhaps, the next one there. */
proctype slot() {
    short own, shared;
    byte half, all, died, gone, result, lives = LIVES, blocks = BLOCKS;
    byte holds[2];
    bool ok, queued;

    d_step { holds[0] = 1; holds[1] = 1 };
runs:
    do
    :: holds[0] > 0 -> holds[0]--; decref_owner(0)
    :: holds[1] > 0 -> holds[1]--; decref_owner(1)
    :: atomic { given -> given = false; holds[0]++ }
    :: breaker -> safepoint()
    :: blocks > 0 ->
        blocks--;
        enter_blocking();
        if
        :: others_done && drained(SLOT) && mem[STATUS] == BLOCKED -> assert(all_seen_to)
        :: true
        fi;
        become_running()
    :: others_done && !breaker -> assert(all_seen_to)
    :: lives > 1 || holds[0] + holds[1] == 0 -> break
    od;

    /* tally_thread_detach */
    do
    ::
        safepoint();
        /* tally_thread_list_lock */
        if
        :: atomic { !thread_list -> thread_list = true }
        :: thread_list ->
            become_blocked();
            atomic { !thread_list -> thread_list = true };
            become_running()
        fi;
#ifdef CLOSE_WITHOUT_LOOK
        atomic { drained(SLOT) -> queue = CLOSED; break };
#else
        atomic {
            drained(SLOT) ->
            if
            :: queue == 0 -> queue = CLOSED; break
            :: else
            fi
        };
#endif
        thread_list = false
    od;
    store_seq_cst(SLOT, STATUS, VACANT);
    thread_list = false;
    lives--;

    if
    :: lives > 0 ->
        /* tally_thread_attach: the next thread becomes the owner of the objects of the slot */
        atomic { !thread_list -> thread_list = true };
        breaker = true;
        queue = 0;
        store_seq_cst(SLOT, STATUS, RUNNING);
        thread_list = false;
        goto runs
    :: holds[0] + holds[1] == 0 -> skip
    fi;
    (others_done);
    assert(freed[0] && freed[1] && queue == CLOSED)
}

proctype other(bool more) {
    short own, shared;
    byte half, all, died, gone, result;
    bool ok, queued;

#if BATCH
    if
    :: !more -> atomic { !stopped -> batcher = _pid; in_op = true }
    :: else
    fi;
#endif
    if
    :: MORE && more -> incref_shared(OTHER, 0); drop_shared(OTHER, 0)
    :: true
    fi;
    if
#if GIVE
    :: more ->
        /* Counts one more, and gives one to the slot's thread if that takes it: so the owner's
         * half can go while the shared half is not 0. */
        incref_shared(OTHER, 0);
        given = true;
        if
        :: !given
        :: atomic { given -> given = false }; drop_shared(OTHER, 0)
        fi;
        drop_shared(OTHER, 0)
    :: else
#else
    :: true -> drop_shared(OTHER, 0)
#endif
    fi;
#if BATCH
    /* A safepoint, or none. */
    if
    :: !more -> in_op = false; atomic { !stopped -> in_op = true }
    :: else
    fi;
#endif
    if
    :: !more -> drop_shared(OTHER, 1)
    :: else
    fi;
#if BATCH && !defined NO_PUSH_BEFORE_BLOCKING
    if
    :: !more -> push_open(OTHER); in_op = false
    :: else
    fi;
#endif
    done++
}

/* Claims the blocked slot as a stop of the world does, then merges the entries left to it. */
proctype stopper() {
    short own;
    byte half, all, gone;
    bool ok;

    if
    :: mem[STATUS] == BLOCKED ->
        claim(OTHER, ok);
        if
        :: ok ->
#if BATCH
            /* The world is stopped, if no thread is in an operation. */
            if
            :: atomic { !in_op && !thread_list -> thread_list = true; stopped = true };
                take_queue(OTHER, gone);
#ifndef STOP_WITHOUT_OPEN
                take_open(OTHER, gone);
#else
                open = 0;
#endif
                atomic { thread_list = false; stopped = false }
            :: true
            fi;
#endif
            claim_end(OTHER);
#ifndef START_WITHOUT_LOOK
            merge_blocked(OTHER);
#endif
#if BATCH
            die_all(OTHER, gone)
#endif
        :: else
        fi
    :: true
    fi;
    done++
}

init {
    atomic {
        mem[OWNED(0)] = (3 - GIVE) * 2 + 1;
        mem[OWNED(1)] = 2 * 2 + 1;
        refs[0] = 3 - GIVE;
        refs[1] = 2;
        mem[STATUS] = RUNNING;
        run slot();
#if STOPPER
        run stopper();
#else
        done++;
#endif
        run other(true);
        run other(false)
    }
}
