/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * slot.pml: a slot of a container is read without the lock (load, try-incref, load again) while its
 * item is removed, dies, and its block becomes another object.
 * Stands for core/objects/object.h tally_slot_try_read, tally_slot_locked_read;
 * nogil/refcount/biased/tally_refcount.h and refcount_internal.h tally_refcount_init,
 * tally_refcount_drop, tally_refcount_try_incref, tally_refcount_set_maybe_shared; decref_slow.c
 * drop_shared, give_up.
 *
 * Bounds: two slots, one block. The owner puts OBJECTS objects, one after the other, in either
 * slot, takes each out again and drops it. Each is made in the block of the one before, if that has
 * died. Two readers look into a slot of their choice READS times each. All store through buffers.
 * Full state space.
 *
 * Safety: a reader that gets a reference by both looks has an object that was in this slot, and is
 * alive until the reader drops it (so only a try-incref that fails touches the count of a dead
 * object). An object dies once, without references. At the end all have died.
 *
 * Left out: arrays and tables that are replaced and memory that changes kind, which wait for a
 * grace period (grace.pml); the queue (counts.pml), here a set that the owner merges; the lock's
 * bias (bias.pml).
 */
#ifndef OBJECTS
#define OBJECTS 2
#endif
#ifndef READS
#define READS 2
#endif
#ifndef READERS
#define READERS 2
#endif
#define OWNED 0             /* local * 2 + owner, of the block */
#define SHARED 1            /* count * 4 + state */
#define AT(slot) (2 + (slot))   /* 1: the block */
#define WORDS 4
#define BUFFERS 1           /* the owner's; readers make read-modify-writes only */
#define DEPTH 4
#define ON_STORE(word) skip
#define D 0
#define S 1
#define Q 2
#define M 3
#define ONE 4
#include "buffer.pml"

bool lock;
bool queued;                /* the block's object is in the owner's queue */
/* For the assertions only. */
bool alive;
byte born;                  /* number of the object in the block */
byte last_in[2];            /* the object that was put last in each slot */
byte refs;
byte done;

/* By the thread that dropped the last reference. */
inline dies() { d_step { assert(alive); assert(refs == 0); alive = false } }

/* drop_shared: a decref by a reader. */
inline drop_shared() {
    d_step { assert(alive && refs > 0); refs--; shared = mem[SHARED] };
    do
    ::
        atomic {
            assert(alive && shared != M);
            if
            :: (shared == D || shared == S) && (mem[OWNED] & 1) -> next = Q
            :: else -> next = shared - ONE
            fi
        };
        atomic {
            if
            :: mem[SHARED] == shared ->
                mem[SHARED] = next;
                if
                :: next == Q && (shared == D || shared == S) -> assert(!queued); queued = true
                :: next == M -> dies()
                :: else
                fi;
                break
            :: else -> shared = mem[SHARED]
            fi
        }
    od;
    atomic { shared = 0; next = 0 }
}

/* tally_refcount_try_incref by another thread than the owner; got: it succeeded. */
inline try_incref() {
    shared = mem[SHARED];
    do
#ifdef INCREF_DEFAULT
    :: atomic { shared == M -> got = false; break }
    :: shared != M ->
#else
    :: atomic { shared == M || (shared & 3) == D -> got = false; break }
    :: !(shared == M || (shared & 3) == D) ->
#endif
#ifdef INCREF_BY_STORE
        atomic { mem[SHARED] = shared + ONE; refs++; got = true; break }
#else
        atomic {
            if
            :: mem[SHARED] == shared -> mem[SHARED] = shared + ONE; refs++; got = true; break
            :: else -> shared = mem[SHARED]
            fi
        }
#endif
    od;
    shared = 0
}

proctype reader() {
    short shared, next;
    byte reads = READS, which, object;
    bool got, item;

    do
    :: reads > 0 ->
        reads--;
        if
        :: which = 0
        :: which = 1
        fi;
        /* tally_slot_try_read */
        got = false;
        item = mem[AT(which)];
        if
        :: item ->
            try_incref();
            if
            :: got ->
#ifndef NO_SECOND_LOOK
                if
                :: atomic { mem[AT(which)] -> object = born }
                :: !mem[AT(which)] -> drop_shared(); got = false
                fi
#else
                object = born
#endif
            :: else
            fi
        :: else
        fi;
        if
        :: !got && item ->
            /* tally_slot_locked_read */
#ifndef READ_WITHOUT_LOCK
            atomic { !lock -> lock = true };
#endif
            if
            :: mem[AT(which)] ->
                /* tally_refcount_set_maybe_shared: D to S by compare-and-swap */
                atomic {
                    assert(alive);
                    if
                    :: (mem[SHARED] & 3) == D -> mem[SHARED] = mem[SHARED] | S
                    :: else
                    fi
                };
                atomic { assert(alive); mem[SHARED] = mem[SHARED] + ONE; refs++; object = born;
                        got = true }
            :: !mem[AT(which)]
            fi;
#ifndef READ_WITHOUT_LOCK
            lock = false
#endif
        :: else
        fi;
        if
        :: got ->
            /* The object is alive, the same, and was in this slot. */
            assert(alive && born == object && last_in[which] == object);
            drop_shared()
        :: else
        fi;
        d_step { got = false; item = false; object = 0; which = 0 }
    :: reads == 0 -> break
    od;
    done++
}

/* tally_merge_and_drop of the queue's entry. */
inline merge() {
    load(0, OWNED, own);
    if
    :: own & 1 -> store(0, OWNED, 0)
    :: else -> own = 0
    fi;
    atomic {
        drained(0) ->
        assert(alive);
        mem[SHARED] = ((mem[SHARED] >> 2) + own / 2 - 1) * ONE + M;
        assert(mem[SHARED] >= 0);
        queued = false;
        if
        :: mem[SHARED] == M -> dies()
        :: else
        fi;
        own = 0
    }
}

/* tally_refcount_drop by the owner, of its only reference */
inline drop_owner() {
    load(0, OWNED, own);
    if
    :: own & 1 ->
        atomic { assert(own / 2 == 1); refs-- };
        load(0, SHARED, shared);
#ifdef DEAD_WITHOUT_STATE
        if
        :: (shared >> 2) == 0 && shared != Q ->
#else
        if
        :: shared == D ->
#endif
            store(0, SHARED, M);
            store(0, OWNED, 0);
            dies()
        :: else ->
            store(0, OWNED, 0);
#ifdef GIVE_UP_BY_STORE
            shared = (shared & ~3) | M;
            store(0, SHARED, shared);
            if
            :: shared == M -> dies()
            :: else
            fi
#else
            atomic {
                drained(0) ->
                assert(alive);
                mem[SHARED] = (mem[SHARED] & ~3) | M;
                if
                :: mem[SHARED] == M -> dies()
                :: else
                fi
            }
#endif
        fi
    :: else ->
        /* The object was merged meanwhile: as any other thread. */
        atomic {
            drained(0) ->
            assert(alive);
            refs--;
            mem[SHARED] = mem[SHARED] - ONE;
            if
            :: mem[SHARED] == M -> dies()
            :: else
            fi
        }
    fi;
    atomic { own = 0; shared = 0 }
}

proctype owner() {
    short own, shared;
    byte objects = OBJECTS, which;

    do
    :: objects > 0 && !alive ->
        /* A new object in the block: fields, shared half, owner, local half; then a slot. */
        objects--;
        atomic { alive = true; born++; refs = 1 };
        store(0, SHARED, D);
        store(0, OWNED, 1 * 2 + 1);
        if
        :: which = 0
        :: which = 1
        fi;
        atomic { drained(0) && !lock -> lock = true };
        atomic { store(0, AT(which), 1); last_in[which] = born };
        atomic { drained(0) -> lock = false };
        /* The object is taken out; the slot's reference is dropped after the unlock. */
#ifdef DROP_FIRST
        drop_owner();
#endif
        atomic { drained(0) && !lock -> lock = true };
        store(0, AT(which), 0);
        atomic { drained(0) -> lock = false };
#ifndef DROP_FIRST
        drop_owner();
#endif
        which = 0
    :: queued -> merge()
    :: objects == 0 && done == READERS && !queued -> break
    od;
    drained(0);
    assert(!alive && refs == 0 && mem[SHARED] == M)
}

init {
    atomic {
        mem[SHARED] = M;
        run owner();
        run reader();
#if READERS > 1
        run reader()
#endif
    }
}
