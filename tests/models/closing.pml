/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * closing.pml: an owner has found two unreachable objects, to which weak references lead. It clears
 * these without a stop of the world, while other threads look them up, and use what they get.
 * Stands for nogil/gc/young_collection.c clear_weakrefs, close_referents, are_candidates;
 * core/objects/weakref.c get, get_locked, weakref_release, tally_weakrefs_clear_locked;
 * tally_refcount_close, _expose, _try_incref; tally_lock_revoke.
 *
 * Bounds: two objects in a cycle, each with one weak reference, or only the first. GETTERS threads
 * look one of them up, GETS times each. What is got leads to the other object: the thread locks it,
 * and copies the reference to the other, or takes it out; or a third thread borrows what it got;
 * then it drops what it got. A thread may drop the weak reference for good. Full state space.
 *
 * Safety: what a thread has is whole. A look-up fails only if the object dies. If one is got, both
 * live, and both weak references lead to them.
 *
 * Left out: further collections of the owner; callbacks, which weakref.pml has; the borrower, which
 * has the object to the end. The locks of the two weak references are one: the owner holds both,
 * and getters take one at a time.
 */
#ifndef GETTERS
#define GETTERS 2
#endif
#ifndef GETS
#define GETS 2
#endif

bool open[2] = true;        /* maybe shared; else private, and try-increfs fail */
byte shared[2];
bool biased[2] = true;      /* the lock */
bool borrowable[2];
bool linked[2] = true;      /* a weak reference to it is in its list */
bool referent[2] = true;
bool locked;
byte looks[2];              /* threads that use the weak reference */
bool gone[2];               /* there is none any more */
/* For the assertions only. */
bool condemned, failed, lives, in_use;
byte done;

inline acquire() { atomic { !locked -> locked = true } }
inline release() { locked = false }

proctype getter() {
    byte gets, i, j;
    bool got;
    do
    :: gets < GETS ->
        gets++;
        select(i : 0 .. 1);
        j = 1 - i;
        got = false;
        atomic {
            if
            :: !gone[i] -> looks[i]++
            :: gone[i] -> goto next
            fi
        };
        if
        :: !referent[i] -> goto none
        :: referent[i]
        fi;
        atomic {
            if
            :: open[i] -> shared[i]++; got = true
            :: else
            fi
        };
        if
        :: !got ->
#ifndef NO_LOCK_AFTER_CLOSED
            acquire();
            atomic {
                if
                :: referent[i] && open[i] -> shared[i]++; got = true
                :: else
                fi
            };
            release()
#endif
        :: else ->
            if
            :: !referent[i] -> shared[i]--; got = false    /* dropped later */
            :: referent[i]
            fi
        fi;
        if
        :: got -> assert(!condemned)
        :: else -> goto none
        fi;
        if
        :: atomic { looks[i] == 1 && !locked ->    /* drops it for good */
               gone[i] = true; linked[i] = false; referent[i] = false }
        :: true
        fi;
        looks[i]--;
        if
        :: biased[i] = false;
           atomic { shared[j]++; open[j] = true; assert(!condemned) };
           shared[i]--;
           assert(!condemned);
           shared[j]--
        :: biased[i] = false;
           in_use = true;
           shared[i]--
        :: atomic { borrowable[i] = true; in_use = true };
           shared[i]--
        :: assert(!condemned); shared[i]--
        fi;
        goto next;
none:   looks[i]--;
        failed = true;
next:   skip
    :: else -> break
    od;
    done++
}

#ifdef LIST_FOR_STATE
#define has_to_be_closed(i) (linked[i])
#else
#define has_to_be_closed(i) (open[i])
#endif

inline look(i) {
#ifdef NO_LOOK_AFTER_CLOSING
    skip
#else
    if
    :: shared[i] == 0 ->
        if
        :: !borrowable[i] && biased[i]
        :: else -> given_up = true
        fi
    :: else -> given_up = true
    fi
#endif
}

proctype owner() {
    byte i;
    bool alive, given_up, holds;
    if
    :: has_to_be_closed(0) || has_to_be_closed(1)
    :: else -> goto clear
    fi;
    acquire();
    holds = true;
#ifdef CLEAR_FIRST
    referent[0] = false; referent[1] = false;
#endif
#ifdef LOOK_BEFORE_CLOSING
    look(0); look(1);
#endif
    i = 0;
    do
    :: i < 2 && !alive && !given_up ->
#ifdef NO_CLOSE
        alive = shared[i] > 0;
#else
        atomic {
            if
            :: !has_to_be_closed(i)
            :: has_to_be_closed(i) && shared[i] == 0 -> open[i] = false
            :: else -> alive = true
            fi
        };
#endif
        i++
    :: else -> break
    od;
#ifndef LOOK_BEFORE_CLOSING
    if
    :: !alive -> look(0); look(1)
    :: alive
    fi;
#endif
    if
    :: alive || given_up ->
        lives = true;
#ifdef UNLOCK_BEFORE_OPENING
        release();
        open[0] = true; open[1] = true;
#else
        open[0] = true; open[1] = true;
        release();
#endif
        goto end
    :: else
    fi;
clear:
    referent[0] = false; referent[1] = false;
    atomic { linked[0] = false; linked[1] = false; condemned = true };
    if
    :: holds -> release()
    :: else
    fi;
end:
    done == GETTERS;
    assert(!(lives && condemned));
    assert(!(in_use && condemned));
    assert(condemned || !failed);
    assert(condemned || ((referent[0] || gone[0]) && (referent[1] || gone[1])))
}

init {
    byte n;
    atomic {
        if
        :: true
        :: gone[1] = true; linked[1] = false; referent[1] = false; open[1] = false
        fi;
        do
        :: n < GETTERS -> run getter(); n++
        :: else -> break
        od;
        run owner()
    }
}
