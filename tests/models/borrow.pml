/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * borrow.pml: an object is borrowed from a slot without a count, and its child from it, while the
 * object is removed, dies, and its block becomes another object. docs/design/borrowing.md.
 * Stands for core/objects/borrow.h tally_slot_try_borrow, tally_make_borrowable,
 * tally_is_borrowable; core/objects/borrow.c tally_borrow_secure, tally_borrow_keep, tally_retain,
 * tally_dealloc_borrowable; core/objects/death.c destroy_children; the storers'
 * tally_make_borrowable_in.
 *
 * Bounds: one slot, one parent with one child, a block each. The storer puts OBJECTS parents there,
 * one after the other. Each is made with its child in the blocks of those before, once these are
 * free. The storer marks what it stores, or does not. A parent's finalizer may put it into the slot
 * once more, and take it out again. READERS readers borrow the parent READS times
 * each, and may retain it or borrow its child. While a dead parent waits, the block of its child
 * may become another object. All store through buffers. Full state space.
 *
 * Safety: a borrowed object was in the slot, and its block is not reused before the reader's next
 * safepoint. A retained object is alive. No dead object is counted or marked. Each object dies
 * once, and at the end all blocks are free.
 *
 * Left out: how a grace period comes about (grace.pml; here it is over when every reader has been
 * at a safepoint since); the halves of a count and its owner (slot.pml; here it is one atomic
 * number); arrays that are replaced; finalizers that keep the object.
 */
#ifndef OBJECTS
#define OBJECTS 2
#endif
#ifndef READS
#define READS 1
#endif
#ifndef READERS
#define READERS 2
#endif
#define ROOT 0              /* 1: the parent is in the slot */
#define CHILD 1             /* 1: the child is in the parent's slot */
#define FLAG(b) (2 + (b))   /* borrowable */
#define WORDS 4
#define BUFFERS 1           /* the storer's; readers make read-modify-writes only */
#define DEPTH 5
#define ON_STORE(word) skip
#include "buffer.pml"
#define P 0
#define C 1
#define FREE 0
#define ALIVE 1
#define DEAD 2

bool lock, parent_lock;
byte state[2];
byte refs[2];
bool waiting[2];
byte need[2];               /* readers that a waiting block waits for, one bit each */
byte online;
bool finalized;
short early;                /* the flag before the finalizer */
/* For the assertions only. */
byte born[2];
byte last_in_root;
byte child_of_parent;
byte done;

/* Waits for a later safepoint of each reader that is online. */
inline retire(b) {
#if defined(NO_GRACE)
    state[b] = FREE
#elif defined(FREE_CHILD_AT_ONCE)
    if
    :: b == C -> state[b] = FREE
    :: else -> waiting[b] = true; need[b] = online
    fi
#else
    waiting[b] = true; need[b] = online
#endif
}

active proctype reclaimer() {
end:
    do
    :: atomic { waiting[P] && need[P] == 0 -> waiting[P] = false; state[P] = FREE }
    :: atomic { waiting[C] && need[C] == 0 -> waiting[C] = false; state[C] = FREE }
    od
}

inline drop_child() {
    atomic { assert(state[C] == ALIVE && refs[C] > 0); refs[C]--; last = (refs[C] == 0);
            if :: last -> state[C] = DEAD :: else fi };
    if
    :: last -> atomic { if :: mem[FLAG(C)] -> retire(C) :: else -> state[C] = FREE fi;
            last = false }
    :: else
    fi
}

/* Drops a reference to the parent; the caller's buffer is empty. */
inline drop_parent() {
#ifdef FLAG_BEFORE_DROP
    flag = mem[FLAG(P)];
#endif
    atomic { assert(state[P] == ALIVE && refs[P] > 0); refs[P]--; last = (refs[P] == 0);
            if :: last -> state[P] = DEAD :: else fi };
    if
    :: last ->
#ifdef FLAG_BEFORE_FINALIZER
        flag = (finalized -> early : mem[FLAG(P)]);
#elif !defined(FLAG_BEFORE_DROP)
        flag = mem[FLAG(P)];
#endif
        if
        :: flag ->
#ifdef DROP_CHILDREN_FIRST
            drop_child();
            atomic { mem[FLAG(C)] = 1 };
#else
#ifndef NO_MARK_OF_CHILDREN
            atomic { assert(state[C] == ALIVE); mem[FLAG(C)] = 1 };
#endif
            drop_child();
#endif
            atomic { retire(P) }
        :: else ->
            drop_child();
            atomic { state[P] = FREE }
        fi
    :: else
    fi;
    atomic { flag = 0; last = false }
}

/* Drops the reference to an object that was read under the lock. */
inline drop_kept() {
    if
    :: kept_parent -> drop_parent(); kept_parent = false
    :: else
    fi;
    if
    :: kept_child -> drop_child(); kept_child = false
    :: else
    fi
}

proctype reader(byte me) {
    byte reads = READS, parent, child;
    short flag;
    bool last, got, held, kept_parent, kept_child;

    do
    :: reads > 0 ->
        reads--;
        /* tally_slot_try_borrow */
        if
        :: mem[ROOT] ->
            if
#ifdef NO_FLAG
            :: true ->
#else
            :: mem[FLAG(P)] ->
#endif
#ifdef NO_SECOND_LOOK
                atomic { parent = born[P]; got = true }
#else
                if
                :: atomic { mem[ROOT] -> parent = born[P]; got = true }
                :: !mem[ROOT]
                fi
#endif
#ifndef NO_FLAG
            :: !mem[FLAG(P)]
#endif
            fi
        :: !mem[ROOT]
        fi;
        if
        :: !got ->
            /* under the lock: counted, then marked, then kept */
            atomic { !lock -> lock = true };
            if
            :: mem[ROOT] ->
#ifndef MARK_UNCOUNTED
                atomic { assert(state[P] == ALIVE); refs[P]++; parent = born[P]; got = true;
                        kept_parent = true };
                lock = false;
                atomic { assert(state[P] == ALIVE); mem[FLAG(P)] = 1 }
#else
                atomic { parent = born[P]; got = true };
                lock = false;
                mem[FLAG(P)] = 1
#endif
            :: !mem[ROOT] -> lock = false
            fi
        :: else
        fi;
#ifdef SAFEPOINT_IN_BORROW
        drop_kept();
        atomic { need[P] = need[P] & ~(1 << me); need[C] = need[C] & ~(1 << me) };
#endif
        if
        :: got ->
            atomic { assert(state[P] != FREE && born[P] == parent && last_in_root == parent);
                    got = false };
            if
            :: skip
            :: /* tally_retain */
                if
                :: atomic { refs[P] > 0 -> assert(state[P] == ALIVE && born[P] == parent);
                        refs[P]++; held = true }
                :: atomic { refs[P] == 0 -> assert(state[P] == DEAD && born[P] == parent) }
                fi;
                if
                :: held -> drop_parent(); held = false
                :: else
                fi
            :: /* its child, borrowed */
                if
                :: mem[FLAG(C)] ->
                    if
                    :: atomic { mem[CHILD] -> child = born[C]; got = true }
                    :: !mem[CHILD]
                    fi
                :: !mem[FLAG(C)]
                fi;
                assert(state[P] != FREE && born[P] == parent);
                if
                :: !got ->
                    /* tally_borrow_secure */
#ifdef NO_SECURE
                    held = false;
                    if
                    :: true ->
#else
                    if
                    :: atomic { refs[P] > 0 -> assert(state[P] == ALIVE && born[P] == parent);
                            refs[P]++; held = true }
                    :: refs[P] == 0
                    fi;
                    if
                    :: held ->
#endif
                        atomic { !parent_lock -> parent_lock = true };
                        atomic { assert(state[C] == ALIVE); refs[C]++; child = born[C];
                                got = true };
                        parent_lock = false;
                        atomic { assert(state[C] == ALIVE); mem[FLAG(C)] = 1 };
                        if
                        :: held -> drop_parent(); held = false
                        :: else
                        fi;
                        drop_kept();
                        kept_child = true
                    :: else
                    fi
                :: else
                fi;
                if
                :: got -> atomic { assert(state[C] != FREE && born[C] == child &&
                        child == child_of_parent); got = false }
                :: else
                fi
            fi
        :: else
        fi;
        /* safepoint */
        drop_kept();
        atomic { need[P] = need[P] & ~(1 << me); need[C] = need[C] & ~(1 << me); parent = 0;
                child = 0; flag = 0 }
    :: reads == 0 -> break
    od;
    atomic { online = online & ~(1 << me); need[P] = need[P] & online; need[C] = need[C] & online;
            done++ }
}

proctype storer() {
    byte objects = OBJECTS;
    short flag;
    bool last;

    do
    :: atomic { objects > 0 && state[P] == FREE && state[C] == FREE && drained(0) ->
            objects--; state[P] = ALIVE; state[C] = ALIVE; refs[P] = 1; refs[C] = 1; born[P]++;
                    born[C]++; child_of_parent = born[C] };
#ifndef CLEAR_LATE
        store(0, FLAG(P), 0);
        store(0, FLAG(C), 0);
#endif
        store(0, CHILD, 1);
        if
        :: skip
        :: atomic { drained(0) -> mem[FLAG(P)] = 1 }
        fi;
        atomic { drained(0) && !lock -> lock = true };
        atomic { store(0, ROOT, 1); last_in_root = born[P] };
#ifdef CLEAR_LATE
        store(0, FLAG(P), 0);
        store(0, FLAG(C), 0);
#endif
        atomic { drained(0) -> lock = false };
        /* The parent is taken out; the slot's reference is dropped after the unlock. */
        atomic { drained(0) && !lock -> lock = true };
        store(0, ROOT, 0);
        atomic { drained(0) -> lock = false };
        /* Its finalizer has a reference of its own. */
        if
        :: skip
        :: atomic { refs[P] == 1 -> refs[P] = 0; state[P] = DEAD; finalized = true;
                early = mem[FLAG(P)] };
            atomic { refs[P] = 1; state[P] = ALIVE };
            atomic { drained(0) && !lock -> lock = true };
            store(0, ROOT, 1);
            atomic { drained(0) -> lock = false };
            atomic { drained(0) && !lock -> lock = true };
            store(0, ROOT, 0);
            atomic { drained(0) -> lock = false }
        fi;
        drop_parent();
        atomic { finalized = false; early = 0 };
        /* While the dead parent waits, the child's block may become another borrowable object. */
        if
        :: skip
        :: atomic { state[C] == FREE && state[P] == DEAD -> state[C] = ALIVE; refs[C] = 1;
                born[C]++ };
            store(0, FLAG(C), 0);
            atomic { drained(0) -> mem[FLAG(C)] = 1 };
            drop_child()
        fi
    :: objects == 0 && done == READERS && state[P] == FREE && state[C] == FREE -> break
    od;
    assert(refs[P] == 0 && refs[C] == 0 && !waiting[P] && !waiting[C])
}

init {
    atomic {
        online = (1 << READERS) - 1;
        run storer();
        run reader(0);
#if READERS > 1
        run reader(1)
#endif
    }
}
