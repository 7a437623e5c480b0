/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pinning.c: orders the machine's processors with hwloc, and binds workers.
 */
#include "pinning.h"

#include <stdlib.h>

/* Adds the rank-th usable processor of each core; false when no core has one. */
static bool add_rank(pinning *pinning, hwloc_const_cpuset_t usable, unsigned rank) {
    hwloc_obj_t core = NULL;
    bool any = false;
    while ((core = hwloc_get_next_obj_by_type(pinning->topology, HWLOC_OBJ_CORE, core)) != NULL) {
        hwloc_bitmap_t place = hwloc_bitmap_alloc();
        int processor = -1;
        hwloc_bitmap_and(place, core->cpuset, usable);
        for (unsigned i = 0; i <= rank; i++)
            if ((processor = hwloc_bitmap_next(place, processor)) < 0) break;
        if (processor < 0) {
            hwloc_bitmap_free(place);
            continue;
        }
        hwloc_bitmap_only(place, (unsigned)processor);
        pinning->places[pinning->count++] = place;
        any = true;
    }
    return any;
}

/* For machines that do not tell their cores. */
static void add_all(pinning *pinning, hwloc_const_cpuset_t usable) {
    for (int i = hwloc_bitmap_first(usable); i >= 0; i = hwloc_bitmap_next(usable, i)) {
        hwloc_bitmap_t place = hwloc_bitmap_alloc();
        hwloc_bitmap_only(place, (unsigned)i);
        pinning->places[pinning->count++] = place;
    }
}

void pinning_load(pinning *pinning) {
    hwloc_bitmap_t usable = hwloc_bitmap_alloc();
    *pinning = (struct pinning){.count = 0};
    if (hwloc_topology_init(&pinning->topology) == 0 &&
        hwloc_topology_load(pinning->topology) == 0) {
        /* What taskset or a container left us. */
        if (hwloc_get_cpubind(pinning->topology, usable, HWLOC_CPUBIND_PROCESS) != 0)
            hwloc_bitmap_copy(usable, hwloc_topology_get_allowed_cpuset(pinning->topology));
        hwloc_bitmap_and(usable, usable, hwloc_topology_get_allowed_cpuset(pinning->topology));
        int weight = hwloc_bitmap_weight(usable);
        pinning->places = calloc(weight > 0 ? (size_t)weight : 1, sizeof *pinning->places);
        for (unsigned rank = 0; pinning->places != NULL && add_rank(pinning, usable, rank); rank++)
            ;
        if (pinning->places != NULL && pinning->count == 0) add_all(pinning, usable);
    }
    hwloc_bitmap_free(usable);
}

void pinning_free(pinning *pinning) {
    for (unsigned i = 0; i < pinning->count; i++) hwloc_bitmap_free(pinning->places[i]);
    free(pinning->places);
    hwloc_topology_destroy(pinning->topology);
}

bool pinning_bind(const pinning *pinning, unsigned worker) {
    return pinning->count > 0 &&
           hwloc_set_cpubind(pinning->topology, pinning->places[worker % pinning->count],
                             HWLOC_CPUBIND_THREAD) == 0;
}
