// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Writes the report from the analysis.  Each section is a file: a function that adds its
// own headings, and nothing where it has nothing to say.
#ifndef TALLY_COMPARE_COMPOSE_H
#define TALLY_COMPARE_COMPOSE_H

#include "analysis.h"
#include "document.h"

struct document compose_report(const struct analysis *analysis);
struct table compose_terminal_table(const struct analysis *analysis);
void compose_csv(const struct results *results, struct text *out);
// One line per comparison, those of the control too.
void compose_comparisons_csv(const struct analysis *analysis, struct text *out);

// "different", "the same within 2 %", or "not enough data" with what more rounds would
// resolve; the control has nothing to find, so nothing is promised there.
const char *show_finding(struct document *document, const struct interval *ratio,
                         const struct judgement *judgement, bool promise);
// In one line for the terminal; the caller frees them.
char *show_control(const struct analysis *analysis);
char *show_against(const struct analysis *analysis);

// Factors of a price, "1.05 × 1.20 × 0.87"; NULL where one was not measured.
struct price;
const char *show_price(struct document *document, const struct price *price);

// The sections, in the order of the report.
void section_summary(struct document *document, const struct analysis *analysis);
void section_against(struct document *document, const struct analysis *analysis);
void section_failures(struct document *document, const struct analysis *analysis);
void section_workloads(struct document *document, const struct analysis *analysis);
void section_price(struct document *document, const struct analysis *analysis);
void section_scaling(struct document *document, const struct analysis *analysis);
void section_law(struct document *document, const struct analysis *analysis);
void section_processes(struct document *document, const struct analysis *analysis);
void section_patterns(struct document *document, const struct analysis *analysis);
void section_findings(struct document *document, const struct analysis *analysis);
void section_server(struct document *document, const struct analysis *analysis);
void section_collector(struct document *document, const struct analysis *analysis);
void section_variants(struct document *document, const struct analysis *analysis);
void section_convoy(struct document *document, const struct analysis *analysis);
void section_what_if(struct document *document, const struct analysis *analysis);
void section_hardware(struct document *document, const struct analysis *analysis);
void section_sizes(struct document *document, const struct analysis *analysis);
void section_conditions(struct document *document, const struct analysis *analysis);
void section_control(struct document *document, const struct analysis *analysis);

// A workload scales badly if the whole interval of its speedup is below this part of the threads.
#define SCALES_BADLY 0.7

// Parts of a workload's own section.
void part_verdicts(struct document *document, const struct analysis *analysis,
                   const struct workload *workload);
void part_pauses(struct document *document, const struct analysis *analysis,
                 const struct workload *workload);
// Where its time goes, and what explains that it scales badly.
void part_causes(struct document *document, const struct analysis *analysis,
                 const struct workload *workload);
void part_counters(struct document *document, const struct analysis *analysis,
                   const struct workload *workload);
void part_plots(struct document *document, const struct analysis *analysis,
                const struct workload *workload);
// How soon a thread that waits answers beside busy ones.
void part_answers(struct document *document, const struct analysis *analysis);
// How many comparisons there are, and what came out of them.
void part_judgement(struct document *document, const struct analysis *analysis);
// What belongs to the run and could not be measured, of one workload.
void part_left_out(struct document *document, const struct analysis *analysis,
                   const char *workload);

// Events per operation in a counting run.
double run_event(const struct run *run, const char *name);
// The counting run of a place, or NULL.
const struct run *counted_run(const struct analysis *analysis, const char *workload,
                              const char *backend, int threads);
// The backend list as a table's columns: after `first` columns one for each from the
// `from`-th on, with values `size` apart.  The caller frees it.
struct column *backend_columns(const struct analysis *analysis, const struct column *first,
                               size_t first_count, size_t from, enum cell_type type, size_t at,
                               size_t size);

#endif
