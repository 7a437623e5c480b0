/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * known.c: a program that writes a snapshot of a heap that is known: known FILE [random SEED |
 * values SEED | chain LENGTH]. heap.py looks at the file.
 */
#include <tally.h>

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static tally_object *checked(tally_object *object) {
    if (object) return object;
    fprintf(stderr, "known: %s\n", tally_error_message());
    exit(1);
}
static tally_object *str(const char *text) { return checked(tally_str_new(text, -1)); }
static tally_object *number(int64_t value) { return checked(tally_int_new(value)); }
static tally_object *list(void) { return checked(tally_list_new(0)); }

/* These drop the reference to what they store. */
static void append(tally_object *to, tally_object *item) {
    if (tally_list_append(to, item) < 0) checked(NULL);
    tally_decref(item);
}
static void set(tally_object *to, tally_object *key, tally_object *value) {
    if (tally_dict_set(to, key, value) < 0) checked(NULL);
    tally_decref(key);
    tally_decref(value);
}
static void set_attr(tally_object *to, const char *name, tally_object *value) {
    tally_object *key = str(name);
    if (tally_set_attr(to, key, value) < 0) checked(NULL);
    tally_decref(key);
    tally_decref(value);
}
static tally_object *held(tally_object *object) {
    tally_incref(object);
    return object;
}
static tally_object *tuple(tally_object *a, tally_object *b) {
    tally_object *result = checked(tally_tuple_new((tally_object *[]){a, b}, 2));
    tally_decref(a);
    tally_decref(b);
    return result;
}

static void finalize(tally_object *self) {}

static void pair_traverse(tally_object *self, tally_visit visit, void *context) {
    tally_object **held = tally_object_data(self);
    for (int i = 0; i < 2; i++)
        if (held[i]) visit(held[i], context);
}
static void pair_clear(tally_object *self) {
    tally_object **held = tally_object_data(self);
    for (int i = 0; i < 2; i++) {
        tally_object *old = held[i];
        held[i] = NULL;
        tally_xdecref(old);
    }
}

/* A thread that ends leaves a list to the board. */
static void add_from_thread(void *board) {
    tally_object *left = list();
    append(left, str("made elsewhere"));
    append(board, left);
}

static tally_object *make_known(void) {
    tally_object
        *task = checked(tally_class_new(&(tally_class_spec){
            .name = "Task", .slots = (const char *const[]){"name", "parts", "parent", NULL}})),
        *config = checked(tally_class_new(&(tally_class_spec){.name = "Config"})),
        *leak = checked(tally_class_new(&(tally_class_spec){
            .name = "Leak", .slots = (const char *const[]){"self", NULL}, .finalize = finalize})),
        *pair = checked(tally_type_new(&(tally_type_spec){.name = "pair",
                                                          .size = 2 * sizeof(tally_object *),
                                                          .flags = TALLY_TYPE_CONTAINER,
                                                          .traverse = pair_traverse,
                                                          .clear = pair_clear}));
    tally_object *board = list();
    tally_object *whole = checked(tally_instance_new(task)),
                 *part = checked(tally_instance_new(task)), *parts = list();
    append(parts, held(part));
    tally_slot_set(part, 2, whole);
    tally_slot_set(part, 0, tally_true);
    tally_slot_set(whole, 1, parts);
    tally_decref(parts);
    tally_decref(part);
    append(board, whole);

    tally_object *settings = checked(tally_dict_new());
    set(settings, str("depth"), number(3));
    set(settings, checked(tally_float_new(1.5)), str("half"));
    set(settings, tuple(str("first"), number(-70000)), held(tally_none));
    set(settings, str("x"),
        str("a text that is longer than the 48 bytes which a snapshot keeps of it"));
    tally_object *about = checked(tally_instance_new(config));
    set_attr(about, "settings", settings);
    set_attr(config, "version", number(12345));
    append(board, about);

    tally_object *two = checked(tally_object_new(pair, 0));
    ((tally_object **)tally_object_data(two))[0] = number(100000);
    ((tally_object **)tally_object_data(two))[1] = held(about);
    append(board, two);
    append(board, checked(tally_weakref_new(about, NULL, NULL)));

    /* A cycle by itself that nothing holds. */
    tally_object *lost = checked(tally_instance_new(leak));
    tally_slot_set(lost, 0, lost);
    tally_decref(lost);

    tally_object *constant = tuple(str("constant"), number(99999));
    tally_immortalize(constant);

    tally_thread thread;
    if (tally_thread_start(&thread, add_from_thread, board) < 0) checked(NULL);
    tally_thread_join(&thread);
    tally_decref(task);
    tally_decref(config);
    tally_decref(leak);
    return board;
}

/* Lists that hold each other at random; every third is held from outside. */
static void make_random(unsigned seed) {
    enum { LISTS = 40 };
    tally_object *lists[LISTS];
    srandom(seed);
    for (int i = 0; i < LISTS; i++) lists[i] = list();
    for (int i = 0; i < LISTS; i++)
        for (long n = random() % 4; n > 0; n--) append(lists[i], held(lists[random() % LISTS]));
    for (int i = 0; i < LISTS; i++)
        if (i % 3) tally_decref(lists[i]);
}

/* Values that cannot change, many of them equal: a list of ints, floats, strs that differ early,
 * late or not at all, and tuples of these, of other tuples and of lists. */
static tally_object *random_value(tally_object *made, long count) {
    static const long lengths[] = {6, 6, 6, 45, 48, 49, 50, 54, 600};
    char text[600];
    long length = lengths[random() % 9], which = random() % 12;
    switch (random() % 6) {
    case 0: return number(1000 + which);
    case 1: return checked(tally_float_new((double)which / 4));
    case 2: return list();
    case 3:
        memset(text, 'a', sizeof text);
        text[length - 1] = (char)('a' + which);
        return checked(tally_str_new(text, length));
    default: break;
    }
    tally_object *items[3];
    long items_count = random() % 4;
    for (long i = 0; i < items_count; i++)
        items[i] =
            count ? tally_list_get(made, random() % (count < 40 ? count : 40)) : number(7000);
    tally_object *result = checked(tally_tuple_new(items, items_count));
    for (long i = 0; i < items_count; i++) tally_decref(items[i]);
    return result;
}
static tally_object *make_values(unsigned seed) {
    tally_object *made = list();
    srandom(seed);
    for (long i = 0; i < 1500; i++) append(made, random_value(made, i));
    return made;
}

/* A chain that a recursive reader would not survive, and a cycle of the same length. */
static tally_object *make_chain(int64_t length) {
    tally_object *first = list(), *last = first;
    for (int64_t i = 1; i < length; i++) {
        tally_object *next = list();
        append(last, next);
        last = next;
    }
    return first;
}

int main(int argc, char **argv) {
    tally_object *kept = NULL;
    tally_heap_result result;
    if (argc != 2 && argc != 4) return 2;
    if (tally_init(NULL) < 0) checked(NULL);
    tally_gc_disable();
    if (argc == 2)
        kept = make_known();
    else if (strcmp(argv[2], "random") == 0)
        make_random((unsigned)atoi(argv[3]));
    else if (strcmp(argv[2], "values") == 0)
        kept = make_values((unsigned)atoi(argv[3]));
    else
        kept = make_chain(atoll(argv[3]));
    if (tally_heap_snapshot(argv[1], &result) < 0) checked(NULL);
    printf("%zu %zu %zu\n", result.objects, result.references, result.bytes);
    tally_xdecref(kept);
    if (kept) tally_gc_collect(2);
    tally_finish();
    return 0;
}
