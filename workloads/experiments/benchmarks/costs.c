// SPDX-License-Identifier: LGPL-2.1-or-later
//
// costs-benchmark: what a step costs at n and at 2n, for operations whose cost per step must not
// grow with n. Nanoseconds of processor time per step, the best of some tries; beside them the
// ratio of the two, which is 1 where the cost of all steps together is linear.
//
//   costs-benchmark [ROW...]   only the rows whose names begin so
//
// A row is a name, n, and a function that makes what it needs for n, does its steps, and
// returns how many there were; it measures between measure_begin and measure_end. A row with
// threads is run by so many at once, each for itself, and shows processor time of all per step of
// one. Add one in `rows`. Exit status: 0, 1 where something failed, 2 for bad input.
#include "tally.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { TRIES = 3, MOST_THREADS = 2, STEPS_A_SAFEPOINT = 64 };

static _Noreturn void fail(const char *what) {
    fprintf(stderr, "costs-benchmark: %s: %s\n", what, tally_error_message());
    exit(1);
}
static tally_object *got(tally_object *object) {
    if (!object) fail("no object");
    return object;
}
static void done(int result) {
    if (result < 0) fail("an operation");
}

// ---- measuring ----

static _Thread_local double spent, began; // seconds

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}
static void measure_begin(void) { began = now(); }
static void measure_end(void) { spent += now() - began; }
static void step(int i) {
    if (i % STEPS_A_SAFEPOINT == 0) tally_safepoint();
}

// ---- rows ----

static void put(tally_object *dict, tally_object *key) // takes the reference
{
    done(tally_dict_set(dict, got(key), tally_none));
    tally_decref(key);
}
static void drop_first(tally_object *dict) {
    ptrdiff_t position = 0;
    tally_object *key;
    if (tally_dict_next(dict, &position, &key, NULL) != 1) fail("a dict is empty");
    done(tally_dict_delete(dict, key));
    tally_decref(key);
}

// n NaNs become keys of one dict.
static int nan_keys(int n) {
    tally_object *dict = got(tally_dict_new());
    measure_begin();
    for (int i = 0; i < n; i++) put(dict, tally_float_new(NAN)), step(i);
    measure_end();
    tally_decref(dict);
    return n;
}

// The first of n keys is looked for and deleted, until none is left.
static int dict_queue(int n) {
    tally_object *dict = got(tally_dict_new());
    for (int i = 0; i < n; i++) put(dict, tally_int_new(i));
    measure_begin();
    for (int i = 0; i < n; i++) drop_first(dict), step(i);
    measure_end();
    tally_decref(dict);
    return n;
}

// A dict keeps n keys: one in at the end, the first out.
static int dict_cache(int n) {
    tally_object *dict = got(tally_dict_new());
    for (int i = 0; i < n; i++) put(dict, tally_int_new(i));
    measure_begin();
    for (int i = 0; i < n; i++) {
        put(dict, tally_int_new(n + i));
        drop_first(dict);
        step(i);
    }
    measure_end();
    tally_decref(dict);
    return n;
}

static tally_object *float_key(int i) { return got(tally_float_new(i + 0.5)); }
static tally_object *tuple_key(int i) {
    tally_object *items[] = {got(tally_int_new(100000 + i)), got(tally_int_new(200000 + i))};
    tally_object *key = got(tally_tuple_new(items, 2));
    tally_decref(items[0]);
    tally_decref(items[1]);
    return key;
}

// One dict is read by all threads, by keys that are equal to its own but other objects.
static tally_object *read_dict;

static int read_by(tally_object *(*key_new)(int), int n) {
    tally_object **keys = malloc((size_t)n * sizeof *keys);
    if (!keys) fail("no memory for keys");
    for (int i = 0; i < n; i++) keys[i] = key_new(i);
    measure_begin();
    for (int round = 0; round < 10; round++)
        for (int i = 0; i < n; i++) {
            if (tally_dict_contains(read_dict, keys[i]) != 1) fail("a key is missing");
            step(i);
        }
    measure_end();
    for (int i = 0; i < n; i++) tally_decref(keys[i]);
    free(keys);
    return 10 * n;
}
static int float_keys(int n) { return read_by(float_key, n); }
static int tuple_keys(int n) { return read_by(tuple_key, n); }

static void make_dict(tally_object *(*key_new)(int), int n) {
    read_dict = got(tally_dict_new());
    for (int i = 0; i < n; i++) put(read_dict, key_new(i));
}
static void make_float_dict(int n) { make_dict(float_key, n); }
static void make_tuple_dict(int n) { make_dict(tuple_key, n); }
static void drop_dict(void) { tally_decref(read_dict); }

// n words are interned and held; then each thread interns them again by strs of its own.
static tally_object **words;
static int word_count;

static tally_object *word(int i) {
    char text[32];
    snprintf(text, sizeof text, "word number %d", i);
    return got(tally_str_new(text, -1));
}
static void hold_words(int n) {
    words = malloc((size_t)n * sizeof *words);
    word_count = n;
    if (!words) fail("no memory for words");
    for (int i = 0; i < n; i++) {
        tally_object *str = word(i);
        words[i] = got(tally_str_intern(str));
        tally_decref(str);
    }
}
static void drop_words(void) {
    for (int i = 0; i < word_count; i++) tally_decref(words[i]);
    free(words);
}
static int intern_hits(int n) {
    tally_object **strs = malloc((size_t)n * sizeof *strs);
    if (!strs) fail("no memory for strs");
    for (int i = 0; i < n; i++) strs[i] = word(i);
    measure_begin();
    for (int round = 0; round < 10; round++)
        for (int i = 0; i < n; i++) tally_decref(got(tally_str_intern(strs[i]))), step(i);
    measure_end();
    for (int i = 0; i < n; i++) tally_decref(strs[i]);
    free(strs);
    return 10 * n;
}

// n words are interned and dropped at once.
static int intern_and_drop(int n) {
    measure_begin();
    for (int i = 0; i < n; i++) {
        tally_object *str = word(i);
        tally_decref(got(tally_str_intern(str)));
        tally_decref(str);
        step(i);
    }
    measure_end();
    return n;
}

// A list of n items is popped empty, by which it shrinks.
static int list_shrink(int n) {
    tally_object *list = got(tally_list_new(0));
    for (int i = 0; i < n; i++) done(tally_list_append(list, tally_none));
    measure_begin();
    for (int i = 0; i < n; i++) tally_decref(got(tally_list_pop(list, -1))), step(i);
    measure_end();
    tally_decref(list);
    return n;
}

// The weak reference without a callback is asked for, of an object with n others.
static void call_nobody(tally_object *reference, void *context) { (void)reference, (void)context; }
static int plain_weakref(int n) {
    enum { ASKED = 10000 };
    tally_object *class = got(tally_class_new(&(tally_class_spec){.name = "Target"}));
    tally_object *target = got(tally_instance_new(class)),
                 *plain = got(tally_weakref_new(target, NULL, NULL));
    tally_object *others = got(tally_list_new(0));
    for (int i = 0; i < n; i++) {
        tally_object *other = got(tally_weakref_new(target, call_nobody, NULL));
        done(tally_list_append(others, other));
        tally_decref(other);
    }
    measure_begin();
    for (int i = 0; i < ASKED; i++)
        tally_decref(got(tally_weakref_new(target, NULL, NULL))), step(i);
    measure_end();
    tally_decref(others);
    tally_decref(plain);
    tally_decref(target);
    tally_decref(class);
    return ASKED;
}

// n lists that the main thread made, which waits, are appended to by another.
static tally_object **handed;
static void make_lists(int n) {
    handed = calloc((size_t)n, sizeof *handed);
    for (int i = 0; i < n; i++)
        done(tally_list_append(handed[i] = got(tally_list_new(2)), tally_none));
}
static int use_lists(int n) {
    measure_begin();
    for (int i = 0; i < n; i++) done(tally_list_append(handed[i], tally_none)), step(i);
    measure_end();
    for (int i = 0; i < n; i++) tally_decref(handed[i]);
    return n;
}
static void forget_lists(void) { free(handed); }

// n dead classes are freed by one collection.
static int dead_classes(int n) {
    tally_gc_collect(2);
    tally_gc_disable();
    for (int i = 0; i < n; i++)
        tally_decref(got(tally_class_new(&(tally_class_spec){.name = "Passing"})));
    measure_begin();
    tally_gc_collect(2);
    measure_end();
    tally_gc_enable();
    return n;
}

// A census counts ten objects of each of n classes.
static int census(int n) {
    tally_object *list = got(tally_list_new(0));
    for (int i = 0; i < n; i++) {
        tally_object *class = got(tally_class_new(&(tally_class_spec){.name = "Counted"}));
        for (int k = 0; k < 10; k++) {
            tally_object *instance = got(tally_instance_new(class));
            done(tally_list_append(list, instance));
            tally_decref(instance);
        }
        tally_decref(class);
    }
    tally_census_row *table;
    size_t count;
    measure_begin();
    done(tally_heap_census(&table, &count));
    measure_end();
    free(table);
    tally_decref(list);
    tally_gc_collect(2);
    return 10 * n;
}

// n lists get counts of each thread; their owner asks for it.
static int deferred(int n) {
    make_lists(n);
    measure_begin();
    for (int i = 0; i < n; i++) done(tally_defer_count(handed[i]));
    measure_end();
    for (int i = 0; i < n; i++) tally_decref(handed[i]);
    forget_lists();
    tally_gc_collect(2);
    return n;
}

static const struct row {
    const char *name;
    int n;
    int (*run)(int n);
    void (*setup)(int n); // NULL: none; once, in one thread
    void (*teardown)(void);
    int threads; // 0: the main thread alone
} rows[] = {
    {"NaN keys", 10000, nan_keys, NULL, NULL, 0},
    {"dict as a queue", 50000, dict_queue, NULL, NULL, 0},
    {"dict as a cache", 50000, dict_cache, NULL, NULL, 0},
    {"equal float keys", 10000, float_keys, make_float_dict, drop_dict, 1},
    {"equal float keys, 2 threads", 10000, float_keys, make_float_dict, drop_dict, 2},
    {"equal tuple keys", 10000, tuple_keys, make_tuple_dict, drop_dict, 1},
    {"equal tuple keys, 2 threads", 10000, tuple_keys, make_tuple_dict, drop_dict, 2},
    {"interning hit", 10000, intern_hits, hold_words, drop_words, 1},
    {"interning hit, 2 threads", 10000, intern_hits, hold_words, drop_words, 2},
    {"interning and death", 50000, intern_and_drop, NULL, NULL, 0},
    {"list popped empty", 200000, list_shrink, NULL, NULL, 0},
    {"plain weak reference", 10000, plain_weakref, NULL, NULL, 0},
    {"lists handed over", 50000, use_lists, make_lists, forget_lists, 1},
    {"dead classes", 3000, dead_classes, NULL, NULL, 0},
    {"census of classes", 2000, census, NULL, NULL, 0},
    {"deferred counts", 4000, deferred, NULL, NULL, 0},
};

// ---- running ----

struct job {
    const struct row *row;
    int n;
    double ns; // per step
};

static void run_job(void *argument) {
    struct job *job = argument;
    spent = 0;
    int steps = job->row->run(job->n);
    job->ns = spent / steps * 1e9;
}

static double ns_per_step(const struct row *row, int n) {
    struct job jobs[MOST_THREADS] = {{row, n, 0}, {row, n, 0}};
    tally_thread threads[MOST_THREADS];
    double ns = 0;
    if (row->setup) row->setup(n);
    if (row->threads == 0) run_job(&jobs[0]);
    for (int i = 0; i < row->threads; i++) done(tally_thread_start(&threads[i], run_job, &jobs[i]));
    for (int i = 0; i < row->threads; i++) done(tally_thread_join(&threads[i]));
    for (int i = 0; i < (row->threads ? row->threads : 1); i++)
        ns += jobs[i].ns / (row->threads ? row->threads : 1);
    if (row->teardown) row->teardown();
    return ns;
}

static double best(const struct row *row, int n) {
    double best = INFINITY;
    for (int i = 0; i < TRIES; i++) best = fmin(best, ns_per_step(row, n));
    return best;
}

static int wanted(const struct row *row, char **names) {
    int any = names[0] == NULL;
    for (; *names; names++) any |= strncmp(row->name, *names, strlen(*names)) == 0;
    return any;
}

int main(int count, char **arguments) {
    int shown = 0;
    (void)count;
    if (tally_init(NULL) < 0) fail("tally_init");
    printf("%-30s %10s %12s %12s %7s   (%s)\n", "row", "n", "ns at n", "ns at 2n", "ratio",
           tally_backend());
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (!wanted(&rows[i], arguments + 1)) continue;
        double once = best(&rows[i], rows[i].n), twice = best(&rows[i], 2 * rows[i].n);
        printf("%-30s %10d %12.1f %12.1f %7.2f\n", rows[i].name, rows[i].n, once, twice,
               twice / once);
        fflush(stdout);
        shown++;
    }
    if (!shown) {
        fprintf(stderr, "costs-benchmark: no row of this name\n");
        return 2;
    }
    if (tally_finish() != 0) fail("objects are left");
    return 0;
}
