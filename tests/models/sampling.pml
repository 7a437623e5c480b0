/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sampling.pml: an object moves to a thread that adopts it, or to per-thread refcounts and back,
 * against increfs, decrefs, try-increfs, a queue entry in a pusher's hand, its finalizer, and
 * threads that exit.
 * Stands for nogil/refcount/biased/sampling.c and nogil/refcount/per_thread.c; of tally_refcount.h
 * and refcount_internal.h the counts; of merge_queue.c tally_merge_and_drop.
 *
 * Bounds: one object. Its owner, thread 0, has two references; thread 1 has one that the owner
 * made, thread 2 none. Each makes up to OPS counts beyond drops, may give a reference to thread 0
 * once, and exits when it has no reference. A thread may move the live object with the world
 * stopped, MOVES times in all, whether it holds a reference (it drops one) or has met the object of
 * late; whether its owner is away does not matter here. The owner
 * may make it per-thread without a stop, once (tally_defer_count): its word first, then its half
 * and the table's reference in one compare-and-swap. A sweeper stops the world STOPS times, and a
 * last time when all have exited; the object becomes ordinary again when the table's reference is
 * the last. With FINALIZER the object has one, and is adopted only. Full state space.
 *
 * A pusher that saw the owner may make the state queued. An entry in its hand is merged as the
 * owner's, when that thread is in no count. Once the owner has given the object up, the state does
 * not tell of the entry.
 *
 * Safety: the object dies once, with no reference left, and while it is no thread's but its own. A
 * dead object is not counted. At the end it is dead.
 *
 * Left out: the states of the shared half but for the entry (slot.pml, counts.pml), memory orders
 * (a stop orders all), a full table, entries in queues (a stop merges them).
 */
#ifndef OPS
#define OPS 1
#endif
#ifndef STOPS
#define STOPS 1
#endif
#ifndef MOVES
#define MOVES 2
#endif
#define T 3
#define NONE 0              /* an owner is 1 + its number */
#define SPREAD 9

byte owner = 1;
short own = 3, shared = 0, num[T + 1];
byte refs[T];               /* for the assertions: references that threads hold */
byte entries;               /* references that are queue entries, each in a hand */
bool table;                 /* the table's reference */
bool freed, queued, finalized;
byte finalizing;            /* 1 + the thread in whose drop the object died */
bool in_op[T], gone[T];
bool spreading, has_spread; /* the owner's word says so, its half is still to be added */
byte moves;

#define held (refs[0] + refs[1] + refs[2] + entries)
#define all_gone (gone[0] && gone[1] && gone[2])
#ifdef STOP_ANYWHERE
#define stands true
#else
#define stands (!in_op[0] && !in_op[1] && !in_op[2])
#endif

/* The last reference of all is gone; in an atomic. With a finalizer the object has one more, and a
 * thread that has a weak reference may get it. */
inline dies(p) {
    assert(!freed);
    assert(held == 0 && !table && owner == NONE);
#ifdef FINALIZER
    if
    :: !finalized -> finalized = true; finalizing = 1 + p; shared = 1
    :: else -> freed = true
    fi
#else
    freed = true
#endif
}
/* seen: p's view of the owner; the caller is in an atomic. */
inline count_down(p, seen) {
    assert(!freed);
    if
    :: seen == SPREAD -> num[p]--
    :: seen == 1 + p ->
        own--;
        if
        :: own == 0 ->
            /* merged: the state no longer tells of an entry in hand */
            owner = NONE; queued = false;
            if
            :: shared == 0 -> dies(p)
            :: else
            fi
        :: else
        fi
    :: seen != SPREAD && seen != 1 + p && seen != NONE && shared == 0 && !queued &&
       (owner == seen || spreading) ->
        queued = true; entries++; to = seen
    :: else ->
        shared--;
        if
        :: owner == NONE && shared == 0 -> dies(p)
        :: else
        fi
    fi
}
/* Into the half of its owner. */
inline merge(p) {
    entries--; queued = false;
    if
#ifndef MERGE_SPREAD_AS_OWNED
    :: owner == SPREAD -> num[p]--
#endif
    :: else ->
        shared = shared + own - 1;
        own = 0; owner = NONE;
        if
        :: shared == 0 -> dies(p)
        :: else
        fi
    fi
}
/* The finalizer's reference. */
inline drop_last() {
    atomic { !in_op[p] -> in_op[p] = true }
    atomic {
        finalizing = 0; shared--; in_op[p] = false;
        if
        :: shared == 0 && owner == NONE -> assert(held == 0); freed = true
        :: else
        fi
    }
}
#ifdef NO_IN_HAND
#define not_in_hand true
#else
#define not_in_hand (entries == 0)
#endif
#ifdef MOVE_IN_FINALIZER
#define not_final true
#else
#define not_final (!finalized)
#endif
#ifdef MOVE_DEAD
#define seems_alive true
#else
#define seems_alive (!freed)
#endif
/* By p, which may hold no reference; the world is stopped. */
inline move(p) {
    assert(!freed);
    moves++;
    if
    :: owner != SPREAD && owner != 1 + p && not_in_hand && not_final ->
        own = own + shared; shared = 0; owner = 1 + p; queued = false
#ifndef FINALIZER
    :: owner != SPREAD && owner != 1 + p && not_in_hand ->
        shared = shared + own; own = 0; owner = SPREAD; queued = false;
#ifndef NO_TABLE_REFERENCE
        shared++; table = true
#endif
#endif
    :: else
    fi
}

proctype thread(byte p) {
    byte seen, ops, to;
    short seen_shared;
    bool gave;
    do
    :: refs[p] > 0 && ops < OPS ->                 /* incref */
        atomic { ops++; in_op[p] = true; seen = owner };
        atomic {
            assert(!freed);
            if
            :: seen == SPREAD -> num[p]++
            :: seen == 1 + p -> own++
            :: else -> shared++
            fi;
            refs[p]++; in_op[p] = false; seen = 0
        }
    :: ops < OPS ->                                /* try-incref, perhaps without a reference */
        atomic { ops++; in_op[p] = true; seen = owner };
        atomic {
            if
            :: seen == SPREAD -> num[p]++; refs[p]++; assert(!freed)
            :: seen == 1 + p && owner == seen -> own++; refs[p]++
            :: else ->
                if
                :: !freed && (owner == NONE -> shared != 0 : 1) -> shared++; refs[p]++
                :: else
                fi
            fi;
            in_op[p] = false; seen = 0
        }
    :: atomic { seems_alive && moves < MOVES && stands -> move(p) }
    :: refs[p] > 0 ->                              /* decref */
        atomic { in_op[p] = true; seen = owner };
        atomic { refs[p]--; to = 0; count_down(p, seen); in_op[p] = false; seen = 0 };
        if
        /* may be stopped here; the owner is in no count */
        :: to -> atomic { !in_op[to - 1] -> assert(!freed); to = 0; merge(p) }
        :: else
        fi;
#ifdef FINALIZER
        if
        :: finalizing == 1 + p -> drop_last()
        :: else
        fi
#endif
    :: atomic {                                    /* the owner makes it per-thread; once */
#ifdef FINALIZER
            false &&
#endif
            refs[p] > 0 && owner == 1 + p && own > 0 && !queued && !has_spread ->
            has_spread = true; in_op[p] = true; spreading = true; seen_shared = shared;
            owner = SPREAD
        };
        atomic {
            assert(!freed && !table);
#ifdef SPREAD_BY_STORE
            shared = seen_shared + own + 1;
#else
            shared = shared + own + 1;
#endif
#ifdef SPREAD_UNHELD
            shared--;
#else
            table = true;
#endif
            own = 0; seen_shared = 0; spreading = false; in_op[p] = false
        }
    :: atomic { p != 0 && !gave && refs[p] > 0 && !gone[0] -> gave = true; refs[p]--; refs[0]++ }
    :: atomic { refs[p] == 0 && !in_op[p] -> gone[p] = true; break }
    od
}

inline fold() {
    d_step {
        shared = shared + num[1] + num[2] + num[T]; num[1] = 0; num[2] = 0; num[T] = 0;
#ifdef FORGET_GONE
        if
        :: !gone[0] -> shared = shared + num[0]; num[0] = 0
        :: else -> num[0] = 0
        fi
#else
        shared = shared + num[0]; num[0] = 0
#endif
    }
}

/* If the table's reference is the last, the object is ordinary again, and that is dropped once the
 * world runs. */
proctype sweeper() {
    byte stops, to;
    bool drop;
    do
    :: stops < STOPS || all_gone ->
        atomic {
            stands ->
            drop = false;
            if
            :: stops < STOPS -> stops++
            :: else -> stops = STOPS + 1
            fi;
            if
            :: owner == SPREAD ->
                fold();
                if
                :: table && shared == 1 ->
                    owner = NONE; table = false;
#ifdef DROP_IN_STOP
                    shared--
#else
                    drop = true
#endif
                :: else -> assert(!all_gone)
                fi
            :: else
            fi
        };
        if
        :: drop ->                                 /* a decref like any, of no owner */
            atomic {
                drop = false; to = 0;
                count_down(T, owner)
            };
            if
            :: to -> atomic { !in_op[to - 1] -> assert(!freed); to = 0; merge(T) }
            :: else
            fi
        :: else
        fi;
        if
        :: all_gone && owner != SPREAD -> break
        :: else
        fi
    od;
    assert(freed)
}

init {
    atomic {
        refs[0] = 2; refs[1] = 1;
        run thread(0); run thread(1); run thread(2); run sweeper()
    }
}
