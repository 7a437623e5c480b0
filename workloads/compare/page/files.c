// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The report's folder; see files.h.
#define _GNU_SOURCE // program_invocation_short_name
#include "files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static bool complain(const char *folder, int error) {
    fprintf(stderr, "%s: cannot write to folder %s (%s); name one that you may write to\n",
            program_invocation_short_name, folder, strerror(error));
    return false;
}

// With the folders above it; false: errno tells.
static bool make_folders(const char *folder) {
    if (mkdir(folder, 0777) == 0) return true;
    char *above = errno == ENOENT ? checked_strdup(folder) : NULL;
    char *slash = above ? strrchr(above, '/') : NULL;
    if (slash) *slash = '\0';
    bool good = slash && slash != above && (make_folders(above) || errno == EEXIST);
    int error = errno;
    free(above);
    errno = error;
    return good && (mkdir(folder, 0777) == 0 || errno == EEXIST);
}

bool folder_prepare(const char *folder, bool *created) {
    struct stat status;
    *created = false;
    if (stat(folder, &status) != 0) {
        if (errno != ENOENT || !(*created = make_folders(folder))) return complain(folder, errno);
    } else if (!S_ISDIR(status.st_mode)) {
        return complain(folder, ENOTDIR);
    }
    char *probe = format("%s/.tally-probe-%ld", folder, (long)getpid());
    int file = open(probe, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0666);
    int error = errno;
    if (file >= 0) {
        close(file);
        unlink(probe);
    }
    free(probe);
    if (file < 0 && *created) rmdir(folder);
    return file >= 0 || complain(folder, error);
}

bool folder_claim(const char *folder, const char *what) {
    // A folder can be locked as a file is; the descriptor stays open, and the lock goes with the
    // process.
    int file = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (file < 0 || flock(file, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK)
        return true; // file systems without locks
    close(file);
    fprintf(stderr,
            "tally-compare: another run writes %s to %s at this moment; name another folder\n",
            what, folder);
    return false;
}

FILE *regular_open(const char *path) {
    struct stat status;
    // O_NONBLOCK: the open of a pipe would wait for somebody who writes.
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (file < 0) return NULL;
    bool regular = fstat(file, &status) == 0 && S_ISREG(status.st_mode);
    FILE *stream = regular ? fdopen(file, "r") : NULL;
    if (stream == NULL) close(file);
    if (!regular) errno = S_ISDIR(status.st_mode) ? EISDIR : EINVAL;
    return stream;
}

static char *temporary_name(const char *folder, const char *name) {
    return format("%s/.%s.%ld", folder, name, (long)getpid());
}

static bool write_temporary(const char *path, const struct text *content) {
    FILE *file = fopen(path, "we");
    if (file == NULL) return false;
    bool good = fwrite(text_string(content), 1, content->length, file) == content->length;
    // To the disk, before the journal goes.
    good = fflush(file) == 0 && (fsync(fileno(file)) == 0 || errno == EINVAL) && good;
    int error = errno;
    good = fclose(file) == 0 && good;
    if (!good && error) errno = error;
    return good;
}

bool folder_write(const char *folder, const struct output_file *files, size_t count) {
    bool good = true;
    int error = 0;
    for (size_t i = 0; i < count && good; i++) {
        char *temporary = temporary_name(folder, files[i].name);
        good = write_temporary(temporary, files[i].content);
        error = errno;
        free(temporary);
    }
    for (size_t i = 0; i < count; i++) {
        char *temporary = temporary_name(folder, files[i].name);
        char *final = format("%s/%s", folder, files[i].name);
        if (good && rename(temporary, final) != 0) {
            good = false;
            error = errno;
        }
        if (!good) unlink(temporary);
        free(final);
        free(temporary);
    }
    return good || complain(folder, error);
}
