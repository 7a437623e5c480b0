/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * main.c: the command line of the experiments, and what they share. Prints a line
 * of JSON: the experiment, its variant, the backend and its figures.
 */
#define _GNU_SOURCE
#include "experiment.h"

#include <argp.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const experiment *const experiments[] = {&counting, &generations, &slots,
                                                &range,    &memory,      &freeing};
enum { EXPERIMENTS = sizeof experiments / sizeof *experiments, SETTLE_MS = 500 };

static const experiment *chosen;
static unsigned variant, percent = 100;
static const char *variant_name;
static json_t *figures;

void experiment_report(const char *name, double value) {
    if (json_object_set_new(figures, name, json_real(value)) != 0)
        program_fail("no memory for the results");
}

size_t experiment_size(size_t full) {
    size_t size = full * percent / 100;

    return size ? size : 1;
}

size_t experiment_resident(void) {
    unsigned long pages = 0;
    FILE *file = fopen("/proc/self/statm", "re");

    if (!file || fscanf(file, "%*u %lu", &pages) != 1) program_fail("cannot read /proc/self/statm");
    fclose(file);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

size_t experiment_peak(void) {
    /* Not getrusage: what that tells goes on over exec. */
    FILE *file = fopen("/proc/self/status", "re");
    unsigned long kib = 0;
    char line[256];

    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "VmHWM: %lu kB", &kib) == 1) break;
    if (!kib) program_fail("cannot read VmHWM in /proc/self/status");
    fclose(file);
    return kib * 1024;
}

size_t experiment_used(void) {
    tally_memory_result result;
    size_t used;

    tally_memory_stats(&result);
    used = result.large_bytes;
    for (unsigned i = 0; i < TALLY_SIZE_CLASSES; i++)
        used += result.classes[i].blocks * result.classes[i].block_size;
    return used;
}

size_t experiment_held(void) {
    tally_memory_result result;

    tally_memory_stats(&result);
    return result.bytes_arenas + result.large_bytes;
}

void experiment_settle(void) {
    uint64_t end = program_now() + SETTLE_MS * UINT64_C(1000000);
    tally_stats_result stats;

    tally_gc_collect(2);
    do {
        for (unsigned i = 0; i < 100; i++) tally_safepoint();
        /* Other threads' work on a grace period gets its time. */
        tally_blocking_begin();
        usleep(1000);
        tally_blocking_end();
        tally_stats(&stats);
    } while (stats.reclaimed < stats.retired && program_now() < end);
}

/* ---- command line --------------------------------------------------------- */

static void print_list(void) {
    for (unsigned i = 0; i < EXPERIMENTS; i++) {
        printf("%s: %s\n", experiments[i]->name, experiments[i]->help);
        for (const char *const *name = experiments[i]->variants; name && *name; name++)
            printf("    %s %s\n", experiments[i]->name, *name);
    }
    exit(0);
}

static void choose(const char *name) {
    for (unsigned i = 0; i < EXPERIMENTS; i++)
        if (!strcmp(experiments[i]->name, name)) chosen = experiments[i];
    if (!chosen) {
        fprintf(stderr, "%s: no experiment '%s'; see --list\n", program_invocation_short_name,
                name);
        exit(2);
    }
}

static void choose_variant(const char *name) {
    for (variant = 0; chosen->variants && chosen->variants[variant]; variant++)
        if (!strcmp(chosen->variants[variant], name)) {
            variant_name = chosen->variants[variant];
            return;
        }
    fprintf(stderr, "%s: %s has no variant '%s'; see --list\n", program_invocation_short_name,
            chosen->name, name);
    exit(2);
}

static const struct argp_option option_list[] = {
    {"list", 'l', NULL, 0, "List the experiments and their variants", 0},
    {"size", 's', "PERCENT", 0, "Of the full number of objects, 1 to 100 (default: 100)", 0},
    {0},
};

static error_t parse(int key, char *argument, struct argp_state *state) {
    switch (key) {
    case ARGP_KEY_INIT: state->err_stream = NULL; return 0; /* getopt's one line says enough */
    case 'l': print_list(); return 0;
    case 's': percent = program_number("size", argument, 1, 100); return 0;
    case ARGP_KEY_ARG:
        if (state->arg_num > 1) {
            fprintf(stderr, "%s: unexpected argument %s; see --help\n",
                    program_invocation_short_name, argument);
            exit(2);
        }
        if (chosen)
            choose_variant(argument);
        else
            choose(argument);
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

int main(int argc, char **argv) {
    const struct argp argp = {
        option_list,
        parse,
        "EXPERIMENT [VARIANT]",
        "Runs one experiment on memory and counts, and prints a line of JSON. "
        "Without VARIANT the first.",
        NULL,
        NULL,
        NULL};
    json_t *whole;

    output_watch(program_invocation_short_name);
    if (argp_parse(&argp, argc, argv, 0, NULL, NULL) != 0) return 2;
    if (!chosen) {
        fprintf(stderr, "%s: which experiment? See --list\n", program_invocation_short_name);
        return 2;
    }
    if (chosen->variants && !variant_name) variant_name = chosen->variants[0];
    figures = json_object();
    if (!figures || tally_init(NULL) != 0)
        program_fail(figures ? tally_error_message() : "no memory");
    chosen->run(variant);
    tally_gc_collect(2);
    if (tally_finish() != 0) program_fail("objects were left at the end");
    whole = json_pack("{s:s, s:s, s:s, s:i, s:o}", "experiment", chosen->name, "variant",
                      variant_name ? variant_name : "", "backend", tally_backend(), "size_percent",
                      (int)percent, "figures", figures);
    program_print(whole);
    return 0;
}
