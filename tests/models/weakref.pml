/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * weakref.pml: the lock-free look-up of a weak reference, while its referent dies through a
 * finalizer and its block becomes another object, and while the reference itself dies.
 * Stands for core/objects/weakref.c tally_weakref_new, get, tally_weakrefs_clear, weakref_release;
 * core/objects/death.c tally_dealloc_finalize, destroy_children, tally_dealloc_free; of the
 * refcounts tally_refcount_expose, _try_incref, _drop, _revive, _drop_last (the states of biased
 * refcounts; counts.pml has the queue, so a decref by another thread is one step here).
 *
 * Bounds: one referent with an owner and a finalizer. A maker, another thread with a counted
 * reference, makes one weak reference W with a callback, shares it with two getters, and drops
 * both. Each getter holds W, looks it up GETS times, and drops W. The referent's block becomes
 * another object, exposed too, at any time after it is freed. Full state space.
 *
 * Safety: a getter gets the referent, alive or in its finalizer, which stays until the getter drops
 * it. A look-up fails only if the referent is dead (its count has been 0). No thread touches a
 * freed referent's list or a freed weak reference. Each is freed once. The finalizer runs once, the
 * callback at most once. At the end all are freed.
 *
 * Left out: several references to one referent; the collector's clearing, which is done with the
 * world stopped. No store buffers: every store here is followed by its thread's next
 * read-modify-write, the unlock, before anything that depends on it.
 */
#ifndef GETS
#define GETS 1
#endif
#define D 0
#define S 1
#define Q 2
#define M 3
#define ONE 4

/* The referent's block. */
byte half;                  /* local count; owner while it is not 0 */
bool owned = true;
short shared = D;
bool list;                  /* W is in its list */
bool queued;                /* in the owner's queue */
/* The weak reference. */
bool referent;              /* its pointer; false: cleared */
short w_count;              /* merged: the whole count; 0: dead */
bool made;
bool lock;                  /* by the referent's address */
/* For the assertions only. */
byte generation;            /* of the object in the block: 0 the referent */
bool freed, dead;           /* the block's; dead: the referent's count has been 0 */
bool w_freed;
byte finalized, called;
byte refs;                  /* to the object in the block */
byte done;

#define acquire() atomic { !lock -> lock = true }
#define release() lock = false

/* weakref_release */
inline w_release() {
#ifndef RELEASE_WITHOUT_LOCK
    acquire();
#endif
    if
    :: referent ->
        assert(!freed && generation == 0);
        list = false;
#ifndef RELEASE_KEEPS_REFERENT
        referent = false
#endif
    :: else
    fi;
#ifndef RELEASE_WITHOUT_LOCK
    release()
#endif
}
/* The reference leaves the list when it dies, and again when its memory is freed, perhaps later: a
 * thread may have borrowed it. */
inline w_dies() {
    w_release();
    w_release();
    atomic { assert(!w_freed); w_freed = true }
}
inline w_drop() {
    atomic { assert(!w_freed && w_count > 0); w_count--; last = w_count == 0 };
    if
    :: last -> last = false; w_dies()
    :: else
    fi
}

/* tally_weakrefs_clear and _call */
inline clear() {
#ifdef CLEAR_WITHOUT_LOCK
    walks = list;
#else
    acquire();
    walks = list;
#endif
    if
    :: walks ->
        list = false;
        assert(!w_freed);
        referent = false;
        /* tally_refcount_try_incref_weak of the reference, for its callback */
        atomic {
            assert(!w_freed);
            if
#ifdef CALL_WITHOUT_INCREF
            :: true -> calls = true; w_count++
#else
            :: w_count > 0 -> calls = true; w_count++
            :: else
#endif
            fi
        }
    :: else
    fi;
    walks = false;
#ifndef CLEAR_WITHOUT_LOCK
    release();
#endif
    if
    :: calls ->
        atomic { calls = false; called++; assert(called == 1 && !w_freed) };
        w_drop()
    :: else
    fi
}

/* destroy_children, by the thread that dropped the last reference; the count says dead. */
inline dies() {
    if
    :: generation > 0 -> atomic { assert(!freed); freed = true }
    :: else ->
        lives = false;
        if
        :: finalized == 0 ->
            /* finalize: revive, the finalizer, drop_last */
            finalized++;
            atomic { assert(shared == M && refs == 0); shared = M + ONE; refs++ };
            atomic {
                assert(finalized == 1);
                refs--;
#ifdef DROP_LAST_BY_STORE
                shared = M
#else
                shared = shared - ONE;
                lives = shared != M
#endif
            }
        :: else
        fi;
        if
        :: !lives ->
#ifdef FREE_THEN_CLEAR
            atomic { assert(!freed && refs == 0); freed = true };
            clear()
#else
            clear();
            atomic { assert(!freed && refs == 0 && generation == 0); freed = true }
#endif
        :: else -> lives = false
        fi
    fi
}

/* A decref by another thread than the owner; the owner merges entries. */
inline drop_other() {
    atomic {
        assert(!freed && refs > 0 && shared != M);
        refs--;
        if
        :: (shared == D || shared == S) && owned -> shared = Q; queued = true
        :: else -> shared = shared - ONE; last = shared == M; dead = dead || (last &&
                generation == 0)
        fi
    };
    if
    :: last -> last = false; dies()
    :: else
    fi
}

/* get; got: it gave the referent. */
inline look_up() {
    was_dead = dead;        /* before the call */
    got = referent;
    if
    :: got ->
        /* tally_refcount_try_incref: compare-and-swap */
        seen = shared;
        do
#ifdef INCREF_DEAD
        :: true ->
#else
        :: atomic { seen == M || (seen & 3) == D -> got = false; break }
        :: !(seen == M || (seen & 3) == D) ->
#endif
            atomic {
                if
                :: shared == seen -> shared = seen + ONE; refs++; break
                :: else -> seen = shared
                fi
            }
        od;
        if
        :: got ->
#ifndef NO_SECOND_LOOK
            if
            :: referent
            :: !referent -> got = false; drop_other()
            fi
#endif
        :: else
        fi
    :: else
    fi;
    seen = 0
}

proctype getter() {
    short seen;
    byte gets = GETS;
    bool got, was_dead, last, lives, walks, calls;

    (made);
    do
    :: gets > 0 ->
        gets--;
        assert(!w_freed);
        look_up();
        if
        :: got ->
            assert(!was_dead || finalized > 0);
            assert(!freed && generation == 0 && refs > 0);
            drop_other()
        :: else -> assert(dead)
        fi;
        got = false;
        was_dead = false
    :: gets == 0 -> break
    od;
    w_drop();
    done++
}

/* tally_weakref_new, by a thread with a counted reference. */
proctype maker() {
    bool last, lives, walks, calls;

#ifndef NO_EXPOSE
    atomic {
        assert(!freed);
        if
        :: (shared & 3) == D -> shared = shared | S
        :: else
        fi
    };
#endif
    referent = true;
    w_count = 3;            /* its own and the getters' */
    acquire();
    assert(!freed && generation == 0);
    list = true;
    release();
    made = true;
    drop_other();
    w_drop();
    done++
}

proctype owner() {
    bool last, lives, walks, calls, drops = true;
    short seen;

    do
    :: drops ->
        drops = false;
        /* tally_refcount_drop */
        if
        :: !owned -> drop_other()
        :: owned && half > 1 -> atomic { half--; refs-- }
        :: owned && half == 1 ->
            atomic { refs--; seen = shared };
            if
            :: seen == D -> shared = M; atomic { owned = false; half = 0; dead = true }; dies()
            :: else ->
                atomic { owned = false; half = 0 };
                atomic {
                    shared = (shared & ~3) | M;
                    last = shared == M;
                    dead = dead || last
                };
                if
                :: last -> last = false; dies()
                :: else
                fi
            fi
        fi;
        seen = 0
    :: queued ->
        /* merge_and_drop */
        atomic { queued = false; seen = (owned -> half : 0); owned = false; half = 0 };
        atomic {
            assert(!freed);
            shared = ((shared >> 2) + seen - 1) * ONE + M;
            seen = 0;
            last = shared == M;
            dead = dead || last
        };
        if
        :: last -> last = false; dies()
        :: else
        fi
    :: freed && generation == 0 ->
        /* A new object in the block, exposed and held by another thread. */
        atomic { generation = 1; freed = false; refs = 1; shared = M + ONE };
        drop_other()
    :: !drops && !queued && done == 3 && freed && generation == 1 -> break
    od;
    assert(w_freed && !list && finalized == 1)
}

init {
    atomic { half = 2; refs = 2; run owner(); run maker(); run getter(); run getter() }
}
