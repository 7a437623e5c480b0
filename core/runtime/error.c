/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* error.c: one pending error per thread. It needs no memory, so that "no memory" can be said. */
#include "objects/object.h"
#include <stdarg.h>
#include <stdio.h>

static _Thread_local struct {
    tally_error kind;
    char message[256];
} error;

tally_error tally_error_kind(void) { return error.kind; }
const char *tally_error_message(void) { return error.kind ? error.message : ""; }
void tally_error_clear(void) { error.kind = TALLY_NO_ERROR; }

void tally_error_set(tally_error kind, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error.message, sizeof error.message, format, arguments);
    va_end(arguments);
    error.kind = kind;
}

void tally_error_put_aside(tally_pending_error *pending) {
    pending->kind = error.kind;
    if (error.kind) memcpy(pending->message, error.message, sizeof pending->message);
    error.kind = TALLY_NO_ERROR;
}
void tally_error_put_back(const tally_pending_error *pending) {
    error.kind = pending->kind;
    if (pending->kind) memcpy(error.message, pending->message, sizeof error.message);
}
void tally_error_report(const char *where, tally_object *object) {
    if (error.kind)
        fprintf(stderr, "tally: error ignored in %s, object of type %s: %s\n", where,
                tally_type_name(object), error.message);
    error.kind = TALLY_NO_ERROR;
}

int tally_no_memory(void) {
    tally_error_set(TALLY_MEMORY_ERROR, "no memory");
    return -1;
}
int tally_expected(const char *what, tally_object *got) {
    tally_error_set(TALLY_TYPE_ERROR, "expected %s, got %s", what,
                    got ? tally_type_name(got) : "NULL");
    return -1;
}
