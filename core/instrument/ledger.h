/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ledger.h: what a heap snapshot tells of memory that is no object: the process's mappings, and the
 * allocator's arenas, pools and large blocks. docs/reference/heap-snapshot.md has the order.
 */
#ifndef TALLY_LEDGER_H
#define TALLY_LEDGER_H

#include "tally.h"
#include "tally_heap_format.h"
#include <stdbool.h>

enum { TALLY_LEDGER_KINDS = 3 /* TALLY_KINDS */ };

/* Large blocks of a kind; waiting: bytes that wait for a grace period. */
typedef struct tally_ledger_large {
    uint64_t blocks, bytes, resident, waiting;
} tally_ledger_large;

typedef struct tally_ledger_mapping {
    uintptr_t start, end;
    uint64_t resident;
} tally_ledger_mapping;

typedef struct tally_ledger {
    uint64_t resident;                 /* the kernel's VmRSS in bytes; 0: unknown */
    uint64_t mapped[TALLY_HEAP_PARTS]; /* resident bytes by kind of mapping */
    uint64_t in_use;                   /* of malloc, resident or not; 0: unknown */
    uint64_t unused;                   /* of malloc, resident */
    tally_ledger_large large[TALLY_LEDGER_KINDS];
    tally_ledger_mapping *anonymous; /* mappings among which are the stacks of threads */
    size_t anonymous_count, anonymous_capacity;
    bool failed; /* no memory */
} tally_ledger;

/* Right before the stop. The caller has allocated nothing for the snapshot yet, so its memory is
 * not in there. It is no safepoint, which would change the queues that the snapshot shows. */
void tally_ledger_begin(tally_ledger *ledger);
void tally_ledger_end(tally_ledger *ledger);
/* World stopped. For each large block, before tally_ledger_put. */
void tally_ledger_count(tally_ledger *ledger, tally_object *block);
/* World stopped. Calls put for each number. False: no memory, and the numbers are not complete. */
bool tally_ledger_put(tally_ledger *ledger, void (*put)(void *context, uint64_t number),
                      void *context);

#endif
