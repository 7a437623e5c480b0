// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Whether to leave the lock of the reference, by kind of workload and by workload: what
// many threads gain, what one thread pays, and the advice that follows from the two.
//
// Invariants:
//  - A figure counts as a difference, or as the same, by the test that judges all figures
//    of its family, with the margin that the user gave.
//  - A kind is faster, or slower, only if one of its workloads is by itself.
#ifndef TALLY_COMPARE_CHOICES_H
#define TALLY_COMPARE_CHOICES_H

#include "analysis.h"

enum { KINDS = 6 };

struct kind_of_workload {
    const char *name, *title, *meaning;
};
extern const struct kind_of_workload workload_kinds[KINDS];
// By what the driver says; without that by whether its threads share objects.
size_t kind_of(const struct workload *workload);

enum verdict { NO_VERDICT, BETTER, SAME, WORSE, UNDECIDED };

struct advice {
    const char *words;
    enum verdict verdict; // its colour
};

struct choice {
    size_t kind;
    const char *workload, *backend;   // workload NULL: the whole kind
    struct interval gain;             // throughput on scale_threads, over the reference
    struct interval price;            // time on one thread, over the reference
    size_t better, worse, same, open; // of the kind's workloads, by their gain
    struct advice advice;
};

struct choices {
    struct choice *items; // by kind; of a kind first the whole, then its workloads, each by backend
    size_t count;
    struct judgement judgement; // of the kinds' figures
};

enum verdict verdict_of(const struct interval *ratio, bool high_is_good);
// From the verdicts on gain and price.
struct advice advise(enum verdict gain, enum verdict price);

// A product other than the reference.
bool competes(const struct analysis *analysis, const char *backend);
// None without the reference, another product, and two threads with a core each.
struct choices choices_make(const struct analysis *analysis);
void choices_free(struct choices *choices);

#endif
