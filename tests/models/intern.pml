/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * intern.pml: the lock-free look-up of an interned str, against the death of the str, its removal
 * from the table, and the reuse of its block.
 * Stands for core/objects/interned.c tally_str_intern, find_living, find_or_add, add,
 * tally_interned_forget; core/objects/borrow.c tally_dealloc_borrowable.
 *
 * Bounds: one text, so one place of the table. BLOCKS blocks for strs. THREADS threads, each of
 * which interns the text and drops it ROUNDS times. Full state space.
 *
 * Safety: two strs of the text are never alive at once, so all holders have the same one. A look-up
 * touches only a block that is the str which it found, dead or alive. A str dies once. At the end
 * the place is empty and all blocks are free.
 *
 * Left out: memory that is not sequentially consistent, since counts change by read-modify-write
 * and the table under a mutex; the halves of a count (slot.pml); how a grace period comes about
 * (grace.pml): here a block waits for each thread that is in a read section when the block is
 * retired; a table that grows.
 */
#ifndef BLOCKS
#define BLOCKS 4
#endif
#ifndef THREADS
#define THREADS 3
#endif
#ifndef ROUNDS
#define ROUNDS 1
#endif

byte place;                 /* the block of the interned str; 0: none */
bool mutex;
byte count[BLOCKS + 1];     /* references; 0: dead, or no str */
bool used[BLOCKS + 1];      /* from its allocation until a grace period after its death */
byte waits[BLOCKS + 1];     /* for these threads, a bit for each */
bool retired[BLOCKS + 1];
byte reading;               /* threads that are in a read section */
/* For the assertions only. */
byte living;
byte made[BLOCKS + 1];      /* how often the block was allocated */

inline lock() { atomic { !mutex -> mutex = true } }
inline unlock() { mutex = false }

/* No thread reads the block any more. */
inline free_block(b) {
    d_step { assert(count[b] == 0); used[b] = false; retired[b] = false }
}

/* A safepoint. */
inline quiesce() {
    atomic {
        reading = reading & ~mine;
        i = 1;
        do
        :: i <= BLOCKS ->
            waits[i] = waits[i] & ~mine;
            if
            :: retired[i] && waits[i] == 0 -> free_block(i)
            :: else
            fi;
            i++
        :: else -> break
        od;
        i = 0
    }
}

inline allocate() {
    atomic {
        b = 1;
        do
        :: used[b] -> b++
        :: else -> break
        od;
        assert(b <= BLOCKS);
        used[b] = true;
        made[b]++
    }
}

/* Reads the str that is found, then takes a reference if the str is alive. */
inline look() {
    atomic { found = place; was = made[found] };
    if
    :: found != 0 ->
        assert(used[found] && made[found] == was);
        atomic {
            assert(used[found] && made[found] == was);
            if
#ifdef INCREF_DEAD
            :: true -> if :: count[found] == 0 -> living++ :: else fi; count[found]++; got = found
#else
            :: count[found] > 0 -> count[found]++; got = found
            :: else
#endif
            fi
        }
    :: else
    fi;
    d_step { found = 0; was = 0 }
}

/* The last reference is gone. */
inline dies() {
#ifdef RETIRE_FIRST
    d_step { waits[got] = reading; retired[got] = true };
    quiesce();
    atomic { reading = reading | mine };
#endif
    lock();
#ifdef REMOVE_ANY
    place = 0;
#else
    if
    :: place == got -> place = 0
    :: else
    fi;
#endif
    unlock();
#ifdef NO_GRACE
    free_block(got)
#else
#ifndef RETIRE_FIRST
    d_step { waits[got] = reading; retired[got] = true }
#endif
#endif
}

proctype thread(byte mine) {
    byte rounds = ROUNDS, found, was, got, b, i;
    bool dead;

    do
    :: rounds > 0 ->
        rounds--;
        reading = reading | mine;
        look();
        if
        :: got == 0 ->
            allocate();
            lock();
#ifndef NO_SECOND_LOOK
            look();
#endif
            if
            :: got == 0 -> atomic { count[b] = 1; living++; assert(living == 1); place = b;
                    got = b }
            :: else
            fi;
            unlock();
            if
            :: got != b -> free_block(b)
            :: else
            fi;
            b = 0
        :: else
        fi;
        /* The thread holds the str, with or without a safepoint meanwhile. */
        assert(count[got] > 0 && living == 1);
        if
        :: quiesce(); reading = reading | mine
        :: true
        fi;
        atomic {
            assert(count[got] > 0 && living == 1);
            count[got]--;
            if
            :: count[got] == 0 -> living--; dead = true
            :: else
            fi
        };
        if
        :: dead -> dies()
        :: else
        fi;
        d_step { dead = false; got = 0 };
        quiesce()
    :: else -> break
    od
}

init {
    atomic {
        run thread(1);
        run thread(2);
#if THREADS > 2
        run thread(4)
#endif
    }
    _nr_pr == 1;
    assert(place == 0 && living == 0);
    byte k = 1;
    do
    :: k <= BLOCKS -> assert(!used[k] && count[k] == 0); k++
    :: else -> break
    od
}
