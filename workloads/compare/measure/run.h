// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Measures: plans the runs, starts the drivers, keeps all that they print.
#ifndef TALLY_COMPARE_RUN_H
#define TALLY_COMPARE_RUN_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MAX_NAMES = 64 };

struct names {
    char *items[MAX_NAMES];
    size_t count;
};

enum { TIME_LIMIT = 60 }; // the default

// As a default, processes belong to a full run alone.
enum mode { MODE_DEFAULT, MODE_THREADS, MODE_BOTH };

enum effort { QUICK, NORMAL, FULL };

// Workloads with programs of their own, see programs.h.
enum program { CONVOY, TASK_SERVER, FINDINGS, PROGRAMS };

struct run_options {
    const char *drivers; // the folder of the driver programs and of backends.json
    enum effort effort;
    struct names workloads, backends, texts; // empty: all, the products, the drivers' own
    struct names ablations; // measured on one thread, to tell what counts alone cost
    int threads[MAX_NAMES];
    size_t thread_count; // 0: powers of two up to the cores, and twice the cores
    uint64_t seed;
    bool all_backends;
    bool self;     // only the control: every backend against itself
    int rounds;    // 0: as the effort says
    int sample_ms; // 0: what fills the effort's time
    double margin; // within which two are the same, 0.02 for 2 %
    enum mode mode;
    int time_limit;         // seconds that a step of a driver may take too long; 0: not given
    struct names switching; // options for how the GIL changes hands, as the drivers take them
    const char *traces;     // a folder for timelines of the counting pass, or NULL
    struct names pythons;   // interpreters
    const char *python_script, *patterns_script, *convoy_script; // what they run; NULL: not that
    const char *server_script;   // what loads the task server, or NULL
    const char *against;         // the folder of another build's drivers, or NULL
    bool against_takes_json;     // an older driver prints JSON unasked, and refuses --json
    unsigned switch_interval_us; // of the convoy with a GIL; 0: the default
    bool programs[PROGRAMS];     // to be measured
    bool workloads_named;
    bool no_drivers;        // and none of them is the drivers'
    json_t *left_out;       // what was to be measured and cannot be, and why; or NULL
    json_t *arguments;      // the command line as it was given, to go on with the same
    bool what_if;           // also without each cause that can be removed, not only some
    json_t *causes;         // why a cause stays, by backend and workload; NULL: none is removed
    json_t *known_backends; // backends.json
    json_t *descriptions;   // what the drivers say of their workloads
    // What each interpreter calls itself, and the workloads of its scripts; no patterns: NULL.
    struct interpreter {
        json_t *collector, *patterns;
    } interpreters[MAX_NAMES];
};

// Its place, or the count where it is not among them.
size_t names_find(const struct names *names, const char *name);
bool names_have(const struct names *names, const char *name);
void names_add(struct names *names, const char *name); // a copy; there is room for it
void names_free(struct names *names);
void run_free_options(struct run_options *options);

// Fills in what was left out and checks names against what the drivers know.
// False after one line on stderr.
bool run_complete_options(struct run_options *options);
// Whether all are interpreters that run here, and not too old; part of the above. False after one
// line on stderr.
bool run_check_pythons(const struct run_options *options);

// False: Ctrl-C. What it waits for is told on stderr; at most so many minutes.
bool run_wait_for_quiet(double minutes);
// Says what would be measured, how long that takes, and what on this machine spoils it.
void run_preview(const struct run_options *options);

struct journal;

// The results; incomplete when stopped by a signal.  The caller owns them.  Goes
// on with the journal where it has been read, else begins it.  NULL after one line
// on stderr: it was begun with other programs or on another machine, or it cannot be
// written any more.
json_t *run_measure(const struct run_options *options, struct journal *journal, const char *folder);

#endif
