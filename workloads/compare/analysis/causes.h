// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Where the threads' time goes, and what of it explains why more threads gain too little.
//
// All are shares of the threads' time, which is the wall time of all workers.  Of a run:
//
//     off      = wall - user - system             not on a processor
//     rest     = off - GIL - lock - grace - stopped - stop
//     no core  = min(rest, ready)                 ready, and no processor was free
//     sleeping = rest - no core                   for reasons of the program's own
//     own work = wall - all that has a name
//
// Waits are timed by the run time, user, system and ready by the kernel.  Four are parts of
// own work, and no larger.  The counting run times merging and the allocator's slow paths, and
// the allocator takes of the kernel's time first.  Counts are 1 - with / without, by the
// throughput of runs whose shared objects are immortal.  Shared memory is the own work that goes
// with a private copy for each thread, less counts and merges:
//
//     own work - own work with a copy * with / without
//
// What waits, sleeps or asks the kernel because of sharing has its own names.  Both are 0 where
// the interval of the gain does not lie above 1.
//
// With a speedup of S on n threads the loss is 1 - S / n: so much less than n times the
// work of one thread is done.  A cause explains of it
//
//     share on n threads - share on one thread * S / n
//
// which is what it takes per operation beyond what it takes on one thread.  Over all causes
// and own work that adds up to the loss.
#ifndef TALLY_COMPARE_CAUSES_H
#define TALLY_COMPARE_CAUSES_H

#include "analysis.h"

enum cause {
    CAUSE_OWN, // what no other takes
    CAUSE_GIL,
    CAUSE_LOCKS,
    CAUSE_COUNTS,
    CAUSE_MEMORY, // that threads share, beyond counts and locks
    CAUSE_COLLECTOR,
    CAUSE_MERGES, // and waits for grace periods
    CAUSE_ALLOCATOR,
    CAUSE_SLEEP,
    CAUSE_KERNEL,
    CAUSE_NO_CORE,
    CAUSES
};

struct split {
    bool told;
    double shares[CAUSES]; // of the threads' time
    double sleeps;         // per second of each thread
};

struct loss {
    bool told;
    struct interval speedup;
    double whole;         // 1 - speedup / threads
    double parts[CAUSES]; // that of own work is not explained
    double explained;     // the sum of all others
};

struct split split_of(const struct analysis *analysis, const char *workload, const char *backend,
                      int threads);
// On the most threads with a core each, against one thread.
struct loss loss_of(const struct analysis *analysis, const char *workload, const char *backend);
// Whether a part is large enough to be named: of the loss, and by itself.
bool explains(const struct loss *loss, enum cause cause);

// Throughput without a cause over that with it; unknown where it was not measured.
struct interval gain_without(const struct analysis *analysis, const char *workload,
                             const char *backend, const char *cause, int threads);

// What one thread pays, time over that of the reference, as factors whose product is the
// whole.  NAN: not measured.
struct price {
    double counts;    // the reference with the backend's counts
    double collector; // what each gains without its collector
    double rest;      // locks, reads, heaps, and counts per thread
};
// The geometric mean over those of the workloads that have all factors; NAN too where the
// rounds are too few to tell them.
struct price price_of(const struct analysis *analysis, const char *const *workloads, size_t count,
                      const char *backend);

#endif
