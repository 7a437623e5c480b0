/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * invariants.c: a program that breaks a rule ends by SIGABRT, with a
 * message that names the object, its type and the thread. Each case runs in a
 * process of its own: this program again, with the case's name. The case says
 * on stdout what message it expects.
 *
 * Where the look costs something it is there only in builds with assertions
 * (presets debug, asan, tsan); such cases are skipped in others, and say so.
 */
#include <tally.h>

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef NDEBUG
enum { ASSERTIONS = 0 };
#else
enum { ASSERTIONS = 1 };
#endif

static int has_gil(void) { return strncmp(tally_backend(), "gil", 3) == 0; }

static const char *const unattached_message =
    "a function of tally.h was called by a thread that is not attached, thread (not attached)";
static const char *const dead_message = "a reference was dropped of an object that is dead";

static void expect(const char *message) {
    printf("%s\n", message);
    fflush(stdout);
}

/* What comes of an object in this thread. */
static void expect_of(const char *what, tally_object *object, const char *type) {
    printf("%s: object %p of type %s, thread %u\n", what, (void *)object, type, tally_self.id);
    fflush(stdout);
}

/* ---- drops of what is dead ---- */

static tally_object *object;
static const char *type;

static void drop_dead(void *unused) {
    (void)unused;
    expect_of(dead_message, object, type);
    tally_decref(object);
}

static void drop_twice(tally_object *made, const char *name) {
    object = made;
    type = name;
    tally_decref(object);
    drop_dead(NULL);
}

static void a_dead_float(void) { drop_twice(tally_float_new(1.5), "float"); }
static void a_dead_list(void) { drop_twice(tally_list_new(3), "list"); }
static void a_dead_instance(void) {
    tally_object *class = tally_class_new(&(tally_class_spec){.name = "Ghost"});
    drop_twice(tally_instance_new(class), "Ghost");
}
static void a_dead_native_object(void) {
    drop_twice(tally_object_new(tally_type_new(&(tally_type_spec){.name = "widget", .size = 8}), 0),
               "widget");
}
static void a_dead_object_of_another_thread(void) {
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
static void one_reference_dropped_twice_by_another_thread(void) {
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

/* Biased counts: both drops are counted before the owner, who runs, looks. */
static void one_reference_dropped_twice_before_the_owner_merges(void) {
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
    printf("a borrowed reference was used after its end, thread %u\n", tally_self.id);
    fflush(stdout);
}
static void a_borrow_after_a_clear(void) {
    borrow();
    tally_list_clear(borrowed_from);
    expect_ended();
    tally_borrowed_object(borrowed);
}
static void a_borrow_after_a_safepoint(void) {
    borrow();
    tally_safepoint();
    expect_ended();
    tally_borrowed_object(borrowed);
}
static void a_borrow_after_a_decref(void) {
    tally_object *other = tally_int_new(100000);
    borrow();
    tally_decref(other);
    expect_ended();
    tally_borrowed_object(borrowed);
}
static void a_borrow_after_a_read(void) {
    borrow();
    tally_list_get(borrowed_from, 0);
    expect_ended();
    tally_borrowed_object(borrowed);
}
static void a_borrow_after_a_blocking_region(void) {
    borrow();
    tally_blocking_begin();
    tally_blocking_end();
    expect_ended();
    tally_borrowed_object(borrowed);
}
static void a_borrow_retained_after_another(void) {
    borrow();
    tally_list_borrow(borrowed_from, 0);
    expect_ended();
    tally_retain(borrowed);
}
static void look_at_borrowed(void *unused) {
    (void)unused;
    expect_ended();
    tally_borrowed_object(borrowed);
}
static void a_borrow_in_another_thread(void) {
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

#define UNATTACHED(name, statement)              \
    static void call_##name(void) { statement; } \
    static void unattached_##name(void) { elsewhere(call_##name); }

static tally_critical section;
UNATTACHED(safepoint, tally_safepoint())
UNATTACHED(blocking_begin, tally_blocking_begin())
UNATTACHED(blocking_end, tally_blocking_end())
UNATTACHED(critical_begin, tally_critical_begin(&section, object))
UNATTACHED(detach, tally_thread_detach())
UNATTACHED(finish, tally_finish())
UNATTACHED(class_new, tally_class_new(&(tally_class_spec){.name = "Nobody's"}))
UNATTACHED(type_new, tally_type_new(&(tally_type_spec){.name = "nobody's"}))
UNATTACHED(last_decref, tally_decref(object))
UNATTACHED(int_new, tally_int_new(123456))
UNATTACHED(large_str, tally_str_new("", 0); tally_str_new((char[2000]){0}, 2000))
UNATTACHED(list_append, tally_list_append(object, tally_none))
UNATTACHED(list_get, tally_list_get(object, 0))
UNATTACHED(dict_get, tally_dict_get(object, tally_none))
UNATTACHED(repr, tally_repr(object))
UNATTACHED(equal, tally_equal(object, tally_none))
UNATTACHED(get_attr, tally_get_attr(object, object))

static void an_object_before_init(void) {
    expect(unattached_message);
    tally_int_new(123456);
}

static void a_safepoint_after_finish(void) {
    tally_finish();
    expect(unattached_message);
    tally_safepoint();
}

/* ---- regions ---- */

static void detach_in_a_critical_section(void) {
    object = tally_list_new(0);
    tally_critical_begin(&section, object);
    expect_of("a thread detached inside a critical section", object, "list");
    tally_thread_detach();
}

static void detach_in_nested_critical_sections(void) {
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

static void nested_blocking_regions(void) {
    printf("a blocking region was begun inside another, thread %u\n", tally_self.id);
    fflush(stdout);
    tally_blocking_begin();
    tally_blocking_begin();
}

static void a_blocking_region_ended_twice(void) {
    printf("a blocking region was ended that was not begun, thread %u\n", tally_self.id);
    fflush(stdout);
    tally_blocking_begin();
    tally_blocking_end();
    tally_blocking_end();
}

/* ---- the cases ---- */

enum {
    ALWAYS,
    CHECKED = 1,          /* only in a build with assertions */
    CHECKED_WITH_GIL = 2, /* with a GIL */
    MERGES = 4,           /* only where an owner merges later */
    NOT_STARTED = 8,
};

static const struct {
    const char *name;
    void (*run)(void);
    int when;
} cases[] = {
#define CASE(name, when) {#name, name, when},
    CASE(a_dead_float, ALWAYS) CASE(a_dead_list, ALWAYS) CASE(a_dead_instance, ALWAYS) CASE(
        a_dead_native_object, ALWAYS) CASE(a_dead_object_of_another_thread, ALWAYS)
        CASE(one_reference_dropped_twice_by_another_thread, ALWAYS) CASE(
            one_reference_dropped_twice_before_the_owner_merges,
            MERGES) CASE(unattached_safepoint, ALWAYS) CASE(unattached_blocking_begin, ALWAYS)
            CASE(unattached_blocking_end, ALWAYS) CASE(unattached_critical_begin, ALWAYS) CASE(
                unattached_detach, ALWAYS) CASE(unattached_finish,
                                                ALWAYS) CASE(unattached_class_new, ALWAYS)
                CASE(unattached_type_new, ALWAYS) CASE(unattached_last_decref, ALWAYS) CASE(
                    unattached_int_new, CHECKED_WITH_GIL) CASE(unattached_large_str, ALWAYS)
                    CASE(an_object_before_init,
                         CHECKED_WITH_GIL | NOT_STARTED) CASE(a_safepoint_after_finish, ALWAYS)
                        CASE(unattached_list_append, CHECKED) CASE(unattached_list_get, CHECKED)
                            CASE(unattached_dict_get, CHECKED) CASE(unattached_repr, CHECKED)
                                CASE(unattached_equal, CHECKED) CASE(unattached_get_attr, CHECKED)
                                    CASE(detach_in_a_critical_section, CHECKED_WITH_GIL) CASE(
                                        detach_in_nested_critical_sections,
                                        CHECKED_WITH_GIL) CASE(nested_blocking_regions, ALWAYS)
                                        CASE(a_borrow_after_a_clear,
                                             CHECKED) CASE(a_borrow_after_a_safepoint, CHECKED)
                                            CASE(a_borrow_after_a_decref,
                                                 CHECKED) CASE(a_borrow_after_a_read, CHECKED)
                                                CASE(a_borrow_after_a_blocking_region, CHECKED)
                                                    CASE(a_borrow_retained_after_another, CHECKED)
                                                        CASE(a_borrow_in_another_thread, CHECKED)
                                                            CASE(a_blocking_region_ended_twice,
                                                                 ALWAYS)};
enum { CASES = sizeof cases / sizeof *cases };

/* In the new process. */
static int run_case(const char *name) {
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    alarm(60);
    for (int i = 0; i < CASES; i++) {
        if (strcmp(cases[i].name, name) != 0) continue;
        if (!(cases[i].when & NOT_STARTED) && tally_init(NULL) != 0) return 3;
        cases[i].run();
        return 0; /* it should not have come to this */
    }
    return 2;
}

static void read_all(int from, char *text, size_t size) {
    size_t length = 0;
    ssize_t got;
    while (length < size - 1 && (got = read(from, text + length, size - 1 - length)) > 0)
        length += (size_t)got;
    text[length] = 0;
    close(from);
}

static int aborts_with_its_message(const char *name) {
    int out[2], err[2], status;
    if (pipe(out) != 0 || pipe(err) != 0) return 0;
    pid_t child = fork();
    if (child == 0) {
        dup2(out[1], 1);
        dup2(err[1], 2);
        close(out[0]), close(out[1]), close(err[0]), close(err[1]);
        execl("/proc/self/exe", "test_invariants", name, (char *)NULL);
        _exit(127);
    }
    close(out[1]);
    close(err[1]);
    static char expected[1000], message[20000];
    read_all(out[0], expected, sizeof expected);
    read_all(err[0], message, sizeof message);
    waitpid(child, &status, 0);
    int good = WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT && expected[0] &&
               strncmp(message, "tally: ", 7) == 0 && strstr(message, expected);
    if (!good)
        fprintf(stderr, "%s: %s %d, expected SIGABRT and\n  %s  but got\n  %s\n", name,
                WIFSIGNALED(status) ? "signal" : "exit status",
                WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status), expected, message);
    return good;
}

/* Why a case does not apply; NULL: it does. */
static const char *why_not(int when) {
    if ((when & CHECKED) && !ASSERTIONS) return "looked at only in builds with assertions";
    if ((when & CHECKED_WITH_GIL) && has_gil() && !ASSERTIONS)
        return "with a GIL, looked at only in builds with assertions";
    if ((when & MERGES) && strcmp(tally_backend(), "biased") != 0)
        return "counts are not merged later by an owner that runs meanwhile";
    return NULL;
}

int main(int count, char **words) {
    if (count > 1) return run_case(words[1]);
    int passed = 0, failed = 0, skipped = 0;
    for (int i = 0; i < CASES; i++) {
        const char *reason = why_not(cases[i].when);
        if (reason) {
            printf("%s: SKIPPED on %s: %s\n", cases[i].name, tally_backend(), reason);
            skipped++;
        } else if (aborts_with_its_message(cases[i].name)) {
            printf("%s\n", cases[i].name);
            passed++;
        } else {
            printf("%s FAILED\n", cases[i].name);
            failed++;
        }
        fflush(stdout);
    }
    printf("%s: %d passed, %d failed, %d skipped\n", tally_backend(), passed, failed, skipped);
    return failed != 0;
}
