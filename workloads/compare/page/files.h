// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The report's folder.  All files are written under temporary names first and
// renamed together, so that a reader never sees half of one.
#ifndef TALLY_COMPARE_FILES_H
#define TALLY_COMPARE_FILES_H

#include "text.h"

#include <stdbool.h>
#include <stdio.h>

struct output_file {
    const char *name;
    const struct text *content;
};

// Creates the folder where missing and proves that a file can be written in it.
// False after one line on stderr.  *created tells whether the folder is new.
bool folder_prepare(const char *folder, bool *created);

// Keeps the folder for this process until it ends.  False after one line on stderr:
// another run writes `what` to it.
bool folder_claim(const char *folder, const char *what);

// Opens a regular file to be read, without waiting; NULL with errno for any other,
// such as a pipe, and where it cannot be read.
FILE *regular_open(const char *path);

// False after one line on stderr, with no new file left behind.
bool folder_write(const char *folder, const struct output_file *files, size_t count);

#endif
