/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ledger.h: what a heap snapshot tells of memory that is no object: the process's mappings, and the
 * allocator's arenas, pools and large blocks. docs/reference/heap-snapshot.md has the order.
 */
#ifndef TALLY_LEDGER_H
#define TALLY_LEDGER_H

#include "tally_heap_format.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct tally_ledger {
    uint64_t resident;                 /* the kernel's VmRSS in bytes; 0: unknown */
    uint64_t mapped[TALLY_HEAP_PARTS]; /* resident bytes by kind of mapping */
    uint64_t in_use, unused;           /* of malloc, whether resident or not; 0: unknown */
} tally_ledger;

/* World stopped. The caller has allocated nothing for the snapshot yet, so its memory is not in
 * there. */
void tally_ledger_begin(tally_ledger *ledger);
/* World stopped. Calls put for each number. False: no memory, and the numbers are not complete. */
bool tally_ledger_put(const tally_ledger *ledger, void (*put)(void *context, uint64_t number),
                      void *context);

#endif
