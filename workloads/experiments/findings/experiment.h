/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * experiment.h: a program of experiments, each of which tests a claim about memory
 * and counts. An experiment is one file; main.c lists them. A process runs one
 * variant of one experiment and prints its figures, so that peak memory is its own.
 */
#ifndef TALLY_EXPERIMENT_H
#define TALLY_EXPERIMENT_H

#include "program.h"

typedef struct experiment {
    const char *name, *help;
    const char *const *variants; /* NULL-terminated; NULL: one, without a name */
    /* In an attached thread; reports its figures. */
    void (*run)(unsigned variant);
} experiment;

extern const experiment counting, generations, slots, range, memory, freeing;

/* A figure of the result; the unit is the end of its name: _ns, _bytes, ... */
void experiment_report(const char *name, double value);

/* The share of a full size that this run is to take, 1 at the least. */
size_t experiment_size(size_t full);

/* Bytes that the process has in memory now, and had at most. */
size_t experiment_resident(void);
size_t experiment_peak(void);

/* Bytes in use by objects and their arrays. */
size_t experiment_used(void);
/* Bytes that the allocator holds, in use or not. */
size_t experiment_held(void);

/* Collects everything and passes safepoints until no memory waits any more, or a while is over. */
void experiment_settle(void);

#endif
