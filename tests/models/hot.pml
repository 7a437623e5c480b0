/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * hot.pml: an object becomes hot and cold in stops of the world, against increfs, decrefs,
 * try-increfs, a queue entry in a pusher's hand, and threads that exit.
 * Stands for nogil/refcount/biased/hot.c and hot.h; of tally_refcount.h and refcount_internal.h the
 * counts; of merge_queue.c tally_merge_and_drop.
 *
 * Bounds: one object. Its owner, thread 0, has two references; thread 1 has one that the owner
 * made, thread 2 none. Each makes up to OPS counts beyond drops, and exits when it has no
 * reference. One of them asks once for the object to become hot. Another thread stops the world
 * STOPS times, to answer the request and look, or to make all cold; and a last time when all have
 * exited. Full state space.
 *
 * Safety: the object dies once, with no reference left, not in a stop, and while it is cold. A dead
 * object is not counted. An object that is made hot is alive. At the end it is dead.
 *
 * With PER_THREAD the object gets per-thread refcounts instead, as tally_defer_count and a class's
 * birth make it (nogil/refcount/per_thread.c); and each thread may give a reference to the owner,
 * once. The owner does it without a stop: its word first, then its half and the table's reference
 * in one compare-and-swap (tally_refcount_make_per_thread). A pusher that saw the owner
 * may make the state queued in between. The object is left as it is while its state says that an
 * entry is in a pusher's hand; the state does not say so once the owner has given up. The object
 * becomes ordinary again only when the table's reference is the last.
 *
 * Left out: the states of the shared half but for the entry (slot.pml, counts.pml), memory orders
 * (a stop orders all), the choice of what stays hot, a full table.
 */
#ifndef OPS
#define OPS 1
#endif
#ifndef STOPS
#define STOPS 2
#endif
#define T 3
#define NONE 0
#define OWNED 1             /* by thread 0 */
#define HOT 2

byte owner = OWNED;
short own = 3, shared = 0, num[T];
byte refs[T];               /* for the assertions: references that threads hold */
byte entries;               /* references that are queue entries */
bool request;               /* a reference */
bool asked;
bool table;                 /* the table's reference */
bool freed, queued;
bool in_op[T], gone[T];
bool becoming_per_thread; /* the owner's word says so, its half is still to be added */
bool is_per_thread;

#define held (refs[0] + refs[1] + refs[2] + entries)

#define all_gone (gone[0] && gone[1] && gone[2])

inline dies() {
    assert(!freed);
    assert(held == 0 && !request && !table);
    assert(owner != HOT);
    freed = true
}
/* seen: p's view of the owner; the caller is in an atomic. */
inline count_down(p, seen) {
    assert(!freed);
    if
    :: seen == HOT -> num[p]--
    :: seen == OWNED && p == 0 ->
        own--;
        if
        :: own == 0 ->
            /* merged: the state no longer tells of an entry in hand */
            owner = NONE; queued = false;
            if
            :: shared == 0 -> dies()
            :: else
            fi
        :: else
        fi
    :: seen == OWNED && p != 0 && shared == 0 && !queued &&
       (owner == OWNED || becoming_per_thread) ->
        queued = true; entries++; push = true
    :: else ->
        shared--;
        if
        :: owner == NONE && shared == 0 -> dies()
        :: else
        fi
    fi
}

proctype thread(byte p) {
    byte seen, ops;
    short seen_shared;
    bool push, gave;
    do
    :: refs[p] > 0 && ops < OPS ->                 /* incref */
        atomic { ops++; in_op[p] = true; seen = owner };
        atomic {
            assert(!freed);
            if
            :: seen == HOT -> num[p]++
            :: seen == OWNED && p == 0 -> own++
            :: else -> shared++
            fi;
            refs[p]++; in_op[p] = false
        }
    :: atomic {                                    /* asks for the object to become hot */
            refs[p] > 0 && !asked ->
            asked = true;
#ifndef NO_REQUEST_REFERENCE
            if
            :: owner == HOT -> skip
            :: owner == OWNED && p == 0 -> own++; request = true
            :: else -> shared++; request = true
            fi
#else
            request = true
#endif
        }
    :: ops < OPS ->                                /* try-incref, perhaps without a reference */
        atomic { ops++; in_op[p] = true; seen = owner };
        atomic {
            if
            :: seen == HOT -> num[p]++; refs[p]++; assert(!freed)
            :: seen == OWNED && p == 0 && owner == OWNED -> own++; refs[p]++
            :: else ->
                if
                :: !freed && (owner == NONE -> shared != 0 : 1) -> shared++; refs[p]++
                :: else
                fi
            fi;
            in_op[p] = false
        }
    :: refs[p] > 0 ->                              /* decref */
        atomic { in_op[p] = true; seen = owner };
        atomic { refs[p]--; push = false; count_down(p, seen); in_op[p] = false };
        if
        /* may be stopped here; the owner is in no count */
        :: push ->
            atomic {
                !in_op[0] ->
                assert(!freed);
                entries--; queued = false;
                if
#ifndef MERGE_HOT_AS_OWNED
                :: owner == HOT -> num[p]--
#endif
                :: else ->
                    shared = shared + (owner == OWNED -> own : 0) - 1;
                    own = 0; owner = NONE;
                    if
                    :: shared == 0 -> dies()
                    :: else
                    fi
                fi
            }
        :: else
        fi
#ifdef PER_THREAD
    :: atomic {                                    /* the owner makes it per-thread; once */
            p == 0 && refs[0] > 0 && owner == OWNED && own > 0 && !queued && !is_per_thread ->
            is_per_thread = true; in_op[0] = true; becoming_per_thread = true;
            seen_shared = shared; owner = HOT
        };
        atomic {
            assert(!freed && !table);
#ifdef PER_THREAD_BY_STORE
            shared = seen_shared + own + 1;
#else
            shared = shared + own + 1;
#endif
#ifdef PER_THREAD_UNHELD
            shared--;
#else
            table = true;
#endif
            own = 0; seen_shared = 0; becoming_per_thread = false; in_op[0] = false
        }
    :: atomic { p != 0 && !gave && refs[p] > 0 && !gone[0] -> gave = true; refs[p]--; refs[0]++ }
#endif
    :: atomic { refs[p] == 0 && !in_op[p] -> gone[p] = true; break }
    od
}

inline fold() {
    d_step {
        shared = shared + num[1] + num[2]; num[1] = 0; num[2] = 0;
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
/* drop: the table's reference is dropped once the world runs. */
inline cool() {
    fold();
    owner = NONE;
    assert(shared >= 1 || !table);
    if
#ifdef DROP_IN_STOP
    :: table -> table = false; shared--
#else
    :: table && shared > 1 -> table = false; shared--
    :: table && shared == 1 -> drop = true
#endif
    :: else
    fi
}
/* If the table's reference is the last, the object is ordinary again, and that is dropped. */
inline sweep() {
    fold();
    if
    :: table && shared == 1 -> owner = NONE; drop = true
    :: else -> assert(!all_gone)
    fi
}
inline heat() {
    assert(!freed);
    shared = shared + (owner == OWNED -> own : 0); own = 0;
    owner = HOT; request = false;
#ifdef NO_TABLE_REFERENCE
    shared--
#else
    table = true
#endif
}
#ifdef STOP_ANYWHERE
#define stands true
#else
#define stands (!in_op[0] && !in_op[1] && !in_op[2])
#endif

proctype stopper() {
    byte stops;
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
            :: owner == HOT && request -> shared--; request = false  /* hot already */
#ifdef PER_THREAD
            :: owner == HOT && !request -> sweep()
            :: owner != HOT && request && !queued -> heat()
#else
            :: owner == HOT && !request -> cool()
            :: owner != HOT && request -> heat()
#endif
            :: else
            fi
        };
        if
        :: drop -> atomic {                        /* a decref like any */
            table = false; shared--;
            if
            :: shared == 0 -> dies()
            :: else
            fi
        }
        :: else
        fi;
        if
        :: all_gone && !request && owner != HOT -> break
        :: else
        fi
    od;
    assert(freed)
}

init {
    atomic {
        refs[0] = 2; refs[1] = 1;
        run thread(0); run thread(1); run thread(2); run stopper()
    }
}
