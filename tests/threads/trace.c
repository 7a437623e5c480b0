/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* trace.c: the timeline: what is in it, and what is not. */
#include "suite.h"

#include <sys/stat.h>
#include <unistd.h>

static char path[64];

static void make_path(void) {
    strcpy(path, "/tmp/tally-trace-XXXXXX");
    int file = mkstemp(path);
    check(file >= 0);
    close(file);
}

/* The file's contents; to be freed. */
static char *contents(void) {
    FILE *file = fopen(path, "r");
    struct stat about;
    check(file && fstat(fileno(file), &about) == 0);
    char *text = calloc(1, (size_t)about.st_size + 1);
    check(text && fread(text, 1, (size_t)about.st_size, file) == (size_t)about.st_size);
    fclose(file);
    return text;
}

static int has(const char *text, const char *name) {
    char quoted[100];
    snprintf(quoted, sizeof quoted, "%s\",\"ph\":\"X\"", name);
    return strstr(text, quoted) != NULL;
}

static void block_and_run(void *nothing) {
    for (int i = 0; i < 20; i++) {
        tally_blocking_begin();
        usleep(100);
        tally_blocking_end();
        tally_safepoint();
    }
}

TEST(shows_regions_stops_and_collections_of_all_threads) {
    tally_thread thread;
    make_path();
    check_int(tally_trace_start(0), 0);
    check_int(tally_thread_start(&thread, block_and_run, NULL), 0);
    for (int i = 0; i < 5; i++) check(tally_gc_collect(2) >= 0);
    check_int(tally_thread_join(&thread), 0);
    check_int(tally_trace_write(path), 0);
    char *text = contents();
    check(strncmp(text, "{\"displayTimeUnit\"", 18) == 0);
    check(strcmp(text + strlen(text) - 4, "\n]}\n") == 0);
    check(has(text, "collection") && has(text, "mark"));
    if (has_gil())
        check(has(text, "holds the GIL") && has(text, "without the GIL"));
    else
        check(has(text, "in a blocked region") && has(text, "the world is stopped"));
    check(strstr(text, "\"name\":\"thread 2\"") != NULL);
    free(text);
    unlink(path);
}

TEST(a_collection_tells_its_generation_and_how_many_objects_it_examined_and_collected) {
    make_path();
    check(tally_gc_collect(2) >= 0);
    check_int(tally_trace_start(0), 0);
    for (int i = 0; i < 7; i++) {
        tally_object *list = tally_list_new(0);
        check_int(tally_list_append(list, list), 0);
        tally_decref(list);
    }
    check_int(tally_gc_collect(2), 7);
    check_int(tally_trace_write(path), 0);
    char *text = contents(), *at = strstr(text, "\"name\":\"collection\"");
    int generation = 0;
    size_t examined = 0, collected = 0;
    check(at && (at = strstr(at, "\"generation\"")));
    check_int(sscanf(at, "\"generation\":%d,\"examined\":%zu,\"collected\":%zu}}", &generation,
                     &examined, &collected),
              3);
    check_int(generation, 2);
    check(examined >= 7);
    check_int((int)collected, 7);
    check(!strstr(at + 1, "\"generation\""));
    free(text);
    unlink(path);
}

TEST_IF(has_generations, tells_young_collections_from_full_ones) {
    make_path();
    check_int(tally_trace_start(0), 0);
    check(tally_gc_collect(0) >= 0);
    check_int(tally_trace_write(path), 0);
    char *text = contents();
    check(has(text, "young collection"));
    check(strstr(text, "\"collection\"") == NULL);
    free(text);
    unlink(path);
}

TEST(ends_when_it_is_written) {
    make_path();
    check_int(tally_trace_start(0), 0);
    check_int(tally_trace_write(path), 0);
    check(tally_gc_collect(2) >= 0);
    check_int(tally_trace_write(path), 0);
    char *text = contents();
    check(!has(text, "collection"));
    check_int(tally_trace_dropped(), 0);
    free(text);
    unlink(path);
}

TEST(keeps_the_last_events) {
    make_path();
    check_int(tally_trace_start(8), 0);
    for (int i = 0; i < 100; i++) check(tally_gc_collect(2) >= 0);
    check_int(tally_trace_write(path), 0);
    char *text = contents();
    int events = 0;
    for (char *at = text; (at = strstr(at, "\"ph\":\"X\"")); at++) events++;
    check_int(events, 8);
    check(strstr(text, "without its first ") != NULL);
    check(tally_trace_dropped() >= 92);
    free(text);
    unlink(path);
}

TEST(that_cannot_be_written_says_so_and_leaves_nothing) {
    check_int(tally_trace_start(0), 0);
    check_fails(tally_trace_write("/nonexistent/trace.json"), TALLY_RUNTIME_ERROR);
    check_fails(tally_trace_start(-1), TALLY_VALUE_ERROR);
}

static void run_undisturbed(void *nothing) {
    for (int i = 0; i < 1000; i++) tally_safepoint();
}

/* Otherwise every safepoint of every program pays. */
TEST(shows_that_a_safepoint_without_a_cause_is_not_slow) {
    make_path();
    in_thread(run_undisturbed, NULL);
    check_int(tally_trace_start(0), 0);
    in_thread(run_undisturbed, NULL);
    check_int(tally_trace_write(path), 0);
    char *text = contents();
    int events = 0;
    for (char *at = text; (at = strstr(at, "\"safepoint\"")); at++) events++;
    check(events < 100);
    free(text);
    unlink(path);
}
