// SPDX-License-Identifier: LGPL-2.1-or-later
//
// A timeline as a picture: one lane per thread, and one for stops of the world. Each event is a
// rectangle; what contains it is behind it. Where there are too many, events of a kind in a lane
// that are near one another share a rectangle, as opaque as they fill it.
#include "draw.h"
#include "svg_parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_RECTANGLES = 3000, LEFT = 8, LANE = 46, NAME = 15, BAR = 24, DEEPEST = 4 };

enum kind { HOLDS, BLOCKED, SAFEPOINT, GIL, LOCK, OTHER_WAIT, STOP, COLLECTION, PART, KINDS };
static const struct {
    const char *name;
    int colour; // of the page, --c0 and so on
} kinds[KINDS] = {
    [HOLDS] = {"holds the GIL", 0},         [BLOCKED] = {"blocked", 8},
    [SAFEPOINT] = {"at a safepoint", 3},    [GIL] = {"waits for the GIL", 1},
    [LOCK] = {"waits for a lock", 2},       [OTHER_WAIT] = {"waits for other threads", 10},
    [STOP] = {"the world is stopped", 6},   [COLLECTION] = {"collection", 5},
    [PART] = {"a part of a collection", 9},
};

struct event {
    int lane, depth;
    enum kind kind;
    const char *name;
    double begin, end;
    const json_t *arguments;
};

struct rectangle {
    const struct event *first;
    double end, busy;
    size_t events;
};

struct lane {
    const char *name;
    int track, place;
};

struct timeline {
    json_t *root;
    struct event *events;
    size_t event_count;
    struct lane *lanes;
    size_t lane_count;
    double begin, end; // microseconds
    const char *unit;
    double scale; // units of the picture per microsecond
};

static bool ends_with(const char *name, const char *end) {
    size_t length = strlen(name), wanted = strlen(end);
    return length >= wanted && strcmp(name + length - wanted, end) == 0;
}

static enum kind kind_of(const char *name) {
    static const struct {
        const char *end;
        enum kind kind;
    } ends[] = {{"holds the GIL", HOLDS},
                {"without the GIL", BLOCKED},
                {"in a blocked region", BLOCKED},
                {"safepoint", SAFEPOINT},
                {"waits for the GIL", GIL},
                {"the lock of an object", LOCK},
                {"the world is stopped", STOP},
                {"collection", COLLECTION},
                {"mark", PART},
                {"finalize", PART},
                {"recheck", PART},
                {"free", PART}};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (ends_with(name, ends[i].end)) return ends[i].kind;
    return OTHER_WAIT;
}

// ---- reading -------------------------------------------------------------------------

static json_int_t whole(const json_t *object, const char *key) {
    return json_integer_value(json_object_get(object, key));
}

// A hold of the GIL is drawn in the lane of its thread.
static json_int_t track_of(const json_t *entry, enum kind kind) {
    return kind == HOLDS ? whole(json_object_get(entry, "args"), "thread") : whole(entry, "tid");
}

static const char *name_of(const json_t *entry) {
    const char *name = json_string_value(json_object_get(entry, "name"));
    return name ? name : "";
}

static bool is_event(const json_t *entry) {
    const char *phase = json_string_value(json_object_get(entry, "ph"));
    return phase && strcmp(phase, "X") == 0;
}

static int by_place(const void *one, const void *other) {
    return ((const struct lane *)one)->place - ((const struct lane *)other)->place;
}

// Of all tracks on which there is an event.
static void find_lanes(struct timeline *timeline, const json_t *list) {
    const json_t *entry, *other;
    size_t index, inner;
    timeline->lanes = checked_calloc(json_array_size(list) + 1, sizeof *timeline->lanes);
    json_array_foreach(list, index, entry) {
        if (strcmp(name_of(entry), "thread_name") != 0) continue;
        json_int_t track = whole(entry, "tid");
        struct lane lane = {"", (int)track, (int)track};
        bool used = false;
        lane.name = name_of(json_object_get(entry, "args"));
        json_array_foreach(list, inner, other) {
            if (is_event(other)) used = used || track_of(other, kind_of(name_of(other))) == track;
            if (strcmp(name_of(other), "thread_sort_index") == 0 && whole(other, "tid") == track)
                lane.place = (int)whole(json_object_get(other, "args"), "sort_index");
        }
        if (used) timeline->lanes[timeline->lane_count++] = lane;
    }
    qsort(timeline->lanes, timeline->lane_count, sizeof *timeline->lanes, by_place);
}

// By lane, then by time; an event that contains another comes first.
static int by_time(const void *one, const void *other) {
    const struct event *a = one, *b = other;
    if (a->lane != b->lane) return a->lane - b->lane;
    if (a->begin != b->begin) return a->begin < b->begin ? -1 : 1;
    return a->end > b->end ? -1 : a->end < b->end;
}

// By lane, depth and kind, so that neighbours may share a rectangle.
static int by_kind(const void *one, const void *other) {
    const struct event *a = one, *b = other;
    if (a->lane != b->lane) return a->lane - b->lane;
    if (a->depth != b->depth) return a->depth - b->depth;
    if (a->kind != b->kind) return (int)a->kind - (int)b->kind;
    return by_time(one, other);
}

// Holding the GIL is behind everything; another event is one deeper than what contains it.
static void find_depths(struct event *events, size_t count) {
    static const double SLACK = 0.002; // times have three decimals
    double ends[DEEPEST + 1];
    int depth = 0;
    qsort(events, count, sizeof *events, by_time);
    for (size_t i = 0; i < count; i++) {
        if (i == 0 || events[i].lane != events[i - 1].lane) depth = 0;
        if (events[i].kind == HOLDS) continue;
        while (depth > 0 && ends[depth] <= events[i].begin + SLACK) depth--;
        if (depth < DEEPEST) depth++;
        ends[depth] = events[i].end;
        events[i].depth = depth;
    }
    qsort(events, count, sizeof *events, by_kind);
}

static int lane_of(const struct timeline *timeline, json_int_t track) {
    for (size_t i = 0; i < timeline->lane_count; i++)
        if (timeline->lanes[i].track == track) return (int)i;
    return -1;
}

static struct timeline timeline_read(const char *path) {
    static const char what[] = "a file that tally trace wrote";
    struct timeline timeline = {draw_load(path, what), .begin = INFINITY, .end = -INFINITY};
    const json_t *list = json_object_get(timeline.root, "traceEvents"), *entry;
    size_t index;
    if (!json_is_array(list)) reject("%s is no timeline; name %s", path, what);
    find_lanes(&timeline, list);
    timeline.events = checked_calloc(json_array_size(list) + 1, sizeof *timeline.events);
    json_array_foreach(list, index, entry) {
        if (!is_event(entry)) continue;
        enum kind kind = kind_of(name_of(entry));
        double begin = json_number_value(json_object_get(entry, "ts"));
        struct event event = {lane_of(&timeline, track_of(entry, kind)),
                              0,
                              kind,
                              name_of(entry),
                              begin,
                              begin + json_number_value(json_object_get(entry, "dur")),
                              json_object_get(entry, "args")};
        if (event.lane < 0 || !(event.end >= begin))
            reject("%s is no timeline of Tally; name %s", path, what);
        timeline.begin = fmin(timeline.begin, begin);
        timeline.end = fmax(timeline.end, event.end);
        timeline.events[timeline.event_count++] = event;
    }
    if (timeline.event_count == 0)
        reject("%s has no event; record a longer time, by --sample-ms", path);
    find_depths(timeline.events, timeline.event_count);
    double span = timeline.end - timeline.begin;
    timeline.unit = span < 1e3 ? "µs" : span < 1e7 ? "ms" : "s";
    timeline.scale = span < 1e3 ? 1 : span < 1e7 ? 1e-3 : 1e-6;
    return timeline;
}

// ---- rectangles ----------------------------------------------------------------------

// Events of a kind with less than `gap` between them share a rectangle.
static size_t share(const struct timeline *timeline, double gap, struct rectangle *rectangles) {
    size_t count = 0;
    for (size_t i = 0; i < timeline->event_count; i++) {
        const struct event *event = &timeline->events[i];
        struct rectangle *last = count ? &rectangles[count - 1] : NULL;
        bool alike = last && last->first->lane == event->lane &&
                     last->first->depth == event->depth && last->first->kind == event->kind;
        if (alike && event->begin - last->end < gap) {
            last->end = fmax(last->end, event->end);
            last->busy += event->end - event->begin;
            last->events++;
        } else {
            rectangles[count++] =
                (struct rectangle){event, event->end, event->end - event->begin, 1};
        }
    }
    return count;
}

static void add_title(struct text *out, const struct timeline *timeline,
                      const struct rectangle *rectangle) {
    const struct event *event = rectangle->first;
    double from = (event->begin - timeline->begin) * timeline->scale,
           to = (rectangle->end - timeline->begin) * timeline->scale;
    text_add(out, "<title>");
    if (rectangle->events > 1) {
        text_add(out, "%zu times %s: %.3f to %.3f %s, %.3f %s in all", rectangle->events,
                 kinds[event->kind].name, from, to, timeline->unit,
                 rectangle->busy * timeline->scale, timeline->unit);
    } else {
        svg_add_escaped(out, event->name);
        text_add(out, ": %.3f to %.3f %s", from, to, timeline->unit);
        if (event->kind == COLLECTION && json_object_get(event->arguments, "examined"))
            text_add(out, ", generation %lld, %lld objects examined, %lld collected",
                     (long long)whole(event->arguments, "generation"),
                     (long long)whole(event->arguments, "examined"),
                     (long long)whole(event->arguments, "collected"));
    }
    text_add(out, "</title>");
}

static void add_rectangle(struct text *out, const struct timeline *timeline,
                          const struct svg_scale *time, const struct rectangle *rectangle) {
    static const double THINNEST = 0.25;
    const struct event *event = rectangle->first;
    double from = svg_place(time, (event->begin - timeline->begin) * timeline->scale),
           to = svg_place(time, (rectangle->end - timeline->begin) * timeline->scale),
           filled = rectangle->busy / (rectangle->end - event->begin);
    int inset = 3 * (event->depth > 1 ? event->depth - 1 : 0);
    text_add(out, "<rect x=\"%.2f\" y=\"%d\" width=\"%.2f\" height=\"%d\" style=\"fill:var(--c%d)",
             from, event->lane * LANE + NAME + 4 + inset, fmax(to - from, THINNEST),
             BAR - 2 * inset, kinds[event->kind].colour);
    if (rectangle->events > 1 && filled < 1) text_add(out, ";opacity:%.2f", fmax(filled, 0.2));
    text_add(out, "\">");
    add_title(out, timeline, rectangle);
    text_add(out, "</rect>\n");
}

// ---- the picture ---------------------------------------------------------------------

static void add_time_axis(struct text *out, const struct timeline *timeline,
                          const struct svg_scale *time, int y) {
    text_add(out, "<path d=\"M%d %dH%d\" %s/>\n", LEFT, y, SVG_WIDTH - LEFT, svg_grid);
    for (size_t t = 0; t < time->tick_count; t++) {
        double at = svg_place(time, time->ticks[t]);
        char *number = format("%.10g", time->ticks[t]);
        text_add(out, "<path d=\"M%.1f %dv-4\" %s/>\n", at, y, svg_grid);
        svg_text(out, fmin(at, SVG_WIDTH - 20), y + 15, svg_middle, number);
        free(number);
    }
    char *label =
        format("%s since the first event", strcmp(timeline->unit, "s") == 0    ? "seconds"
                                           : strcmp(timeline->unit, "ms") == 0 ? "milliseconds"
                                                                               : "microseconds");
    svg_text(out, SVG_WIDTH / 2.0, y + 32, svg_middle, label);
    free(label);
}

static int add_legend(struct text *out, const struct timeline *timeline, int y) {
    enum { ROW = 20, COLUMN = 235 };
    int shown = 0;
    for (enum kind kind = 0; kind < KINDS; kind++) {
        size_t events = 0;
        for (size_t i = 0; i < timeline->event_count; i++)
            events += timeline->events[i].kind == kind;
        if (events == 0) continue;
        int x = LEFT + shown % 2 * COLUMN, top = y + shown / 2 * ROW;
        char *name = format("%s: %zu", kinds[kind].name, events);
        text_add(out, "<path d=\"M%d %dh12v12h-12z\" style=\"fill:var(--c%d)\"/>\n", x, top,
                 kinds[kind].colour);
        svg_text(out, x + 18, top + 11, "fill=\"currentColor\"", name);
        free(name);
        shown++;
    }
    return y + (shown + 1) / 2 * ROW;
}

char *draw_trace(const char *path) {
    static const char small[] = "font-size=\"12\" fill=\"currentColor\"";
    struct timeline timeline = timeline_read(path);
    double span = (timeline.end - timeline.begin) * timeline.scale, gap = -INFINITY;
    struct svg_axis axis = {.low = 0, .high = span > 0 ? span : 1};
    struct svg_scale time = svg_scale_of(&axis, 0, 0, LEFT, SVG_WIDTH - LEFT);
    struct rectangle *rectangles = checked_calloc(timeline.event_count, sizeof *rectangles);
    size_t count = share(&timeline, gap, rectangles);
    for (gap = (timeline.end - timeline.begin) / (1 << 14); count > MOST_RECTANGLES; gap *= 2)
        count = share(&timeline, gap, rectangles);
    bool merged = count < timeline.event_count;
    int floor = (int)timeline.lane_count * LANE + 4;
    struct text out = svg_start(SVG_WIDTH, floor + 150 + (merged ? 36 : 18));
    for (size_t i = 0; i < timeline.lane_count; i++)
        svg_text(&out, LEFT, (double)i * LANE + NAME, small, timeline.lanes[i].name);
    for (size_t i = 0; i < count; i++) add_rectangle(&out, &timeline, &time, &rectangles[i]);
    add_time_axis(&out, &timeline, &time, floor);
    int y = add_legend(&out, &timeline, floor + 46);
    char *note = merged ? format("%zu events in %zu rectangles, the paler the less they fill them:",
                                 timeline.event_count, count)
                        : format("%zu events, each a rectangle.", timeline.event_count);
    svg_text(&out, LEFT, y + 12, small, note);
    free(note);
    if (merged) {
        note = format("those of one kind less than %.3g %s apart are one.",
                      gap / 2 * timeline.scale, timeline.unit);
        svg_text(&out, LEFT, y + 28, small, note);
        free(note);
    }
    const char *backend =
        json_string_value(json_object_get(json_object_get(timeline.root, "otherData"), "backend"));
    char *label = format("Timeline of the threads, %s. One lane per thread: %zu events in %zu "
                         "rectangles",
                         backend ? backend : "of an unknown backend", timeline.event_count, count);
    char *file = svg_file(svg_end(&out), label);
    free(label);
    free(rectangles);
    free(timeline.events);
    free(timeline.lanes);
    json_decref(timeline.root);
    return file;
}
