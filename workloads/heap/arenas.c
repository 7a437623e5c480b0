// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Arenas as a picture: a row per arena, a cell per pool, filled from below as far as blocks are in
// use.  An arena with a few filled cells among many pale ones is what keeps a process large.
#include "document.h"
#include "heap.h"
#include "svg_parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_ARENAS = 64, LEFT = 44, CELL = 8, ROW = 18, HIGH = 14, TOP = 40, WIDTH = 572 };

enum filling { OBJECTS, CONTENTS, COMING_HOME, WAITING_LONG, UNUSED, PARTS };
static const struct {
    const char *name, *style;
} parts[PARTS] = {[OBJECTS] = {"objects", "fill:var(--c0)"},
                  [CONTENTS] = {"their contents", "fill:var(--c1)"},
                  [COMING_HOME] = {"freed by another thread", "fill:var(--c2)"},
                  [WAITING_LONG] = {"awaits a grace period", "fill:var(--c3)"},
                  [UNUSED] = {"resident, unused", "fill:var(--ink);fill-opacity:.12"}};

static void add_rectangle(struct text *out, double x, double y, double width, double height,
                          enum filling part) {
    if (height < 0.05) return;
    text_add(out, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" style=\"%s\"/>\n", x,
             y, width, height, parts[part].style);
}

// Heights are shares of the pool's 32 KiB.
static void add_pool(struct text *out, const struct pool *pool, double x, double y) {
    double whole = 1 << POOL_SHIFT, bottom = y + HIGH, size = 16.0 * pool->class_;
    double share[PARTS] = {0};
    enum filling used = pool->kind == TALLY_HEAP_POOL_RAW ? CONTENTS : OBJECTS;
    if (pool->kind == TALLY_HEAP_POOL_WAITING)
        share[WAITING_LONG] = pool->resident / whole;
    else if (pool->kind >= TALLY_HEAP_POOL_USED) {
        share[used] = (pool->used - pool->coming) * size / whole;
        share[COMING_HOME] = pool->coming * size / whole;
    }
    double sum = 0;
    for (size_t i = 0; i < UNUSED; i++) sum += share[i];
    share[UNUSED] = fmin(fmax(pool->resident / whole - sum, 0), 1);
    for (unsigned i = 0; i < PARTS; i++) {
        double height = HIGH * fmin(share[i], 1);
        // A block that holds an arena is seen, however small.
        if (i < UNUSED && share[i] > 0 && height < 1) height = 1;
        bottom -= height;
        add_rectangle(out, x, bottom, CELL - 1, height, (enum filling)i);
    }
}

struct ranked {
    size_t place;
    double unused;
};
static int by_unused(const void *left, const void *right) {
    const struct ranked *a = left, *b = right;
    if (a->unused != b->unused) return a->unused < b->unused ? 1 : -1;
    return a->place < b->place ? -1 : a->place > b->place;
}
static int by_place(const void *left, const void *right) {
    const struct ranked *a = left, *b = right;
    return a->place < b->place ? -1 : a->place > b->place;
}

static void add_arena(struct text *out, const struct ledger *ledger, const struct ranked *ranked,
                      double y) {
    const struct arena *arena = &ledger->arenas[ranked->place];
    char *unused = show_bytes(ranked->unused),
         *name = format("%llu", (unsigned long long)arena->number);
    text_add(out, "<g><title>arena %s: %s resident and unused</title>\n", name, unused);
    svg_text(out, LEFT - 6, y + HIGH - 3, "text-anchor=\"end\" class=\"small\"", name);
    for (size_t i = 0; i < ARENA_POOLS; i++)
        add_pool(out, &arena->pools[i], LEFT + (double)(i * CELL), y);
    text_add(out, "</g>\n");
    free(name);
    free(unused);
}

char *draw_arenas(const struct heap *heap) {
    const struct ledger *ledger = &heap->ledger;
    size_t count = ledger->arena_count, shown = count < MOST_ARENAS ? count : MOST_ARENAS;
    struct ranked *ranked = checked_calloc(count + 1, sizeof *ranked);
    double all = 0;
    for (size_t i = 0; i < count; i++) {
        ranked[i].place = i;
        for (size_t pool = 0; pool < ARENA_POOLS; pool++)
            ranked[i].unused += ledger_unused(ledger, &ledger->arenas[i].pools[pool], pool);
        all += ranked[i].unused;
    }
    if (count > 0) qsort(ranked, count, sizeof *ranked, by_unused);
    if (shown > 0) qsort(ranked, shown, sizeof *ranked, by_place);
    struct text out = svg_start(WIDTH, TOP + (int)shown * ROW + 10);
    double x = LEFT;
    for (unsigned i = 0; i < PARTS; i++) {
        add_rectangle(&out, x, 8, 10, 10, (enum filling)i);
        svg_text(&out, x + 14, 17, "", parts[i].name);
        x += 24 + 6.2 * (double)strlen(parts[i].name);
    }
    char *unused = show_bytes(all);
    char *label =
        format("Arenas of %s. A row is an arena of 2 MiB, a cell a pool of 32 KiB, filled "
               "as far as its blocks are in use. %zu of %zu arenas, those with most "
               "unused memory; %s in all are resident and unused.",
               heap->backend, shown, count, unused);
    char *line = shown < count
                     ? format("%zu of %zu arenas, those with most unused memory", shown, count)
                     : format("%zu arenas, %s unused", count, unused);
    svg_text(&out, LEFT, 34, "", line);
    for (size_t i = 0; i < shown; i++) add_arena(&out, ledger, &ranked[i], TOP + (double)(i * ROW));
    char *file = svg_file(svg_end(&out), label);
    free(line);
    free(label);
    free(unused);
    free(ranked);
    return file;
}
