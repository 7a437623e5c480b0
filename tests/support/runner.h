/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * runner.h: a program of tests. Each test registers itself; CTest asks the program for the names
 * of those that apply to its backend (--list) and runs each in a process of its own.
 *
 *     PROGRAM --list [FILE]     writes the names of the tests that apply
 *     PROGRAM [NAME...]         runs these, or all whose names contain one of the words
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

#define RUNNER_TEST(name, applies, run)                                     \
    static void test_##name(void);                                          \
    __attribute__((constructor)) static void register_##name(void) {        \
        static test_entry entry = {NULL, #name, applies, test_##name, run}; \
        runner_register(&entry);                                            \
    }                                                                       \
    static void test_##name(void)

#endif
