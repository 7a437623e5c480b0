// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The report's order, its failures, the terminal's table and the CSV file; the
// sections are in summary.c, sections.c and conditions.c.
#include "compose.h"

#include "results.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

char *show_rate(double rate) {
    static const char *const suffixes[] = {"", " k", " M", " G", " T"};
    size_t power = 0;
    while (rate >= 999.5 && power < 4) {
        rate /= 1000;
        power++;
    }
    int digits = rate >= 100 ? 0 : rate >= 10 ? 1 : 2;
    return format("%.*f%s", digits, rate, suffixes[power]);
}

char *show_ratio(struct interval ratio) {
    if (!(ratio.estimate > 0)) return format("–");
    int digits = ratio.estimate >= 100   ? 0
                 : ratio.estimate >= 10  ? 1
                 : ratio.estimate >= 0.1 ? 2
                                         : 3;
    if (!ratio.known) return format("%.*f (no interval)", digits, ratio.estimate);
    return format("%.*f (%.*f to %.*f)", digits, ratio.estimate, digits, ratio.low, digits,
                  ratio.high);
}

// What kind of block it was, where it was none of those in every table.
static const char *failed_pass(const char *list) {
    return strcmp(list, "counted") == 0     ? ", counting pass"
           : strcmp(list, "totals") == 0    ? ", fixed total"
           : strcmp(list, "processes") == 0 ? ", as processes"
                                            : "";
}

void backend_cell(struct table *table, const struct analysis *analysis, const char *backend) {
    table_cell(table, "%s", backend);
    table_colour(table, analysis_place(analysis, backend));
}

static void compose_failures(struct document *document, const struct analysis *analysis) {
    const json_t *failures = json_object_get(analysis->root, "failures"), *failure;
    size_t index;
    if (json_array_size(failures) == 0) return;
    document_heading(document, 2, "Failed blocks");
    document_paragraph(document, "%zu blocks failed. Their samples are missing from every table.",
                       json_array_size(failures));
    json_array_foreach(failures, index, failure) {
        if (index == 20) {
            document_paragraph(document, "The others are in results.json.");
            break;
        }
        document_paragraph(
            document, "**%s** on %s, %.0f threads%s: exit status %.0f",
            object_string(failure, "workload", "?"), object_string(failure, "backend", "?"),
            object_number(failure, "threads", 0), failed_pass(object_string(failure, "list", "")),
            object_number(failure, "status", -1));
        document_verbatim(document, object_string(failure, "stderr", ""));
    }
}

// The report from top to bottom.  A part adds its own headings, and nothing
// where it has nothing to say.
static void (*const parts[])(struct document *, const struct analysis *) = {
    compose_summary,   compose_failures, compose_workloads, compose_price,      compose_scaling,
    compose_processes, compose_patterns, compose_server,    compose_collector,  compose_convoy,
    compose_what_if,   compose_hardware, compose_sizes,     compose_conditions, compose_control,
};

struct document compose_report(const struct analysis *analysis) {
    struct document document = {0};
    document.title = checked_strdup("Tally: what threads gain and cost without a global lock");
    if (json_is_true(json_object_get(analysis->root, "incomplete")))
        document_paragraph(
            &document,
            "**Incomplete:** the run was stopped before its end. What follows is from the "
            "samples taken until then.");
    // A control run has nothing to say about backends.
    bool self = json_is_true(json_object_get(analysis->root, "self"));
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (!self || parts[i] == compose_failures || parts[i] == compose_conditions ||
            parts[i] == compose_control)
            parts[i](&document, analysis);
    return document;
}

static const char *terminal_finding(const struct cell *over, const struct cell *under) {
    if (!over || !under || over == under) return "";
    switch (cells_ratio(over, under).finding) {
    case FINDING_DIFFERENT: return "different";
    case FINDING_SAME: return "same";
    default: return "not enough data";
    }
}

static void terminal_row(struct table *table, const struct analysis *analysis, const char *workload,
                         const char *backend) {
    const struct cell *one = analysis_cell(analysis, workload, backend, 1);
    const struct cell *most = analysis_cell(analysis, workload, backend, analysis->scale_threads);
    const struct cell *base =
        analysis_cell(analysis, workload, analysis->baseline, analysis->scale_threads);
    char *one_rate = show_rate(one ? one->rate.estimate : 0),
         *rate = show_rate(most ? most->rate.estimate : 0);
    char *speedup = show_ratio(cells_ratio(most, one)),
         *against = show_ratio(cells_ratio(most, base));
    table_cell(table, "%s", workload);
    table_cell(table, "%s", backend);
    table_cell(table, "%s", one ? one_rate : "–");
    table_cell(table, "%s", most ? rate : "–");
    table_cell(table, "%s", most && most == one ? "1" : speedup);
    table_cell(table, "%s", most && most == base ? "1" : against);
    table_cell(table, "%s", terminal_finding(most, base));
    free(against);
    free(speedup);
    free(rate);
    free(one_rate);
}

struct table compose_terminal_table(const struct analysis *analysis) {
    struct table table = table_make("Operations a second; 95 % intervals in brackets", 7, 2);
    table_cell(&table, "workload");
    table_cell(&table, "backend");
    table_cell(&table, "1 thread");
    table_cell(&table, "%d thread%s", analysis->scale_threads,
               analysis->scale_threads == 1 ? "" : "s");
    table_cell(&table, "times 1 thread");
    table_cell(&table, "times %s", analysis->baseline);
    table_cell(&table, "verdict");
    for (size_t w = 0; w < analysis->workload_count; w++)
        for (size_t b = 0; b < analysis->backend_count; b++)
            terminal_row(&table, analysis, analysis->workloads[w], analysis->backends[b]);
    return table;
}

// A field in quotes, as RFC 4180.
static void csv_string(struct text *out, const char *string) {
    text_add(out, "\"");
    for (const char *c = string; *c; c++) text_add(out, *c == '"' ? "\"\"" : "%c", *c);
    text_add(out, "\"");
}

static void csv_blocks(const json_t *blocks, struct text *out) {
    const json_t *block, *sample;
    size_t b, s;
    json_array_foreach(blocks, b, block)
        json_array_foreach(json_object_get(block, "samples"), s, sample) {
        csv_string(out, object_string(block, "workload", ""));
        text_add(out, ",");
        csv_string(out, object_string(block, "backend", ""));
        text_add(out, ",%.0f,%.0f,%zu,%.9g,%.17g,%.9g,", object_number(block, "threads", 0),
                 object_number(block, "round", 0), s, object_number(sample, "seconds", 0),
                 object_number(sample, "operations", 0), sample_rate(sample));
        csv_string(out, object_string(block, "unit", ""));
        text_add(out, ",%d,%d,%.0f,%d,%d\n", json_is_true(json_object_get(block, "oversubscribed")),
                 json_is_true(json_object_get(block, "incomplete")),
                 object_number(block, "peak_rss_kib", 0),
                 json_is_true(json_object_get(sample, "warmup")),
                 json_is_true(json_object_get(block, "control")));
    }
}

// One line a sample; those of warm-ups and of the control are marked.
void compose_csv(const struct analysis *analysis, struct text *out) {
    text_add(out, "workload,backend,threads,round,sample,seconds,operations,rate,unit,"
                  "oversubscribed,incomplete,peak_rss_kib,warmup,control\n");
    csv_blocks(json_object_get(analysis->root, "blocks"), out);
    csv_blocks(json_object_get(analysis->root, "control"), out);
}
