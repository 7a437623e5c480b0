// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What the collector's sections share; see sources.h.
#include "sources.h"

#include "text.h"

#include <math.h>
#include <string.h>

double each(double sum, double count) { return count > 0 ? sum / count : NAN; }

size_t sources_of(const struct analysis *analysis, enum list own, enum list interpreters,
                  struct source **sources) {
    struct runs python = runs_of(analysis->results, interpreters);
    size_t count = 0;
    *sources = checked_calloc(analysis->backend_count + python.count, sizeof **sources);
    for (size_t b = 0; b < analysis->backend_count; b++)
        (*sources)[count++] = (struct source){own, analysis->backends[b]};
    for (size_t i = 0; i < python.count; i++) {
        bool again = false;
        for (size_t s = 0; s < count; s++)
            again = again || strcmp((*sources)[s].name, python.items[i].backend) == 0;
        if (!again) (*sources)[count++] = (struct source){interpreters, python.items[i].backend};
    }
    return count;
}

struct runs runs_from(const struct analysis *analysis, struct source source, const char *workload,
                      const char *variant, int threads) {
    struct key key = {.list = source.list,
                      .workload = workload,
                      .variant = variant,
                      .backend = source.name,
                      .threads = threads};
    return runs_at(analysis->results, &key);
}

const struct cell *cell_of(const struct analysis *analysis, struct runs runs) {
    struct key key = run_key(runs.items);
    return analysis_find(analysis, &key);
}

double pause_share(struct runs runs) {
    return each(SUM(runs, collector.pause.total), SUM(runs, collector.watched));
}
