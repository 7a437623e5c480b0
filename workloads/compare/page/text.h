// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Growing text and checked allocation.  No function here returns NULL: without
// memory the program says so in one line and ends with status 2, and since
// files are written only when their whole text exists, none is left half-written.
#ifndef TALLY_COMPARE_TEXT_H
#define TALLY_COMPARE_TEXT_H

#include <stdarg.h>
#include <stddef.h>

struct text {
    char *data; // NUL-terminated once anything was added
    size_t length, capacity;
};

void *checked_malloc(size_t size); // not zeroed
void *checked_calloc(size_t count, size_t size);
void *checked_realloc(void *memory, size_t size);
char *checked_strdup(const char *string);

// The caller frees the result.
char *format_list(const char *pattern, va_list arguments)
    __attribute__((format(printf, 1, 0), noinline));
char *format(const char *pattern, ...) __attribute__((format(printf, 1, 2)));

// What the user types for the script that started this program: ./tally, or tally if installed.
const char *script_name(void);

// One line on standard error, after the program's name, then status 2.
_Noreturn void reject(const char *pattern, ...) __attribute__((format(printf, 1, 2)));

void text_add(struct text *text, const char *pattern, ...) __attribute__((format(printf, 2, 3)));
void text_add_bytes(struct text *text, const char *bytes, size_t length);
const char *text_string(const struct text *text);
void text_free(struct text *text);

#endif
