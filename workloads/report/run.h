// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Measures: plans the blocks, runs the drivers, keeps all that they print.
#ifndef TALLY_REPORT_RUN_H
#define TALLY_REPORT_RUN_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MAX_NAMES = 64 };

struct names {
    char *items[MAX_NAMES];
    size_t count;
};

enum effort { QUICK, NORMAL, FULL };

struct run_options {
    const char *drivers; // the folder of the driver programs and of backends.json
    enum effort effort;
    struct names workloads, backends, texts; // empty: all, the products, the drivers' own
    int threads[MAX_NAMES];
    size_t thread_count; // 0: powers of two up to the cores, and twice the cores
    uint64_t seed;
    bool all_backends;
    const char *python, *python_script; // an interpreter and what it runs, or NULL
    json_t *known_backends; // backends.json
    json_t *descriptions;   // what the drivers say of their workloads
    json_t *python_name;    // what the interpreter calls itself, and the workloads of its script
};

void names_free(struct names *names);

// Fills in what was left out and checks names against what the drivers know.
// False after one line on stderr.
bool run_complete_options(struct run_options *options);

// The results; incomplete when stopped by a signal.  The caller owns them.
json_t *run_measure(const struct run_options *options);

#endif
