// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Growing text and checked allocation; see text.h.
#define _GNU_SOURCE 1 // program_invocation_short_name
#include "text.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Noreturn void reject(const char *pattern, ...) {
    va_list list;
    va_start(list, pattern);
    fprintf(stderr, "%s: ", program_invocation_short_name);
    vfprintf(stderr, pattern, list);
    va_end(list);
    fputc('\n', stderr);
    exit(2);
}

static void *checked(void *memory) {
    if (memory == NULL) reject("out of memory");
    return memory;
}

void *checked_malloc(size_t size) { return checked(malloc(size ? size : 1)); }

void *checked_calloc(size_t count, size_t size) {
    return checked(calloc(count ? count : 1, size ? size : 1));
}

void *checked_realloc(void *memory, size_t size) {
    return checked(realloc(memory, size ? size : 1));
}

char *checked_strdup(const char *string) { return checked(strdup(string)); }

static void text_reserve(struct text *text, size_t more) {
    size_t needed = text->length + more + 1;
    if (needed <= text->capacity) return;
    size_t capacity = text->capacity ? text->capacity : 256;
    while (capacity < needed) capacity *= 2;
    text->data = checked_realloc(text->data, capacity);
    text->capacity = capacity;
}

void text_add_bytes(struct text *text, const char *bytes, size_t length) {
    text_reserve(text, length);
    memcpy(text->data + text->length, bytes, length);
    text->length += length;
    text->data[text->length] = '\0';
}

static void __attribute__((format(printf, 2, 0), noinline))
text_add_list(struct text *text, const char *pattern, va_list arguments) {
    va_list again;
    va_copy(again, arguments);
    text_reserve(text, 120);
    size_t space = text->capacity - text->length;
    int length = vsnprintf(text->data + text->length, space, pattern, arguments);
    if (length > 0 && (size_t)length >= space) {
        text_reserve(text, (size_t)length);
        vsnprintf(text->data + text->length, (size_t)length + 1, pattern, again);
    }
    text->length += length > 0 ? (size_t)length : 0;
    va_end(again);
}

void text_add(struct text *text, const char *pattern, ...) {
    va_list arguments;
    va_start(arguments, pattern);
    text_add_list(text, pattern, arguments);
    va_end(arguments);
}

char *format_list(const char *pattern, va_list arguments) {
    struct text text = {0};
    text_add_list(&text, pattern, arguments);
    return text.data ? text.data : checked_strdup("");
}

char *format(const char *pattern, ...) {
    va_list arguments;
    va_start(arguments, pattern);
    char *result = format_list(pattern, arguments);
    va_end(arguments);
    return result;
}

const char *text_string(const struct text *text) { return text->data ? text->data : ""; }

void text_free(struct text *text) {
    free(text->data);
    *text = (struct text){0};
}

const char *script_name(void) {
    const char *name = getenv("TALLY_SELF");
    return name ? name : "./tally";
}
