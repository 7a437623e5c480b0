/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * options.h: the driver's command line, checked: an `options` has only valid values.
 * Wrong input ends the driver here, with one line on stderr, nothing on stdout and status 2.
 */
#ifndef TALLY_HARNESS_OPTIONS_H
#define TALLY_HARNESS_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../workload.h"

enum { OPTIONS_MOST_WORKERS = 256, OPTIONS_BAD_INPUT = 2 };

typedef struct options {
    bool list, json; /* only name the workloads; print JSON */
    const tally_workload *workload;
    unsigned workers; /* threads of this process, or processes */
    bool processes;
    unsigned samples;
    unsigned sample_ms, warmup_ms;
    uint64_t total; /* operations that the workers share out in a sample; 0: it lasts sample_ms */
    unsigned time_limit; /* seconds that a step may take too long */
    const char **texts;
    size_t text_count, text_bytes;
    uint64_t seed;
    int without; /* an enum cause; -1: none */
    bool perf;   /* count with perf events */
    uint64_t parameters[WORKLOAD_PARAMETERS];
    tally_options runtime;
    const char *switch_policy; /* as it was given; NULL: it was not */
    const char *trace;         /* the file for a timeline; NULL: none */
    const char *snapshot;      /* the file for a heap snapshot; NULL: none */
    enum { SNAPSHOT_END, SNAPSHOT_AFTER, SNAPSHOT_SIGNAL } snapshot_when;
    double snapshot_seconds; /* SNAPSHOT_AFTER */
    unsigned ledger_ms;      /* between readings of the ledger; 0: none */
    const char *profile;     /* the file for a heap profile; NULL: none */
    long profile_bytes;      /* between its samples; 0: the run time's default */
    /* For a process that is one worker of many: the socket to its parent, else -1, and the parent's
     * id; how many they are, and its number among them. */
    int parent, parent_process;
    unsigned processes_in_all, index;
} options;

void options_parse(options *result, int argc, char **argv);
void options_free(options *options);

/* All workloads by kind, then name, and NULL at the end. */
extern const tally_workload **options_workloads;

/* Ends the driver if the file cannot be written; `takes` says what its option takes. */
void options_check_output(const char *takes, const char *path);
_Noreturn void options_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
