/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pinning.h: which processor each worker gets: one of each physical core first, then their second
 * hardware threads, then round again from the start.
 */
#ifndef TALLY_HARNESS_PINNING_H
#define TALLY_HARNESS_PINNING_H

#include <hwloc.h>
#include <stdbool.h>

typedef struct pinning {
    hwloc_topology_t topology;
    hwloc_cpuset_t *places; /* in the order in which workers get them */
    unsigned count;
} pinning;

/* Finds the processors that this process may use; none on failure. */
void pinning_load(pinning *pinning);
void pinning_free(pinning *pinning);

/* Binds the calling thread to the worker's processor; false if it may not. */
bool pinning_bind(const pinning *pinning, unsigned worker);

#endif
