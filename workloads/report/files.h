// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The report's folder.  All files are written under temporary names first and
// renamed together, so that a reader never sees half of one.
#ifndef TALLY_REPORT_FILES_H
#define TALLY_REPORT_FILES_H

#include "text.h"

#include <stdbool.h>

struct output_file {
    const char *name;
    const struct text *content;
};

// Creates the folder where missing and proves that a file can be written in it.
// False after one line on stderr.  *created tells whether the folder is new.
bool folder_prepare(const char *folder, bool *created);

// False after one line on stderr, with no new file left behind.
bool folder_write(const char *folder, const struct output_file *files, size_t count);

#endif
