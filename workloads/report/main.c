// SPDX-License-Identifier: LGPL-2.1-or-later
//
// tally-compare: measures the drivers and writes the report, or writes it again
// from a results file.  Exit status: 0, 1 where a block failed or the table is
// lost, 2 for bad input or a folder that cannot be written, 130 after Ctrl-C.
#include "compose.h"
#include "diff.h"
#include "files.h"
#include "harness/output.h"
#include "journal.h"
#include "machine.h"
#include "process.h"
#include "results.h"
#include "run.h"
#include "stable.h"

#include <argp.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

enum option_key {
    DRIVERS = 256,
    PYTHON,
    PYTHON_SCRIPT,
    PATTERNS_SCRIPT,
    SERVER_SCRIPT,
    QUICKLY,
    FULLY,
    WORKLOADS,
    BACKENDS,
    THREADS,
    TEXT_FILE,
    OUTPUT,
    SEED,
    USAGE,
    SELF,
    ROUNDS,
    MARGIN,
    RESUME,
    JSON,
    LIMIT,
    MODE,
    WHAT_IF,
    CHECK,
    ROOT,
    TRACE,
    AGAINST,
    POLICY,
    INTERVAL,
    TICKS
};

static const struct argp_option option_list[] = {
    {NULL, 0, NULL, 0, "Both commands:", 1},
    {"output", OUTPUT, "DIR", 0,
     "Folder for report.html, report.md, results.csv and results.json; is made; must be given", 1},
    {"margin", MARGIN, "PERCENT", 0,
     "Two backends that differ by less are called the same, 0.1 to 50 (default: 2)", 1},
    {NULL, 0, NULL, 0, "run:", 2},
    {"drivers", DRIVERS, "DIR", 0,
     "Folder of the programs tally-<backend> and of backends.json; must be given", 2},
    {"quick", QUICKLY, NULL, 0,
     "Measure for under a minute (default: about 10 minutes, on two cores)", 2},
    {"full", FULLY, NULL, 0, "Measure for about an hour, on two cores", 2},
    {"workloads", WORKLOADS, "A,B", 0, "Only these workloads (default: all)", 2},
    {"backends", BACKENDS, "A,B|all", 0, "Only these backends (default: all but the ablations)", 2},
    {"threads", THREADS, "1,2,4", 0,
     "Numbers of threads, each 1 to 256 (default: powers of two up to the cores, the cores, twice "
     "the cores)",
     2},
    {"text", TEXT_FILE, "FILE", 0,
     "A text for wordcount; may be given again (default: the system's licence texts)", 2},
    {"with-python", PYTHON, "PROGRAM", 0, "Measure the collector of this Python 3 interpreter too",
     2},
    {"python-script", PYTHON_SCRIPT, "FILE", 0,
     "What it runs, workloads/experiments/python/collector.py; goes with --with-python", 2},
    {"patterns-script", PATTERNS_SCRIPT, "FILE", 0, "And workloads/experiments/python/patterns.py",
     2},
    {"server-script", SERVER_SCRIPT, "FILE", 0,
     "What loads the task server, workloads/experiments/server/measure.py", 2},
    {"resume", RESUME, "DIR", 0,
     "Go on with the run in this folder, which was ended early; takes its options from there, but "
     "for those that name "
     "programs or a folder (--drivers, --with-python, its scripts, --server-script, --trace)",
     2},
    {"what-if", WHAT_IF, NULL, 0,
     "Also run each workload without one cause of cost at a time, and tell the gains", 2},
    {"against", AGAINST, "DIR", 0,
     "The build folder of another version's drivers: both take turns in each round; status 3 if "
     "this one is slower by more than the margin",
     2},
    {"self", SELF, NULL, 0,
     "Only the control: every backend against itself, and how often that came out different", 2},
    {"rounds", ROUNDS, "N", 0, "Processes for each point, 2 to 1000 (default: 4 quick, 6, 12 full)",
     2},
    {"seed", SEED, "N", 0, "Seed of the order and of the bootstrap (default: drawn anew)", 2},
    {"mode", MODE, "threads,processes", 0,
     "threads alone, or the same workloads as processes of one thread each too, on the backend "
     "with the GIL (default: "
     "threads; both with --full)",
     2},
    {"time-limit", LIMIT, "SECONDS", 0,
     "End a run of which a step (setup, a sample, teardown) is not over so long after its time, "
     "show the stacks of its "
     "threads, and count it as failed, 1 to 86400 (default: 60)",
     2},
    {"switch-policy", POLICY, "NAME", 0,
     "How a GIL changes hands, on all backends that have one: cpython, deadline or ticks (default: "
     "cpython)",
     2},
    {"switch-interval-us", INTERVAL, "US", 0,
     "cpython, deadline: microseconds until a waiter asks for it, 1 to 1000000 (default: 5000)", 2},
    {"switch-ticks", TICKS, "N", 0, "ticks: safepoints until its holder lets go (default: 100)", 2},
    {"trace", TRACE, "DIR", 0,
     "Folder for timelines of the counting pass, which Perfetto opens; is made", 2},
    {NULL, 0, NULL, 0, "diff:", 3},
    {"json", JSON, NULL, 0, "Print JSON, not a table", 3},
    {NULL, 0, NULL, 0, "tune:", 4},
    {"check", CHECK, NULL, 0,
     "List what on this machine spoils numbers, and what to do; change nothing", 4},
    {"root", ROOT, "DIR", OPTION_HIDDEN, NULL, 0},
    {NULL, 0, NULL, 0, "Help:", 5},
    {"help", '?', NULL, 0, "Print this and end", 5},
    {"usage", USAGE, NULL, 0, "Print the options, briefly, and end", 5},
    {"version", 'V', NULL, 0, "Print the version and end", 5},
    {0},
};

struct command {
    struct run_options run;
    const char *output, *results, *name;
    bool seeded, check;
    const char *root;   // of a made-up machine, for tests
    double margin;      // 0: not given
    const char *resume; // the folder of a run to go on with
    struct names files; // of diff, the newest last
    bool json;
    json_t *replayed; // the arguments of that run; options point into them
    bool replaying;   // they are being taken
    bool replayable;  // an option was given that --resume takes from the journal
};

static _Noreturn void reject(const char *pattern, const char *what) {
    fputs("tally-compare: ", stderr);
    fprintf(stderr, pattern, what);
    fputc('\n', stderr);
    exit(2);
}

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

static void add_backends(struct run_options *run, const char *list) {
    if (strcmp(list, "all") == 0)
        run->all_backends = true;
    else
        add_names(&run->backends, list, "--backends");
    if (run->all_backends && run->backends.count)
        reject("--backends %s goes with no other; give all, or names", "all");
}

static void add_threads(struct run_options *run, const char *list) {
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

static void add_text(struct names *texts, const char *path) {
    FILE *file = regular_open(path);
    if (file == NULL || fgetc(file) == EOF)
        reject("--text %s cannot be read, is empty or no regular file; name a text file", path);
    fclose(file);
    if (texts->count == MAX_NAMES) reject("--text %s is one too many; give at most 64", path);
    texts->items[texts->count++] = checked_strdup(path);
}

static double number(const char *string, double least, double most, const char *wrong) {
    char *end;
    double value = strtod(string, &end);
    if (*string < '0' || *string > '9' || *end || !(value >= least && value <= most))
        reject(wrong, string);
    return value;
}

// The drivers judge them; the last one counts.
static void add_switching(struct names *switching, const char *option, const char *value) {
    size_t length = strlen(option);
    for (size_t i = 0; i < switching->count; i++)
        if (strncmp(switching->items[i], option, length) == 0) {
            free(switching->items[i]);
            switching->items[i] = format("%s=%s", option, value);
            return;
        }
    switching->items[switching->count++] = format("%s=%s", option, value);
}

static void set_seed(struct command *command, const char *string) {
    char *end;
    errno = 0;
    command->run.seed = strtoull(string, &end, 10);
    if (*string < '0' || *string > '9' || *end || errno || command->run.seed > INT64_MAX)
        reject("--seed %s is wrong; give a whole number of 0 or more", string);
    command->seeded = true;
}

static void set_interval(struct run_options *run, const char *string) {
    char *end;
    errno = 0;
    unsigned long interval =
        *string >= '0' && *string <= '9' ? strtoul(string, &end, 10) : (end = "x", 0);
    if (errno || *end || interval < 1 || interval > 1000000)
        reject("--switch-interval-us %s is wrong; give microseconds from 1 to 1000000", string);
    run->switch_interval_us = (unsigned)interval;
}

static void set_mode(struct run_options *run, const char *string) {
    if (strcmp(string, "threads,processes") != 0 && strcmp(string, "threads") != 0)
        reject("--mode %s is wrong; give threads, or threads,processes, which are set beside them",
               string);
    run->mode = strcmp(string, "threads") == 0 ? MODE_THREADS : MODE_BOTH;
}

static void set_time_limit(struct run_options *run, const char *string) {
    char *end;
    long seconds = *string >= '0' && *string <= '9' ? strtol(string, &end, 10) : 0;
    if (seconds < 1 || seconds > 86400 || *end)
        reject("--time-limit %s is wrong; give whole seconds from 1 to 86400", string);
    run->time_limit = (int)seconds;
}

static error_t parse_argument(struct command *command, const char *argument,
                              struct argp_state *state) {
    if (command->name == NULL)
        command->name = argument;
    else if (strcmp(command->name, "diff") == 0 && command->files.count < MAX_NAMES)
        command->files.items[command->files.count++] = (char *)argument;
    else if (strcmp(command->name, "run") != 0 && command->results == NULL)
        command->results = argument;
    else
        reject("unexpected argument %s; see --help", argument);
    (void)state;
    return 0;
}

// Argp is silent about errors, since it would say them in two lines, and with
// that about help.
static void print_help(const struct argp_state *state, unsigned parts) {
    argp_help(state->root_argp, stdout, parts, "tally-compare");
    exit(0);
}

static error_t parse_one(int key, char *argument, struct argp_state *state) {
    struct command *command = state->input;
    switch (key) {
    case ARGP_KEY_ERROR:
        reject("%s is no option, or lacks its value; see --help",
               state->argv[state->next > 1 ? state->next - 1 : 1]);
    case '?': print_help(state, ARGP_HELP_STD_HELP); return 0;
    case USAGE: print_help(state, ARGP_HELP_USAGE); return 0;
    case 'V': puts("tally-compare " TALLY_VERSION); exit(0);
    case DRIVERS: command->run.drivers = argument; return 0;
    case QUICKLY: command->run.effort = QUICK; return 0;
    case FULLY: command->run.effort = FULL; return 0;
    case WORKLOADS: add_names(&command->run.workloads, argument, "--workloads"); return 0;
    case BACKENDS: add_backends(&command->run, argument); return 0;
    case THREADS: add_threads(&command->run, argument); return 0;
    case TEXT_FILE: add_text(&command->run.texts, argument); return 0;
    case OUTPUT: command->output = argument; return 0;
    case PYTHON: command->run.python = argument; return 0;
    case PYTHON_SCRIPT: command->run.python_script = argument; return 0;
    case PATTERNS_SCRIPT: command->run.patterns_script = argument; return 0;
    case SERVER_SCRIPT: command->run.server_script = argument; return 0;
    case POLICY: add_switching(&command->run.switching, "--switch-policy", argument); return 0;
    case INTERVAL:
        set_interval(&command->run, argument); // the convoy's, too
        add_switching(&command->run.switching, "--switch-interval-us", argument);
        return 0;
    case TICKS: add_switching(&command->run.switching, "--switch-ticks", argument); return 0;
    case TRACE: command->run.traces = argument; return 0;
    case AGAINST: command->run.against = argument; return 0;
    case MODE: set_mode(&command->run, argument); return 0;
    case LIMIT: set_time_limit(&command->run, argument); return 0;
    case SEED: set_seed(command, argument); return 0;
    case RESUME: command->resume = argument; return 0;
    case JSON: command->json = true; return 0;
    case WHAT_IF: command->run.what_if = true; return 0;
    case CHECK: command->check = true; return 0;
    case ROOT: command->root = argument; return 0;
    case SELF: command->run.self = true; return 0;
    case ROUNDS:
        command->run.rounds =
            (int)number(argument, 2, 1000, "--rounds %s is wrong; give a number from 2 to 1000");
        return 0;
    case MARGIN:
        command->margin =
            number(argument, 0.1, 50, "--margin %s is wrong; give a percentage from 0.1 to 50") /
            100;
        return 0;
    case ARGP_KEY_ARG: return parse_argument(command, argument, state);
    default: return ARGP_ERR_UNKNOWN;
    }
}

// What an option is to --resume.
enum origin {
    FROM_JOURNAL, // taken from the journal
    FROM_COMMAND, // names what is run or written: never taken from a journal, which may be somebody
                  // else's
    OF_NO_JOURNAL, // no run keeps it
};

static enum origin option_origin(int key) {
    switch (key) {
    case QUICKLY:
    case FULLY:
    case WORKLOADS:
    case BACKENDS:
    case THREADS:
    case TEXT_FILE:
    case SELF:
    case ROUNDS:
    case MARGIN:
    case MODE:
    case LIMIT:
    case WHAT_IF:
    case POLICY:
    case INTERVAL:
    case TICKS:
    case SEED: return FROM_JOURNAL;
    case PYTHON:
    case PYTHON_SCRIPT:
    case PATTERNS_SCRIPT:
    case SERVER_SCRIPT:
    case AGAINST:
    case TRACE: return FROM_COMMAND;
    default: return OF_NO_JOURNAL;
    }
}

// Of the interpreter and the folder for timelines.
static bool was_given(const struct run_options *run, int key) {
    return key == PYTHON    ? run->python != NULL
           : key == AGAINST ? run->against != NULL
                            : run->traces != NULL;
}

static const char *option_name(int key) {
    for (const struct argp_option *option = option_list; option->name || option->doc; option++)
        if (option->name && option->key == key) return option->name;
    return NULL;
}

// One word of a journal.  False: there is nothing to take.
static bool take_replayed(struct command *command, int key) {
    const char *name = option_name(key);
    // The scripts are the checkout's own; a run that lacks one it needs is not the run that was
    // begun.
    if ((key == PYTHON || key == TRACE || key == AGAINST) && !was_given(&command->run, key))
        reject("the run was begun with --%s, which names what is run or written and is not taken "
               "from a journal; give it "
               "again, beside --resume",
               name);
    if (option_origin(key) == OF_NO_JOURNAL &&
        (name || key == ARGP_KEY_ARG || key == ARGP_KEY_ERROR))
        reject("the journal in %s holds an option that no run keeps; it is not gone on with",
               command->resume);
    return option_origin(key) == FROM_JOURNAL;
}

// The options of a run are kept as they were given, to go on with the same.
static error_t parse(int key, char *argument, struct argp_state *state) {
    struct command *command = state->input;
    if (command->replaying && !take_replayed(command, key))
        return option_name(key) ? 0 : ARGP_ERR_UNKNOWN;
    error_t error = parse_one(key, argument, state);
    if (error == 0 && option_origin(key) != OF_NO_JOURNAL && !command->replaying) {
        char *shown = argument ? format("--%s=%s", option_name(key), argument)
                               : format("--%s", option_name(key));
        // A name that is no UTF-8 is not kept: such a run is measured, but not gone on with.
        json_array_append_new(command->run.arguments, json_string(shown));
        command->replayable |= option_origin(key) == FROM_JOURNAL;
        free(shown);
    }
    return error;
}

static bool write_report(const struct analysis *analysis, const char *folder) {
    struct text html = {0}, markdown = {0}, csv = {0}, comparisons = {0}, json = {0};
    struct document document = compose_report(analysis);
    render_html(&document, &html);
    render_markdown(&document, &markdown);
    compose_csv(analysis->results, &csv);
    compose_comparisons_csv(analysis, &comparisons);
    char *dumped = json_dumps(analysis->results->root, JSON_INDENT(1));
    if (dumped == NULL) reject("%s: cannot write the results as JSON, out of memory", folder);
    text_add_bytes(&json, dumped, strlen(dumped));
    text_add(&json, "\n");
    const struct output_file files[] = {{"results.json", &json},
                                        {"results.csv", &csv},
                                        {"comparisons.csv", &comparisons},
                                        {"report.md", &markdown},
                                        {"report.html", &html}};
    bool good = folder_write(folder, files, sizeof files / sizeof *files);
    free(dumped);
    text_free(&html);
    text_free(&markdown);
    text_free(&csv);
    text_free(&comparisons);
    text_free(&json);
    document_free(&document);
    return good;
}

static void print_table(const struct analysis *analysis) {
    struct text out = {0};
    struct table table = compose_terminal_table(analysis);
    render_terminal_table(&table, &out);
    fputs(text_string(&out), stdout);
    table_free(&table);
    text_free(&out);
}

// Takes the line over.
static void print_line(char *line, bool wanted) {
    if (wanted) printf("%s.\n", line);
    free(line);
}

static bool is_slower_than_before(const struct analysis *analysis) {
    const struct comparisons *list = &analysis->families[FAMILY_AGAINST];
    for (size_t i = 0; i < list->count; i++)
        if (is_slower(&list->items[i].ratio, &list->judgement)) return true;
    return false;
}

// Writes the report of the results, shows the table, and names the folder last.
static int finish(json_t *root, const char *folder, bool created, double margin) {
    struct results results = results_make(root);
    struct analysis analysis = analysis_make(&results, margin);
    size_t failures = json_array_size(json_object_get(root, "failures"));
    int status = failures ? 1 : is_slower_than_before(&analysis) ? 3 : 0;
    if (!write_report(&analysis, folder)) {
        if (created) rmdir(folder);
        status = 2;
    } else {
        if (analysis.backend_count && !results.self) print_table(&analysis);
        print_line(show_control(&analysis), analysis.control.count);
        print_line(show_against(&analysis), analysis.families[FAMILY_AGAINST].count);
        if (failures) printf("%zu runs failed; the report lists them\n", failures);
        if (results.incomplete)
            printf("stopped before the end; the results are marked incomplete\n");
        printf("%s\n", folder);
        char *kept = format("the report is in %s", folder);
        if (!output_written(kept) && (status == 0 || status == 3)) status = 1;
        free(kept);
    }
    analysis_free(&analysis);
    results_free(&results);
    json_decref(root);
    return status;
}

static const struct argp argp;

// Takes the options of the run that the folder's journal is of.
static void resume(struct command *command, struct journal *journal) {
    const json_t *argument;
    size_t index;
    if (command->replayable || command->output)
        reject("--resume goes on with the options that the run was begun with; leave out %s",
               command->output ? "--output"
                               : json_string_value(json_array_get(command->run.arguments, 0)));
    enum journal_state state = journal_open(journal, command->resume, false);
    if (state == JOURNAL_NONE)
        reject("%s holds no run that was ended early; name the folder that ./tally compare named",
               command->resume);
    if (state == JOURNAL_REFUSED) exit(2);
    command->output = command->resume;
    command->replayed = json_incref(json_object_get(journal->header, "arguments"));
    char **words = checked_calloc(json_array_size(command->replayed) + 3, sizeof *words);
    words[0] = (char *)"tally-compare";
    json_array_foreach(command->replayed, index, argument) words[index + 1] =
        (char *)(json_string_value(argument) ? json_string_value(argument) : "");
    command->replaying = true;
    argp_parse(&argp, (int)json_array_size(command->replayed) + 1, words,
               ARGP_NO_ERRS | ARGP_NO_HELP, NULL, command);
    command->replaying = false;
    free(words);
    command->run.seed = (uint64_t)json_integer_value(json_object_get(journal->header, "seed"));
    command->seeded = true;
}

// A folder with the journal of the same run: it goes on.  With that of another
// one: false after one line on stderr, since what is in it would be lost.
static bool find_journal(struct command *command, struct journal *journal) {
    if (command->resume) return true;
    switch (journal_open(journal, command->output, true)) {
    case JOURNAL_NONE: return true;
    case JOURNAL_REFUSED: return false;
    case JOURNAL_GOOD: break;
    }
    if (!json_equal(json_object_get(journal->header, "arguments"), command->run.arguments)) {
        fprintf(stderr,
                "tally-compare: %s holds a run with other options, which was ended early; go on "
                "with it by "
                "--resume %s, or name another folder\n",
                command->output, command->output);
        return false;
    }
    command->run.seed = (uint64_t)json_integer_value(json_object_get(journal->header, "seed"));
    return true;
}

// The command that goes on with the run, with what it does not take from the journal.
static void show_resume(const struct command *command, bool unwritten) {
    fprintf(stderr, "%s./tally compare --resume %s",
            unwritten ? "what was measured is in the journal; to write the report: " : "to go on: ",
            command->output);
    if (command->run.python) fprintf(stderr, " --with-python %s", command->run.python);
    if (command->run.against) fprintf(stderr, " --against %s", command->run.against);
    if (command->run.traces) fprintf(stderr, " --trace %s", command->run.traces);
    fputc('\n', stderr);
}

static int run(struct command *command) {
    bool created = false, traces_created;
    struct journal journal = {.file = -1};
    if (command->resume) resume(command, &journal);
    if (command->run.drivers == NULL)
        reject("%s needs --drivers DIR, the folder of the driver programs", "run");
    if (command->results) reject("unexpected argument %s; see --help", command->results);
    if (!command->run.python != !command->run.python_script)
        reject("--with-python and --python-script go together%s", "; see --help");
    if (!command->seeded && getrandom(&command->run.seed, sizeof command->run.seed, 0) < 0)
        command->run.seed = (uint64_t)getpid();
    command->run.seed &= INT64_MAX;
    command->run.margin = command->margin > 0 ? command->margin : DEFAULT_MARGIN;
    process_catch_signals();
    bool ready = run_complete_options(&command->run) && folder_prepare(command->output, &created) &&
                 find_journal(command, &journal) &&
                 (!command->run.traces || (folder_prepare(command->run.traces, &traces_created) &&
                                           folder_claim(command->run.traces, "timelines")));
    json_t *root = ready ? run_measure(&command->run, &journal, command->output) : NULL;
    if (root == NULL) {
        journal_end(&journal, false);
        if (created) rmdir(command->output); // where nothing is in it
        return 2;
    }
    int status = finish(root, command->output, created, command->margin);
    bool stopped = process_stop_asked();
    if (stopped || status == 2) show_resume(command, status == 2);
    journal_end(&journal, status != 2 && !stopped);
    return status == 0 && stopped ? 130 : status;
}

static int report(struct command *command) {
    bool created;
    if (command->results == NULL) reject("%s needs the results.json of a report", "report");
    json_t *root = results_load(command->results);
    struct journal journal = {.file = -1};
    // A run that goes on in this folder would have its report written over.
    if (root == NULL || !folder_prepare(command->output, &created) ||
        journal_open(&journal, command->output, false) == JOURNAL_REFUSED) {
        json_decref(root);
        journal_end(&journal, false);
        return 2;
    }
    int status = finish(root, command->output, created, command->margin);
    journal_end(&journal, false);
    return status;
}

static int diff(struct command *command) {
    struct text out = {0}, doubts = {0};
    json_t **roots = checked_calloc(command->files.count, sizeof *roots);
    bool good = true;
    if (command->files.count < 2)
        reject("%s needs two results files or more, the newest last", "diff");
    for (size_t i = 0; i < command->files.count && good; i++)
        good = (roots[i] = results_load(command->files.items[i])) != NULL;
    if (good &&
        !diff_compose(roots, command->files.count, command->margin, command->json, &out, &doubts)) {
        fprintf(stderr, "tally-compare: the files have no workload, backend and number of threads "
                        "in common\n");
        good = false;
    }
    if (good) {
        fputs(text_string(&out), stdout);
        char *rest = NULL;
        for (char *line = doubts.data ? strtok_r(doubts.data, "\n", &rest) : NULL; line;
             line = strtok_r(NULL, "\n", &rest))
            fprintf(stderr, "beware: %s\n", line);
    }
    for (size_t i = 0; i < command->files.count; i++) json_decref(roots[i]);
    free(roots);
    text_free(&out);
    text_free(&doubts);
    return good ? 0 : 2;
}

static const struct argp argp = {
    option_list,
    parse,
    "run\nreport RESULTS.json\ndiff OLD.json... NEW.json\ntune --check",
    "run measures Tally's backends side by side and writes the comparison report. report writes it "
    "again from "
    "the results.json of a run. diff compares the newest of them with the others. tune lists what "
    "on this machine spoils "
    "numbers, with status 1 if anything does."
    "\vCtrl-C ends a run and keeps the samples so far, marked incomplete. Exit status: 0 good, 1 a "
    "block failed or the table is lost, "
    "2 a wrong argument or a folder that cannot be written, 3 slower than --against by more than "
    "the "
    "margin, 130 Ctrl-C.",
    NULL,
    NULL,
    NULL};

int main(int argc, char **argv) {
    struct command command = {.run.effort = NORMAL, .run.arguments = json_array()};
    output_watch("tally-compare");
    json_set_alloc_funcs(checked_malloc,
                         free); // the parser does not notice when it has no memory for a token
    if (argp_parse(&argp, argc, argv, ARGP_NO_ERRS | ARGP_NO_HELP, NULL, &command) != 0) exit(2);
    if (command.name == NULL) reject("give a command: run, report, diff or tune%s", "");
    bool tune = strcmp(command.name, "tune") == 0;
    if (tune && !command.check)
        reject("%s needs --check: it lists what spoils numbers, and changes nothing", "tune");
    if (command.check && !tune) reject("--check goes with tune, not with %s", command.name);
    if (tune) exit(tune_check(command.root ? command.root : ""));
    bool needs_output = strcmp(command.name, "diff") != 0 && !command.resume;
    if (needs_output && (command.output == NULL || !*command.output))
        reject("%s needs --output DIR, the folder for the report", command.name);
    int status;
    if (strcmp(command.name, "run") == 0)
        status = run(&command);
    else if (strcmp(command.name, "report") == 0)
        status = report(&command);
    else if (strcmp(command.name, "diff") == 0)
        status = diff(&command);
    else
        reject("no command %s; give run, report, diff or tune", command.name);
    names_free(&command.run.workloads);
    names_free(&command.run.backends);
    names_free(&command.run.texts);
    json_decref(command.run.arguments);
    json_decref(command.replayed);
    names_free(&command.run.switching);
    json_decref(command.run.known_backends);
    json_decref(command.run.descriptions);
    json_decref(command.run.python_name);
    json_decref(command.run.patterns_name);
    json_decref(command.run.left_out);
    json_decref(command.run.causes);
    return status;
}
