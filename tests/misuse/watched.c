/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * watched.c: programs for Valgrind's memcheck and AddressSanitizer, against a library with checks:
 * watched WHAT. watched.py says what is to be found in each.
 */
#include <tally.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A function of its own, with its name in a stack. */
#define APART       __attribute__((noinline))
#define STAYS_APART __asm__ volatile("" ::: "memory")
enum { WIDGET = 40, THREADS = 2, ROUNDS = 200 };

static tally_object *widget_type, *list_shared;
static volatile char seen;

static void check(int good) {
    if (good) return;
    fprintf(stderr, "watched: %s\n", tally_error_message());
    abort();
}

/* ---- mistakes ---- */

static APART tally_object *make_widget(void) { return tally_object_new(widget_type, 0); }
static APART void drop_widget(tally_object *widget) { tally_decref(widget); }
/* Valgrind takes the first instruction of a function for its caller's. */
#define BEGUN __asm__ volatile("nop" ::: "memory")
static APART void read_byte(const volatile char *at) {
    BEGUN;
    seen = *at;
}
static APART void write_byte(volatile char *at) {
    BEGUN;
    *at = 1;
}

static void make_mistake(const char *what) {
    widget_type = tally_type_new(&(tally_type_spec){.name = "widget", .size = WIDGET});
    /* The first of a new pool has no neighbour. */
    for (int i = 0; i < 4; i++) check(make_widget() != NULL);
    tally_object *widget = make_widget();
    char *data = tally_object_data(widget);
    if (strcmp(what, "freed-read") == 0) {
        drop_widget(widget);
        read_byte(data + 8);
    } else if (strcmp(what, "freed-write") == 0) {
        drop_widget(widget);
        write_byte(data + 8);
    } else if (strcmp(what, "behind-read") == 0) {
        read_byte(data + WIDGET);
    } else if (strcmp(what, "behind-write") == 0) {
        write_byte(data + WIDGET);
    } else if (strcmp(what, "front-write") == 0) {
        write_byte((char *)widget - 1);
    } else if (strcmp(what, "large-freed-read") == 0) {
        char text[2000];
        memset(text, 'x', sizeof text);
        tally_object *str = tally_str_new(text, sizeof text);
        const char *bytes = tally_str_data(str);
        drop_widget(str);
        read_byte(bytes + 100);
    }
    /* Memcheck has reported it; the checks would end the program. */
    _Exit(0);
}

/* ---- no mistake ---- */

/* Containers that grow, cycles, strs of all sizes, and reads of what the other thread changes. */
static void *work(void *number_) {
    int64_t number = *(int *)number_;
    check(tally_thread_attach() == 0);
    for (int64_t i = 0; i < ROUNDS; i++) {
        char text[1000];
        memset(text, 'a' + (int)(i % 26), sizeof text);
        tally_object *str = tally_str_new(text, i * 5 % (ptrdiff_t)sizeof text),
                     *key = tally_int_new(1000 + i % 20 + number), *dict = tally_dict_new(),
                     *list = tally_list_new(0);
        check(str && key && dict && list);
        check(tally_list_append(list, dict) == 0 && tally_dict_set(dict, key, list) == 0);
        check(tally_list_append(list_shared, str) == 0);
        check(tally_dict_set(dict, str, key) == 0);
        tally_object *other = tally_list_get(list_shared, i / 2);
        if (other)
            tally_decref(other);
        else
            tally_error_clear();
        if (i % 50 == 49) check(tally_list_clear(list_shared) == 0);
        tally_decref(str);
        tally_decref(key);
        tally_decref(dict);
        tally_decref(list);
        tally_safepoint();
    }
    check(tally_gc_collect(2) >= 0);
    tally_thread_detach();
    return NULL;
}

static int run_correctly(void) {
    pthread_t threads[THREADS];
    int numbers[THREADS];
    list_shared = tally_list_new(0);
    tally_blocking_begin();
    for (int i = 0; i < THREADS; i++) {
        numbers[i] = i;
        if (pthread_create(&threads[i], NULL, work, &numbers[i])) return 1;
    }
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    tally_blocking_end();
    tally_decref(list_shared);
    tally_debug_check();
    return tally_finish() != 0;
}

int main(int count, char **words) {
    if (count != 2 || tally_init(NULL) != 0) return 2;
    if (strcmp(words[1], "correct") == 0) return run_correctly();
    make_mistake(words[1]);
}
