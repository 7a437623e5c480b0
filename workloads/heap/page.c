// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The heap as one page that asks for nothing outside itself: the tables of the terminal, which can
// be sorted; what retains the memory, as a drawing of the dominators' tree; and the graph around an
// object, which goes on to another one by a click or a key.  Without script it has the tables, the
// drawing, and an entry per object that is drawn.  page_graph.c chooses what there is room for.
#include "document.h"
#include "heap.h"
#include "results.h"
#include "svg.h"

#include <libgen.h>
#include <stdlib.h>
#include <string.h>

#define EMBED(name, file)                                                          \
    __asm__(".pushsection .rodata\n.global " #name "\n" #name ":\n.incbin \"" file \
            "\"\n.byte 0\n.popsection\n")
extern const char heap_css[], heap_js[];
EMBED(heap_css, HEAP_FOLDER "/heap.css");
EMBED(heap_js, HEAP_FOLDER "/heap.js");

enum { ROW_HEIGHT = 26, SHOWN_EACH = 8 };

// What an entry is called, and linked by: its address makes it the only one.
static char *entry_name(const struct heap *heap, uint32_t object) {
    char *label = object_label(heap, object);
    if (strstr(label, " 0x")) return label;
    char *name =
        format("%s 0x%llx", label,
               (unsigned long long)heap->objects[object].address << TALLY_HEAP_ADDRESS_SHIFT);
    free(label);
    return name;
}

// Takes the string over.
static void add_escaped(struct text *out, char *string) {
    html_add_text(out, string);
    free(string);
}

// To its entry, and with script to the graph; where it has none, its name.  With attributes the
// link stays open.
static void add_link(const struct heap *heap, const struct part_of_heap *part, uint32_t object,
                     const char *attributes, struct text *out) {
    bool linked = part->has_entry[object];
    if (linked) {
        char *name = entry_name(heap, object), *slug = heading_slug(name);
        text_add(out, "<a href=\"#%s\" data-object=\"%u\"%s>", slug, part->place[object],
                 attributes);
        free(slug);
        free(name);
    }
    add_escaped(out, object_label(heap, object));
    if (linked && !*attributes) text_add(out, "</a>");
}

// Lines that were written for a terminal become paragraphs.
static void take_lines(struct document *document, struct view *view) {
    char *lines = view->out.data, *next = lines;
    view->out = (struct text){0};
    for (char *line; (line = strsep(&next, "\n"));)
        if (*line) document_paragraph(document, "%s", line);
    free(lines);
}

// ---- the drawing -----------------------------------------------------------------------------

// A box: a link for an object, a span for a group.
static char *box_attributes(const struct heap *heap, const char *label, double left, unsigned depth,
                            uint64_t retained, uint32_t type) {
    struct text title = {0};
    char *size = show_bytes((double)retained);
    html_add_text(&title, label);
    char *attributes =
        format(" title=\"%s, retains %s\" style=\"left:%.3f%%;width:%.3f%%;top:%upx;"
               "border-left-color:var(--b%u)\"",
               text_string(&title), size, 100 * left, 100 * heap_share(heap, retained),
               depth * ROW_HEIGHT, type % SVG_COLOURS);
    text_free(&title);
    free(size);
    return attributes;
}
static void end_box(uint64_t retained, const char *tag, struct text *out) {
    char *size = show_bytes((double)retained);
    text_add(out, " <span>%s</span></%s>\n", size, tag);
    free(size);
}

static void add_object_box(const struct heap *heap, const struct part_of_heap *part, size_t at,
                           struct text *out) {
    uint32_t object = part->drawn[at];
    char *label = object_label(heap, object),
         *attributes = box_attributes(heap, label, part->left[at], part->depth[at],
                                      heap->retained[object], heap->objects[object].type);
    add_link(heap, part, object, attributes, out);
    end_box(heap->retained[object], "a", out);
    free(attributes);
    free(label);
}
static void add_group_box(const struct heap *heap, const struct part_group *group,
                          struct text *out) {
    char *label = format("%u %s", group->count, heap->types[group->type].name),
         *attributes =
             box_attributes(heap, label, group->left, group->depth, group->retained, group->type);
    text_add(out, "<span%s>", attributes);
    html_add_text(out, label);
    end_box(group->retained, "span", out);
    free(attributes);
    free(label);
}

static void add_drawing(const struct heap *heap, const struct part_of_heap *part,
                        struct document *document) {
    struct text boxes = {0};
    unsigned deepest = 0;
    double top = 0;
    for (size_t i = 0; i < part->drawn_count; i++) {
        add_object_box(heap, part, i, &boxes);
        if (part->depth[i] > deepest) deepest = part->depth[i];
        if (part->depth[i] == 0) top += heap_share(heap, heap->retained[part->drawn[i]]);
    }
    for (size_t i = 0; i < part->group_count; i++) {
        add_group_box(heap, &part->groups[i], &boxes);
        if (part->groups[i].depth > deepest) deepest = part->groups[i].depth;
        if (part->groups[i].depth == 0) top += heap_share(heap, part->groups[i].retained);
    }
    document_heading(document, 2, "What retains the memory");
    document_paragraph(document,
                       "A box is as wide as the share of the heap that would be freed with the "
                       "object. What it alone holds is below it. Its edge has the colour of its "
                       "type. Drawn are the largest (%zu), and in dashed boxes smaller ones "
                       "by type. %.1f %% of the heap is in none of these.",
                       part->drawn_count, 100 * (1 - (top < 1 ? top : 1)));
    document_markup(document, format("<div class=\"icicle\" style=\"height:%upx\">\n%s</div>\n",
                                     (deepest + 1) * ROW_HEIGHT, text_string(&boxes)));
    text_free(&boxes);
}

// ---- the graph --------------------------------------------------------------------------------

static void add_graph(const struct heap *heap, const struct part_of_heap *part,
                      struct document *document) {
    struct text out = {0};
    document_heading(document, 2, "Around an object");
    document_paragraph(
        document,
        "Left of the object or above it is what refers to it, right or below what it "
        "refers to. A double frame is a root, a dashed line a weak reference. The page has %zu "
        "of %u objects: those that retain most, those that retain most of their "
        "type, and what is around them.",
        part->linked_count, heap->count);
    text_add(&out, "<noscript><p>The graph needs script; the entries of the objects have the same "
                   "references.</p></noscript>\n<div id=\"graph\"></div>\n"
                   "<script type=\"application/json\" id=\"data\">");
    part_add_data(heap, part, &out);
    text_add(&out, "</script>\n");
    document_markup(document, out.data);
}

// ---- entries -----------------------------------------------------------------------------------

struct entry_row {
    const char *name, *type;
    double bytes, retained;
};

static void add_references(const struct heap *heap, const struct part_of_heap *part,
                           uint32_t object, bool back, struct text *out) {
    uint32_t from = back ? heap->referrers_first[object] : heap->objects[object].first,
             to = back ? heap->referrers_first[object + 1] : heap->objects[object + 1].first;
    text_add(out, "<h4>%s</h4>\n<ul>\n", back ? "What refers to it" : "What it refers to");
    for (uint32_t i = from; i < to && i < from + SHOWN_EACH; i++) {
        uint32_t at = back ? heap->referrers[i] : i,
                 other = back ? heap->references[at].from : heap->references[at].to;
        text_add(out, "<li>");
        if (!back) {
            add_escaped(out, reference_label(heap, at, false));
            text_add(out, ": ");
        }
        if (other == NONE)
            text_add(out, "an object that is not in the snapshot");
        else
            add_link(heap, part, other, "", out);
        if (back) {
            text_add(out, " by ");
            add_escaped(out, reference_label(heap, at, false));
        }
        text_add(out, "</li>\n");
    }
    if (to - from > SHOWN_EACH) text_add(out, "<li>and %u more</li>\n", to - from - SHOWN_EACH);
    if (to == from) text_add(out, "<li>nothing in the heap</li>\n");
    text_add(out, "</ul>\n");
}

static void add_entries(const struct heap *heap, const struct part_of_heap *part,
                        struct document *document) {
    static const struct column columns[] = {COLUMN("object", TEXT, entry_row, name, 0),
                                            COLUMN("type", TEXT, entry_row, type, 0),
                                            COLUMN("bytes", BYTES, entry_row, bytes, 0),
                                            COLUMN("retained", BYTES, entry_row, retained, 0)};
    uint32_t *by = graph_paths(heap);
    struct view view = {.rows = SHOWN_EACH};
    document_heading(document, 2, "Objects");
    document_paragraph(document,
                       "The objects of the drawing, and of each type the one that retains "
                       "most: %zu of %u.",
                       part->listed_count, heap->count);
    for (size_t i = 0; i < part->listed_count; i++) {
        uint32_t object = part->listed[i];
        char *name = entry_name(heap, object);
        struct entry_row row = {keep(document, "%s", name), type_name(heap, object),
                                (double)heap->objects[object].size, (double)heap->retained[object]};
        free(name);
        document_entry(document, columns, sizeof columns / sizeof *columns, &row, sizeof row);
        show_path(heap, &view, object, 0, by);
        document_say(document, VERBATIM, "%s", text_string(&view.out));
        text_free(&view.out);
        struct text out = {0};
        text_add(&out,
                 "<p hidden><a href=\"#graph\" data-object=\"%u\">Draw what is around it"
                 "</a></p>\n",
                 part->place[object]);
        add_references(heap, part, object, true, &out);
        add_references(heap, part, object, false, &out);
        document_markup(document, out.data);
        document_details_end(document);
    }
    free(by);
}

// ---- the page ----------------------------------------------------------------------------------

char *page_of(const struct heap *heap) {
    const struct results none = {0};
    struct document document = {.results = &none};
    struct view view = {.rows = 100, .document = &document};
    struct part_of_heap part = part_make(heap);
    char *size = show_bytes((double)heap->size), *path = checked_strdup(heap->path),
         *title = format("The heap in %s", basename(path));
    document_heading(&document, 2, "%u objects, %s", heap->count, size);
    show_summary(heap, &view);
    take_lines(&document, &view);
    add_drawing(heap, &part, &document);
    add_graph(heap, &part, &document);
    void (*const parts[])(const struct heap *, struct view *) = {show_types, show_cycles};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        parts[i](heap, &view);
        take_lines(&document, &view);
    }
    add_entries(heap, &part, &document);
    void (*const newer[])(const struct heap *, struct view *) = {show_ledger, show_duplicates,
                                                                 show_waiting};
    show_owners(heap, &view);
    take_lines(&document, &view);
    for (size_t i = 0; i < sizeof newer / sizeof *newer; i++) {
        if (heap->version < (i == 0 ? 2 : 3)) continue;
        newer[i](heap, &view);
        take_lines(&document, &view);
    }
    struct text out = {0};
    render_page(&document, &(struct page){title, "", heap_css, heap_js}, &out);
    free(title);
    free(path);
    free(size);
    part_free(&part);
    document_free(&document);
    return out.data;
}
