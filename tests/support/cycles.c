/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cycles.h"

tally_object *node_type, *finalized_node_type;
_Atomic int nodes_freed, nodes_finalized;
void (*_Atomic on_finalize)(tally_object *self);
tally_object *open_class, *slots_class, *weak_slots, *plain_slots, *field, *other_field;

static void (*scene)(void);
static void with_nodes(void) {
    begin_nodes();
    scene();
}
static void with_cycles(void) {
    begin_cycles();
    scene();
    end_cycles();
}
void run_with_nodes(void (*body)(void)) {
    scene = body;
    suite_run(with_nodes);
}
void run_with_cycles(void (*body)(void)) {
    scene = body;
    suite_run(with_cycles);
}

void begin_cycles(void) {
    begin_nodes();
    open_class = class_named("Open");
    slots_class = class_with("Slots", "a", "b", "c", "d");
    weak_slots = class_with("WeakSlots", "a", "__weakref__", "b");
    plain_slots = class_with("PlainSlots", "a", "b");
    field = text("field");
    other_field = text("other");
}

void end_cycles(void) {
    drop(open_class, slots_class, weak_slots, plain_slots, field, other_field);
}

/* ---- wrapped ---- */

tally_object *in_list(tally_object *inner) {
    tally_object *list = tally_list_new(1);
    append_new(list, inner);
    return list;
}
tally_object *in_dict(tally_object *inner) {
    tally_object *dict = tally_dict_new();
    tally_dict_set(dict, field, inner);
    tally_decref(inner);
    return dict;
}
tally_object *in_key(tally_object *inner) {
    tally_object *dict = tally_dict_new();
    check_int(tally_dict_set(dict, inner, tally_none), 0);
    tally_decref(inner);
    return dict;
}
tally_object *in_tuple(tally_object *inner) {
    tally_object *tuple = one_tuple(inner);
    tally_decref(inner);
    return tuple;
}
tally_object *in_attribute(tally_object *inner) {
    tally_object *object = tally_instance_new(open_class);
    tally_set_attr(object, field, inner);
    tally_decref(inner);
    return object;
}
tally_object *in_slot(tally_object *inner) {
    tally_object *object = tally_instance_new(slots_class);
    tally_slot_set(object, 2, inner);
    tally_decref(inner);
    return object;
}
tally_object *in_node(tally_object *inner) {
    tally_object *object = node_new(node_type);
    node_of(object)->child[1] = inner;
    return object;
}
tally_object *in_wide_tuple(tally_object *inner) {
    tally_object *items[100];
    for (int i = 0; i < 100; i++) items[i] = i % 10 == 3 ? inner : tally_none;
    tally_object *tuple = tally_tuple_new(items, 100);
    tally_decref(inner);
    return tuple;
}
tally_object *in_large_node(tally_object *inner) {
    tally_object *object = tally_object_new(node_type, 10000);
    node_of(object)->child[0] = inner;
    return object;
}

void restart(const tally_options *options) {
    check_int(tally_finish(), 0);
    check_int(tally_init(options), 0);
}

/* ---- standard error ---- */

static FILE *capture_file;
static int capture_saved = -1;

void node_traverse(tally_object *self, tally_visit visit, void *context) {
    for (int i = 0; i < 2; i++)
        if (node_of(self)->child[i]) visit(node_of(self)->child[i], context);
}

void node_set(tally_object *self, int place, tally_object *child) {
    tally_object *old = node_of(self)->child[place];
    tally_xincref(child);
    node_of(self)->child[place] = child;
    tally_xdecref(old);
}

void node_clear(tally_object *self) {
    node_set(self, 0, NULL);
    node_set(self, 1, NULL);
}

void node_dealloc(tally_object *self) {
    atomic_fetch_add_explicit(&nodes_freed, 1, memory_order_release);
}

void node_finalize(tally_object *self) {
    atomic_fetch_add_explicit(&nodes_finalized, 1, memory_order_release);
    void (*also)(tally_object *) = atomic_load_explicit(&on_finalize, memory_order_acquire);
    if (also) also(self);
}

int freed(void) { return atomic_load_explicit(&nodes_freed, memory_order_acquire); }

int finalized(void) { return atomic_load_explicit(&nodes_finalized, memory_order_acquire); }

void begin_nodes(void) {
    tally_type_spec spec = {.name = "node",
                            .size = sizeof(node),
                            .flags = TALLY_TYPE_CONTAINER | TALLY_TYPE_WEAKLY_REFERENCABLE,
                            .traverse = node_traverse,
                            .clear = node_clear,
                            .dealloc = node_dealloc};
    node_type = tally_type_new(&spec);
    spec.name = "finalized node";
    spec.finalize = node_finalize;
    finalized_node_type = tally_type_new(&spec);
    atomic_store_explicit(&nodes_freed, 0, memory_order_relaxed);
    atomic_store_explicit(&nodes_finalized, 0, memory_order_relaxed);
    atomic_store_explicit(&on_finalize, NULL, memory_order_relaxed);
    tally_gc_disable();
    check(tally_gc_collect(2) >= 0);
}

tally_object *node_new(tally_object *type) { return tally_object_new(type, 0); }

tally_object *ring_of(tally_object *type, int length) {
    tally_object *start = node_new(type), *last = start;
    for (int i = 1; i < length; i++) {
        tally_object *next = node_new(type);
        node_of(next)->id = i;
        node_of(last)->child[0] = next;
        last = next;
    }
    node_set(last, 0, start);
    return start;
}

void drop_ring(tally_object *type, int length) { tally_decref(ring_of(type, length)); }

int ring_length(tally_object *start) {
    int length = 0;
    tally_object *at = start;
    do {
        if (!at || node_of(at)->id != length) return -1;
        length++;
        at = node_of(at)->child[0];
    } while (at != start);
    return length;
}

typedef struct small_stack_job {
    void (*run)(void *);
    void *argument;
} small_stack_job;

static void *small_stack_main(void *argument) {
    small_stack_job *job = argument;
    check_int(tally_thread_attach(), 0);
    job->run(job->argument);
    tally_thread_detach();
    return NULL;
}

void run_with_a_small_stack(size_t kib, void (*run)(void *), void *argument) {
    small_stack_job job = {run, argument};
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
    check_int(pthread_attr_setstacksize(&attributes, kib * 1024), 0);
    check_int(pthread_create(&thread, &attributes, small_stack_main, &job), 0);
    tally_blocking_begin();
    pthread_join(thread, NULL);
    tally_blocking_end();
    pthread_attr_destroy(&attributes);
}

void capture_begin(void) {
    fflush(stderr);
    capture_file = tmpfile();
    check(capture_file != NULL);
    capture_saved = dup(2);
    check(dup2(fileno(capture_file), 2) == 2);
}

const char *capture_end(void) {
    static char written[65536];
    fflush(stderr);
    dup2(capture_saved, 2);
    close(capture_saved);
    rewind(capture_file);
    size_t length = fread(written, 1, sizeof written - 1, capture_file);
    written[length] = '\0';
    fclose(capture_file);
    return written;
}

int occurrences(const char *text, const char *word) {
    int count = 0;
    for (const char *at = text; (at = strstr(at, word)); at += strlen(word)) count++;
    return count;
}

int starts_with(const char *text, const char *start) {
    return strncmp(text, start, strlen(start)) == 0;
}
