/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * summary.c: a run for people; see summary.h.
 */
#include "summary.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../workload.h"
#include "output.h"

static const char *word(const json_t *object, const char *key) {
    const char *text = json_string_value(json_object_get(object, key));
    return text != NULL ? text : "";
}

static double number(const json_t *object, const char *key) {
    return json_number_value(json_object_get(object, key));
}

static int compare_doubles(const void *left, const void *right) {
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

static void print_time(double ns) {
    static const char *const units[] = {"ns", "us", "ms", "s"};
    int unit = 0;
    for (; ns >= 1000 && unit < 3; unit++) ns /= 1000;
    printf("%.3g %s", ns, units[unit]);
}

static void print_title(const json_t *run) {
    int workers = (int)number(run, "threads");
    bool processes = strcmp(word(run, "mode"), "processes") == 0;
    const char *name;
    json_t *value;
    printf("%s on %s, %d %s%s", word(run, "workload"), word(run, "backend"), workers,
           processes ? "process" : "thread",
           workers == 1 ? ""
           : processes  ? "es"
                        : "s");
    json_object_foreach(json_object_get(run, "parameters"), name, value) {
        char *shown = json_dumps(value, JSON_ENCODE_ANY);
        printf(", %s=%s", name, json_is_string(value) ? json_string_value(value) : shown);
        free(shown);
    }
    if (*word(run, "without")) printf(", without %s", word(run, "without"));
    putchar('\n');
}

static void print_rates(const json_t *run) {
    const json_t *samples = json_object_get(run, "samples");
    const char *unit = word(run, "unit");
    size_t count = json_array_size(samples);
    int width = (int)strlen(unit) + (int)strlen(" per second");
    double workers = number(run, "threads"), *rates;
    if (count == 0) return;
    rates = workload_allocate(count * sizeof *rates);
    for (size_t i = 0; i < count; i++) rates[i] = number(json_array_get(samples, i), "rate");
    qsort(rates, count, sizeof *rates, compare_doubles);
    const struct {
        const char *name;
        double rate;
    } rows[] = {{"median", (rates[(count - 1) / 2] + rates[count / 2]) / 2},
                {"slowest", rates[0]},
                {"fastest", rates[count - 1]}};
    char title[32];
    snprintf(title, sizeof title, "%zu sample%s", count, count == 1 ? "" : "s");
    printf("\n%-16s  %s per second  time of a worker per operation\n", title, unit);
    for (size_t i = 0; i < (count > 1 ? 3 : 1); i++) {
        printf("%-16s  %*.0f  ", rows[i].name, width, rows[i].rate);
        print_time(1e9 * workers / rows[i].rate);
        putchar('\n');
    }
    free(rates);
}

static void print_rest(const json_t *run) {
    const json_t *latency = json_object_get(run, "latency");
    const json_t *collector = json_object_get(run, "collector");
    putchar('\n');
    if (latency != NULL) {
        printf("latency           half within ");
        print_time(number(latency, "p50_ns"));
        printf(", 99 %% within ");
        print_time(number(latency, "p99_ns"));
        printf(", longest ");
        print_time(number(latency, "max_ns"));
        putchar('\n');
    }
    if (number(collector, "collections") > 0) {
        printf("collections       %.0f, longest pause ", number(collector, "collections"));
        print_time(number(json_object_get(collector, "pause_ns"), "longest"));
        putchar('\n');
    }
    printf("peak memory       %.1f MiB\n", number(run, "peak_rss_kib") / 1024);
    if (number(run, "live_at_finish") > 0)
        printf("alive at the end  %.0f objects\n", number(run, "live_at_finish"));
    if (json_is_true(json_object_get(run, "oversubscribed")))
        puts("There are more workers than processors.");
    if (json_is_true(json_object_get(run, "few_turns")))
        puts("The samples are too short for ten turns of each thread with the GIL.");
    if (json_is_true(json_object_get(run, "incomplete")))
        printf("Ended early: %zu samples are whole.\n",
               json_array_size(json_object_get(run, "samples")));
    puts("--json prints each sample and all counters.");
}

void summary_print(const json_t *run) {
    print_title(run);
    print_rates(run);
    print_rest(run);
    if (!output_written("the result is lost")) exit(EXIT_FAILURE);
}
