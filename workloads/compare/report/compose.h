// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Writes the report from the analysis.  Each section is a file: a function that adds its own
// headings, and nothing where it has nothing to say.  A part is what a section puts into the
// entry of one workload.
#ifndef TALLY_COMPARE_COMPOSE_H
#define TALLY_COMPARE_COMPOSE_H

#include "analysis.h"
#include "document.h"

struct document compose_report(const struct analysis *analysis);
struct document compose_answer(const struct analysis *analysis); // for the terminal
struct table compose_terminal_table(const struct analysis *analysis);
// One line per workload, backend and number of threads.
void compose_summary_csv(const struct analysis *analysis, struct text *out);
void compose_csv(const struct results *results, struct text *out);
// One line per comparison, those of the control too.
void compose_comparisons_csv(const struct analysis *analysis, struct text *out);
// In one line for the terminal; the caller frees them.
char *show_control(const struct analysis *analysis);
char *show_against(const struct analysis *analysis);

// The sections, in the order of the report.
void section_findings(struct document *document, const struct analysis *analysis);
void section_against(struct document *document, const struct analysis *analysis);
void section_answer(struct document *document, const struct analysis *analysis);
void section_failures(struct document *document, const struct analysis *analysis);
void section_workloads(struct document *document, const struct analysis *analysis);
void section_memory(struct document *document, const struct analysis *analysis);
void section_tasks(struct document *document, const struct analysis *analysis);
void section_convoy(struct document *document, const struct analysis *analysis);
void section_server(struct document *document, const struct analysis *analysis);
void section_conditions(struct document *document, const struct analysis *analysis);
void section_control(struct document *document, const struct analysis *analysis);
// What the machine did to the numbers, at the top.
void section_banner(struct document *document, const struct analysis *analysis);

#define PART(name)                                                               \
    void part_##name(struct document *document, const struct analysis *analysis, \
                     const struct workload *workload)
PART(causes);     // where its time goes, and what explains that it scales badly
PART(pauses);     // latencies of its operations, and its collections
PART(memory);     // where it goes over time, of one that grows
PART(variants);   // of its parameters
PART(what_if);    // throughput without a cause
PART(operations); // what happens in an operation

// What belongs to the run and could not be measured.
void say_left_out(struct document *document, const struct analysis *analysis, const char *workload);

// A workload scales badly if the whole interval of its speedup is below this part of the threads.
#define SCALES_BADLY 0.7

// The runs of a backend, or of an interpreter, whose runs are in another list; by its place among
// the results' names.
struct sources {
    enum list backends, interpreters;
};
struct runs runs_from(const struct analysis *analysis, struct sources sources, size_t place,
                      const char *workload, const char *variant, int threads);
// NULL: no runs, or nothing that is measured.
const struct cell *cell_from(const struct analysis *analysis, struct sources sources, size_t place,
                             const char *workload, const char *variant, int threads);
bool is_interpreter(const struct analysis *analysis, const char *name);
// The counting run of a place, or NULL.
const struct run *counted_run(const struct analysis *analysis, const char *workload,
                              const char *backend, int threads);
// A quotient; NAN where there is nothing to share it out among.
double each(double sum, double count);
// One column for each backend after `first` ones, with values `size` apart.  The caller frees it.
struct column *backend_columns(const struct analysis *analysis, const struct column *first,
                               size_t first_count, enum cell_type type, size_t at, size_t size);
// The 99th percentile of an answer beside two busy threads, milliseconds, or the median where
// `rare` is false; NAN: it was not measured.
double answer_of(const struct analysis *analysis, const char *backend, bool rare);
// Whether all that were measured have answers enough for the 99th percentile.
bool answers_are_rare(const struct analysis *analysis);

#endif
