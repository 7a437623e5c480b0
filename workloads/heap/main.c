// SPDX-License-Identifier: LGPL-2.1-or-later
//
// tally-heap: what is in a heap snapshot.  Exit status: 0, 1 if standard output was lost, 2 for a
// wrong argument or a file that is no whole snapshot.
#include "files.h"
#include "harness/output.h"
#include "heap.h"

#include <getopt.h>
#include <libgen.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

// The help is the command's part of the table of all options.
extern const char heap_options_txt[];
__asm__(".pushsection .rodata\n.global heap_options_txt\nheap_options_txt:\n.incbin \"" OPTIONS_FILE
        "\"\n.byte 0\n.popsection\n");

static void print_help(void) {
    const char *from = strstr(heap_options_txt, "\n== heap "),
               *to = from ? strstr(from + 1, "\n== ") : NULL;
    if (to) printf("Usage: tally-heap %.*s", (int)(to - from - 9), from + 9);
}

enum {
    TYPES = 256,
    OBJECTS,
    OWNERS,
    CYCLES,
    DUPLICATES,
    WAITING,
    WHY,
    REFERRERS,
    DOT,
    LEDGER,
    ARENAS,
    HTML,
    ROWS,
    HELP
};
static const struct option options[] = {{"types", no_argument, NULL, TYPES},
                                        {"objects", no_argument, NULL, OBJECTS},
                                        {"owners", no_argument, NULL, OWNERS},
                                        {"cycles", no_argument, NULL, CYCLES},
                                        {"duplicates", no_argument, NULL, DUPLICATES},
                                        {"waiting", no_argument, NULL, WAITING},
                                        {"why", required_argument, NULL, WHY},
                                        {"referrers", required_argument, NULL, REFERRERS},
                                        {"dot", required_argument, NULL, DOT},
                                        {"ledger", no_argument, NULL, LEDGER},
                                        {"arenas", required_argument, NULL, ARENAS},
                                        {"html", required_argument, NULL, HTML},
                                        {"rows", required_argument, NULL, ROWS},
                                        {"help", no_argument, NULL, HELP},
                                        {0}};

static size_t rows_of(const char *text) {
    char *end;
    unsigned long rows = strtoul(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || rows < 1 || rows > 1000000)
        reject("--rows %s is wrong; give a whole number from 1 to 1000000", text);
    return rows;
}

// Ends the program if the snapshot is too old to have it.
static void need_version(const struct heap *heap, uint64_t version, const char *what) {
    if (heap->version < version)
        reject("%s has no %s: its format is version %llu; take a snapshot with this version",
               heap->path, what, (unsigned long long)heap->version);
}

// Takes the content over.
static bool write_file(char *content, const char *path) {
    char *folder = checked_strdup(path), *name = checked_strdup(path);
    struct text text = {content, strlen(content), 0};
    const struct output_file file = {basename(name), &text};
    const char *in = dirname(folder);
    bool created, good = folder_prepare(in, &created) && folder_write(in, &file, 1);
    free(name);
    free(folder);
    free(content);
    return good;
}

int main(int argc, char **argv) {
    struct view view = {.rows = 20};
    struct heap old = {0}, heap;
    const char *why = NULL, *referrers = NULL, *dot = NULL, *arenas = NULL, *html = NULL;
    bool types = false, objects = false, owners = false, cycles = false, ledger = false;
    bool duplicates = false, waiting = false;
    output_watch("tally-heap");
    opterr = 0;
    for (int key; (key = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (key) {
        case TYPES: types = true; break;
        case OBJECTS: objects = true; break;
        case OWNERS: owners = true; break;
        case CYCLES: cycles = true; break;
        case DUPLICATES: duplicates = true; break;
        case WAITING: waiting = true; break;
        case WHY: why = optarg; break;
        case REFERRERS: referrers = optarg; break;
        case DOT: dot = optarg; break;
        case LEDGER: ledger = true; break;
        case ARENAS: arenas = optarg; break;
        case HTML: html = optarg; break;
        case ROWS: view.rows = rows_of(optarg); break;
        case HELP: print_help(); return 0;
        default: reject("%s is no option, or lacks its value; see --help", argv[optind - 1]);
        }
    }
    int files = argc - optind;
    bool asked = types || objects || owners || cycles || duplicates || waiting || ledger || why ||
                 referrers || dot || arenas || html;
    if (files < 1 || files > 2) reject("name one snapshot, or an older and a newer one");
    if (is_profile(argv[argc - 1])) {
        if (files == 2 || asked)
            reject("a heap profile has one view; give it alone, or with --rows");
        show_profile(argv[optind], &view);
        fputs(text_string(&view.out), stdout);
        text_free(&view.out);
        return 0;
    }
    if (files == 2) heap_read(&old, argv[optind]);
    heap_read(&heap, argv[argc - 1]);
    graph_make(&heap);
    if (ledger || arenas) need_version(&heap, 2, "ledger");
    if (duplicates) need_version(&heap, 3, "hashes of long strs");
    if (waiting) need_version(&heap, 3, "queues");
    bool lost = (arenas && !write_file(draw_arenas(&heap), arenas)) ||
                (html && !write_file(page_of(&heap), html));
    if (dot && !lost) {
        show_dot(&heap, &view, dot);
    } else if (!lost) {
        bool all = files == 1 && !ledger && !arenas && !types && !objects && !owners && !cycles &&
                   !duplicates && !waiting && !why && !referrers && !html;
        bool any = ledger || types || objects || owners || cycles || duplicates || waiting;
        bool quiet = why || referrers || ((arenas || html) && !any);
        if (!quiet) show_summary(&heap, &view);
        if (files == 2 && !quiet) show_growth(&old, &heap, &view);
        if (types || all) show_types(&heap, &view);
        if (objects || all) show_objects(&heap, &view);
        if (cycles || all) show_cycles(&heap, &view);
        if (duplicates || (all && heap.version > 2)) show_duplicates(&heap, &view);
        if (owners || all) show_owners(&heap, &view);
        if (waiting || (all && heap.version > 2)) show_waiting(&heap, &view);
        if (ledger) show_ledger(&heap, &view);
        if (why) show_why(&heap, &view, why);
        if (referrers) show_referrers(&heap, &view, referrers);
    }
    fputs(text_string(&view.out), stdout);
    text_free(&view.out);
    heap_free(&old);
    heap_free(&heap);
    return lost ? 2 : 0;
}
