// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Draws the plots; see plots.h.  Names reach gnuplot only as plain letters, since
// it runs commands that it finds in strings.
#ifndef _GNU_SOURCE
#    define _GNU_SOURCE
#endif
#include "plots.h"

#include "text.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

// A colour stands for a name: gnuplot draws in rgb(1, 2, N), and the page gives
// the custom property --bN its colour, in light and in dark.  Rgb(1, 2, 99) is the
// grid.  A backend has the same number, shape and kind of line everywhere.
#define GRID_COLOUR "#010263"

static int filled_point(size_t place) {
    static const int points[] = {7, 5, 9, 13, 11, 4};
    return points[place % (sizeof points / sizeof *points)];
}

static int hollow_point(size_t place) { return filled_point(place) - 1; }

static void add_colour(struct text *script, size_t place) {
    text_add(script, "lc rgb '#0102%02zx'", place % PLOT_COLOURS);
}

// Ablations are dashed.
static const char *dash_of(const struct analysis *analysis, const char *backend) {
    return analysis_is_ablation(analysis, backend) ? " dashtype (8,5)" : "";
}

static char *plain_name(const char *name) {
    char *plain = checked_strdup(name);
    for (char *c = plain; *c; c++)
        if (!isalnum((unsigned char)*c) && !strchr("-., ", *c)) *c = '-';
    return plain;
}

static const struct cell *first_cell(const struct analysis *analysis, const char *workload,
                                     const char *backend) {
    return analysis_cell(analysis, workload, backend, 1);
}

static struct interval plotted_value(const struct analysis *analysis, const struct cell *cell,
                                     bool speedup) {
    if (!speedup) return cell->rate;
    return cells_ratio(cell, first_cell(analysis, cell->workload, cell->backend));
}

// What one plot shows of every backend.
struct curve {
    size_t place;
    const char *name;
    double last_x, last_y; // of the last point; x 0: there is none
    double label_y;        // where the name stands
};

struct frame {
    const struct analysis *analysis;
    const char *workload;
    bool speedup;
    double scale, top; // of the values; of the axis, in scaled values
    const char *scale_name;
    struct curve *curves; // one a backend
};

static const double PLOT_HEIGHT_IN_LABELS = 13;

// The power of 1000 that keeps a workload's axis in short numbers, and the
// highest end of an interval, unless that is beyond twice the highest estimate.
static void measure_frame(struct frame *frame) {
    static const char *const names[] = {"", "thousand ", "million ", "billion "};
    const struct analysis *analysis = frame->analysis;
    double most = 0, high = 0;
    size_t power = 0;
    frame->scale = 1;
    for (size_t i = 0; i < analysis->cell_count; i++) {
        if (strcmp(analysis->cells[i].workload, frame->workload) != 0) continue;
        struct interval value = plotted_value(analysis, &analysis->cells[i], frame->speedup);
        most = fmax(most, value.estimate);
        high = fmax(high, value.known ? value.high : value.estimate);
    }
    for (; !frame->speedup && power < 3 && most >= 1000 * frame->scale; power++)
        frame->scale *= 1000;
    frame->scale_name = names[power];
    frame->top = 1.08 * fmin(high, 2 * most) / frame->scale;
    if (!(frame->top > 0)) frame->top = 1;
}

// Names stand at the ends of their curves, moved apart where they would touch.
static void place_labels(const struct frame *frame) {
    size_t count = frame->analysis->backend_count;
    double gap = frame->top / PLOT_HEIGHT_IN_LABELS;
    struct curve **order = checked_calloc(count, sizeof *order);
    size_t placed = 0;
    for (size_t b = 0; b < count; b++) {
        struct curve *curve = &frame->curves[b];
        size_t at = placed;
        if (curve->last_x == 0) continue;
        for (; at > 0 && order[at - 1]->last_y > curve->last_y; at--) order[at] = order[at - 1];
        order[at] = curve;
        placed++;
    }
    for (size_t i = 0; i < placed; i++) {
        order[i]->label_y = fmax(order[i]->last_y, gap / 2);
        if (i > 0) order[i]->label_y = fmax(order[i]->label_y, order[i - 1]->label_y + gap);
    }
    double limit = frame->top - gap / 2;
    for (size_t i = placed; i-- > 0; limit = order[i]->label_y - gap)
        order[i]->label_y = fmin(order[i]->label_y, limit);
    free(order);
}

// Curves stand a little beside one another, so that their intervals can be seen.
static double beside(const struct frame *frame, int threads, size_t curve) {
    const struct analysis *analysis = frame->analysis;
    double step = ((double)curve - ((double)analysis->backend_count - 1) / 2) * 0.03;
    return analysis->threads[analysis->thread_count - 1] > 8 ? threads * exp2(step)
                                                             : threads + step;
}

static void add_points(struct text *script, struct frame *frame, size_t backend) {
    const struct analysis *analysis = frame->analysis;
    struct curve *curve = &frame->curves[backend];
    *curve = (struct curve){.place = analysis_place(analysis, analysis->backends[backend]),
                            .name = analysis->backends[backend]};
    text_add(script, "$b%zu << EOD\n", backend);
    for (size_t t = 0; t < analysis->thread_count; t++) {
        const struct cell *cell = analysis_cell(analysis, frame->workload,
                                                analysis->backends[backend], analysis->threads[t]);
        if (cell == NULL) continue;
        struct interval value = plotted_value(analysis, cell, frame->speedup);
        if (!(value.estimate > 0)) continue;
        double low = value.known ? value.low : value.estimate,
               high = value.known ? value.high : value.estimate;
        curve->last_x = beside(frame, cell->threads, backend);
        curve->last_y = value.estimate / frame->scale;
        text_add(script, "%.9g %.9g %.9g %.9g %d\n", curve->last_x, curve->last_y,
                 low / frame->scale, high / frame->scale, cell->oversubscribed);
    }
    text_add(script, "0 NaN NaN NaN 0\n0 NaN NaN NaN 1\nEOD\n");
}

static void add_axes(struct text *script, const struct frame *frame) {
    const struct analysis *analysis = frame->analysis;
    int most = analysis->threads[analysis->thread_count - 1];
    text_add(script, "set xlabel 'threads'\nset ylabel '%s%s'\n",
             frame->speedup ? "" : frame->scale_name,
             frame->speedup ? "times one thread" : "operations a second");
    text_add(script, "set yrange [0:%.9g]\nunset logscale\nunset label\nunset arrow\n", frame->top);
    if (most > 8)
        text_add(script, "set logscale x 2\nset xrange [0.85:%g]\n", most * 1.15);
    else
        text_add(script, "set xrange [0.75:%g]\n", most + 0.25);
    text_add(script, "set xtics (");
    for (size_t t = 0; t < analysis->thread_count; t++)
        text_add(script, "%s%d", t ? ", " : "", analysis->threads[t]);
    text_add(script, ")\n");
    if (most > analysis->scale_threads) {
        double edge = analysis->scale_threads + (most > 8 ? 0.2 * analysis->scale_threads : 0.3);
        text_add(script,
                 "set arrow from %g, graph 0 to %g, graph 1 nohead dashtype 2 lc rgb '" GRID_COLOUR
                 "'\n",
                 edge, edge);
        text_add(script,
                 "set label 'more threads than cores' at %g, graph 1.02 offset 0.4,0.5 "
                 "font ',11'\n",
                 edge);
    }
}

static void add_labels(struct text *script, const struct frame *frame) {
    place_labels(frame);
    for (size_t b = 0; b < frame->analysis->backend_count; b++) {
        const struct curve *curve = &frame->curves[b];
        char *name = plain_name(curve->name);
        if (curve->last_x > 0)
            text_add(script,
                     "set label '%s' at graph 1, first %.9g offset 0.6,0 tc rgb '#0102%02zx'\n",
                     name, curve->label_y, curve->place % PLOT_COLOURS);
        free(name);
    }
}

static void add_curves(struct text *script, const struct frame *frame) {
    const struct analysis *analysis = frame->analysis;
    if (frame->speedup)
        text_add(script, "$ideal << EOD\n1 1\n%d %d\nEOD\n", analysis->scale_threads,
                 analysis->scale_threads);
    text_add(script, "plot ");
    if (frame->speedup) // what so many cores could give
        text_add(script, "$ideal using 1:2 with lines lw 1 lc rgb '" GRID_COLOUR "' notitle, ");
    for (size_t b = 0; b < analysis->backend_count; b++) {
        size_t place = frame->curves[b].place;
        text_add(script, "%s$b%zu using 1:2 with lines lw 2%s ", b ? ", " : "", b,
                 dash_of(analysis, analysis->backends[b]));
        add_colour(script, place);
        text_add(script, " notitle, $b%zu using 1:2:3:4 with yerrorbars pt 0 lw 1.2 ", b);
        add_colour(script, place);
        text_add(script, " notitle, $b%zu using 1:($5==0?$2:NaN) with points pt %d ps 0.7 ", b,
                 filled_point(place));
        add_colour(script, place);
        text_add(script, " notitle, $b%zu using 1:($5==1?$2:NaN) with points pt %d ps 0.8 lw 1.5 ",
                 b, hollow_point(place));
        add_colour(script, place);
        text_add(script, " notitle");
    }
    text_add(script, "\nset output\n");
}

static void add_plot(struct text *script, const struct analysis *analysis, size_t workload,
                     bool speedup, const char *folder) {
    struct frame frame = {
        .analysis = analysis, .workload = analysis->workloads[workload], .speedup = speedup};
    frame.curves = checked_calloc(analysis->backend_count, sizeof *frame.curves);
    measure_frame(&frame);
    text_add(
        script,
        "set terminal svg size 480,300 dynamic noenhanced font 'sans-serif,13' name 'p%zu%c'\n",
        workload, speedup ? 's' : 't');
    text_add(script, "set output '%s/%zu%c.svg'\n", folder, workload, speedup ? 's' : 't');
    add_axes(script, &frame);
    for (size_t b = 0; b < analysis->backend_count; b++) add_points(script, &frame, b);
    add_labels(script, &frame);
    add_curves(script, &frame);
    free(frame.curves);
}

static bool run_gnuplot(const char *folder, const struct text *script) {
    char *path = format("%s/script", folder);
    FILE *file = fopen(path, "we");
    bool good = file && fwrite(text_string(script), 1, script->length, file) == script->length;
    if (file && fclose(file) != 0) good = false;
    if (good) {
        posix_spawn_file_actions_t actions;
        char *argv[] = {"gnuplot", path, NULL};
        pid_t child;
        int status = -1;
        posix_spawn_file_actions_init(&actions);
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
        posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
        posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
        good = posix_spawnp(&child, "gnuplot", &actions, NULL, argv, environ) == 0 &&
               TEMP_FAILURE_RETRY(waitpid(child, &status, 0)) == child && status == 0;
        posix_spawn_file_actions_destroy(&actions);
    }
    free(path);
    return good;
}

static void replace_all(struct text *text, const char *from, const char *to) {
    struct text out = {0};
    const char *at = text_string(text), *hit;
    while ((hit = strstr(at, from)) != NULL) {
        text_add_bytes(&out, at, (size_t)(hit - at));
        text_add_bytes(&out, to, strlen(to));
        at = hit + strlen(from);
    }
    text_add_bytes(&out, at, strlen(at));
    text_free(text);
    *text = out;
}

// Cuts all from each `from` to the end of the next `to`.
static void remove_spans(struct text *text, const char *from, const char *to) {
    struct text out = {0};
    const char *at = text_string(text), *start, *end;
    while ((start = strstr(at, from)) != NULL && (end = strstr(start, to)) != NULL) {
        text_add_bytes(&out, at, (size_t)(start - at));
        at = end + strlen(to);
    }
    text_add(&out, "%s", at);
    text_free(text);
    *text = out;
}

// gnuplot opens a group for every change of pen, and leaves most of them empty.
static void remove_empty_groups(struct text *text) {
    struct text out = {0};
    const char *at = text_string(text), *start;
    while ((start = strstr(at, "<g ")) != NULL) {
        const char *end = strchr(start, '>');
        const char *after = end ? end + 1 + strspn(end + 1, " \t\n") : NULL;
        text_add_bytes(&out, at, (size_t)(start - at));
        if (after && strncmp(after, "</g>", 4) == 0) {
            at = after + 4;
        } else {
            text_add_bytes(&out, start, 3);
            at = start + 3;
        }
    }
    text_add(&out, "%s", at);
    text_free(text);
    *text = out;
}

// From rgb(1, 2, N) to the page's custom properties; see GRID_COLOUR.
static void name_colours(struct text *body) {
    static const char *const attributes[] = {"stroke", "color", "fill"};
    static const char *const patterns[] = {"%s='rgb(%3d, %3d, %3d)'", "%s=\"rgb(%3d, %3d, %3d)\"",
                                           "%s=\"rgb(%d,%d,%d)\""};
    for (int colour = 0; colour <= PLOT_COLOURS; colour++) {
        char *property = colour < PLOT_COLOURS ? format("--b%d", colour) : checked_strdup("--grid");
        for (size_t i = 0; i < 9; i++) {
            char *from = format(patterns[i % 3], attributes[i / 3], 1, 2,
                                colour < PLOT_COLOURS ? colour : 99);
            char *to = format("style='%s:var(%s)'", attributes[i / 3], property);
            replace_all(body, from, to);
            free(to);
            free(from);
        }
        free(property);
    }
}

// Ready for inlining: no prologue, names that no other plot uses, the page's
// colours, and black, gnuplot's colour for text and axes, left to the page.
static char *inline_svg(struct text *svg, const char *prefix) {
    static const char *const blacks[] = {"\"black\"", "\"rgb(0,0,0)\"", "\"rgb(  0,   0,   0)\"",
                                         "\"#000000\"", "'black'"};
    static const char *const shorter[][2] = {
        {" stroke-width=\"1.00\" stroke-linecap=\"butt\" stroke-linejoin=\"miter\"", ""},
        {" stroke-linecap=\"butt\" stroke-linejoin=\"miter\"", ""},
        {" font-family=\"sans-serif\" font-size=\"13.00\" ", " "},
        {" stroke-dasharray='2,4' class=\"gridline\" ", ""},
        {" font-family=\"sans-serif\" font-size=\"11.00\" ", " font-size=\"11\""},
        {" color=\"currentColor\"", ""},
        {" color=\"white\"", ""},
        {" color=\"gray\"", ""},
        {"\n\t\t<text>", "<text>"},
        {"</text>\n\t</g>", "</text></g>"},
        {"\n\n", "\n"},
    };
    const char *start = strstr(text_string(svg), "<svg");
    if (start == NULL) return NULL;
    struct text body = {0};
    text_add(&body, "%s", start);
    remove_spans(&body, "<title>", "</title>"); // tooltips with gnuplot's own names
    remove_spans(&body, "<desc>", "</desc>");
    remove_spans(&body, "<filter", "</filter>");
    for (size_t i = 0; i < sizeof blacks / sizeof *blacks; i++)
        replace_all(&body, blacks[i], "\"currentColor\"");
    char *point = format("'#%s-gp", prefix), *definition = format("id='%s-gp", prefix);
    char *fill = format("url(#%s-gp", prefix);
    replace_all(&body, "id=\"gnuplot_canvas\"", "");
    replace_all(&body, "color='white'", "visibility='hidden'"); // halos that error bars draw
    replace_all(&body, "'#gp", point);
    replace_all(&body, "id='gp", definition);
    replace_all(&body, "url(#gp", fill);
    name_colours(&body);
    remove_empty_groups(&body);
    for (size_t i = 0; i < sizeof shorter / sizeof *shorter; i++)
        replace_all(&body, shorter[i][0], shorter[i][1]);
    free(fill);
    free(definition);
    free(point);
    return body.data;
}

static char *read_svg(const char *folder, size_t number, char kind, const char *prefix) {
    char *path = format("%s/%zu%c.svg", folder, number, kind);
    struct text svg = {0};
    char buffer[8192];
    size_t got;
    FILE *file = fopen(path, "re");
    while (file && (got = fread(buffer, 1, sizeof buffer, file)) > 0)
        text_add_bytes(&svg, buffer, got);
    if (file) fclose(file);
    char *result = inline_svg(&svg, prefix);
    text_free(&svg);
    free(path);
    return result;
}

static char *read_workload_svg(const char *folder, size_t workload, char kind) {
    char *prefix = format("p%zu%c", workload, kind);
    char *result = read_svg(folder, workload, kind, prefix);
    free(prefix);
    return result;
}

static void remove_folder(const char *folder) {
    DIR *entries = opendir(folder);
    struct dirent *entry;
    while (entries && (entry = readdir(entries)) != NULL)
        if (entry->d_name[0] != '.') unlinkat(dirfd(entries), entry->d_name, 0);
    if (entries) closedir(entries);
    rmdir(folder);
}

// A new folder in TMPDIR, or in /tmp, for the caller to free; NULL: neither takes one.
static char *temporary_folder(void) {
    const char *places[] = {getenv("TMPDIR"), "/tmp"};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        // Gnuplot gets the name in quotes.
        if (!places[i] || !*places[i] || strpbrk(places[i], "'\n")) continue;
        char *folder = format("%s/tally-plots-XXXXXX", places[i]);
        if (mkdtemp(folder)) return folder;
        free(folder);
    }
    return NULL;
}

static const char *const preamble =
    "unset key\nset grid y lc rgb '" GRID_COLOUR "' lw 0.5\n"
    "set border 3 lc rgb '" GRID_COLOUR "'\nset tics nomirror out scale 0.5 tc rgb 'black'\n"
    "set errorbars 0\nset rmargin 11\nset tmargin 1.6\nset datafile missing 'NaN'\n";

struct workload_plots *plots_make(const struct analysis *analysis) {
    struct text script = {0};
    struct workload_plots *plots = NULL;
    char *folder = analysis->cell_count ? temporary_folder() : NULL;
    if (folder == NULL) return NULL;
    text_add(&script, "%s", preamble);
    for (size_t w = 0; w < analysis->workload_count; w++) {
        add_plot(&script, analysis, w, false, folder);
        add_plot(&script, analysis, w, true, folder);
    }
    if (run_gnuplot(folder, &script)) {
        plots = checked_calloc(analysis->workload_count, sizeof *plots);
        for (size_t w = 0; w < analysis->workload_count; w++) {
            plots[w].throughput = read_workload_svg(folder, w, 't');
            plots[w].speedup = read_workload_svg(folder, w, 's');
        }
    }
    remove_folder(folder);
    free(folder);
    text_free(&script);
    return plots;
}

char *plot_lines_with(const struct plot_line *lines, size_t count, const char *x_label,
                      const char *y_label, const char *commands) {
    static unsigned drawn; // the page's other plots must not have its names
    struct text script = {0};
    char *folder = count ? temporary_folder() : NULL;
    if (folder == NULL) return NULL;
    char *prefix = format("l%u", drawn++);
    text_add(&script,
             "%sset terminal svg size 620,360 dynamic noenhanced font 'sans-serif,13' name '%s'\n",
             preamble, prefix);
    text_add(&script, "set key outside top left horizontal textcolor variable\nset rmargin 2\n");
    text_add(&script,
             "set output '%s/0l.svg'\nset logscale xy\nset format xy '%%.10g'\nset xlabel "
             "'%s'\nset ylabel '%s'\n",
             folder, x_label, y_label);
    text_add(&script, "%s", commands);
    for (size_t i = 0; i < count; i++) {
        text_add(&script, "$l%zu << EOD\n", i);
        for (size_t k = 0; k < lines[i].count; k++)
            text_add(&script, "%.9g %.9g\n", lines[i].x[k], lines[i].y[k]);
        text_add(&script, "EOD\n");
    }
    for (size_t i = 0; i < count; i++) {
        char *name = plain_name(lines[i].name);
        text_add(&script, "%s$l%zu using 1:2 with linespoints lw 2 pt %d ps 0.7 ",
                 i ? ", " : "plot ", i, filled_point(lines[i].place));
        add_colour(&script, lines[i].place);
        text_add(&script, " title '%s'", name);
        free(name);
    }
    text_add(&script, "\nset output\n");
    char *svg = run_gnuplot(folder, &script) ? read_svg(folder, 0, 'l', prefix) : NULL;
    free(prefix);
    remove_folder(folder);
    free(folder);
    text_free(&script);
    return svg;
}

char *plot_lines(const struct plot_line *lines, size_t count, const char *x_label,
                 const char *y_label) {
    return plot_lines_with(lines, count, x_label, y_label, "");
}

void plots_free(struct workload_plots *plots, size_t count) {
    for (size_t i = 0; plots && i < count; i++) {
        free(plots[i].throughput);
        free(plots[i].speedup);
    }
    free(plots);
}
