/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * options.c: parses and checks the command line. Messages are written here and
 * not by argp, which would add a line and end with another status.
 */
#include "options.h"

#include <argp.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fail.h"

#define WORKLOAD(name) extern const tally_workload workload_##name;
#include "../workloads.def"
#undef WORKLOAD

const tally_workload *const options_workloads[] = {
#define WORKLOAD(name) &workload_##name,
#include "../workloads.def"
#undef WORKLOAD
    NULL,
};

enum {
    KEY_LIST = 256, KEY_WORKLOAD, KEY_THREADS, KEY_PROCESSES, KEY_SAMPLES, KEY_SAMPLE_MS,
    KEY_WARMUP_MS, KEY_TEXT, KEY_TEXT_BYTES, KEY_SWITCH_INTERVAL, KEY_SWITCH_TICKS, KEY_SEED,
    KEY_PARENT, KEY_INDEX
};

static const struct argp_option table[] = {
    {"list", KEY_LIST, NULL, 0, "Name the workloads, in JSON", 0},
    {"workload", KEY_WORKLOAD, "NAME", 0, "Run this workload", 0},
    {"threads", KEY_THREADS, "N", 0, "With so many threads, 1 to 256 (default: 1)", 0},
    {"processes", KEY_PROCESSES, "N", 0, "Instead: so many processes of one thread each", 0},
    {"samples", KEY_SAMPLES, "K", 0, "Take so many samples (default: 5)", 0},
    {"sample-ms", KEY_SAMPLE_MS, "T", 0, "Of so many milliseconds each (default: 200)", 0},
    {"warmup-ms", KEY_WARMUP_MS, "M", 0, "After so many that are not counted (default: 100)", 0},
    {"text", KEY_TEXT, "FILE", 0, "Text for wordcount, may be repeated (default: licences)", 0},
    {"text-bytes", KEY_TEXT_BYTES, "N", 0, "Repeat the text to this size (default: 64 MiB)", 0},
    {"switch-interval-us", KEY_SWITCH_INTERVAL, "US", 0, "Switch interval of the GIL", 0},
    {"switch-ticks", KEY_SWITCH_TICKS, "N", 0, "Let the GIL go every N safepoints instead", 0},
    {"seed", KEY_SEED, "N", 0, "Seed of the random numbers (default: 1)", 0},
    {"parent-socket", KEY_PARENT, "FD", OPTION_HIDDEN, NULL, 0},
    {"process-index", KEY_INDEX, "N", OPTION_HIDDEN, NULL, 0},
    {0},
};

void options_fail(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    fail_end(OPTIONS_BAD_INPUT, format, arguments);
}

static uint64_t number(int key, const char *text, uint64_t least, uint64_t most)
{
    const struct argp_option *option = table;
    char *end;

    while (option->key != key)
        option++;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    /* strtoull takes a sign and spaces; a number starts with a digit. */
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || value < least
        || value > most)
        options_fail("--%s must be a whole number from %llu to %llu, not '%s'", option->name,
                     (unsigned long long)least, (unsigned long long)most, text);
    return value;
}

static const tally_workload *find_workload(const char *name)
{
    char known[1024] = "";

    for (const tally_workload *const *each = options_workloads; *each != NULL; each++) {
        if (strcmp((*each)->name, name) == 0)
            return *each;
        size_t used = strlen(known);
        snprintf(known + used, sizeof known - used, "%s%s", used > 0 ? ", " : "", (*each)->name);
    }
    options_fail("there is no workload '%s'; there are: %s", name, known);
}

static void add_text(options *result, const char *name)
{
    FILE *file = fopen(name, "re");
    struct stat status;

    if (file == NULL)
        options_fail("cannot read the text file '%s': %s; --text takes files that can be read",
                     name, strerror(errno));
    if (fstat(fileno(file), &status) != 0 || !S_ISREG(status.st_mode))
        options_fail("the text '%s' is not a regular file; --text takes files", name);
    fclose(file);
    result->texts = realloc(result->texts, (result->text_count + 1) * sizeof *result->texts);
    if (result->texts == NULL)
        options_fail("no memory for the command line");
    result->texts[result->text_count++] = name;
}

static void set_workers(options *result, int key, const char *text)
{
    if (result->workers != 0)
        options_fail("give --threads or --processes, once");
    result->workers = (unsigned)number(key, text, 1, OPTIONS_MOST_WORKERS);
    result->processes = key == KEY_PROCESSES;
}

static error_t parse_one(int key, char *text, struct argp_state *state)
{
    options *result = state->input;

    switch (key) {
    case KEY_LIST: result->list = true; return 0;
    case KEY_WORKLOAD: result->workload = find_workload(text); return 0;
    case KEY_THREADS:
    case KEY_PROCESSES: set_workers(result, key, text); return 0;
    case KEY_SAMPLES: result->samples = (unsigned)number(key, text, 1, 10000); return 0;
    case KEY_SAMPLE_MS: result->sample_ms = (unsigned)number(key, text, 1, 600000); return 0;
    case KEY_WARMUP_MS: result->warmup_ms = (unsigned)number(key, text, 0, 600000); return 0;
    case KEY_TEXT: add_text(result, text); return 0;
    case KEY_TEXT_BYTES: result->text_bytes = number(key, text, 1, UINT64_C(1) << 36); return 0;
    case KEY_SWITCH_INTERVAL:
        result->runtime.switch_interval_us = (unsigned)number(key, text, 1, 10000000);
        return 0;
    case KEY_SWITCH_TICKS:
        result->runtime.switch_ticks = (unsigned)number(key, text, 1, 1000000000);
        return 0;
    case KEY_SEED: result->seed = number(key, text, 0, UINT64_MAX); return 0;
    case KEY_PARENT: result->parent = (int)number(key, text, 0, 1 << 20); return 0;
    case KEY_INDEX: result->index = (unsigned)number(key, text, 0, OPTIONS_MOST_WORKERS); return 0;
    case ARGP_KEY_ARG: options_fail("'%s' is not an option; --help names them all", text);
    case ARGP_KEY_ERROR:
        options_fail("'%s' is no option, or lacks its value; --help names them all",
                     state->argv[state->next > 1 ? state->next - 1 : 1]);
    default: return ARGP_ERR_UNKNOWN;
    }
}

void options_parse(options *result, int argc, char **argv)
{
    static const struct argp argp = {
        .options = table,
        .parser = parse_one,
        .doc = "Runs one workload on one backend of Tally and writes its samples as JSON.",
    };

    *result = (options){
        .samples = 5, .sample_ms = 200, .warmup_ms = 100, .seed = 1,
        .text_bytes = 64 << 20, .parent = -1,
    };
    argp_parse(&argp, argc, argv, ARGP_NO_ERRS, NULL, result);
    if (result->workers == 0)
        result->workers = 1;
    if (!result->list && result->workload == NULL)
        options_fail("which workload? Give --workload NAME; --list names them all");
}

void options_free(options *options)
{
    free(options->texts);
}
