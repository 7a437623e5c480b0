// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Runs without a cause; what_if.h says which.
#include "plan.h"
#include "programs.h"

#include "machine.h"
#include "results.h"
#include "text.h"
#include "what_if.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *const what_if_causes[WHAT_IF_CAUSES] = {"sharing", "counting", "collector", "locks"};

static const char LOCKS[] = "locks", COUNTING[] = "counting", COLLECTOR[] = "collector",
                  SHARING[] = "sharing";

// Object locks are compiled out of a driver of its own.
static char *unlocked_path(const struct run_options *options, const char *backend) {
    return format("%s/tally-%s-unlocked", options->drivers, backend);
}

const char *what_if_kept(const json_t *causes, const char *backend, const char *workload,
                         const char *cause) {
    const json_t *all = json_object_get(json_object_get(causes, backend), workload);
    const json_t *reason = json_object_get(all, cause);
    return json_is_null(reason)     ? NULL
           : json_is_string(reason) ? json_string_value(reason)
                                    : "the driver does not tell";
}

static bool same(const json_t *one, const json_t *other, const char *part) {
    return strcmp(object_string(one, part, ""), object_string(other, part, "")) == 0;
}

// {workload: {cause: reason or null}} of a backend, or NULL.
static json_t *causes_of(const struct run_options *options, const char *backend) {
    json_t *list = ask_driver(options, backend), *workload, *all = list ? json_object() : NULL;
    char *unlocked = unlocked_path(options, backend);
    size_t index;
    json_array_foreach(list, index, workload) {
        json_t *causes = json_incref(json_object_get(workload, "causes"));
        if (json_is_null(json_object_get(causes, LOCKS)) && access(unlocked, X_OK) != 0)
            json_object_set_new(causes, LOCKS,
                                json_sprintf("the driver tally-%s-unlocked is not built", backend));
        json_object_set_new(all, object_string(workload, "name", ""),
                            causes ? causes : json_object());
    }
    free(unlocked);
    json_decref(list);
    return all;
}

// Their counts are those of a product that is measured, under the lock of the reference.
static void find_ablations(struct run_options *options) {
    const json_t *reference = json_array_get(options->known_backends, 0), *entry, *product;
    size_t index, p;
    json_array_foreach(options->known_backends, index, entry) {
        const char *name = object_string(entry, "name", "");
        bool wanted = false;
        json_array_foreach(options->known_backends, p, product) {
            wanted = wanted ||
                     (names_have(&options->backends, object_string(product, "name", "")) &&
                      product != entry && product != reference && same(product, entry, "refcount"));
        }
        char *path = driver_path(options, name, false);
        if (wanted && same(entry, reference, "locking") && !names_have(&options->backends, name) &&
            access(path, X_OK) == 0)
            names_add(&options->ablations, name);
        free(path);
    }
}

bool what_if_find(struct run_options *options) {
    const char *reference = object_string(json_array_get(options->known_backends, 0), "name", "");
    if (options->self || options->no_drivers ||
        ((options->against || options->programs[FINDINGS]) && !options->what_if))
        return true;
    if (names_have(&options->backends, reference)) find_ablations(options);
    options->causes = json_object();
    for (size_t b = 0; b < options->backends.count; b++) {
        json_t *causes = causes_of(options, options->backends.items[b]);
        if (causes == NULL) return false;
        json_object_set_new(options->causes, options->backends.items[b], causes);
    }
    return true;
}

static bool is_wanted(const struct run_options *options, const char *backend, const char *cause,
                      int threads, bool early) {
    bool scale = threads == plan_scale_threads(options);
    if (options->what_if && scale) return true;
    if (strcmp(cause, COUNTING) == 0)
        return early && (scale || threads == 1) && !backend_has_gil(options, backend);
    if (strcmp(cause, SHARING) == 0)
        return early && scale && threads > 1 && !backend_has_gil(options, backend);
    return early && strcmp(cause, COLLECTOR) == 0 && threads == 1;
}

size_t what_if_at(const struct run_options *options, const char *workload, int threads, int round,
                  int rounds, struct without found[MAX_NAMES * WHAT_IF_CAUSES]) {
    bool early = round < 2 || 2 * round < rounds;
    size_t count = 0;
    for (size_t b = 0; options->causes && b < options->backends.count; b++)
        for (size_t c = 0; c < WHAT_IF_CAUSES; c++) {
            const char *backend = options->backends.items[b], *cause = what_if_causes[c];
            if (!what_if_kept(options->causes, backend, workload, cause) &&
                is_wanted(options, backend, cause, threads, early))
                found[count++] = (struct without){backend, cause};
        }
    for (size_t a = 0; early && threads == 1 && a < options->ablations.count; a++)
        found[count++] = (struct without){options->ablations.items[a], NULL};
    return count;
}

size_t what_if_runs(const struct run_options *options, int rounds) {
    struct without found[MAX_NAMES * WHAT_IF_CAUSES];
    size_t count = 0;
    for (int round = 0; round < rounds; round++)
        for (size_t w = 0; w < options->workloads.count; w++)
            for (size_t t = 0; t < options->thread_count; t++)
                count += what_if_at(options, options->workloads.items[w], options->threads[t],
                                    round, rounds, found);
    return count;
}

static void add_program(const struct plan *plan, const struct job *job,
                        struct arguments *arguments) {
    bool unlocked = job->without && strcmp(job->without, LOCKS) == 0;
    arguments->items[arguments->count++] = unlocked
                                               ? unlocked_path(plan->options, job->backend)
                                               : driver_path(plan->options, job->backend, false);
}

static void add_without(const struct plan *plan, const struct job *job,
                        struct arguments *arguments) {
    (void)plan;
    if (job->without) arguments_add(arguments, "--without=%s", job->without);
}

const struct kind kind_what_if = {.list = LIST_WHAT_IF,
                                  .add_program = add_program,
                                  .add_arguments = add_without,
                                  .driver = true,
                                  .turns = true,
                                  .warm = true};
