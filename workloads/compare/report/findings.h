// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The verdict on a claim of the talks, and the table of all of them.
#ifndef TALLY_COMPARE_FINDINGS_H
#define TALLY_COMPARE_FINDINGS_H

#include "compose.h"

enum claim_verdict { CLAIM_HOLDS, CLAIM_FAILS, CLAIM_OPEN, CLAIM_VERDICTS };
extern const char *const claim_verdicts[CLAIM_VERDICTS];

// Of a ratio that is claimed to be above the bound, or below it.
enum claim_verdict claim_verdict(const struct interval *ratio, double bound, bool less);

// How many runs the experiments have.
size_t findings_count(const struct analysis *analysis);
// The document keeps its strings.
struct table compose_findings_table(struct document *document, const struct analysis *analysis);

#endif
