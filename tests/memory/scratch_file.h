/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* scratch_file.h: a file that a test lets the run time write. */
#ifndef TALLY_TESTS_SCRATCH_FILE_H
#define TALLY_TESTS_SCRATCH_FILE_H

#include "suite.h"
#include <sys/stat.h>

static char path[64];

/* A new file, which is empty; the test unlinks it. */
static void make_path(void) {
    strcpy(path, "/tmp/tally-heap-XXXXXX");
    int file = mkstemp(path);
    check(file >= 0);
    close(file);
}
/* In bytes; -1: there is no such file. */
static off_t size_of(const char *name) {
    struct stat about;
    return stat(name, &about) == 0 ? about.st_size : -1;
}

#endif
