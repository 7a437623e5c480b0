/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * runner.h: a program of tests. Each test registers itself; CTest asks the program for the names
 * of those that apply to its backend (--list) and runs each in a process of its own.
 *
 *     PROGRAM --list [FILE]     writes the names of the tests that apply
 *     PROGRAM NAME              runs this one, in the process of the program
 *     PROGRAM [WORD...]         runs all, or those whose names contain one of the words
 *
 * With RUNNER_CRITERION several tests are run by Criterion, each in a process of its own, and its
 * options are taken (--help). One test has its process already, which ctest made: Criterion would
 * make two more, in ten times the time. Criterion cannot start under ThreadSanitizer, and its
 * processes hide the end of a program from a leak search; there the program runs all by itself.
 */
#ifndef TALLY_TESTS_RUNNER_H
#define TALLY_TESTS_RUNNER_H

typedef struct test_entry {
    struct test_entry *next;
    const char *name;
    int (*applies)(void); /* NULL: to every backend */
    void (*body)(void);
    void (*run)(void (*body)(void)); /* calls the body, with what all tests of a kind need */
} test_entry;

void runner_register(test_entry *entry);

#ifdef RUNNER_CRITERION
#    include <criterion/criterion.h>
#    include <criterion/new/assert.h>
int runner_run(const char *name); /* how many checks failed */
#    define RUNNER_FOR_CRITERION(name)                             \
        Test(RUNNER_CRITERION, name) {                             \
            if (runner_run(#name) != 0) cr_fatal("checks failed"); \
        }
#else
#    define RUNNER_FOR_CRITERION(name)
#endif

#define RUNNER_TEST(name, applies, run)                                     \
    static void test_##name(void);                                          \
    __attribute__((constructor)) static void register_##name(void) {        \
        static test_entry entry = {NULL, #name, applies, test_##name, run}; \
        runner_register(&entry);                                            \
    }                                                                       \
    RUNNER_FOR_CRITERION(name)                                              \
    static void test_##name(void)

#endif
