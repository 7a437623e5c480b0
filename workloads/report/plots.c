// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Draws the plots; see plots.h.  Names reach gnuplot only as plain letters, since
// it runs commands that it finds in strings.
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "plots.h"

#include "text.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <math.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

// Middle tones that stand out on white and on near-black.
static const char *const colours[] = {"#d9730d", "#2f80ed", "#1a9e5c", "#9b6bdf", "#d6457f", "#8a8f2a"};
enum { COLOURS = sizeof colours / sizeof *colours };

static char *plain_name(const char *name)
{
    char *plain = checked_strdup(name);
    for (char *c = plain; *c; c++)
        if (!isalnum((unsigned char)*c) && !strchr("-., ", *c))
            *c = '-';
    return plain;
}

static const struct cell *first_cell(const struct analysis *analysis, const char *workload, const char *backend)
{
    return analysis_cell(analysis, workload, backend, 1);
}

static struct interval plotted_value(const struct analysis *analysis, const struct cell *cell, bool speedup)
{
    if (!speedup)
        return cell->rate;
    return cells_ratio(cell, first_cell(analysis, cell->workload, cell->backend));
}

// The power of 1000 that keeps a workload's axis in short numbers.
static double axis_scale(const struct analysis *analysis, const char *workload, const char **name)
{
    static const char *const names[] = {"", "thousand ", "million ", "billion "};
    double most = 0, scale = 1;
    size_t power = 0;
    for (size_t i = 0; i < analysis->cell_count; i++)
        if (strcmp(analysis->cells[i].workload, workload) == 0)
            most = fmax(most, analysis->cells[i].rate.estimate);
    for (; power < 3 && most >= 1000 * scale; power++)
        scale *= 1000;
    *name = names[power];
    return scale;
}

static void add_points(struct text *script, const struct analysis *analysis, const char *workload, size_t backend,
                       bool speedup)
{
    const char *name;
    double scale = speedup ? 1 : axis_scale(analysis, workload, &name);
    text_add(script, "$b%zu << EOD\n", backend);
    for (size_t t = 0; t < analysis->thread_count; t++) {
        const struct cell *cell =
            analysis_cell(analysis, workload, analysis->backends[backend], analysis->threads[t]);
        if (cell == NULL)
            continue;
        struct interval value = plotted_value(analysis, cell, speedup);
        if (value.estimate > 0)
            text_add(script, "%d %.9g %.9g %.9g %d\n", cell->threads, value.estimate / scale, value.low / scale, value.high / scale,
                     cell->oversubscribed);
    }
    text_add(script, "0 NaN NaN NaN 0\n0 NaN NaN NaN 1\nEOD\n");
}

static void add_axes(struct text *script, const struct analysis *analysis, const char *workload, bool speedup)
{
    const char *scale;
    axis_scale(analysis, workload, &scale);
    int most = analysis->threads[analysis->thread_count - 1];
    text_add(script, "set xlabel 'threads'\nset ylabel '%s%s'\n", speedup ? "" : scale,
             speedup ? "times one thread" : "operations a second");
    text_add(script, "set yrange [0:*]\nunset logscale\n");
    if (most > 8)
        text_add(script, "set logscale x 2\nset xrange [0.9:%g]\n", most * 1.1);
    else
        text_add(script, "set xrange [0.7:%g]\n", most + 0.3);
    text_add(script, "set xtics (");
    for (size_t t = 0; t < analysis->thread_count; t++)
        text_add(script, "%s%d", t ? ", " : "", analysis->threads[t]);
    text_add(script, ")\nunset arrow\n");
    if (most > analysis->scale_threads) {
        double edge = analysis->scale_threads + (most > 8 ? 0.08 * analysis->scale_threads : 0.15);
        text_add(script, "set arrow from %g, graph 0 to %g, graph 1 nohead dashtype '.' lw 2 lc rgb '#808890'\n", edge, edge);
    }
}

static void add_plot(struct text *script, const struct analysis *analysis, size_t workload, bool speedup,
                     const char *folder)
{
    const char *name = analysis->workloads[workload];
    text_add(script, "set terminal svg size 520,340 dynamic noenhanced font 'sans-serif,13' name 'p%zu%c'\n", workload,
             speedup ? 's' : 't');
    text_add(script, "set output '%s/%zu%c.svg'\n", folder, workload, speedup ? 's' : 't');
    add_axes(script, analysis, name, speedup);
    for (size_t b = 0; b < analysis->backend_count; b++)
        add_points(script, analysis, name, b, speedup);
    text_add(script, "plot ");
    for (size_t b = 0; b < analysis->backend_count; b++) {
        char *backend = plain_name(analysis->backends[b]);
        const char *colour = colours[b % COLOURS];
        text_add(script, "%s$b%zu using 1:2 with lines lw 2 lc rgb '%s' notitle", b ? ", " : "", b, colour);
        text_add(script, ", $b%zu using 1:2:3:4 with yerrorbars pt 0 lw 1.2 lc rgb '%s' notitle", b, colour);
        text_add(script, ", $b%zu using 1:($5==0?$2:NaN) with points pt 7 ps 0.7 lc rgb '%s' title '%s'", b, colour,
                 backend);
        text_add(script, ", $b%zu using 1:($5==1?$2:NaN) with points pt 6 ps 0.8 lw 1.5 lc rgb '%s' notitle", b,
                 colour);
        free(backend);
    }
    text_add(script, "\nset output\n");
}

static bool run_gnuplot(const char *folder, const struct text *script)
{
    char *path = format("%s/script", folder);
    FILE *file = fopen(path, "we");
    bool good = file && fwrite(text_string(script), 1, script->length, file) == script->length;
    if (file && fclose(file) != 0)
        good = false;
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
               waitpid(child, &status, 0) == child && status == 0;
        posix_spawn_file_actions_destroy(&actions);
    }
    free(path);
    return good;
}

static void replace_all(struct text *text, const char *from, const char *to)
{
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
static void remove_spans(struct text *text, const char *from, const char *to)
{
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

// Ready for inlining: no prologue, names that no other plot uses, and black,
// gnuplot's colour for text and axes, left to the page.
static char *inline_svg(struct text *svg, const char *prefix)
{
    static const char *const blacks[] = {"\"black\"", "\"rgb(0,0,0)\"", "\"rgb(  0,   0,   0)\"", "\"#000000\"", "'black'"};
    const char *start = strstr(text_string(svg), "<svg");
    if (start == NULL)
        return NULL;
    struct text body = {0};
    text_add(&body, "%s", start);
    remove_spans(&body, "<title>", "</title>"); // tooltips with gnuplot's own names
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
    free(fill);
    free(definition);
    free(point);
    return body.data;
}

static char *read_svg(const char *folder, size_t workload, char kind)
{
    char *path = format("%s/%zu%c.svg", folder, workload, kind), *prefix = format("p%zu%c", workload, kind);
    struct text svg = {0};
    char buffer[8192];
    size_t got;
    FILE *file = fopen(path, "re");
    while (file && (got = fread(buffer, 1, sizeof buffer, file)) > 0)
        text_add_bytes(&svg, buffer, got);
    if (file)
        fclose(file);
    char *result = inline_svg(&svg, prefix);
    text_free(&svg);
    free(prefix);
    free(path);
    return result;
}

static void remove_folder(const char *folder)
{
    DIR *entries = opendir(folder);
    struct dirent *entry;
    while (entries && (entry = readdir(entries)) != NULL)
        if (entry->d_name[0] != '.')
            unlinkat(dirfd(entries), entry->d_name, 0);
    if (entries)
        closedir(entries);
    rmdir(folder);
}

static const char *const preamble =
    "set key outside top center horizontal\nset grid lc rgb '#808890' lw 0.4 dashtype 3\n"
    "set border 3\nset tics nomirror\nset datafile missing 'NaN'\n";

struct workload_plots *plots_make(const struct analysis *analysis)
{
    char folder[] = "/tmp/tally-plots-XXXXXX";
    struct text script = {0};
    struct workload_plots *plots = NULL;
    if (analysis->cell_count == 0 || mkdtemp(folder) == NULL)
        return NULL;
    text_add(&script, "%s", preamble);
    for (size_t w = 0; w < analysis->workload_count; w++) {
        add_plot(&script, analysis, w, false, folder);
        add_plot(&script, analysis, w, true, folder);
    }
    if (run_gnuplot(folder, &script)) {
        plots = checked_calloc(analysis->workload_count, sizeof *plots);
        for (size_t w = 0; w < analysis->workload_count; w++) {
            plots[w].throughput = read_svg(folder, w, 't');
            plots[w].speedup = read_svg(folder, w, 's');
        }
    }
    remove_folder(folder);
    text_free(&script);
    return plots;
}

char *plot_lines_with(const struct plot_line *lines, size_t count, const char *x_label, const char *y_label, const char *commands)
{
    char folder[] = "/tmp/tally-plots-XXXXXX";
    static size_t serial; // the ids of an SVG stand in the page that it is inlined in
    struct text script = {0};
    if (count == 0 || mkdtemp(folder) == NULL)
        return NULL;
    serial++;
    text_add(&script, "%sset terminal svg size 620,380 dynamic noenhanced font 'sans-serif,13' name 'l%zu'\n", preamble, serial);
    text_add(&script, "set output '%s/%zul.svg'\nset logscale xy\nset format xy '%%.10g'\nset xlabel '%s'\nset ylabel '%s'\n",
             folder, serial, x_label, y_label);
    text_add(&script, "%s", commands);
    for (size_t i = 0; i < count; i++) {
        text_add(&script, "$l%zu << EOD\n", i);
        for (size_t k = 0; k < lines[i].count; k++)
            text_add(&script, "%.9g %.9g\n", lines[i].x[k], lines[i].y[k]);
        text_add(&script, "EOD\n");
    }
    for (size_t i = 0; i < count; i++) {
        char *name = plain_name(lines[i].name);
        text_add(&script, "%s$l%zu using 1:2 with linespoints lw 2 pt 7 ps 0.6 lc rgb '%s' title '%s'",
                 i ? ", " : "plot ", i, colours[i % COLOURS], name);
        free(name);
    }
    text_add(&script, "\nset output\n");
    char *svg = run_gnuplot(folder, &script) ? read_svg(folder, serial, 'l') : NULL;
    remove_folder(folder);
    text_free(&script);
    return svg;
}

char *plot_lines(const struct plot_line *lines, size_t count, const char *x_label, const char *y_label)
{
    return plot_lines_with(lines, count, x_label, y_label, "");
}

void plots_free(struct workload_plots *plots, size_t count)
{
    for (size_t i = 0; plots && i < count; i++) {
        free(plots[i].throughput);
        free(plots[i].speedup);
    }
    free(plots);
}
