/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* files.h: a file that is written through PATH.tmp, so that a reader never sees half of it. A
 * device or a pipe is written to as it is, and stays. */
#ifndef TALLY_FILES_H
#define TALLY_FILES_H

#include <stdbool.h>
#include <stdio.h>

/* PATH.tmp; to be freed. NULL: no memory, without an error. */
char *tally_temporary_name(const char *path);
/* False, and errno: it cannot be written, and no file is left. Sets no error, so that a thread may
 * call it in a blocked region. */
bool tally_write_through(const char *path, const char *temporary,
                         void (*write)(FILE *file, void *context), void *context);

#endif
