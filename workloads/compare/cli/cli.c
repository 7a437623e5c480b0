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

// ---- values that are more than a number or a string ----------------------------------------

static void add_names(struct names *names, const char *list, const char *option) {
    char *copy = checked_strdup(list), *rest = NULL;
    for (char *name = strtok_r(copy, ",", &rest); name; name = strtok_r(NULL, ",", &rest)) {
        if (names->count == MAX_NAMES) reject("%s has too many names; give at most 64", option);
        if (strchr(name, '/')) reject("%s takes names, not paths; see --help", option);
        if (!names_have(names, name)) names_add(names, name);
    }
    free(copy);
    if (names->count == 0) reject("%s needs at least one name; see --help", option);
}

// --quick and --full.
static void set_effort(struct command *command, const char *option, const char *value) {
    (void)value;
    command->run.effort = strcmp(option, "quick") == 0 ? QUICK : FULL;
}

static void set_workloads(struct command *command, const char *option, const char *list) {
    (void)option;
    add_names(&command->run.workloads, list, "--workloads");
}

static void set_backends(struct command *command, const char *option, const char *list) {
    (void)option;
    struct run_options *run = &command->run;
    if (strcmp(list, "all") == 0)
        run->all_backends = true;
    else
        add_names(&run->backends, list, "--backends");
    if (run->all_backends && run->backends.count)
        reject("--backends all goes with no other; give all, or names");
}

static void set_threads(struct command *command, const char *option, const char *list) {
    (void)option;
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

static void add_word(struct names *names, const char *option, const char *word) {
    if (names->count == MAX_NAMES) reject("--%s %s is one too many; give at most 64", option, word);
    names_add(names, word);
}

static void add_text(struct command *command, const char *option, const char *path) {
    FILE *file = regular_open(path);
    if (file == NULL || fgetc(file) == EOF)
        reject("--text %s cannot be read, is empty or no regular file; name a text file", path);
    fclose(file);
    add_word(&command->run.texts, option, path);
}

static void add_python(struct command *command, const char *option, const char *program) {
    add_word(&command->run.pythons, option, program);
}

// The drivers judge them; the last one counts.
static void add_switching(struct command *command, const char *option, const char *value) {
    struct names *switching = &command->run.switching;
    char *word = format("--%s=%s", option, value);
    size_t at = 0;
    while (at < switching->count && strncmp(switching->items[at], word, strlen(option) + 3) != 0)
        at++;
    if (at == switching->count)
        switching->count++;
    else
        free(switching->items[at]);
    switching->items[at] = word;
}

static void set_mode(struct command *command, const char *option, const char *value) {
    (void)option;
    bool threads = strcmp(value, "threads") == 0;
    if (!threads && strcmp(value, "threads,processes") != 0)
        reject("--mode %s is wrong; give threads, or threads,processes, which are set beside them",
               value);
    command->run.mode = threads ? MODE_THREADS : MODE_BOTH;
}

static void set_seed(struct command *command, const char *option, const char *value) {
    char *end;
    (void)option;
    errno = 0;
    command->run.seed = strtoull(value, &end, 10);
    if (*value < '0' || *value > '9' || *end || errno || command->run.seed > INT64_MAX)
        reject("--seed %s is wrong; give a whole number of 0 or more", value);
    command->seeded = true;
}

// ---- the table -------------------------------------------------------------------------------

// How an option's value is kept at its offset in the command.
enum value {
    FLAG,  // bool: true
    NAME,  // const char *
    WHOLE, // int, or unsigned, within its bounds
    REAL,  // double, the same
    CALL,  // by a function alone
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
    const char *name;
    enum origin origin;
    enum value value;
    size_t at;
    void (*set)(struct command *command, const char *option, const char *value);
    // Of options.txt.
    char *argument, *help, *group;
    double least, most; // most 0: no bounds
};

#define KEEPS(kind, member) .value = kind, .at = offsetof(struct command, member)
#define CALLS(function)     .value = CALL, .set = function

static struct cli_option options[] = {
    {"output", NO_JOURNAL, KEEPS(NAME, output)},
    {"margin", FROM_JOURNAL, KEEPS(REAL, margin)},
    {"drivers", NO_JOURNAL, KEEPS(NAME, run.drivers)},
    {"quick", FROM_JOURNAL, CALLS(set_effort)},
    {"full", FROM_JOURNAL, CALLS(set_effort)},
    {"workloads", FROM_JOURNAL, CALLS(set_workloads)},
    {"backends", FROM_JOURNAL, CALLS(set_backends)},
    {"threads", FROM_JOURNAL, CALLS(set_threads)},
    {"text", FROM_JOURNAL, CALLS(add_text)},
    {"with-python", GIVEN_AGAIN, KEEPS(CALL, run.pythons), .set = add_python},
    {"python-script", FROM_COMMAND, KEEPS(NAME, run.python_script)},
    {"patterns-script", FROM_COMMAND, KEEPS(NAME, run.patterns_script)},
    {"convoy-script", FROM_COMMAND, KEEPS(NAME, run.convoy_script)},
    {"server-script", FROM_COMMAND, KEEPS(NAME, run.server_script)},
    {"resume", NO_JOURNAL, KEEPS(NAME, resume)},
    {"what-if", FROM_JOURNAL, KEEPS(FLAG, run.what_if)},
    {"against", GIVEN_AGAIN, KEEPS(NAME, run.against)},
    {"self", FROM_JOURNAL, KEEPS(FLAG, run.self)},
    {"rounds", FROM_JOURNAL, KEEPS(WHOLE, run.rounds)},
    {"sample-ms", FROM_JOURNAL, KEEPS(WHOLE, run.sample_ms)},
    {"seed", FROM_JOURNAL, CALLS(set_seed)},
    {"mode", FROM_JOURNAL, CALLS(set_mode)},
    {"time-limit", FROM_JOURNAL, KEEPS(WHOLE, run.time_limit)},
    {"switch-policy", FROM_JOURNAL, CALLS(add_switching)},
    {"switch-interval-us", FROM_JOURNAL, KEEPS(WHOLE, run.switch_interval_us),
     .set = add_switching},
    {"switch-ticks", FROM_JOURNAL, CALLS(add_switching)},
    {"trace", GIVEN_AGAIN, KEEPS(NAME, run.traces)},
    {"dry-run", NO_JOURNAL, KEEPS(FLAG, dry_run)},
    {"wait-for-quiet", NO_JOURNAL, KEEPS(REAL, quiet)},
    {"verbose", NO_JOURNAL, KEEPS(FLAG, verbose)},
    {"json", NO_JOURNAL, KEEPS(FLAG, json)},
    {"check", NO_JOURNAL, KEEPS(FLAG, check)},
    {"root", NO_JOURNAL, KEEPS(NAME, root)}, // for tests; not in options.txt
};
enum { OPTIONS = sizeof options / sizeof *options, FIRST_KEY = 256, USAGE = FIRST_KEY + OPTIONS };

extern const char options_txt[];
__asm__(".pushsection .rodata\n.global options_txt\noptions_txt:\n.incbin \"" OPTIONS_FILE
        "\"\n.byte 0\n.popsection\n");

static const char *const groups[] = {"compare", "diff", "tune", "tally-compare"};
enum { GROUPS = sizeof groups / sizeof *groups };

static struct cli_option *option_named(const char *name) {
    for (size_t i = 0; i < OPTIONS; i++)
        if (strcmp(options[i].name, name) == 0) return &options[i];
    return NULL;
}

// Fills the table from options.txt; an option of two commands is that of the first.
static void read_options(void) {
    char *text = checked_strdup(options_txt), *rest = NULL, *group = NULL;
    struct cli_option *option = NULL;
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        char name[32], argument[32] = "";
        if (sscanf(line, "== %31s", name) == 1) {
            group = NULL;
            for (size_t g = 0; g < GROUPS; g++)
                if (strcmp(groups[g], name) == 0) group = (char *)groups[g];
            option = NULL;
        } else if (sscanf(line, "  --%31s %31s", name, argument) >= 1 && line[2] == '-') {
            option = group ? option_named(name) : NULL;
            if (option && option->help) option = NULL;
            if (!option) continue;
            const char *bounds = strstr(line, " (");
            if (bounds) sscanf(bounds, " (%lf to %lf)", &option->least, &option->most);
            option->group = group;
            // What the script lets be left out is needed here.
            argument[strcspn(argument, "]")] = '\0';
            option->argument = *argument ? checked_strdup(argument + (*argument == '[')) : NULL;
            option->help = checked_strdup("");
        } else if (option && strncmp(line, "      ", 6) == 0 && !strchr(line, '{')) {
            char *longer = format("%s%s%s", option->help, *option->help ? " " : "", line + 6);
            free(option->help);
            option->help = longer;
        }
    }
    free(text);
}

static void set_bounded(const struct cli_option *option, char *at, const char *value) {
    char *end;
    double number = strtod(value, &end);
    bool whole = option->value != REAL, good = *value >= '0' && *value <= '9' && *end == '\0';
    good = good && number >= option->least && number <= option->most;
    if (!good || (whole && number != (int)number))
        reject("--%s %s is wrong; give a %s from %g to %.0f", option->name, value,
               whole ? "whole number" : "number", option->least, option->most);
    if (option->value == WHOLE) *(int *)at = (int)number;
    if (option->value == REAL) *(double *)at = number;
}

static void set_option(struct command *command, const struct cli_option *option, char *value) {
    char *at = (char *)command + option->at;
    if (option->value == FLAG) *(bool *)at = true;
    if (option->value == NAME) *(char **)at = value;
    if (option->most > 0) set_bounded(option, at, value);
    if (option->set) option->set(command, option->name, value);
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
    char *headings[GROUPS];
    for (int g = 0; g < GROUPS; g++) {
        headings[g] = format("%s:", groups[g]);
        *next++ = (struct argp_option){.doc = headings[g], .group = g + 1};
        for (int i = 0; i < OPTIONS; i++)
            if (options[i].group == groups[g])
                *next++ = (struct argp_option){.name = options[i].name,
                                               .key = FIRST_KEY + i,
                                               .arg = options[i].argument,
                                               .doc = options[i].help,
                                               .group = g + 1};
    }
    *next++ = (struct argp_option){"root", FIRST_KEY + OPTIONS - 1, "DIR", OPTION_HIDDEN, NULL, 0};
    *next++ = (struct argp_option){.doc = "Help:", .group = GROUPS + 1};
    *next++ = (struct argp_option){"help", '?', NULL, 0, "print this and end", GROUPS + 1};
    *next++ = (struct argp_option){"usage",   USAGE, NULL, 0, "print the options, briefly, and end",
                                   GROUPS + 1};
    *next = (struct argp_option){"version", 'V', NULL, 0, "print the version and end", GROUPS + 1};
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
    for (int g = 0; g < GROUPS; g++) free(headings[g]);
}

void cli_parse(struct command *command, int argc, char **argv) {
    read_options();
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
