/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * walk.pml: a step of a walk over a dict without its lock, while a writer removes, adds and
 * replaces entries and clears the dict.
 * Stands for core/objects/dict.c walk_unlocked; core/objects/table.c append_entry,
 * remove_entry, move_first, tally_table_put, tally_table_clear.
 *
 * Bounds: a table of three entries, two of them filled. The writer changes it CHANGES times,
 * through a store buffer. The walker makes one step, which begins at the first or the last entry
 * with the count of changes that the dict had at first. Full state space.
 *
 * Safety: the result of a step without the lock (an entry's value, or that there are no more) is
 * one that a step with the lock could have given at one moment of the call, and at that moment the
 * number of keys had not been changed.
 *
 * Left out: taking a reference, and the look at the slot after it (slot.pml); freeing of tables and
 * removed keys (grace.pml); a new table, which a walk meets like a clear; changes under the lock by
 * another writer, which come one after the other.
 */
#ifndef CHANGES
#define CHANGES 3
#endif
#define ENTRIES 3
#define TABLE 0             /* 1: the table that the walk began with; 0: another, or none */
#define COUNT 1             /* of changes of the set of keys: the version */
#define USED 2
#define FIRST 3             /* all entries before it are removed */
#define AT(i) (4 + (i))     /* 0: removed, or not filled yet */
#define WORDS 7
#define BUFFERS 1           /* the writer's; the walker stores nothing */
#define DEPTH 4
#define ON_STORE(word) skip
#include "buffer.pml"

/* The dict as a step with the lock sees it, before and after the change under way. */
typedef contents { byte at[ENTRIES]; byte used; bool changed }
contents before, after;
bool walking;
byte start;                 /* of the walk */
bool allowed[8];            /* a value; 0: no more entries */
hidden byte i_;

inline allow(c) {
    if
    :: !c.changed ->
        i_ = start;
        do
        :: i_ < c.used && c.at[i_] == 0 -> i_++
        :: else -> break
        od;
        if
        :: i_ < c.used -> allowed[c.at[i_]] = true
        :: else -> allowed[0] = true
        fi;
        i_ = 0
    :: else
    fi
}
/* One of the two has changed, or the walk has begun. */
inline allow_both() {
    if
    :: walking -> allow(before); allow(after)
    :: else
    fi
}
/* All stores of a change are in memory: the lock's release, a read-modify-write. */
inline end_change() {
    d_step {
        drained(0) ->
        before.at[0] = after.at[0]; before.at[1] = after.at[1]; before.at[2] = after.at[2];
        before.used = after.used;
        before.changed = after.changed;
        allow_both()
    }
}
/* After a removal: all entries before the next filled one are removed. */
inline move_first() {
    d_step {
        if
        :: entry == first ->
            do
            :: first < after.used && after.at[first] == 0 -> first++
            :: else -> break
            od;
            store(0, FIRST, first)
        :: else
        fi
    }
}
inline count_change() { d_step { count++; store(0, COUNT, count) } }

proctype writer() {
    byte left = CHANGES, entry, value = ENTRIES, count, first;

    do
    :: left > 0 ->
        left--;
        if
        :: entry = 0
        :: entry = 1
        :: entry = 2
        fi;
        if
        :: after.at[entry] != 0 -> /* a removal */
            d_step { after.at[entry] = 0; after.changed = true; allow_both() };
#ifdef FIRST_THEN_COUNT
            move_first();
#endif
#ifdef REMOVE_THEN_COUNT
            store(0, AT(entry), 0);
            count_change();
#else
            count_change();
            store(0, AT(entry), 0);
#endif
#ifndef FIRST_THEN_COUNT
            move_first()
#else
            skip
#endif
        :: after.at[entry] != 0 && value < 7 -> /* another value */
            d_step { value++; after.at[entry] = value; allow_both() };
            store(0, AT(entry), value)
        :: after.used < ENTRIES && value < 7 -> /* a new key */
            d_step { value++; after.at[after.used] = value; after.used++; after.changed = true;
                    allow_both() };
#ifdef ADD_THEN_COUNT
            store(0, AT(after.used - 1), value);
            store(0, USED, after.used);
            count_change()
#else
            count_change();
            store(0, AT(after.used - 1), value);
            store(0, USED, after.used)
#endif
        :: after.used > 0 -> /* a clear */
            d_step { after.at[0] = 0; after.at[1] = 0; after.at[2] = 0; after.changed = true;
                    allow_both() };
            left = 0;
#ifndef CLEAR_VALUES_FIRST
            store(0, TABLE, 0);
#endif
            store(0, AT(0), 0);
            store(0, AT(1), 0);
#ifdef CLEAR_VALUES_FIRST
            store(0, TABLE, 0)
#endif
        :: else
        fi;
        end_change()
    :: left == 0 -> break
    od
}

proctype walker() {
    short table, now, used, value;
    byte at = start;

    d_step { walking = true; allow_both() };
    table = mem[TABLE];
    now = mem[COUNT];
    if
    :: table == 0 || now != 0 -> goto with_the_lock
    :: else
    fi;
#ifdef LOOK_AGAIN_FIRST
    now = mem[COUNT];
    table = mem[TABLE];
#endif
    used = mem[USED];
    value = mem[FIRST];
    if
    :: at < value -> at = value
    :: else
    fi;
    value = 0;
    do
    :: at < used ->
        value = mem[AT(at)];
        if
        :: value != 0 -> break
        :: else -> at++
        fi
    :: else -> break
    od;
#if !defined(LOOK_AGAIN_FIRST) && !defined(NO_SECOND_LOOK)
    now = mem[COUNT];
#ifndef NO_LOOK_AT_TABLE
    table = mem[TABLE];
#endif
#endif
    if
    :: table == 0 || now != 0 -> goto with_the_lock
    :: else
    fi;
    assert(allowed[value]);
with_the_lock:
    walking = false
}

init {
    atomic {
        mem[TABLE] = 1;
        mem[USED] = 2;
        mem[AT(0)] = 1;
        mem[AT(1)] = 2;
        before.at[0] = 1; before.at[1] = 2; before.used = 2;
        after.at[0] = 1; after.at[1] = 2; after.used = 2;
        if
        :: start = 0
        :: start = 2
        fi;
        run writer();
        run walker()
    }
}
