// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Writes the report from the analysis: what it says and in which order.
#ifndef TALLY_REPORT_COMPOSE_H
#define TALLY_REPORT_COMPOSE_H

#include "analysis.h"
#include "document.h"

struct document compose_report(const struct analysis *analysis);
struct table compose_terminal_table(const struct analysis *analysis);
void compose_csv(const struct analysis *analysis, struct text *out);

// "1.95 (1.92 to 1.98)" and "12.3 M"; the caller frees both.
char *show_ratio(struct interval ratio);
char *show_rate(double rate);

// "different", "the same within 2 %", or "not enough data, about 12 min more"; the
// caller frees it.
char *show_finding(const struct comparison *comparison, const struct judgement *judgement);
// All comparisons, one a line.
void compose_comparisons_csv(const struct analysis *analysis, struct text *out);
// One sentence on how comparisons were judged and what came out of them.
void compose_judgement(struct document *document, const struct analysis *analysis);
void compose_verdicts(struct document *document, const struct analysis *analysis,
                      const char *workload);
// A backend against itself: for the report, and in one line for the terminal.
void compose_control(struct document *document, const struct analysis *analysis);
char *show_control(const struct analysis *analysis);

// A backend's name in its colour.
void backend_cell(struct table *table, const struct analysis *analysis, const char *backend);

// What a ratio to the reference says; a mean of ratios, which was not judged with
// the comparisons, by its interval and the default margin.
enum verdict verdict_of(struct interval ratio, bool high_is_good);

// The parts of the report, in its order.
void compose_summary(struct document *document, const struct analysis *analysis);
void compose_price(struct document *document, const struct analysis *analysis);
void compose_workloads(struct document *document, const struct analysis *analysis);
void compose_ranking(struct document *document, const struct analysis *analysis,
                     const char *workload);
void compose_pauses(struct document *document, const struct analysis *analysis,
                    const char *workload);
// A part of a workload's section: who was fought over, if it scales badly.
void compose_culprit(struct document *document, const struct analysis *analysis,
                     const char *workload);
void compose_collector(struct document *document, const struct analysis *analysis);
void compose_patterns(struct document *document, const struct analysis *analysis);
void compose_server(struct document *document, const struct analysis *analysis);
void compose_convoy(struct document *document, const struct analysis *analysis);
// What belongs to the run and could not be measured, of one workload.
void compose_left_out(struct document *document, const struct analysis *analysis,
                      const char *workload);
void compose_scaling(struct document *document, const struct analysis *analysis);
void compose_processes(struct document *document, const struct analysis *analysis);
void compose_what_if(struct document *document, const struct analysis *analysis);
void compose_hardware(struct document *document, const struct analysis *analysis);
void compose_sizes(struct document *document, const struct analysis *analysis);
void compose_conditions(struct document *document, const struct analysis *analysis);

#endif
