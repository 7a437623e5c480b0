/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * young.pml: an owner collects its young objects, while another thread that was handed a reference
 * to one of them uses and changes what it reaches.
 * Stands for nogil/gc/young_collection.c look_at, count_references, reach_from_outside, reach; of
 * the refcounts tally_refcount_is_unshared, incref, decref; of the locks tally_lock_fast,
 * tally_lock_revoke.
 *
 * Bounds: a ring of three objects that the owner has made. At first one of them, or none, has one
 * more reference, which the owner's half counts: a container of the owner has it, which others
 * read, or the other thread, which was handed it. The other thread makes OPERATIONS of its choice:
 * under the lock it takes what an object refers to, or a counted copy of it, or puts what it has
 * taken into an object; it drops a reference. With TUPLES it reads without a lock, and objects do
 * not change. The owner collects ROUNDS times, and drops its reference in between, if it has one.
 * Full state space.
 *
 * Safety: what the other thread can use is alive. No object changes while the owner traverses it.
 * At the end an object to which no thread leads is dead, if nobody but the owner has used one.
 *
 * Left out: weak references (closing.pml); several referrers of one object; the fence of a biased
 * lock (bias.pml). A stop of the world, a claim, and a change of owners, since a thread comes to no
 * safepoint within.
 */
#ifndef ROUNDS
#define ROUNDS 2
#endif
#ifndef OPERATIONS
#define OPERATIONS 3
#endif
#define N 3
#define NONE 7

byte slot[N] = NONE;        /* what the object refers to */
byte half[N], shared[N];   /* the halves */
bool queued[N];             /* an entry for its owner has one of the references of half */
bool biased[N] = true;      /* its lock; false: free, or the other thread's */
byte inside = NONE;         /* the mark of the owner's biased lock */
byte has_local[N], has_shared[N]; /* references of the other thread, by the half that counts them */
byte own = NONE;            /* what the owner's container has a reference to */
/* For the assertions only. */
byte traversed = NONE;
bool dead[N], used, done;

#ifdef NO_SHARED_HALF
#define UNSHARED(i) true
#else
#define UNSHARED(i) (shared[i] == 0)
#endif
#define has(i) (has_local[i] + has_shared[i] > 0)

/* ---- the other thread --------------------------------------------------------- */

inline lock(i) {
    biased[i] = false;
    inside != i
}
inline use(i) { assert(!dead[i]); used = true }

inline take(i) {
    lock(i);
    atomic {
        use(i);
        assert(traversed != i);
        if
        :: slot[i] != NONE -> has_local[slot[i]]++; slot[i] = NONE
        :: else
        fi
    }
}
inline copy(i) {
#ifndef TUPLES
    lock(i);
#endif
    atomic {
        use(i);
        if
        :: slot[i] != NONE -> assert(!dead[slot[i]]); shared[slot[i]]++; has_shared[slot[i]]++
        :: else
        fi
    }
}
inline put(i, c) {
    lock(i);
    atomic {
        use(i);
        assert(traversed != i);
        if
        :: slot[i] == NONE && has_local[c] > 0 -> has_local[c]--; slot[i] = c
        :: else
        fi
    }
}

proctype other() {
    byte operations, i, c;
    do
    :: atomic { operations < OPERATIONS ->
        operations++; select(i : 0 .. 2); select(c : 0 .. 2) };
        if
#ifndef TUPLES
        :: has(i) -> take(i)
        :: has(i) && has_local[c] > 0 -> put(i, c)
#endif
        :: has(i) -> copy(i)
        :: atomic { own != NONE -> use(own); shared[own]++; has_shared[own]++ }
        :: atomic { has_shared[i] > 0 -> assert(!dead[i]); has_shared[i]--; shared[i]-- }
        :: atomic { has_local[i] > 0 -> assert(!dead[i]); has_local[i]--; queued[i] = true }
        :: !has(i)
        fi
    :: true -> break
    od;
    done = true
}

/* ---- the owner -------------------------------------------------------------------- */

/* Under its biased lock; given_up: another thread has had it. */
inline traverse(i, child) {
#ifndef NO_MARK
    inside = i;
#endif
    if
    :: biased[i] -> traversed = i; child = slot[i]; traversed = NONE
    :: !biased[i] -> child = NONE; given_up = given_up || checked
    fi;
    inside = NONE
}

proctype owner() {
    bool candidate[N], reached[N], gray[N], given_up, checked;
    byte counted[N], rounds, i, child;
    do
    :: rounds < ROUNDS ->
        d_step { rounds++; given_up = false; checked = true; i = 0 };
        /* 1 */
        do
        :: i < N ->
            atomic {
                candidate[i] = !dead[i] && !queued[i] && biased[i] && UNSHARED(i);
                counted[i] = 0; reached[i] = false; gray[i] = false; i++
            }
        :: else -> break
        od;
        /* 2 */
        i = 0;
        do
        :: i < N && candidate[i] ->
            traverse(i, child);
            d_step {
                if
                :: child != NONE && candidate[child] -> counted[child]++
                :: else
                fi;
                child = NONE; i++
            }
        :: i < N && !candidate[i] -> i++
        :: else -> break
        od;
        /* 3 */
#ifdef REACH_ON
        checked = false;
#else
        checked = true;
#endif
        i = 0;
        do
        :: i < N ->
            d_step {
                if
                :: candidate[i] && !reached[i] && (half[i] != counted[i] || !UNSHARED(i)) ->
                    reached[i] = true; gray[i] = true
                :: else
                fi;
                i++
            }
        :: else -> break
        od;
        do
        :: gray[0] || gray[1] || gray[2] ->
            d_step { i = (gray[0] -> 0 : (gray[1] -> 1 : 2)); gray[i] = false };
#ifdef REACH_WITHOUT_BIAS
            child = slot[i];
#else
            traverse(i, child);
#endif
            d_step {
                if
                :: child != NONE && candidate[child] && !reached[child] ->
                    reached[child] = true; gray[child] = true
                :: else
                fi;
                child = NONE
            }
        :: else -> break
        od;
        if
        :: given_up
        :: else -> atomic {
            i = 0;
            do
            :: i < N ->
                if
                :: candidate[i] && !reached[i] -> assert(!has(i) && own != i); dead[i] = true
                :: else
                fi;
                i++
            :: else -> break
            od
        }
        fi;
        if
        :: own != NONE -> atomic { half[own]--; own = NONE }
        :: else
        fi
    :: else -> break
    od;
    done;
    assert(ROUNDS == 1 || used || own != NONE || has(0) || has(1) || has(2) || dead[0] ||
           queued[0] || queued[1] || queued[2])
}

init {
    byte first;
    atomic {
        slot[0] = 1; slot[1] = 2; slot[2] = 0;
        half[0] = 1; half[1] = 1; half[2] = 1;
        select(first : 0 .. 2);
        if
        :: half[first]++; own = first
        :: half[first]++; has_local[first]++
        :: true
        fi;
        run owner();
        run other()
    }
}
