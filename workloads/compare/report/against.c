// SPDX-License-Identifier: LGPL-2.1-or-later
//
// This build against another one, whose runs took turns with its own.
#include "compose.h"

#include <stdlib.h>
#include <string.h>

struct against_row {
    const char *workload, *backend, *finding;
    double threads;
    struct interval ratio;
};

static const char *other_commit(const struct analysis *analysis) {
    return object_string(json_object_get(analysis->results->root, "against_build"), "commit",
                         "another build");
}

static size_t slower(const struct comparisons *list) {
    size_t count = 0;
    for (size_t i = 0; i < list->count; i++)
        count += is_slower(&list->items[i].ratio, &list->judgement);
    return count;
}

char *show_against(const struct analysis *analysis) {
    const struct comparisons *list = &analysis->families[FAMILY_AGAINST];
    return format(
        "Against %s: of %zu comparisons %zu are different, %zu the same within %g %%, %zu "
        "lack data; %zu are slower by more than the margin",
        other_commit(analysis), list->count, list->judgement.different, list->judgement.same,
        analysis->margin * 100, list->judgement.open, slower(list));
}

void section_against(struct document *document, const struct analysis *analysis) {
    const struct comparisons *list = &analysis->families[FAMILY_AGAINST];
    if (list->count == 0) return;
    char *shown = show_against(analysis);
    document_heading(document, 2, "This build against another");
    document_paragraph(document,
                       "**%s.** Both builds ran in each round, in an order drawn anew. "
                       "A ratio is of this build's throughput over the other's; below 1 "
                       "is slower.",
                       shown);
    free(shown);
    struct against_row *rows = checked_calloc(list->count, sizeof *rows);
    for (size_t i = 0; i < list->count; i++) {
        const struct comparison *one = &list->items[i];
        rows[i] = (struct against_row){
            .workload = one->over->key.workload,
            .backend = one->over->key.backend,
            .threads = one->over->key.threads,
            .ratio = one->ratio,
            .finding = is_slower(&one->ratio, &list->judgement)
                           ? "slower by more than the margin"
                           : show_finding(document, &one->ratio, &list->judgement, true)};
    }
    const struct column columns[] = {
        COLUMN("workload", LINK, against_row, workload, 0),
        COLUMN("backend", BACKEND, against_row, backend, 0),
        COLUMN("verdict", TEXT, against_row, finding, 0),
        COLUMN("threads", COUNT, against_row, threads, 0),
        COLUMN("throughput\ntimes the other build's", BAR, against_row, ratio, 0),
    };
    TABLE_OF(document, "", columns, rows, list->count);
    free(rows);
}
