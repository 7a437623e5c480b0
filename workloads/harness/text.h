/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * text.h: the text that workloads over real data read. It is an original, the files one after the
 * other, and as many copies of it as give the size that was asked for; the copies are in memory, so
 * that it does not fit in a cache.
 */
#ifndef TALLY_HARNESS_TEXT_H
#define TALLY_HARNESS_TEXT_H

#include <stddef.h>
#include <stdio.h>

struct text {
    char *data;
    size_t original; /* bytes of one copy */
    size_t copies;   /* the original included: at least 1 */
};

/* Without files: the regular files of /usr/share/common-licenses. Ends the driver with status 2 and
 * a message if there is nothing to read. */
void text_load(struct text *text, const char *const *files, size_t count, size_t bytes);
void text_free(struct text *text);

/* Opens a file of a text without waiting: a pipe, a device, a folder or what cannot be read ends
 * the driver with status 2 and a message. */
FILE *text_open(const char *name);

#endif
