/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * invariants.c: a program that breaks a rule ends by SIGABRT, with a message that names the
 * object, its type and the thread. Each case says what message it expects.
 *
 * Where the look costs something it is there only in builds with assertions (presets debug, asan,
 * tsan); the cases for it apply to no others.
 */
#include "child.h"

#include <sys/mman.h>

#ifdef NDEBUG
static int with_assertions(void) { return 0; }
#else
static int with_assertions(void) { return 1; }
#endif
static int assertions_or_no_gil(void) { return with_assertions() || no_gil(); }
/* Counts are merged later, by an owner that runs meanwhile. */
static int merges_later(void) { return backend_is("biased"); }

/* The message that the case expects; shared with the child. */
static char *expected;
enum { MOST_EXPECTED = 1000 };

static void start(void) {
    if (tally_init(NULL) != 0) _exit(3);
}

static void aborts(void (*prepare)(void), void (*body)(void)) {
    expected = mmap(NULL, MOST_EXPECTED, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    child_end end = run_child(prepare, body);
    check_that(aborted(&end) && expected[0] && strstr(end.said, expected),
               "expected an abort and\n  %s  but got %s %d and\n  %s", expected, CHILD_END(&end));
}
static void aborts_started(void (*body)(void)) { aborts(start, body); }
static void aborts_not_started(void (*body)(void)) { aborts(NULL, body); }

#define ABORTS(applies, name) RUNNER_TEST(name, applies, aborts_started)

static const char *const unattached_message =
    "a function of tally.h was called by a thread that is not attached, thread (not attached)";
static const char *const off_message =
    "a function of tally.h was called before tally_init or after tally_finish, "
    "thread (not attached)";
static const char *const dead_message = "a reference was dropped of an object that is dead";

static void expect(const char *message) { snprintf(expected, MOST_EXPECTED, "%s", message); }

/* What comes of an object in this thread. */
static void expect_of(const char *what, tally_object *object, const char *type) {
    snprintf(expected, MOST_EXPECTED, "%s: object %p of type %s, thread %u", what, (void *)object,
             type, tally_self.id);
}

/* ---- drops of what is dead ---- */

static tally_object *object;
static const char *type;

static void drop_dead(void *unused) {
    expect_of(dead_message, object, type);
    tally_decref(object);
}

static void drop_twice(tally_object *made, const char *name) {
    object = made;
    type = name;
    tally_decref(object);
    drop_dead(NULL);
}

ABORTS(NULL, a_dead_float) { drop_twice(tally_float_new(1.5), "float"); }
ABORTS(NULL, a_dead_list) { drop_twice(tally_list_new(3), "list"); }
ABORTS(NULL, a_dead_instance) {
    tally_object *class = tally_class_new(&(tally_class_spec){.name = "Ghost"});
    drop_twice(tally_instance_new(class), "Ghost");
}
ABORTS(NULL, a_dead_native_object) {
    drop_twice(tally_object_new(tally_type_new(&(tally_type_spec){.name = "widget", .size = 8}), 0),
               "widget");
}
ABORTS(NULL, a_dead_object_of_another_thread) {
    tally_thread thread;
    object = tally_float_new(2.5);
    type = "float";
    tally_decref(object);
    if (tally_thread_start(&thread, drop_dead, NULL) == 0) tally_thread_join(&thread);
}
static _Atomic int owner_is_blocked;
static void *drop_and_drop_dead(void *unused) {
    while (!atomic_load_explicit(&owner_is_blocked, memory_order_acquire)) {}
    tally_thread_attach();
    tally_decref(object); /* it dies here, merged in its owner's stead */
    drop_dead(unused);
    return NULL;
}
ABORTS(NULL, one_reference_dropped_twice_by_another_thread) {
    pthread_t thread;
    object = tally_list_new(0);
    type = "list";
    pthread_create(&thread, NULL, drop_and_drop_dead, NULL);
    tally_blocking_begin();
    atomic_store_explicit(&owner_is_blocked, 1, memory_order_release);
    pthread_join(thread, NULL);
    tally_blocking_end();
}

static _Atomic int dropped;
static void *drop_both(void *unused) {
    tally_thread_attach();
    tally_decref(object);
    tally_decref(object);
    tally_thread_detach();
    atomic_store_explicit(&dropped, 1, memory_order_release);
    return unused;
}

/* Biased refcounts: both drops are counted before the running owner merges. */
ABORTS(merges_later, one_reference_dropped_twice_before_the_owner_merges) {
    pthread_t thread;
    object = tally_list_new(0);
    expect_of("more references were dropped than there were", object, "list");
    pthread_create(&thread, NULL, drop_both, NULL);
    while (!atomic_load_explicit(&dropped, memory_order_acquire)) {}
    tally_safepoint();
}

/* ---- borrowed references after their end ---- */

static tally_borrowed borrowed;
static tally_object *borrowed_from;
static void borrow(void) {
    borrowed_from = tally_list_new(1);
    tally_object *item = tally_float_new(1.5);
    tally_list_append(borrowed_from, item);
    tally_decref(item);
    borrowed = tally_list_borrow(borrowed_from, 0);
    tally_borrowed_object(borrowed);
}
static void expect_ended(void) {
    snprintf(expected, MOST_EXPECTED, "a borrowed reference was used after its end, thread %u",
             tally_self.id);
}
ABORTS(with_assertions, a_borrow_after_a_clear) {
    borrow();
    tally_list_clear(borrowed_from);
    expect_ended();
    tally_borrowed_object(borrowed);
}
ABORTS(with_assertions, a_borrow_after_a_safepoint) {
    borrow();
    tally_safepoint();
    expect_ended();
    tally_borrowed_object(borrowed);
}
ABORTS(with_assertions, a_borrow_after_a_decref) {
    tally_object *other = tally_int_new(100000);
    borrow();
    tally_decref(other);
    expect_ended();
    tally_borrowed_object(borrowed);
}
ABORTS(with_assertions, a_borrow_after_a_read) {
    borrow();
    tally_list_get(borrowed_from, 0);
    expect_ended();
    tally_borrowed_object(borrowed);
}
ABORTS(with_assertions, a_borrow_after_a_blocked_region) {
    borrow();
    tally_blocking_begin();
    tally_blocking_end();
    expect_ended();
    tally_borrowed_object(borrowed);
}
ABORTS(with_assertions, a_borrow_retained_after_another) {
    borrow();
    tally_list_borrow(borrowed_from, 0);
    expect_ended();
    tally_retain(borrowed);
}
static void look_at_borrowed(void *unused) {
    expect_ended();
    tally_borrowed_object(borrowed);
}
ABORTS(with_assertions, a_borrow_in_another_thread) {
    tally_thread thread;
    borrow();
    if (tally_thread_start(&thread, look_at_borrowed, NULL) == 0) tally_thread_join(&thread);
}

/* ---- threads that are not attached ---- */

static void *run_unattached(void *call) {
    expect(unattached_message);
    ((void (*)(void))call)();
    return NULL;
}

static void elsewhere(void (*call)(void)) {
    pthread_t thread;
    object = tally_list_new(4);
    if (pthread_create(&thread, NULL, run_unattached, (void *)call) == 0)
        pthread_join(thread, NULL);
}

#define UNATTACHED(applies, name, statement)     \
    static void call_##name(void) { statement; } \
    ABORTS(applies, unattached_##name) { elsewhere(call_##name); }

static tally_critical section;
UNATTACHED(NULL, safepoint, tally_safepoint())
UNATTACHED(NULL, blocking_begin, tally_blocking_begin())
UNATTACHED(NULL, blocking_end, tally_blocking_end())
UNATTACHED(NULL, critical_begin, tally_critical_begin(&section, object))
UNATTACHED(NULL, detach, tally_thread_detach())
UNATTACHED(NULL, finish, tally_finish())
UNATTACHED(NULL, class_new, tally_class_new(&(tally_class_spec){.name = "Nobody's"}))
UNATTACHED(NULL, type_new, tally_type_new(&(tally_type_spec){.name = "nobody's"}))
UNATTACHED(NULL, last_decref, tally_decref(object))
UNATTACHED(assertions_or_no_gil, int_new, tally_int_new(123456))
UNATTACHED(NULL, large_str, tally_str_new("", 0); tally_str_new((char[2000]){0}, 2000))
UNATTACHED(with_assertions, list_append, tally_list_append(object, tally_none))
UNATTACHED(with_assertions, list_get, tally_list_get(object, 0))
UNATTACHED(with_assertions, dict_get, tally_dict_get(object, tally_none))
UNATTACHED(with_assertions, repr, tally_repr(object))
UNATTACHED(with_assertions, equal, tally_equal(object, tally_none))
UNATTACHED(with_assertions, get_attr, tally_get_attr(object, object))

RUNNER_TEST(an_object_before_init, assertions_or_no_gil, aborts_not_started) {
    expect(off_message);
    tally_int_new(123456);
}

ABORTS(NULL, a_safepoint_after_finish) {
    tally_finish();
    expect(off_message);
    tally_safepoint();
}

/* ---- regions ---- */

ABORTS(assertions_or_no_gil, detach_in_a_critical_section) {
    object = tally_list_new(0);
    tally_critical_begin(&section, object);
    expect_of("a thread detached inside a critical section", object, "list");
    tally_thread_detach();
}

ABORTS(assertions_or_no_gil, detach_in_nested_critical_sections) {
    tally_critical inner, innermost;
    object = tally_dict_new();
    tally_object *other = tally_list_new(0);
    tally_critical_begin(&section, object);
    tally_critical_begin(&inner, other);
    tally_critical_begin(&innermost, other);
    tally_critical_end(&innermost);
    tally_critical_end(&inner);
    expect_of("a thread detached inside a critical section", object, "dict");
    tally_thread_detach();
}

ABORTS(NULL, nested_blocked_regions) {
    snprintf(expected, MOST_EXPECTED, "a blocked region was begun inside another, thread %u",
             tally_self.id);
    tally_blocking_begin();
    tally_blocking_begin();
}

ABORTS(NULL, a_blocked_region_ended_twice) {
    snprintf(expected, MOST_EXPECTED, "a blocked region was ended that was not begun, thread %u",
             tally_self.id);
    tally_blocking_begin();
    tally_blocking_end();
    tally_blocking_end();
}
