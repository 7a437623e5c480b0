/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* files.c: a file that is written through PATH.tmp; files.h. */
#include "instrument/files.h"
#include "tally_atomic.h"
/* Behind it, as it uses those. */
#include "instrument/failpoint.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

char *tally_temporary_name(const char *path) {
    size_t length = strlen(path);
    char *temporary = malloc(length + 5);
    if (!temporary) return NULL;
    memcpy(temporary, path, length);
    memcpy(temporary + length, ".tmp", 5);
    return temporary;
}

bool tally_write_through(const char *path, const char *temporary,
                         void (*write)(FILE *file, void *context), void *context) {
    struct stat about;
    bool regular = stat(path, &about) != 0 || S_ISREG(about.st_mode);
    FILE *file = fopen(regular ? temporary : path, "we");
    if (!file) return false;
    write(file, context);
    bool good = !ferror(file);
    good = fclose(file) == 0 && good && (!regular || rename(temporary, path) == 0);
    int why = errno;
    if (!good && regular) unlink(temporary);
    errno = why;
    return good;
}
