/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* runner.c: keeps the tests of a program, lists those that apply to its backend, and runs them, in
 * this process or by Criterion; runner.h says when. */
#include "runner.h"
#include "check.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { TEST_SECONDS = 300 }; /* a test that hangs ends by SIGALRM */

static test_entry *first, **end = &first;

void runner_register(test_entry *entry) {
    *end = entry;
    end = &entry->next;
}

static int applies(const test_entry *test) { return !test->applies || test->applies(); }

static int list(const char *path) {
    FILE *file = path ? fopen(path, "w") : stdout;
    if (!file) return 2;
    for (test_entry *test = first; test; test = test->next)
        if (applies(test)) fprintf(file, "%s\n", test->name);
    return fflush(file) == 0 ? 0 : 2;
}

static int run(const test_entry *test) {
    int before = check_failures();
    alarm(TEST_SECONDS);
    test->run(test->body);
    alarm(0);
    return check_failures() - before;
}

static const test_entry *find(const char *name) {
    const test_entry *test = first;
    while (test && strcmp(test->name, name) != 0) test = test->next;
    return test;
}

static int is_wanted(const test_entry *test, int count, char **words) {
    const test_entry *named = count == 2 ? find(words[1]) : NULL;
    if (named) return test == named;
    for (int i = 1; i < count; i++)
        if (strstr(test->name, words[i])) return 1;
    return count < 2;
}

/* The tests that the words name, one after the other: the status of the program. */
static int run_here(int count, char **words) {
    int passed = 0, failed = 0;
    for (test_entry *test = first; test; test = test->next) {
        if (!is_wanted(test, count, words) || !applies(test)) continue;
        printf("%s\n", test->name);
        fflush(stdout);
        int good = run(test) == 0;
        if (!good) printf("%s FAILED\n", test->name);
        good ? passed++ : failed++;
    }
    printf("%d passed, %d failed\n", passed, failed);
    return failed != 0 || passed == 0; /* a name that no test has is a mistake */
}

#ifdef RUNNER_CRITERION

int runner_run(const char *name) {
    const test_entry *test = find(name);
    if (!applies(test)) cr_skip("not for this backend");
    return run(test);
}

int main(int count, char **words) {
    if (count > 1 && strcmp(words[1], "--list") == 0) return list(words[2]);
    if (count == 2 && find(words[1])) return run_here(count, words);
    struct criterion_test_set *tests = criterion_initialize();
    char pattern[256];
    if (count == 2 && words[1][0] != '-') {
        int found = 0;
        for (const test_entry *test = first; test; test = test->next)
            found += applies(test) && strstr(test->name, words[1]);
        if (!found) {
            fprintf(stderr, "no test is named so: %s\n", words[1]);
            return 1;
        }
        snprintf(pattern, sizeof pattern, "*/*%s*", words[1]);
        criterion_options.pattern = pattern;
    } else if (!criterion_handle_args(count, words, true)) {
        criterion_finalize(tests);
        return 0;
    }
    int failed = !criterion_run_all_tests(tests);
    criterion_finalize(tests);
    return failed;
}

#else

int main(int count, char **words) {
    if (count > 1 && strcmp(words[1], "--list") == 0) return list(words[2]);
    return run_here(count, words);
}

#endif
