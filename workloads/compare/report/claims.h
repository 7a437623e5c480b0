// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Claims of talks on CPython's memory that can be measured.  A claim names two places of the
// results, a figure of each, and a bound for the ratio of the two.
#ifndef TALLY_COMPARE_CLAIMS_H
#define TALLY_COMPARE_CLAIMS_H

#include "results.h"

enum { MANY = -1, MOST_CASES = 6, MOST_CELLS = 6 };

// Where figures come from.
struct place {
    enum list list;
    const char *workload, *variant;
    int threads;         // MANY: the most that have a core each
    const char *backend; // NULL: of the row
};

struct claim {
    const char *title, *talk, *quote, *measured;
    // It holds if SUBJECT more (or, with `less`, less) than BOUND PREDICATE.
    const char *subject, *predicate;
    double bound;
    bool less;
    bool generations; // asks for what backends with one generation do not have
    // The figures whose ratio is judged; no `under`: a figure alone.
    const char *over, *under;
    // One row per case, and per backend if the case leaves it open.
    struct {
        const char *name;
        struct place over, under;
    } cases[MOST_CASES];
    struct {
        const char *head, *figure;
        bool of_under; // of the other place
    } cells[MOST_CELLS];
};

extern const struct claim claims[];
extern const size_t claim_count;

#endif
