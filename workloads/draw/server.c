// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The page of the task server's request times: a chart per backend and version, with the
// collections, from the samples (results.csv) and what is known of each run (results.json) in a
// folder.
#include "document.h"
#include "draw.h"
#include "files.h"
#include "results.h"
#include "statistics.h"
#include "svg.h"

#include <gsl/gsl_sort.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_RUNS = 64, VERSIONS = 2 };

struct run_times {
    const char *backend;
    int version;
    const char *model;
    struct svg_line line; // a point per request: seconds, milliseconds
    struct svg_span *spans;
    size_t span_count;
    double requests, full, young, longest_full, longest_pause, p50, p99, longest, memory, rate;
};

struct timing {
    json_t *root;
    struct results results; // the names alone, which give the colours
    struct run_times runs[MOST_RUNS];
    size_t run_count;
    double last, least, most; // seconds; milliseconds
};

// ---- reading -------------------------------------------------------------------------

static void read_collections(struct run_times *run, const json_t *list) {
    const json_t *one;
    size_t index;
    run->spans = checked_calloc(json_array_size(list) + 1, sizeof *run->spans);
    json_array_foreach(list, index, one) {
        double began = object_number(one, "began_s", 0), ended = object_number(one, "ended_s", 0),
               pause = object_number(one, "pause_ms", 0);
        struct svg_span *span = &run->spans[run->span_count++];
        *span = (struct svg_span){began, ended, began + pause / 1e3,
                                  object_number(one, "generation", 0) == 2, ""};
        if (span->major) {
            run->full++;
            run->longest_full = fmax(run->longest_full, 1e3 * (ended - began));
            run->longest_pause = fmax(run->longest_pause, pause);
        } else {
            run->young++;
        }
        snprintf(span->title, sizeof span->title,
                 "full collection: %.3f to %.3f s, stopped all threads for %.1f ms, %.0f objects "
                 "examined, %.0f collected",
                 began, ended, pause, object_number(one, "examined", 0),
                 object_number(one, "collected", 0));
    }
}

static void read_runs(struct timing *timing) {
    const json_t *one, *list = json_object_get(timing->root, "runs"),
                       *names = json_object_get(timing->root, "backends");
    size_t index;
    timing->results.names = checked_calloc(json_array_size(names) + 1, sizeof(char *));
    json_array_foreach(names, index, one) {
        const char *name = json_string_value(one);
        timing->results.names[timing->results.name_count++] = name ? name : "";
    }
    json_array_foreach(list, index, one) {
        if (timing->run_count == MOST_RUNS) break;
        struct run_times *run = &timing->runs[timing->run_count++];
        run->backend = object_string(one, "backend", "");
        run->version = (int)object_number(one, "version", 0);
        run->model = run->version == 1 ? "cycles" : "weak references";
        run->memory = object_number(one, "peak_memory_bytes", 0) / (1 << 20);
        run->rate = object_number(one, "requests_per_second", 0);
        run->line.place = backend_place(&timing->results, run->backend);
        read_collections(run, json_object_get(one, "collections"));
    }
}

static void find_quantiles(struct run_times *run) {
    double *times = checked_calloc(run->line.count + 1, sizeof *times);
    size_t count = run->line.count;
    for (size_t i = 0; i < count; i++) times[i] = run->line.points[i].y;
    gsl_sort(times, 1, count);
    run->requests = (double)count;
    run->p50 = count ? quantile(times, count, 0.5) : NAN;
    run->p99 = carries_quantile((double)count, 0.99) ? quantile(times, count, 0.99) : NAN;
    run->longest = count ? times[count - 1] : NAN;
    free(times);
}

// The samples: backend, version, client, seconds, milliseconds.
static void read_samples(struct timing *timing, const char *path) {
    char line[256], backend[64];
    int version;
    struct svg_point point = {0};
    FILE *file = regular_open(path);
    if (!file || !fgets(line, sizeof line, file)) reject("cannot read %s", path);
    while (fgets(line, sizeof line, file)) {
        struct run_times *run = NULL;
        if (sscanf(line, "\"%63[^\"]\",%d,%*d,%lf,%lf", backend, &version, &point.x, &point.y) == 4)
            for (size_t i = 0; i < timing->run_count; i++)
                if (timing->runs[i].version == version &&
                    strcmp(timing->runs[i].backend, backend) == 0)
                    run = &timing->runs[i];
        if (!run || !(point.y > 0)) reject("%s is damaged at: %s", path, line);
        svg_add_point(&run->line, point);
        timing->last = fmax(timing->last, point.x);
        timing->least = fmin(timing->least, point.y);
        timing->most = fmax(timing->most, point.y);
    }
    fclose(file);
    for (size_t i = 0; i < timing->run_count; i++) find_quantiles(&timing->runs[i]);
}

// ---- the page ------------------------------------------------------------------------

static char *chart_of(const struct timing *timing, const struct run_times *run) {
    const struct svg_chart chart = {.x = {.label = "seconds", .high = timing->last},
                                    .y = {.label = "request time, ms",
                                          .log = true,
                                          .low = pow(10, floor(log10(timing->least))),
                                          .high = pow(10, ceil(log10(timing->most)))}};
    return svg_times(&chart, &run->line, run->spans, run->span_count);
}

static const struct run_times *run_of(const struct timing *timing, const char *backend,
                                      int version) {
    for (size_t i = 0; i < timing->run_count; i++)
        if (timing->runs[i].version == version && strcmp(timing->runs[i].backend, backend) == 0)
            return &timing->runs[i];
    return NULL;
}

static const char *show_ms(struct document *document, double ms) {
    return keep_time(document, 1e6 * ms);
}

// Per backend, what a full collection does to requests, and what weak references do.
static void say_answer(struct document *document, const struct timing *timing) {
    for (size_t n = 0; n < timing->results.name_count; n++) {
        const struct run_times *one = run_of(timing, timing->results.names[n], 1),
                               *two = run_of(timing, timing->results.names[n], 2);
        if (!one || !two) continue;
        document_paragraph(
            document,
            "**%s**: with cycles (version 1) %.0f full collection%s, which stopped all threads for "
            "at most %s; the slowest of %.0f requests took %s. With weak references (version 2) "
            "%.0f full collection%s; the slowest of %.0f requests took %s.",
            one->backend, one->full, plural(one->full), show_ms(document, one->longest_pause),
            one->requests, show_ms(document, one->longest), two->full, plural(two->full),
            two->requests, show_ms(document, two->longest));
    }
}

static void add_charts(struct document *document, const struct timing *timing) {
    for (int version = 1; version <= VERSIONS; version++) {
        document_heading(document, 2,
                         version == 1 ? "Version 1: a task and its subtasks are a cycle"
                                      : "Version 2: a subtask refers weakly to its task");
        for (size_t i = 0; i < timing->run_count; i++) {
            const struct run_times *run = &timing->runs[i];
            if (run->version != version) continue;
            document_plot(
                document, PLOT, chart_of(timing, run),
                "%s, version %d (%s): %.0f requests, %.0f full collection%s, %.0f young. "
                "Request time against time, a dot per request. Bands are full collections, "
                "marks on the axis young ones",
                run->backend, version, run->model, run->requests, run->full, plural(run->full),
                run->young);
        }
    }
}

static void add_table(struct document *document, const struct timing *timing) {
    static const struct column columns[] = {
        COLUMN("backend", BACKEND, run_times, backend, 0),
        COLUMN("model", TEXT, run_times, model, 0),
        COLUMN("requests\ntimed", COUNT, run_times, requests, 0),
        COLUMN("50 %\nms", NUMBER, run_times, p50, 2),
        COLUMN("99 %\nms", NUMBER, run_times, p99, 2),
        COLUMN("longest\nms", NUMBER, run_times, longest, 2),
        COLUMN("full collections", COUNT, run_times, full, 0),
        COLUMN("longest\nms", NUMBER, run_times, longest_full, 1),
        COLUMN("threads stopped\nat most, ms", NUMBER, run_times, longest_pause, 1),
        COLUMN("young collections", COUNT, run_times, young, 0),
        COLUMN("requests per second\nof the load", RATE, run_times, rate, 0),
        COLUMN("peak memory\nMiB", NUMBER, run_times, memory, 1),
    };
    document_heading(document, 2, "Figures");
    TABLE_OF(document, "One run each", columns, timing->runs, timing->run_count);
}

static void add_conditions(struct document *document, const struct timing *timing) {
    const json_t *settings = json_object_get(timing->root, "settings"),
                 *machine = json_object_get(timing->root, "machine");
    document_heading(document, 2, "How it was measured");
    document_paragraph(
        document,
        "%.0f standing tasks with 3 subtasks each, %.0f worker threads. %.0f connections load the "
        "server with wrk, as fast as they are answered; %.0f %% of their requests replace a task. "
        "Beside them %.0f clients, with a connection each, send a request, wait for its answer, "
        "and "
        "send the next one %.0f ms later. These requests are the dots. A client whose request "
        "waits "
        "for a collection sends no other meanwhile, so a collection delays one request per client. "
        "Server and clients share %.0f processors.",
        object_number(settings, "tasks", 0), object_number(settings, "threads", 0),
        object_number(settings, "connections", 0), object_number(settings, "replacing", 0),
        object_number(settings, "clients", 0), object_number(settings, "wait_ms", 0),
        object_number(machine, "processors", 0));
    document_paragraph(
        document,
        "%s, commit %s. Load average before the first run %.1f, after the last %.1f: "
        "the server and its load alone make about %.0f.",
        object_string(machine, "processor", ""), object_string(timing->root, "commit", ""),
        object_number(machine, "load_before", 0), object_number(machine, "load_after", 0),
        object_number(settings, "threads", 0) + 2);
    document_say(document, VERBATIM, "%s", object_string(timing->root, "command", ""));
}

static struct document compose(const struct timing *timing) {
    struct document document = {.results = &timing->results};
    document_heading(&document, 2, "What does a collection do to a server's answers?");
    say_answer(&document, timing);
    add_charts(&document, timing);
    add_table(&document, timing);
    add_conditions(&document, timing);
    return document;
}

// All charts under one another, for a page elsewhere.
static void add_picture(struct text *out, const struct timing *timing) {
    char *pictures[MOST_RUNS], *titles[MOST_RUNS];
    size_t count = 0;
    for (int version = 1; version <= VERSIONS; version++)
        for (size_t i = 0; i < timing->run_count; i++) {
            const struct run_times *run = &timing->runs[i];
            if (run->version != version) continue;
            titles[count] = format("%s, version %d (%s): %.0f full collection%s", run->backend,
                                   version, run->model, run->full, plural(run->full));
            pictures[count++] = chart_of(timing, run);
        }
    char *svg = svg_file(svg_stack(pictures, (const char *const *)titles, count),
                         "Request times of the task server. Request time against time per backend "
                         "and version; bands are full collections");
    text_add_bytes(out, svg, strlen(svg));
    free(svg);
    for (size_t i = 0; i < count; i++) free(titles[i]);
}

bool draw_server(const char *folder) {
    struct timing timing = {.least = INFINITY};
    char *path = format("%s/results.json", folder);
    timing.root = draw_load(path, "the folder of a run of tally server");
    if (strcmp(object_string(timing.root, "format", ""), "tally-request-times") != 0)
        reject("%s is not of tally server; name the folder of a run of it", path);
    free(path);
    read_runs(&timing);
    path = format("%s/results.csv", folder);
    read_samples(&timing, path);
    free(path);
    if (!(timing.most > 0)) reject("%s has no request", folder);
    struct document document = compose(&timing);
    struct text page = {0}, report = {0}, picture = {0};
    render_html(&document, &page);
    render_markdown(&document, &report);
    add_picture(&picture, &timing);
    const struct output_file files[] = {
        {"report.html", &page}, {"report.md", &report}, {"request-times.svg", &picture}};
    bool good = folder_write(folder, files, 3);
    document_free(&document);
    text_free(&page);
    text_free(&report);
    text_free(&picture);
    for (size_t i = 0; i < timing.run_count; i++) {
        svg_free_lines(&timing.runs[i].line, 1);
        free(timing.runs[i].spans);
    }
    free(timing.results.names);
    json_decref(timing.root);
    return good;
}
