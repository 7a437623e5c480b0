/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * broken.c: programs with a mistake, each in a process of its own, against a library with the
 * checks of core/debug. The message names what is wrong, the type of the object, and the functions
 * that made it and that dropped it last (docs/guides/find-a-mistake.md).
 *
 * AddressSanitizer reports a bad access itself, where it happens. Then the run time says in front
 * of the report what the address is.
 */
#include "child.h"

#ifdef __SANITIZE_ADDRESS__
#    define AT_ACCESS(what) "the address is at byte"
#else
#    define AT_ACCESS(what) what
#endif
#define APART __attribute__((noinline))

/* The leaks are wanted. */
const char *__asan_default_options(void);
const char *__asan_default_options(void) { return "detect_leaks=0"; }

static void start(void) {
    if (tally_init(NULL) != 0) _exit(3);
}
static void run_plainly(void (*body)(void)) { body(); }

static void check_said(const child_end *end, const char *const *parts) {
    for (; *parts; parts++)
        check_that(strstr(end->said, *parts) != NULL, "expected\n  %s  but got %s %d and\n  %s",
                   *parts, CHILD_END(end));
}

/* The body ends its process with a message that has these parts. */
#define BROKEN_WHERE(name, prepare, ...)                                                     \
    static void broken_##name(void);                                                         \
    RUNNER_TEST(name, NULL, run_plainly) {                                                   \
        child_end end = run_child(prepare, broken_##name);                                   \
        check_said(&end, (const char *const[]){__VA_ARGS__, NULL});                          \
        check_that(WIFSIGNALED(end.status) || WEXITSTATUS(end.status) != 0, "all was well"); \
    }                                                                                        \
    static void broken_##name(void)
#define BROKEN(name, ...) BROKEN_WHERE(name, start, __VA_ARGS__)

/* ---- what makes and drops objects ---- */

static tally_object *object;

static APART tally_object *make_list(void) { return tally_list_new(4); }
static APART tally_object *make_float(void) { return tally_float_new(1.5); }
static APART tally_object *make_str(void) { return tally_str_new("made to be overrun", -1); }
static APART void drop_it(tally_object *it) { tally_decref(it); }

static tally_object *widget_type;
static APART tally_object *make_widget(void) {
    if (!widget_type)
        widget_type = tally_type_new(&(tally_type_spec){.name = "widget", .size = 40});
    return tally_object_new(widget_type, 0);
}

/* A list that holds the item, whose maker's reference is gone. */
static tally_object *hold(tally_object *item, int times) {
    tally_object *list = make_list();
    while (times-- > 0) tally_list_append(list, item);
    tally_decref(item);
    return list;
}

/* ---- objects after their end ---- */

BROKEN(a_freed_object_is_read, "an object was used that is freed", "of type list", "make_list",
       "dropped last by thread 1", "drop_it") {
    object = make_list();
    drop_it(object);
    tally_list_length(object);
}

BROKEN(a_freed_object_is_written, AT_ACCESS("freed memory was written to"), "of type widget",
       "make_widget", "drop_it") {
    object = make_widget();
    char *data = tally_object_data(object);
    drop_it(object);
    *(volatile char *)(data + 8) = 1;
    tally_debug_check();
}

BROKEN(a_reference_is_dropped_twice, "a reference was dropped of an object that is dead",
       "of type float", "make_float", "drop_it") {
    object = make_float();
    drop_it(object);
    tally_decref(object);
}

BROKEN(a_freed_object_is_referenced, "an object was used that is freed", "of type float", "drop_it",
       "make_float") {
    object = make_float();
    drop_it(object);
    tally_incref(object);
}

BROKEN(a_large_object_is_used_after_its_end, "an object was used that is freed", "of type str",
       "drop_it") {
    char text[2000];
    memset(text, 'x', sizeof text);
    object = tally_str_new(text, sizeof text);
    drop_it(object);
    tally_str_length(object);
}

/* ---- refcounts ---- */

BROKEN(a_reference_of_a_container_is_dropped, "of type list refers to",
       "an object is referred to that is freed", "of type float", "make_float", "drop_it") {
    object = make_float();
    hold(object, 1);
    drop_it(object); /* the list's */
    tally_debug_check();
}

BROKEN(a_refcount_is_too_low, "held by object", "of type list",
       "a refcount is 1, but 2 references were found", "of type float", "make_float") {
    object = make_float();
    hold(object, 2);
    drop_it(object);
    tally_debug_check();
}

BROKEN(a_refcount_is_too_low_in_a_collection, "a refcount is 1, but 2 references were found",
       "of type list", "make_list") {
    object = make_list();
    hold(object, 2);
    drop_it(object);
    tally_gc_collect(2);
}

BROKEN(a_refcount_is_overwritten, "a refcount is 1, but 2 references were found", "of type float",
       "make_float") {
    object = make_float();
    hold(object, 2);
    /* Biased: the owner's id is in front of its count. */
    *(uint32_t *)(void *)object -= backend_is("biased") ? 1u << 16 : 1;
    tally_debug_check();
}

static tally_object *visited;
static void visits_too_much(tally_object *self, tally_visit visit, void *context) {
    visit(visited, context);
}
static void visits_nothing(tally_object *self, tally_visit visit, void *context) {}
static APART tally_object *new_of_type(const char *name,
                                       void (*traverse)(tally_object *, tally_visit, void *)) {
    tally_object *type = tally_type_new(&(tally_type_spec){
        .name = name, .size = 8, .flags = TALLY_TYPE_CONTAINER, .traverse = traverse});
    return tally_object_new(type, 0);
}
BROKEN(a_traverse_function_visits_too_much, "of type greedy, whose traverse function is",
       "visits_too_much", "a refcount is 1, but 2 references were found", "make_float") {
    visited = make_float();
    hold(visited, 1);
    new_of_type("greedy", visits_too_much);
    tally_debug_check();
}

/* ---- memory ---- */

BROKEN(a_header_is_overwritten, "the header of an object was overwritten", "of type list",
       "make_list") {
    object = make_list();
    memset((void *)object, 0xee, sizeof *object);
    tally_list_length(object);
}

BROKEN(a_str_is_overrun, AT_ACCESS("the memory behind a block was overwritten"), "of type str",
       "make_str") {
    object = make_str();
    char *data = (char *)(uintptr_t)tally_str_data(object);
    *(volatile char *)(data + tally_str_length(object) + 1) = 'x';
    tally_decref(object);
}

BROKEN(a_store_is_in_front_of_an_object,
       AT_ACCESS("the memory in front of a block was overwritten"), "of type widget",
       "make_widget") {
    /* The first of a new pool has no neighbour. */
    for (int i = 0; i < 4; i++) object = make_widget();
    *((volatile char *)object - 1) = 1;
    tally_debug_check();
}

BROKEN(a_large_object_is_overrun,
#ifdef __SANITIZE_ADDRESS__
       "use-after-poison"
#else
       "the memory behind a block was overwritten", "of type str"
#endif
) {
    char text[2000];
    memset(text, 'x', sizeof text);
    object = tally_str_new(text, sizeof text);
    *(volatile char *)((uintptr_t)tally_str_data(object) + sizeof text + 1) = 'x';
    tally_decref(object);
}

/* ---- threads and regions ---- */

static APART void *use_it(void *unused) {
    tally_list_length(object);
    return NULL;
}
BROKEN(a_thread_is_not_attached, "was called by a thread that is not attached", "use_it") {
    pthread_t thread;
    object = make_list();
    pthread_create(&thread, NULL, use_it, NULL);
    pthread_join(thread, NULL);
}

static void *attach_only(void *unused) {
    tally_thread_attach();
    return NULL;
}
BROKEN(a_thread_ends_attached, "a thread has ended that is still attached", "thread 2") {
    pthread_t thread;
    pthread_create(&thread, NULL, attach_only, NULL);
    tally_blocking_begin();
    pthread_join(thread, NULL);
    tally_blocking_end();
}

static APART void begin_region(void) { tally_blocking_begin(); }
BROKEN(a_call_is_in_a_blocked_region, "a function of tally.h was called in a blocked region",
       "use_it", "the blocked region was begun by thread 1", "begin_region") {
    object = make_list();
    begin_region();
    use_it(NULL);
}
BROKEN(a_blocked_region_is_not_ended, "a blocked region was begun inside another",
       "the blocked region was begun by thread 1", "begin_region") {
    begin_region();
    tally_blocking_begin();
}
BROKEN(a_section_is_not_ended, "a thread detached inside a critical section", "of type list",
       "make_list") {
    static tally_critical section;
    object = make_list();
    tally_critical_begin(&section, object);
    tally_thread_detach();
}

BROKEN_WHERE(a_call_is_before_the_start, NULL, "was called before tally_init or after tally_finish",
             "make_list") {
    make_list();
}
BROKEN(a_call_is_after_the_end, "was called before tally_init or after tally_finish",
       "make_float") {
    tally_finish();
    make_float();
}

BROKEN(a_borrowed_reference_is_used_after_its_end, "a borrowed reference was used after its end",
       "of type float", "make_float") {
    object = hold(make_float(), 1);
    tally_borrowed borrowed = tally_list_borrow(object, 0);
    tally_safepoint();
    tally_borrowed_object(borrowed);
}

/* ---- what ends no program ---- */

RUNNER_TEST(a_str_of_no_bytes_is_an_error, NULL, run_plainly) {
    start();
    check_that(!tally_str_new(NULL, 3) && tally_error_kind() == TALLY_VALUE_ERROR, "a value error");
    tally_error_clear();
    check_int(tally_finish(), 0);
}

static void leak(void) {
    for (volatile int i = 0; i < 2; i++) make_list(); /* two lists of one place */
    object = new_of_type("forgetful", visits_nothing);
    tally_object *list = make_list();
    tally_list_append(list, object);
    *(tally_object **)tally_object_data(object) = list; /* a cycle that no collection sees */
    tally_decref(object);
    check_int(tally_finish(), 4);
}
RUNNER_TEST(leaks_are_reported_by_type_and_place, NULL, run_plainly) {
    child_end end = run_child(start, leak);
    check_said(&end, (const char *const[]){"leak at tally_finish: 2 of type list", "make_list",
                                           "leak at tally_finish: 1 of type forgetful",
                                           "new_of_type", NULL});
    check_that(WIFEXITED(end.status) && WEXITSTATUS(end.status) == 0, "%s %d\n%s", CHILD_END(&end));
}

static void be_correct(void) {
    for (int i = 0; i < 3000; i++) {
        tally_object *list = hold(make_str(), 2), *other = make_list();
        tally_list_append(list, other);
        tally_list_append(other, list);
        tally_decref(other);
        tally_decref(list);
    }
    tally_debug_check();
    tally_gc_collect(2);
    tally_debug_check();
    check_int(tally_finish(), 0);
}
RUNNER_TEST(a_correct_program_hears_nothing, NULL, run_plainly) {
    child_end end = run_child(start, be_correct);
    check_that(WIFEXITED(end.status) && WEXITSTATUS(end.status) == 0 && !*end.said, "%s %d\n%s",
               CHILD_END(&end));
}
