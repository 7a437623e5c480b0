/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * collect.pml: a collection without a GIL finds an object that holds itself, and runs its finalizer
 * while the world runs. Meanwhile other threads get the object through its weak reference.
 * Stands for nogil/gc/collector.c tally_collector_run, take_garbage, move_resurrected, free_all; of
 * core/objects/weakref.c get, and tally_weakrefs_clear with the world stopped.
 *
 * Bounds: one object with one reference to itself, and one weak reference with a callback. GETTERS
 * threads get and drop it GETS times each. A holder has a reference at first. One thread makes two
 * collections; in the second the finalizer has run already. Full state space.
 *
 * Safety: a thread that has got the object has it whole. The callback is called once, when the
 * object dies and not before. A dead object is not counted. The finalizer runs once. At the end the
 * object is dead.
 *
 * Left out: owners of refcounts (weakref.pml, counts.pml). A stop is one step, in which no thread
 * is within a get.
 */
#ifndef GETTERS
#define GETTERS 2
#endif
#ifndef GETS
#define GETS 2
#endif
byte count = 2;             /* its own and the holder's */
byte in_get;                /* threads between a load of the pointer and the end of a get */
bool referent = true;       /* the weak reference's pointer */
bool whole = true, dead;
byte finalized, called, done;

#ifdef STOP_ANYWHERE
#define stands true
#else
#define stands (in_get == 0)
#endif

inline drop() {
    atomic {
        assert(!dead && count > 0);
        count--;
        if
        :: count == 0 -> dead = true
        :: else
        fi
    }
}

proctype getter() {
    byte gets;
    bool got;
    do
    :: gets < GETS ->
        gets++;
        atomic { in_get++; got = referent };
        if
        :: got -> atomic {
                if
                :: count > 0 -> count++
                :: else -> got = false
                fi
            }
        :: else
        fi;
        if
#ifndef NO_LOOK_AT_POINTER
        :: got && !referent -> got = false; in_get--; drop()
        :: got && referent -> in_get--
#else
        :: got -> in_get--
#endif
        :: !got -> in_get--
        fi;
        if
        :: got -> assert(whole && !dead); assert(whole && !dead); drop(); got = false
        :: else
        fi
    :: gets == GETS -> break
    od;
    done++
}

proctype holder() { drop(); done++ }

inline clear_weakref() { referent = false; calls = true }
inline call() {
    if
    :: calls -> calls = false; called++; assert(called == 1)
    :: else
    fi
}

proctype collector() {
    bool found, calls, foreign;
    byte rounds;
    do
    :: !dead && (rounds == 0 || done == GETTERS + 1) ->
        rounds = 1;
        atomic {
            stands ->
            found = count == 1 && !dead;
            foreign = finalized == 0;
            if
            :: found && !foreign -> count++; clear_weakref()
#ifdef CLEAR_FIRST
            :: found && foreign -> count++; clear_weakref()
#else
            :: found && foreign -> count++
#endif
            :: else
            fi
        };
        if
        :: found && foreign ->
            call();
            finalized++;
            assert(finalized == 1);
            /* The finalizer may look at its weak reference. */
#ifndef CLEAR_LATE
            atomic {
                stands ->
#endif
#ifndef NO_SECOND_LOOK
                if
                :: count > 2 -> found = false       /* it lives on */
                :: else -> clear_weakref()
                fi
#else
                clear_weakref()
#endif
#ifndef CLEAR_LATE
            }
#endif
            ;
            if
            :: !found -> drop()
            :: else
            fi
        :: else
        fi;
        if
        :: found ->
            call();
            whole = false;
            drop();             /* the object's reference to itself */
            drop()              /* the collection's reference */
        :: else
        fi;
        found = false
    :: dead && done == GETTERS + 1 -> break
    od;
    assert(called == 1 && finalized == 1 && !referent)
}

init {
    atomic {
        byte i = 0;
        do
        :: i < GETTERS -> run getter(); i++
        :: else -> break
        od;
        run holder(); run collector()
    }
}
