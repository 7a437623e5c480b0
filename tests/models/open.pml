/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * open.pml: stores to a list without its lock, against an array that opens, closes and gets
 * an item more, and against a critical section. docs/design.md, "Reads without a lock".
 * Stands for core/objects/list.c swap_unlocked, swap_locked, swap_open, open_items, close_items,
 * tally_list_append, tally_list_pop, get_locked; tally_list_exclude_stores in nogil/locks/locks.c.
 *
 * Bounds: a list with two slots in use of three, whose array is plain, then open (a storer with
 * the lock opens it, or not), then plain. Two storers store STORES times each. One thread has the
 * lock twice: to append, or for a section in which it takes the last item out; it reads by way of the lock.
 * All store through buffers. Full state space.
 *
 * Safety: what is taken out was in the list and is taken out once, so its reference is dropped
 * once; what is counted by way of the lock is in the list; in a section nobody else stores;
 * at the end just what was put and not taken out is in the list.
 *
 * Left out: readers without the lock (slot.pml, borrow.pml), for which a frozen slot is a dead object; the grace
 * period of what is replaced (grace.pml).
 */
#ifndef STORES
#define STORES 1
#endif
#define ITEMS 0             /* the list's array: 0 plain, 1 open, 2 the plain one that was made with it */
#define LENGTH 1
#define SLOT(array, i) (2 + 3 * (array) + (i))
#define WORDS 11
#define BUFFERS 3           /* two storers', the third thread's */
#define DEPTH 6
#define ON_STORE(word) skip
#include "buffer.pml"
#define OPEN 1
#define FROZEN 99
#define OTHER 2             /* the third thread */
#define VALUES 9            /* 1, 2: there at first; one for each store, one appended */
#define NOWHERE 0
#define IN 1
#define OUT 2

bool lock;
byte where[VALUES];
byte done;

inline take_lock(p) { atomic { drained(p) && !lock -> lock = true } }
inline drop_lock(p) { atomic { drained(p) -> lock = false } }
inline takes_out(value) { assert(where[value] == IN); where[value] = OUT }
inline puts(value) { assert(where[value] == NOWHERE); where[value] = IN }

/* Lock held, array plain. */
inline open_items(p) {
    i = 0;
    do
    :: i < 3 -> load(p, SLOT(0, i), old); store(p, SLOT(1, i), old); i++
    :: else -> break
    od;
    store(p, ITEMS, OPEN)
}

/* Lock held, array open. */
inline close_items(p) {
    load(p, LENGTH, length);
    i = 0;
    do
    :: i < length ->
#if defined(NO_FREEZE)
        load(p, SLOT(1, i), old);
#elif defined(FREEZE_BY_STORE)
        load(p, SLOT(1, i), old);
        store(p, SLOT(1, i), FROZEN);
#else
        atomic { drained(p) -> old = mem[SLOT(1, i)]; mem[SLOT(1, i)] = FROZEN };
#endif
        store(p, SLOT(2, i), old);
        i++
    :: else -> break
    od;
    store(p, ITEMS, 2)
}

proctype storer(byte p) {
    byte stores = STORES, value = 3 + p * STORES, which, i;
    short array, length, old;
    bool swapped;

    do
    :: stores > 0 ->
        if
        :: which = 0
        :: which = 1
        :: which = 2
        fi;
        /* swap_unlocked */
        load(p, ITEMS, array);
        if
        :: array == OPEN ->
            load(p, LENGTH, length);
            if
#ifdef SWAP_EMPTY
            :: true ->
#else
            :: which < length ->
#endif
                load(p, SLOT(1, which), old);
                do
#ifndef SWAP_FROZEN
                :: old == FROZEN -> break
#endif
#ifndef SWAP_EMPTY
                :: old == 0 -> break
#endif
                :: else ->
#ifdef SWAP_BY_STORE
                    atomic { drained(p) -> mem[SLOT(1, which)] = value; puts(value); takes_out(old); swapped = true; break }
#else
                    atomic {
                        drained(p) ->
                        if
                        :: mem[SLOT(1, which)] == old -> mem[SLOT(1, which)] = value; puts(value); takes_out(old); swapped = true; break
                        :: else -> old = mem[SLOT(1, which)]
                        fi
                    }
#endif
                od
            :: else
            fi
        :: else
        fi;
        if
        :: !swapped ->
            /* swap_locked */
            take_lock(p);
            load(p, ITEMS, array);
            load(p, LENGTH, length);
            if
            :: which < length && array == OPEN ->
#ifdef LOCKED_BY_STORE
                load(p, SLOT(1, which), old);
                atomic { store(p, SLOT(1, which), value); puts(value); takes_out(old) }
#else
                atomic { drained(p) -> old = mem[SLOT(1, which)]; mem[SLOT(1, which)] = value; puts(value); takes_out(old) }
#endif
            :: which < length && array != OPEN ->
                load(p, SLOT(array, which), old);
                atomic { store(p, SLOT(array, which), value); puts(value); takes_out(old) };
                if
                :: array == 0 -> open_items(p)
                :: true
                fi
            :: else
            fi;
            drop_lock(p)
        :: else
        fi;
        stores--;
        d_step { value++; swapped = false; which = 0; i = 0; array = 0; length = 0; old = 0 }
    :: else -> break
    od;
    drained(p) -> done++
}

proctype third() {
    byte turns = 2, i;
    short array, length, old, again;

    do
    :: turns > 0 ->
        turns--;
        take_lock(OTHER);
        load(OTHER, ITEMS, array);
        load(OTHER, LENGTH, length);
        /* get_locked: an open array is not read by way of the lock */
        if
#ifndef READ_OPEN
        :: array != OPEN ->
#else
        :: true ->
#endif
            load(OTHER, SLOT(array, 0), old);
            assert(where[old] == IN)
        :: array == OPEN
        fi;
        if
        :: length == 2 && where[VALUES - 1] == NOWHERE ->
            /* tally_list_append: an open array stays open */
            atomic { store(OTHER, SLOT(array, 2), VALUES - 1); puts(VALUES - 1) };
            store(OTHER, LENGTH, 3)
        :: true ->
            /* a section */
#ifndef SECTION_STAYS_OPEN
            if
            :: array == OPEN -> close_items(OTHER)
            :: else
            fi;
#endif
            load(OTHER, ITEMS, array);
            load(OTHER, LENGTH, length);
            load(OTHER, SLOT(array, length - 1), old);
            load(OTHER, SLOT(array, length - 1), again);
            assert(old == again && where[old] == IN);
            atomic { store(OTHER, SLOT(array, length - 1), 0); takes_out(old) };
            store(OTHER, LENGTH, length - 1)
        fi;
        drop_lock(OTHER);
        d_step { i = 0; array = 0; length = 0; old = 0; again = 0 }
    :: else -> break
    od;
    drained(OTHER) -> done++
}

init {
    byte i, in_list;

    atomic {
        mem[LENGTH] = 2;
        mem[SLOT(0, 0)] = 1;
        mem[SLOT(0, 1)] = 2;
        where[1] = IN;
        where[2] = IN;
        run storer(0);
        run storer(1);
        run third()
    }
    atomic {
        done == 3 ->
        do
        :: i < mem[LENGTH] -> assert(where[mem[SLOT(mem[ITEMS], i)]] == IN); i++
        :: else -> break
        od;
        in_list = i;
        do
        :: i < 3 -> assert(mem[SLOT(mem[ITEMS], i)] == 0); i++
        :: else -> break
        od;
        i = 0;
        do
        :: i < VALUES -> if :: where[i] == IN -> in_list-- :: else fi; i++
        :: else -> break
        od;
        assert(in_list == 0)
    }
}
