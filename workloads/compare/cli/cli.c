// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The command line; see cli.h.
#include "cli.h"

#include "files.h"
#include "text.h"

#include <argp.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef TALLY_VERSION
#    define TALLY_VERSION "unknown"
#endif

_Noreturn void reject(const char *pattern, ...) {
    va_list list;
    va_start(list, pattern);
    fputs("tally-compare: ", stderr);
    vfprintf(stderr, pattern, list);
    va_end(list);
    fputc('\n', stderr);
    exit(2);
}

// ---- values that are more than a number or a string ----------------------------------------

static void add_names(struct names *names, const char *list, const char *option) {
    char *copy = checked_strdup(list), *rest = NULL;
    for (char *name = strtok_r(copy, ",", &rest); name; name = strtok_r(NULL, ",", &rest)) {
        bool again = false;
        for (size_t i = 0; i < names->count; i++)
            again = again || strcmp(names->items[i], name) == 0;
        if (names->count == MAX_NAMES) reject("%s has too many names; give at most 64", option);
        if (strchr(name, '/')) reject("%s takes names, not paths; see --help", option);
        if (!again) names->items[names->count++] = checked_strdup(name);
    }
    free(copy);
    if (names->count == 0) reject("%s needs at least one name; see --help", option);
}

static void set_workloads(struct command *command, const char *list) {
    add_names(&command->run.workloads, list, "--workloads");
}

static void set_backends(struct command *command, const char *list) {
    struct run_options *run = &command->run;
    if (strcmp(list, "all") == 0)
        run->all_backends = true;
    else
        add_names(&run->backends, list, "--backends");
    if (run->all_backends && run->backends.count)
        reject("--backends all goes with no other; give all, or names");
}

static void set_threads(struct command *command, const char *list) {
    struct run_options *run = &command->run;
    const char *at = list;
    do {
        char *end;
        errno = 0;
        long threads = *at >= '0' && *at <= '9' ? strtol(at, &end, 10) : 0;
        if (threads < 1 || threads > 256 || errno || (*end != ',' && *end != '\0'))
            reject("--threads %s is wrong; give counts from 1 to 256, such as 1,2,4", list);
        if (run->thread_count == MAX_NAMES)
            reject("--threads %s has too many counts; give at most 64", list);
        bool again = false;
        for (size_t i = 0; i < run->thread_count; i++) again = again || run->threads[i] == threads;
        if (!again) run->threads[run->thread_count++] = (int)threads;
        at = *end == ',' ? end + 1 : NULL;
    } while (at);
}

static void add_text(struct command *command, const char *path) {
    struct names *texts = &command->run.texts;
    FILE *file = regular_open(path);
    if (file == NULL || fgetc(file) == EOF)
        reject("--text %s cannot be read, is empty or no regular file; name a text file", path);
    fclose(file);
    if (texts->count == MAX_NAMES) reject("--text %s is one too many; give at most 64", path);
    texts->items[texts->count++] = checked_strdup(path);
}

// The drivers judge them; the last one counts.
static void add_switching(struct command *command, const char *option, const char *value) {
    struct names *switching = &command->run.switching;
    size_t at = 0;
    while (at < switching->count && strncmp(switching->items[at], option, strlen(option)) != 0)
        at++;
    if (at == switching->count)
        switching->count++;
    else
        free(switching->items[at]);
    switching->items[at] = format("%s=%s", option, value);
}

static void set_policy(struct command *command, const char *value) {
    add_switching(command, "--switch-policy", value);
}

static void set_interval(struct command *command, const char *value) {
    add_switching(command, "--switch-interval-us", value);
}

static void set_ticks(struct command *command, const char *value) {
    add_switching(command, "--switch-ticks", value);
}

static void set_mode(struct command *command, const char *value) {
    bool threads = strcmp(value, "threads") == 0;
    if (!threads && strcmp(value, "threads,processes") != 0)
        reject("--mode %s is wrong; give threads, or threads,processes, which are set beside them",
               value);
    command->run.mode = threads ? MODE_THREADS : MODE_BOTH;
}

static void set_seed(struct command *command, const char *value) {
    char *end;
    errno = 0;
    command->run.seed = strtoull(value, &end, 10);
    if (*value < '0' || *value > '9' || *end || errno || command->run.seed > INT64_MAX)
        reject("--seed %s is wrong; give a whole number of 0 or more", value);
    command->seeded = true;
}

// ---- the table -------------------------------------------------------------------------------

// How an option's value is kept at its offset in the command.
enum value {
    FLAG,   // bool: true
    CHOICE, // int: the least bound; no value
    NAME,   // const char *
    WHOLE,  // int, or unsigned, from least to most
    REAL,   // double, from least to most
    CALL,   // by a function, which comes after any bounds
};

// What an option is to --resume.
enum origin {
    NO_JOURNAL,   // no run keeps it
    FROM_JOURNAL, // taken from the journal
    FROM_COMMAND, // names what is run or written: never taken from a journal, which may be
                  // somebody else's
    GIVEN_AGAIN,  // the same, and a run that had it needs it
};

struct cli_option {
    const char *name, *argument;
    int group;
    enum origin origin;
    enum value value;
    size_t at;
    double least, most; // most 0: no bounds
    void (*set)(struct command *command, const char *value);
    const char *help;
};

#define AT(member)        offsetof(struct command, member)
#define CALLS(set)        CALL, 0, 0, 0, set
#define SETS(value, at)   value, AT(at), 0, 0, NULL
#define BOUND(value, ...) value, __VA_ARGS__, NULL

/* clang-format off */
static const struct cli_option options[] = {
    {"output", "DIR", 1, NO_JOURNAL, SETS(NAME, output),
     "Folder for report.html, report.md, results.csv and results.json; is made; must be given"},
    {"margin", "PERCENT", 1, FROM_JOURNAL, BOUND(REAL, AT(margin), 0.1, 50),
     "Two that differ by less are called the same, 0.1 to 50 (default: 2)"},
    {"drivers", "DIR", 2, NO_JOURNAL, SETS(NAME, run.drivers),
     "Folder of the programs tally-<backend> and of backends.json; must be given"},
    {"quick", NULL, 2, FROM_JOURNAL, BOUND(CHOICE, AT(run.effort), QUICK, 0),
     "Measure for under a minute (default: about 10 minutes, on two cores)"},
    {"full", NULL, 2, FROM_JOURNAL, BOUND(CHOICE, AT(run.effort), FULL, 0),
     "Measure for about an hour, on two cores"},
    {"workloads", "A,B", 2, FROM_JOURNAL, CALLS(set_workloads),
     "Only these workloads (default: all)"},
    {"backends", "A,B|all", 2, FROM_JOURNAL, CALLS(set_backends),
     "Only these backends (default: all but the ablations)"},
    {"threads", "1,2,4", 2, FROM_JOURNAL, CALLS(set_threads),
     "Numbers of threads, each 1 to 256 (default: powers of two up to the cores, the cores, twice "
     "the cores)"},
    {"text", "FILE", 2, FROM_JOURNAL, CALLS(add_text),
     "A text for workloads that read one; may be given again (default: the system's licence "
     "texts)"},
    {"with-python", "PROGRAM", 2, GIVEN_AGAIN, SETS(NAME, run.python),
     "Measure the collector of this Python 3 interpreter too"},
    {"python-script", "FILE", 2, FROM_COMMAND, SETS(NAME, run.python_script),
     "What it runs, workloads/experiments/python/collector.py; goes with --with-python"},
    {"patterns-script", "FILE", 2, FROM_COMMAND, SETS(NAME, run.patterns_script),
     "And workloads/experiments/python/patterns.py"},
    {"server-script", "FILE", 2, FROM_COMMAND, SETS(NAME, run.server_script),
     "What loads the task server, workloads/experiments/server/measure.py"},
    {"resume", "DIR", 2, NO_JOURNAL, SETS(NAME, resume),
     "Go on with the run in this folder, which was ended early; takes its options from there, but "
     "for those that name programs or a folder (--drivers, --with-python, its scripts, --against, "
     "--server-script, --trace)"},
    {"what-if", NULL, 2, FROM_JOURNAL, SETS(FLAG, run.what_if),
     "Also run each workload without one cause of cost at a time, and tell the gains"},
    {"against", "DIR", 2, GIVEN_AGAIN, SETS(NAME, run.against),
     "The folder of another build's drivers: both take turns in each round; status 3 if this "
     "one is "
     "slower by more than the margin"},
    {"self", NULL, 2, FROM_JOURNAL, SETS(FLAG, run.self),
     "Only the control: every backend against itself, and how often that came out different"},
    {"rounds", "N", 2, FROM_JOURNAL, BOUND(WHOLE, AT(run.rounds), 2, 1000),
     "Rounds, each with a process for each point, 2 to 1000 (default: 4 quick, 6, 12 full)"},
    {"seed", "N", 2, FROM_JOURNAL, CALLS(set_seed),
     "Seed of the order and of resampling (default: drawn anew)"},
    {"mode", "threads,processes", 2, FROM_JOURNAL, CALLS(set_mode),
     "threads alone, or the same workloads as processes of one thread each too, on the "
     "backend with "
     "the GIL (default: threads; both with --full)"},
    {"time-limit", "SECONDS", 2, FROM_JOURNAL, BOUND(WHOLE, AT(run.time_limit), 1, 86400),
     "End a run of which a step (setup, a sample, teardown) is not over so long after its "
     "time, show "
     "the stacks of its threads, and count it as failed, 1 to 86400 (default: 60)"},
    {"switch-policy", "NAME", 2, FROM_JOURNAL, CALLS(set_policy),
     "How a GIL changes hands, on all backends that have one: cpython, deadline or ticks (default: "
     "cpython)"},
    {"switch-interval-us", "US", 2, FROM_JOURNAL, WHOLE, AT(run.switch_interval_us), 1,
     1000000, set_interval,
     "cpython, deadline: microseconds until a waiter asks for it, 1 to 1000000 (default: 5000)"},
    {"switch-ticks", "N", 2, FROM_JOURNAL, CALLS(set_ticks),
     "ticks: safepoints until its holder lets go (default: 100)"},
    {"trace", "DIR", 2, GIVEN_AGAIN, SETS(NAME, run.traces),
     "Folder for timelines of the counting pass, which Perfetto opens; is made"},
    {"json", NULL, 3, NO_JOURNAL, SETS(FLAG, json), "Print JSON, not a table"},
    {"check", NULL, 4, NO_JOURNAL, SETS(FLAG, check),
     "List what on this machine spoils numbers, and what to do; change nothing"},
    {"root", "DIR", 0, NO_JOURNAL, SETS(NAME, root), NULL},
};
/* clang-format on */
enum { OPTIONS = sizeof options / sizeof *options, FIRST_KEY = 256, USAGE = FIRST_KEY + OPTIONS };

static const char *const groups[] = {NULL,
                                     "Commands that write a report:", "run:", "diff:", "tune:"};
enum { GROUPS = sizeof groups / sizeof *groups };

static void set_bounded(const struct cli_option *option, char *at, const char *value) {
    char *end;
    double number = strtod(value, &end);
    bool whole = option->value == WHOLE, good = *value >= '0' && *value <= '9' && *end == '\0';
    good = good && number >= option->least && number <= option->most;
    if (!good || (whole && number != (int)number))
        reject("--%s %s is wrong; give a %s from %g to %.0f", option->name, value,
               whole ? "whole number" : "number", option->least, option->most);
    if (whole)
        *(int *)at = (int)number;
    else
        *(double *)at = number;
}

static void set_option(struct command *command, const struct cli_option *option, char *value) {
    char *at = (char *)command + option->at;
    switch (option->value) {
    case FLAG: *(bool *)at = true; break;
    case CHOICE: *(int *)at = (int)option->least; break;
    case NAME: *(char **)at = value; break;
    case WHOLE:
    case REAL: set_bounded(option, at, value); break;
    case CALL: break;
    }
    if (option->set) option->set(command, value);
}

static bool was_given(const struct command *command, const struct cli_option *option) {
    return *(char *const *)((const char *)command + option->at) != NULL;
}

// ---- parsing -----------------------------------------------------------------------------------

static void set_argument(struct command *command, char *argument) {
    if (command->name == NULL)
        command->name = argument;
    else if (strcmp(command->name, "diff") == 0 && command->files.count < MAX_NAMES)
        command->files.items[command->files.count++] = argument;
    else if (strcmp(command->name, "report") == 0 && command->results == NULL)
        command->results = argument;
    else
        reject("unexpected argument %s; see --help", argument);
}

// The options of a run are kept as they were given, to go on with the same.
static void keep_option(struct command *command, const struct cli_option *option,
                        const char *value) {
    char *shown = value ? format("--%s=%s", option->name, value) : format("--%s", option->name);
    // A name that is no UTF-8 is not kept: such a run is measured, but not gone on with.
    json_array_append_new(command->run.arguments, json_string(shown));
    command->replayable |= option->origin == FROM_JOURNAL;
    free(shown);
}

// One word of a journal.
static void replay_option(struct command *command, const struct cli_option *option, char *value) {
    // The scripts are the checkout's own; a run that lacks one it needs is not the run that was
    // begun.
    if (option->origin == GIVEN_AGAIN && !was_given(command, option))
        reject("the run was begun with --%s, which names what is run or written and is not taken "
               "from a journal; give it again, beside --resume",
               option->name);
    if (option->origin == NO_JOURNAL)
        reject("the journal in %s holds an option that no run keeps; it is not gone on with",
               command->resume);
    if (option->origin == FROM_JOURNAL) set_option(command, option, value);
}

static error_t parse(int key, char *argument, struct argp_state *state) {
    struct command *command = state->input;
    const struct cli_option *option =
        key >= FIRST_KEY && key < USAGE ? &options[key - FIRST_KEY] : NULL;
    bool replaying = command->replaying;
    if (replaying && (key == ARGP_KEY_ARG || key == ARGP_KEY_ERROR || key == '?' || key == 'V'))
        reject("the journal in %s holds an option that no run keeps; it is not gone on with",
               command->resume);
    if (option && replaying) {
        replay_option(command, option, argument);
    } else if (option) {
        set_option(command, option, argument);
        if (option->origin != NO_JOURNAL) keep_option(command, option, argument);
    } else if (key == ARGP_KEY_ARG) {
        set_argument(command, argument);
    } else if (key == ARGP_KEY_ERROR) {
        reject("%s is no option, or lacks its value; see --help",
               state->argv[state->next > 1 ? state->next - 1 : 1]);
    } else if (key == '?' || key == USAGE) {
        argp_help(state->root_argp, stdout, key == '?' ? ARGP_HELP_STD_HELP : ARGP_HELP_USAGE,
                  "tally-compare");
        exit(0);
    } else if (key == 'V') {
        puts("tally-compare " TALLY_VERSION);
        exit(0);
    } else {
        return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

// Argp is silent about errors, since it would say them in two lines, and with that about help.
static void parse_words(struct command *command, int argc, char **argv) {
    struct argp_option list[OPTIONS + GROUPS + 5] = {0}, *next = list;
    for (int group = 0; group < GROUPS; group++) {
        if (group) *next++ = (struct argp_option){.doc = groups[group], .group = group};
        for (int i = 0; i < OPTIONS; i++)
            if (options[i].group == group)
                *next++ = (struct argp_option){.name = options[i].name,
                                               .key = FIRST_KEY + i,
                                               .arg = options[i].argument,
                                               .flags = group ? 0 : OPTION_HIDDEN,
                                               .doc = options[i].help,
                                               .group = group};
    }
    *next++ = (struct argp_option){.doc = "Help:", .group = GROUPS};
    *next++ = (struct argp_option){"help", '?', NULL, 0, "Print this and end", GROUPS};
    *next++ = (struct argp_option){"usage", USAGE, NULL, 0, "Print the options, briefly, and end",
                                   GROUPS};
    *next = (struct argp_option){"version", 'V', NULL, 0, "Print the version and end", GROUPS};
    const struct argp argp = {
        .options = list,
        .parser = parse,
        .args_doc = "run\nreport RESULTS.json\ndiff OLD.json... NEW.json\ntune --check",
        .doc =
            "run measures Tally's backends side by side and writes the comparison report. report "
            "writes it again from the results.json of a run. diff compares the newest of them "
            "with the others. tune lists what on this machine spoils numbers, with status 1 if "
            "anything does.\v"
            "Ctrl-C ends a run and keeps the samples so far, marked incomplete. Exit status: 0 "
            "good, 1 a run failed or the table is lost, 2 a wrong argument or a folder that "
            "cannot be written, 3 slower than --against by more than the margin, 130 Ctrl-C."};
    if (argp_parse(&argp, argc, argv, ARGP_NO_ERRS | ARGP_NO_HELP, NULL, command) != 0) exit(2);
}

void cli_parse(struct command *command, int argc, char **argv) {
    parse_words(command, argc, argv);
    if (command->name == NULL) reject("give a command: run, report, diff or tune");
}

void cli_replay(struct command *command, const json_t *arguments) {
    const json_t *argument;
    size_t index;
    char **words = checked_calloc(json_array_size(arguments) + 2, sizeof *words);
    words[0] = (char *)"tally-compare";
    json_array_foreach(arguments, index, argument) {
        words[index + 1] = (char *)(json_is_string(argument) ? json_string_value(argument) : "");
    }
    command->replaying = true;
    parse_words(command, (int)json_array_size(arguments) + 1, words);
    command->replaying = false;
    free(words);
}
