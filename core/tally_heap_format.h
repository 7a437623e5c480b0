/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tally_heap_format.h: the constants of a heap snapshot's format, which
 * docs/reference/heap-snapshot.md describes. tally_heap_snapshot writes it and `tally heap` reads
 * it. A change of the format gets a new version. The header needs no other, and no backend.
 */
#ifndef TALLY_HEAP_FORMAT_H
#define TALLY_HEAP_FORMAT_H

#define TALLY_HEAP_MAGIC "TallyHp\n" /* 8 bytes */

enum {
    TALLY_HEAP_VERSION = 3, /* 1 had no ledger; 2 no hashes, no immutable types and no queues */
    TALLY_HEAP_ADDRESS_SHIFT = 3, /* addresses are in units of 8 bytes */
    TALLY_HEAP_TEXT = 48,         /* bytes of the longest str that is kept whole */
    TALLY_HEAP_CUT = 36,          /* bytes that are kept of a longer one, before its hash */
    TALLY_HEAP_HASH = 8           /* bytes of a hash */
};

/* What follows the counts of an object, by its type. */
enum tally_heap_layout {
    TALLY_HEAP_NOTHING,
    TALLY_HEAP_INT,
    TALLY_HEAP_FLOAT,
    TALLY_HEAP_STR,
    TALLY_HEAP_WEAKREF, /* the referent, which it does not hold */
    TALLY_HEAP_SLOTS,   /* references by slot; the type has the names */
    TALLY_HEAP_ITEMS,   /* references by index */
    TALLY_HEAP_NATIVE,  /* references in the order in which the type's traverse visits them */
    TALLY_HEAP_KEYS,    /* keys and values */
    TALLY_HEAP_NAMES,   /* names and values of attributes */
    TALLY_HEAP_TYPE,    /* the same; then the names of the slots of the instances */
    TALLY_HEAP_LAYOUTS
};

/* Bits of a type. */
enum {
    TALLY_HEAP_CLASS = 1, /* each instance holds a reference to the class */
    TALLY_HEAP_FINALIZER = 2,
    TALLY_HEAP_IMMUTABLE = 4 /* equal values could be one object: int, float, str, tuple */
};

/* The state of a refcount, in the low bits of an object's flags. */
enum tally_heap_state {
    TALLY_HEAP_WHOLE,   /* one word counts all references (gil, atomic) */
    TALLY_HEAP_PRIVATE, /* the next four are the states of a biased refcount */
    TALLY_HEAP_MAYBE_SHARED,
    TALLY_HEAP_QUEUED,
    TALLY_HEAP_MERGED,
    TALLY_HEAP_PER_THREAD, /* each thread counts it in an array of its own */
    TALLY_HEAP_IMMORTAL,
    TALLY_HEAP_STATES
};
/* The other flags of an object. */
enum {
    TALLY_HEAP_STATE_MASK = 7,
    TALLY_HEAP_BORROWABLE = 8, /* a thread may hold it borrowed */
    TALLY_HEAP_FINALIZED = 16, /* its finalizer has run */
    TALLY_HEAP_TRACKED = 32,   /* the collector examines it */
    TALLY_HEAP_FROZEN = 64,    /* but ignores it */
    TALLY_HEAP_AGE_SHIFT = 7   /* above: the generation of a tracked object, plus 1; 0: unknown */
};

/* Where a thread is. */
enum { TALLY_HEAP_GONE, TALLY_HEAP_RUNNING, TALLY_HEAP_BLOCKED, TALLY_HEAP_PLACES };

/* Kinds of mappings of the process. */
enum tally_heap_part {
    TALLY_HEAP_ARENAS,
    TALLY_HEAP_SIDE_MARKS,
    TALLY_HEAP_MALLOC, /* the part that brk gives; others are anonymous */
    TALLY_HEAP_STACKS, /* of the first thread, and of attached ones */
    TALLY_HEAP_CODE,
    TALLY_HEAP_DATA, /* other parts of the files that have code, and files that are mapped */
    TALLY_HEAP_ANONYMOUS,
    TALLY_HEAP_PARTS
};

/* Kinds of pools; from TALLY_HEAP_POOL_USED on those of a heap. */
enum tally_heap_pool {
    TALLY_HEAP_POOL_FREE,
    TALLY_HEAP_POOL_WAITING, /* for a grace period */
    TALLY_HEAP_POOL_PLAIN,
    TALLY_HEAP_POOL_CONTAINERS,
    TALLY_HEAP_POOL_RAW, /* the contents of objects, and the run time's own */
    TALLY_HEAP_POOLS,
    TALLY_HEAP_POOL_USED = TALLY_HEAP_POOL_PLAIN
};

#endif
