// SPDX-License-Identifier: LGPL-2.1-or-later
//
// tally-compare: measures the drivers and writes the report, or writes it again
// from a results file.  Exit status: 0, 1 where a run failed or the table is
// lost, 2 for bad input or a folder that cannot be written, 3 where it is slower than
// another build, 130 after Ctrl-C.
#include "cli.h"
#include "compose.h"
#include "conditions.h"
#include "diff.h"
#include "files.h"
#include "findings.h"
#include "harness/output.h"
#include "journal.h"
#include "machine.h"
#include "process.h"
#include "results.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

static bool write_report(const struct analysis *analysis, const char *folder) {
    enum { JSON, CSV, COMPARISONS, SUMMARY, MARKDOWN, HTML, PICTURE, FILES };
    struct text texts[FILES] = {0};
    const struct output_file files[FILES] = {
        {"results.json", &texts[JSON]},           {"results.csv", &texts[CSV]},
        {"comparisons.csv", &texts[COMPARISONS]}, {"summary.csv", &texts[SUMMARY]},
        {"report.md", &texts[MARKDOWN]},          {"report.html", &texts[HTML]},
        {"scaling.svg", &texts[PICTURE]}};
    struct document document = compose_report(analysis);
    render_html(&document, &texts[HTML]);
    render_markdown(&document, &texts[MARKDOWN]);
    render_picture(&document, &texts[PICTURE]);
    compose_csv(analysis->results, &texts[CSV]);
    compose_comparisons_csv(analysis, &texts[COMPARISONS]);
    compose_summary_csv(analysis, &texts[SUMMARY]);
    char *dumped = json_dumps(analysis->results->root, JSON_INDENT(1));
    if (dumped == NULL) reject("%s: cannot write the results as JSON, out of memory", folder);
    text_add_bytes(&texts[JSON], dumped, strlen(dumped));
    text_add(&texts[JSON], "\n");
    free(dumped);
    bool good = folder_write(folder, files, texts[PICTURE].length ? FILES : PICTURE);
    for (size_t i = 0; i < FILES; i++) text_free(&texts[i]);
    document_free(&document);
    return good;
}

// Takes the table over.
static void print_table(struct table table) {
    struct text out = {0};
    render_terminal_table(&table, &out);
    fputs(text_string(&out), stdout);
    table_free(&table);
    text_free(&out);
}

static void print_findings(const struct analysis *analysis) {
    struct document document = {.results = analysis->results};
    print_table(compose_findings_table(&document, analysis));
    document_free(&document);
}

// The answer and its figures; strong words are bold on a terminal. False: there is none.
static bool print_answer(const struct analysis *analysis) {
    const char *none = getenv("NO_COLOR");
    bool bold = isatty(STDOUT_FILENO) && !(none && *none);
    struct document document = compose_answer(analysis);
    struct text out = {0};
    render_terminal(&document, bold, &out);
    bool answered = document.count;
    fputs(text_string(&out), stdout);
    text_free(&out);
    document_free(&document);
    return answered;
}

// Takes the line over.
static void print_line(char *line, bool wanted) {
    if (wanted) printf("%s.\n", line);
    free(line);
}

static bool is_slower_than_before(const struct analysis *analysis) {
    const struct comparisons *list = &analysis->families[FAMILY_AGAINST];
    for (size_t i = 0; i < list->count; i++)
        if (list->items[i].slower) return true;
    return false;
}

// Writes the report of the results, shows the answer, and names the page last.
static int finish(json_t *root, const char *folder, bool created, double margin, bool verbose) {
    struct results results = results_make(root);
    struct analysis analysis = analysis_make(&results, margin);
    size_t failures = json_array_size(json_object_get(root, "failures"));
    int status = failures ? 1 : is_slower_than_before(&analysis) ? 3 : 0;
    if (!write_report(&analysis, folder)) {
        if (created) rmdir(folder);
        status = 2;
    } else {
        bool measured = analysis.backend_count && !results.self;
        bool answered = measured && print_answer(&analysis);
        if (measured && (verbose || !answered)) print_table(compose_terminal_table(&analysis));
        if (findings_count(&analysis)) print_findings(&analysis);
        print_line(show_control(&analysis), analysis.control.count && (results.self || verbose));
        print_line(show_against(&analysis), analysis.families[FAMILY_AGAINST].count);
        if (failures) printf("%zu runs failed; the report lists them\n", failures);
        if (results.incomplete)
            printf("stopped before the end; the results are marked incomplete\n");
        printf("%s/report.html\n", folder);
        char *kept = format("the report is in %s", folder);
        if (!output_written(kept) && (status == 0 || status == 3)) status = 1;
        free(kept);
    }
    analysis_free(&analysis);
    results_free(&results);
    json_decref(root);
    return status;
}

// Takes the options of the run that the folder's journal is of.
static void resume(struct command *command, struct journal *journal) {
    if (command->replayable || command->output)
        reject("--resume goes on with the options that the run was begun with; leave out %s",
               command->output ? "--output"
                               : json_string_value(json_array_get(command->run.arguments, 0)));
    enum journal_state state = journal_open(journal, command->resume, false);
    if (state == JOURNAL_NONE)
        reject("%s holds no run that was ended early; name the folder that %s compare named",
               command->resume, script_name());
    if (state == JOURNAL_REFUSED) exit(2);
    command->output = command->resume;
    cli_replay(command, json_object_get(journal->header, "arguments"));
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
    fprintf(stderr, "%s%s compare --resume %s",
            unwritten ? "what was measured is in the journal; to write the report: " : "to go on: ",
            script_name(), command->output);
    const char *drivers = getenv("TALLY_OWN_DRIVERS");
    if (drivers) fprintf(stderr, " --drivers %s", drivers);
    for (size_t p = 0; p < command->run.pythons.count; p++)
        fprintf(stderr, " --with-python %s", command->run.pythons.items[p]);
    const char *commit = getenv("TALLY_AGAINST_COMMIT");
    if (command->run.against)
        fprintf(stderr, " --against %s", commit ? commit : command->run.against);
    if (command->run.traces) fprintf(stderr, " --trace %s", command->run.traces);
    fputc('\n', stderr);
}

static int run(struct command *command) {
    bool created = false, traces_created;
    struct journal journal = {.file = -1};
    if (command->resume) resume(command, &journal);
    if (command->run.drivers == NULL)
        reject("run needs --drivers DIR, the folder of the driver programs");
    if (!command->run.pythons.count != !command->run.python_script)
        reject("--with-python and --python-script go together; see --help");
    if (!command->seeded && getrandom(&command->run.seed, sizeof command->run.seed, 0) < 0)
        command->run.seed = (uint64_t)getpid();
    command->run.seed &= INT64_MAX;
    command->run.margin = command->margin > 0 ? command->margin / 100 : DEFAULT_MARGIN;
    process_catch_signals();
    if (command->dry_run) {
        if (!run_complete_options(&command->run)) return 2;
        run_preview(&command->run);
        return 0;
    }
    if (command->quiet > 0 && !run_wait_for_quiet(command->quiet)) return 130;
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
    int status = finish(root, command->output, created, command->margin / 100, command->verbose);
    bool stopped = process_stop_asked();
    if (stopped || status == 2) show_resume(command, status == 2);
    journal_end(&journal, status != 2 && !stopped);
    return (status == 0 || status == 3) && stopped ? 130 : status;
}

static int report(struct command *command) {
    bool created;
    if (command->results == NULL) reject("report needs the results.json of a report");
    json_t *root = results_load(command->results);
    struct journal journal = {.file = -1};
    // A run that goes on in this folder would have its report written over.
    if (root == NULL || !folder_prepare(command->output, &created) ||
        journal_open(&journal, command->output, false) == JOURNAL_REFUSED) {
        json_decref(root);
        journal_end(&journal, false);
        return 2;
    }
    int status = finish(root, command->output, created, command->margin / 100, command->verbose);
    journal_end(&journal, false);
    return status;
}

static int diff(struct command *command) {
    struct text out = {0}, doubts = {0};
    json_t **roots = checked_calloc(command->files.count, sizeof *roots);
    bool good = true;
    if (command->files.count < 2) reject("diff needs two results files or more, the newest last");
    for (size_t i = 0; i < command->files.count && good; i++)
        good = (roots[i] = results_load(command->files.items[i])) != NULL;
    if (good && !diff_compose(roots, command->files.count, command->margin / 100, command->json,
                              &out, &doubts)) {
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

int main(int argc, char **argv) {
    struct command command = {.run.effort = NORMAL, .run.arguments = json_array()};
    output_watch("tally-compare");
    // The parser does not notice when it has no memory for a token.
    json_set_alloc_funcs(checked_malloc, free);
    cli_parse(&command, argc, argv);
    bool tune = strcmp(command.name, "tune") == 0;
    if (tune && !command.check)
        reject("tune needs --check: it lists what spoils numbers, and changes nothing");
    if (command.check && !tune) reject("--check goes with tune, not with %s", command.name);
    if (tune) exit(tune_check(command.root ? command.root : ""));
    if (strcmp(command.name, "judge") == 0) // the script asks before it builds the drivers
        exit(run_check_pythons(&command.run) ? 0 : 2);
    bool needs_output = strcmp(command.name, "diff") != 0 && !command.resume && !command.dry_run;
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
    run_free_options(&command.run);
    return status;
}
