/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* reclaim.c: memory whose grace period has passed is given back. */
#include "memory/arena.h"
#include "objects/table.h"

void tally_reclaim(tally_retired *node, unsigned what) {
    switch (what) {
    case TALLY_RETIRED_ARRAY: tally_memory_free(TALLY_RAW, node); break;
    case TALLY_RETIRED_TABLE: tally_table_reclaim(node); break;
    case TALLY_RETIRED_POOL: tally_arena_reclaim_pool(node); break;
    case TALLY_RETIRED_LARGE: tally_large_reclaim(node); break;
    case TALLY_RETIRED_REFERENCE: {
        tally_object *object = ((tally_retired_reference *)node)->object;
        tally_memory_free(TALLY_RAW, node);
        tally_decref(object);
        break;
    }
    }
}
