/* SPDX-License-Identifier: LGPL-2.1-or-later */
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

static int is_wanted(const test_entry *test, int count, char **words) {
    for (const test_entry *other = first; count == 2 && other; other = other->next)
        if (strcmp(other->name, words[1]) == 0) return test == other;
    for (int i = 1; i < count; i++)
        if (strstr(test->name, words[i])) return 1;
    return count < 2;
}

int main(int count, char **words) {
    int passed = 0, failed = 0;
    if (count > 1 && strcmp(words[1], "--list") == 0) return list(words[2]);
    for (test_entry *test = first; test; test = test->next) {
        if (!is_wanted(test, count, words) || !applies(test)) continue;
        int before = check_failures();
        printf("%s\n", test->name);
        fflush(stdout);
        alarm(TEST_SECONDS);
        test->run(test->body);
        alarm(0);
        int good = check_failures() == before;
        if (!good) printf("%s FAILED\n", test->name);
        good ? passed++ : failed++;
    }
    printf("%d passed, %d failed\n", passed, failed);
    return failed != 0 || passed == 0; /* a name that no test has is a mistake */
}
