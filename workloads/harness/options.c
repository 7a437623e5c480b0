/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * options.c: parses and checks the command line. Messages are written here and not by argp, which
 * would add a line and end with another status; and so is help, which argp is silent with when it
 * is silent about errors.
 */
#include "options.h"

#include <argp.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "causes.h"
#include "fail.h"
#include "ledger.h"
#include "profile.h"
#include "snapshot.h"
#include "switching.h"
#include "text.h"
#include "trace.h"
#include "watch.h"

/* The linker puts the pointers that WORKLOAD defines between these. */
extern const tally_workload *const __start_tally_workloads[], *const __stop_tally_workloads[];

const tally_workload **options_workloads;

static int compare_workloads(const void *left, const void *right) {
    const tally_workload *a = *(const tally_workload *const *)left;
    const tally_workload *b = *(const tally_workload *const *)right;
    return a->kind != b->kind ? (int)a->kind - (int)b->kind : strcmp(a->name, b->name);
}

static void sort_workloads(void) {
    size_t count = (size_t)(__stop_tally_workloads - __start_tally_workloads);
    options_workloads = workload_allocate((count + 1) * sizeof *options_workloads);
    memcpy(options_workloads, __start_tally_workloads, count * sizeof *options_workloads);
    qsort(options_workloads, count, sizeof *options_workloads, compare_workloads);
}

enum {
    KEY_LIST = 256,
    KEY_JSON,
    KEY_WORKLOAD,
    KEY_THREADS,
    KEY_PROCESSES,
    KEY_SAMPLES,
    KEY_SAMPLE_MS,
    KEY_TOTAL,
    KEY_TIME_LIMIT,
    KEY_WARMUP_MS,
    KEY_SET,
    KEY_TEXT,
    KEY_TEXT_BYTES,
    KEY_SWITCH_POLICY,
    KEY_SWITCH_INTERVAL,
    KEY_SWITCH_TICKS,
    KEY_SEED,
    KEY_TRACE,
    KEY_SNAPSHOT,
    KEY_LEDGER,
    KEY_PROFILE,
    KEY_NO_PERF,
    KEY_WITHOUT,
    KEY_PARENT,
    KEY_PARENT_PROCESS,
    KEY_PROCESS_COUNT,
    KEY_INDEX,
    KEY_USAGE
};

static const struct argp_option table[] = {
    {NULL, 0, NULL, 0, "What to run:", 1},
    {"workload", KEY_WORKLOAD, "NAME", 0, "The workload; must be given", 1},
    {"list", KEY_LIST, NULL, 0, "Only name the workloads, what each measures, and its parameters",
     1},
    {"json", KEY_JSON, NULL, 0,
     "Print JSON: every sample and counter; with --list: all of the workloads", 1},
    {"threads", KEY_THREADS, "N", 0, "Worker threads, 1 to 256 (default: 1)", 1},
    {"processes", KEY_PROCESSES, "N", 0,
     "Instead of threads: processes of one worker each, 1 to 256", 1},
    {NULL, 0, NULL, 0, "How long:", 2},
    {"samples", KEY_SAMPLES, "N", 0, "Samples, 1 to 10000 (default: 5)", 2},
    {"sample-ms", KEY_SAMPLE_MS, "MS", 0, "Milliseconds a sample, 1 to 600000 (default: 200)", 2},
    {"warmup-ms", KEY_WARMUP_MS, "MS", 0,
     "Milliseconds before the first sample, 0 to 600000 (default: 100)", 2},
    {"total", KEY_TOTAL, "N", 0,
     "A sample is not a time but N operations, which the workers share out: threads take them from "
     "one pot, a "
     "run of the workload at a time; each process gets its part. Seconds are until the last is "
     "done",
     2},
    {"time-limit", KEY_TIME_LIMIT, "SECONDS", 0,
     "A step (setup, a sample, teardown) that is not over so long after its time hangs: the stacks "
     "of all threads "
     "are shown and the driver ends, 1 to 86400 (default: 60)",
     2},
    {NULL, 0, NULL, 0, "On what:", 3},
    {"set", KEY_SET, "NAME=VALUE,...", 0,
     "Parameters of the workload, which --list names; may be given again", 3},
    {"text", KEY_TEXT, "FILE", 0,
     "A text for wordcount; may be given again (default: the system's licence texts)", 3},
    {"text-bytes", KEY_TEXT_BYTES, "BYTES", 0,
     "Repeat the text until it has about so many bytes (default: 67108864, 64 MiB)", 3},
    {"seed", KEY_SEED, "N", 0, "Seed of the random numbers (default: 1)", 3},
    {"without", KEY_WITHOUT, "CAUSE", 0,
     "Take one cause of cost away: sharing (each thread sets up its own state), counting (what "
     "setup made is immortal), collector (off), or locks (of objects; the driver ...-unlocked "
     "only)",
     3},
    {"no-perf", KEY_NO_PERF, NULL, 0,
     "Open no perf events: no hardware counters, and others from getrusage", 3},
    {NULL, 0, NULL, 0, "How the GIL changes hands (without one: ignored, which is said):", 4},
    {"switch-policy", KEY_SWITCH_POLICY, "NAME", 0,
     "cpython: any waiter takes it, the interval starts anew (default); deadline: first come, "
     "first "
     "served; ticks: as before CPython 3.2, the holder lets go unasked",
     4},
    {"switch-interval-us", KEY_SWITCH_INTERVAL, "US", 0,
     "cpython, deadline: microseconds that a thread waits before it asks for the GIL (default: "
     "5000)",
     4},
    {"switch-ticks", KEY_SWITCH_TICKS, "N", 0,
     "ticks, which it implies: safepoints after which the holder lets go (default: 100)", 4},
    {NULL, 0, NULL, 0, "What happened when:", 5},
    {"trace", KEY_TRACE, "FILE", 0,
     "Write a timeline of all threads in Chrome's trace format, which Perfetto opens; the last "
     "65536 events of each thread",
     5},
    {"snapshot", KEY_SNAPSHOT, "WHEN:FILE", 0,
     "Write a heap snapshot, for \"tally heap\". WHEN is end (after the last sample), seconds "
     "after "
     "the threads started, or signal (each SIGUSR2 writes the file anew); with --total after a "
     "sample",
     5},
    {"ledger-ms", KEY_LEDGER, "MS", 0,
     "Read the ledger, where the resident memory is, each MS milliseconds, 1 to 600000, for "
     "--json; "
     "with --total after a sample",
     5},
    {"heap-profile", KEY_PROFILE, "[BYTES:]FILE", 0,
     "Write a heap profile, for \"tally heap\" and pprof: where memory was allocated, of every "
     "BYTES-th byte (default: 524288); the run is slower",
     5},
    {NULL, 0, NULL, 0, "Help:", 6},
    {"help", '?', NULL, 0, "Print this and end", 6},
    {"usage", KEY_USAGE, NULL, 0, "Print the options, briefly, and end", 6},
    {"version", 'V', NULL, 0, "Print the backend and the version, and end", 6},
    {"parent-socket", KEY_PARENT, "FD", OPTION_HIDDEN, NULL, 0},
    {"parent-process", KEY_PARENT_PROCESS, "PID", OPTION_HIDDEN, NULL, 0},
    {"process-count", KEY_PROCESS_COUNT, "N", OPTION_HIDDEN, NULL, 0},
    {"process-index", KEY_INDEX, "N", OPTION_HIDDEN, NULL, 0},
    {0},
};

void options_fail(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fail_end(OPTIONS_BAD_INPUT, format, arguments);
}

static uint64_t number(int key, const char *text, uint64_t least, uint64_t most) {
    const struct argp_option *option = table;
    char *end;
    while (option->key != key) option++;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    /* strtoull takes a sign and spaces; a number starts with a digit. */
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || value < least ||
        value > most)
        options_fail("--%s must be a whole number from %llu to %llu, not '%s'", option->name,
                     (unsigned long long)least, (unsigned long long)most, text);
    return value;
}

/* Levenshtein's distance of the first letters: how many of them to insert, delete or replace. */
static size_t edit_distance(const char *from, const char *to) {
    enum { LONGEST = 64 };
    size_t lengths[2] = {strnlen(from, LONGEST), strnlen(to, LONGEST)}, row[LONGEST + 1];
    for (size_t i = 0; i <= lengths[1]; i++) row[i] = i;
    for (size_t i = 1; i <= lengths[0]; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= lengths[1]; j++) {
            size_t replaced = diagonal + (from[i - 1] != to[j - 1]);
            diagonal = row[j];
            row[j] = row[j] < row[j - 1] ? row[j] + 1 : row[j - 1] + 1;
            row[j] = row[j] < replaced ? row[j] : replaced;
        }
    }
    return strlen(from) > LONGEST ? lengths[0] : row[lengths[1]];
}

static const tally_workload *find_workload(const char *name) {
    size_t least = SIZE_MAX, used = 0;
    char nearest[1024] = "";
    for (const tally_workload **each = options_workloads; *each != NULL; each++) {
        if (strcmp(name, (*each)->name) == 0) return *each;
        /* A part of a name is nearer than any misspelling. */
        size_t distance =
            strstr((*each)->name, name) != NULL ? 0 : edit_distance(name, (*each)->name);
        if (distance < least) least = distance, used = 0;
        if (distance == least && used < sizeof nearest)
            used += (size_t)snprintf(nearest + used, sizeof nearest - used, "%s%s",
                                     used > 0 ? " or " : "", (*each)->name);
    }
    options_fail("there is no workload '%s'; is it %s? --list names them all", name, nearest);
}

static void add_text(options *result, const char *name) {
    fclose(text_open(name));
    result->texts = realloc(result->texts, (result->text_count + 1) * sizeof *result->texts);
    if (result->texts == NULL) options_fail("no memory for the command line");
    result->texts[result->text_count++] = name;
}

static void set_workers(options *result, int key, const char *text) {
    if (result->workers != 0) options_fail("give --threads or --processes, once");
    result->workers = (unsigned)number(key, text, 1, OPTIONS_MOST_WORKERS);
    result->processes = key == KEY_PROCESSES;
}

static void set_policy(options *result, const char *name) {
    result->switch_policy = name;
    if (!switching_set(&result->runtime, name))
        options_fail("--switch-policy must be " SWITCHING_NAMES ", not '%s'", name);
}

static void check_switching(const options *options) {
    bool ticks = options->runtime.switch_ticks != 0;
    if (ticks && options->switch_policy != NULL && strcmp(options->switch_policy, "ticks") != 0)
        options_fail("--switch-ticks goes with --switch-policy ticks, not with %s",
                     options->switch_policy);
    if (ticks && options->runtime.switch_interval_us != 0)
        options_fail("--switch-interval-us has no meaning with ticks; leave one of the two out");
    if (!options->list && !switching_applies() && options->parent < 0 &&
        (ticks || options->switch_policy != NULL || options->runtime.switch_interval_us != 0))
        fprintf(stderr, "tally-%s: there is no GIL: --switch-... is ignored\n", tally_backend());
}

void options_check_output(const char *takes, const char *path) {
    char *name = workload_allocate(strlen(path) + sizeof ".tmp");
    sprintf(name, "%s.tmp", path);
    FILE *file = fopen(name, "we");
    if (file == NULL)
        options_fail("cannot write '%s': %s; %s, the name of a file to be written", name,
                     strerror(errno), takes);
    fclose(file);
    remove(name);
    free(name);
}

/* The place of a word in a list with commas between; -1: not there. */
static int word_place(const char *words, const char *word, size_t length) {
    for (int place = 0; *words != '\0'; place++) {
        size_t next = strcspn(words, ",");
        if (next == length && strncmp(words, word, length) == 0) return place;
        words += next + (words[next] == ',');
    }
    return -1;
}

static uint64_t parameter_value(const workload_parameter *parameter, const char *text,
                                size_t length) {
    char digits[24] = "", *end = digits;
    if (parameter->choices != NULL) {
        int place = word_place(parameter->choices, text, length);
        if (place < 0)
            options_fail("--set %s must be one of %s, not '%.*s'", parameter->name,
                         parameter->choices, (int)length, text);
        return (uint64_t)place;
    }
    snprintf(digits, sizeof digits, "%.*s", (int)length, text);
    errno = 0;
    unsigned long long value = strtoull(digits, &end, 10);
    if (length >= sizeof digits || digits[0] < '0' || digits[0] > '9' || *end != '\0' ||
        errno != 0 || value < parameter->least || value > parameter->most)
        options_fail("--set %s must be a whole number from %llu to %llu, not '%.*s'",
                     parameter->name, (unsigned long long)parameter->least,
                     (unsigned long long)parameter->most, (int)length, text);
    return value;
}

static size_t find_parameter(const tally_workload *workload, const char *name, size_t length) {
    char known[512] = "";
    size_t used = 0, i = 0;
    if (workload->parameters == NULL)
        options_fail("--set '%.*s': %s has no parameters", (int)length, name, workload->name);
    for (; workload->parameters[i].name != NULL; i++) {
        const char *known_name = workload->parameters[i].name;
        if (strlen(known_name) == length && strncmp(name, known_name, length) == 0) return i;
        if (used < sizeof known)
            used += (size_t)snprintf(known + used, sizeof known - used, "%s%s", i > 0 ? ", " : "",
                                     known_name);
    }
    options_fail("--set: %s has no parameter '%.*s'; it has %s", workload->name, (int)length, name,
                 known);
}

/* One --set: name=value, and more of them after commas. */
static void set_parameters(options *result, const char *text) {
    do {
        size_t length = strcspn(text, ","), name = strcspn(text, "=,");
        if (name == 0 || name >= length)
            options_fail("--set takes NAME=VALUE, not '%.*s'", (int)length, text);
        size_t i = find_parameter(result->workload, text, name);
        result->parameters[i] =
            parameter_value(&result->workload->parameters[i], text + name + 1, length - name - 1);
        text += length + (text[length] == ',');
    } while (*text != '\0');
}

static void complete_parameters(options *result, char *const *sets, size_t count) {
    const workload_parameter *each = result->workload->parameters;
    for (size_t i = 0; each != NULL && each[i].name != NULL; i++)
        result->parameters[i] = each[i].value;
    for (size_t i = 0; i < count; i++) set_parameters(result, sets[i]);
    if (result->workload->configure != NULL)
        result->workload->configure(result->parameters, &result->runtime);
}

static void print_help(const struct argp_state *state, unsigned parts) {
    argp_help(state->root_argp, stdout, parts, "tally-" TALLY_DRIVER_BACKEND);
    exit(EXIT_SUCCESS);
}

enum { MOST_SETS = 16 };

/* What --set means is known once the workload is. */
struct command_line {
    options *result;
    char *sets[MOST_SETS];
    size_t set_count;
};

static error_t parse_one(int key, char *text, struct argp_state *state) {
    struct command_line *line = state->input;
    options *result = line->result;
    switch (key) {
    case KEY_LIST: result->list = true; return 0;
    case KEY_JSON: result->json = true; return 0;
    case KEY_WORKLOAD: result->workload = find_workload(text); return 0;
    case KEY_THREADS:
    case KEY_PROCESSES: set_workers(result, key, text); return 0;
    case KEY_SAMPLES: result->samples = (unsigned)number(key, text, 1, 10000); return 0;
    case KEY_SAMPLE_MS: result->sample_ms = (unsigned)number(key, text, 1, 600000); return 0;
    case KEY_WARMUP_MS: result->warmup_ms = (unsigned)number(key, text, 0, 600000); return 0;
    case KEY_TOTAL: result->total = number(key, text, 1, UINT64_C(1) << 52); return 0;
    case KEY_TIME_LIMIT: result->time_limit = (unsigned)number(key, text, 1, 86400); return 0;
    case KEY_SET:
        if (line->set_count == MOST_SETS)
            options_fail("--set is given more than %d times; put commas between parameters",
                         MOST_SETS);
        line->sets[line->set_count++] = text;
        return 0;
    case KEY_TEXT: add_text(result, text); return 0;
    case KEY_TEXT_BYTES: result->text_bytes = number(key, text, 1, UINT64_C(1) << 36); return 0;
    case KEY_SWITCH_POLICY: set_policy(result, text); return 0;
    case KEY_TRACE: result->trace = text; return 0;
    case KEY_SNAPSHOT:
        if (!snapshot_parse(result, text))
            options_fail("--snapshot takes end:FILE, SECONDS:FILE or signal:FILE, not '%s'", text);
        return 0;
    case KEY_LEDGER: result->ledger_ms = (unsigned)number(key, text, 1, 600000); return 0;
    case KEY_PROFILE:
        if (!profile_parse(result, text))
            options_fail("--heap-profile takes FILE or BYTES:FILE, not '%s'", text);
        return 0;
    case KEY_SWITCH_INTERVAL:
        result->runtime.switch_interval_us = (unsigned)number(key, text, 1, 10000000);
        return 0;
    case KEY_SWITCH_TICKS:
        result->runtime.switch_ticks = (unsigned)number(key, text, 1, 1000000000);
        return 0;
    case KEY_SEED: result->seed = number(key, text, 0, UINT64_MAX); return 0;
    case KEY_WITHOUT:
        if ((result->without = cause_find(text)) < 0)
            options_fail("--without must be sharing, counting, collector or locks, not '%s'", text);
        return 0;
    case KEY_NO_PERF: result->perf = false; return 0;
    case '?': print_help(state, ARGP_HELP_STD_HELP); return 0;
    case KEY_USAGE: print_help(state, ARGP_HELP_USAGE); return 0;
    case 'V': puts("tally-" TALLY_DRIVER_BACKEND " " TALLY_VERSION); exit(EXIT_SUCCESS);
    case KEY_PARENT: result->parent = (int)number(key, text, 0, 1 << 20); return 0;
    case KEY_PARENT_PROCESS: result->parent_process = (int)number(key, text, 1, 1 << 30); return 0;
    case KEY_PROCESS_COUNT:
        result->processes_in_all = (unsigned)number(key, text, 1, OPTIONS_MOST_WORKERS);
        return 0;
    case KEY_INDEX: result->index = (unsigned)number(key, text, 0, OPTIONS_MOST_WORKERS); return 0;
    case ARGP_KEY_ARG: options_fail("'%s' is not an option; --help names them all", text);
    case ARGP_KEY_ERROR:
        options_fail("'%s' is no option, or lacks its value; --help names them all",
                     state->argv[state->next > 1 ? state->next - 1 : 1]);
    default: return ARGP_ERR_UNKNOWN;
    }
}

/* Object locks are compiled out or in: a driver can either do without them or not. */
static void check_without(options *result) {
#ifdef TALLY_DRIVER_UNLOCKED
    enum { UNLOCKED = true };
    if (result->without < 0) result->without = CAUSE_LOCKS;
#else
    enum { UNLOCKED = false };
#endif
    if (result->without < 0) return;
    const char *kept = cause_kept(result->workload, result->without);
    if (kept != NULL)
        options_fail("--without %s does not go with %s: %s", cause_name(result->without),
                     result->workload->name, kept);
    if (UNLOCKED != (result->without == CAUSE_LOCKS))
        options_fail("--without %s needs the driver tally-%s%s", cause_name(result->without),
                     tally_backend(), UNLOCKED ? "" : "-unlocked");
}

void options_parse(options *result, int argc, char **argv) {
    static const struct argp argp = {
        .options = table,
        .parser = parse_one,
        .doc = "Runs one workload on one backend of Tally, " TALLY_DRIVER_BACKEND
               ", and prints its throughput, or with --json its samples, events and memory."
               "\vCtrl-C ends a run and prints the samples so far, marked incomplete. Exit status: "
               "0 good, "
               "1 a wrong result or no memory, 2 a wrong argument, 124 hung, 130 Ctrl-C. "
               "\"tally compare\" calls the drivers of all backends and writes a report.",
    };

    *result = (options){
        .samples = 5,
        .sample_ms = 200,
        .warmup_ms = 100,
        .seed = 1,
        .perf = true,
        .without = -1,
        .text_bytes = 64 << 20,
        .time_limit = WATCH_LIMIT_SECONDS,
        .parent = -1,
        .processes_in_all = 1,
    };
    struct command_line line = {.result = result};
    sort_workloads();
    argp_parse(&argp, argc, argv, ARGP_NO_ERRS | ARGP_NO_HELP, NULL, &line);
    if (result->workers == 0) result->workers = 1;
    if (!result->list && result->workload == NULL)
        options_fail("which workload? Give --workload NAME; --list names them all");
    if (result->parent >= 0 && result->total > 0) {
        uint64_t part = result->total / result->processes_in_all;
        part += result->index < result->total % result->processes_in_all;
        result->total = part > 0 ? part : 1;
    }
    if (!result->list) check_without(result);
    if (!result->list) complete_parameters(result, line.sets, line.set_count);
    check_switching(result);
    if (!result->list && result->trace != NULL) trace_check(result);
    if (!result->list && result->snapshot != NULL) snapshot_check(result);
    if (!result->list && result->ledger_ms != 0) ledger_check(result);
    if (!result->list && result->profile != NULL) profile_check(result);
}

void options_free(options *options) {
    free(options->texts);
    free(options_workloads);
}
