// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The journal of a run; see journal.h.
#include "journal.h"

#include "files.h"
#include "process.h"
#include "results.h"
#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static const double SYNC_SECONDS = 2;

// One line after the other, up to the first that is cut or wrong.
static void read_lines(struct journal *journal, FILE *file) {
    char *line = NULL;
    size_t size = 0;
    ssize_t length;
    while ((length = getline(&line, &size, file)) > 0 && line[length - 1] == '\n') {
        json_t *entry = json_loadb(line, (size_t)length, 0, NULL);
        if (!json_is_object(entry)) {
            json_decref(entry);
            break;
        }
        journal->length += length;
        if (journal->header == NULL)
            journal->header = entry;
        else
            json_array_append_new(journal->entries, entry);
    }
    free(line);
}

// Why the first line cannot be gone on with, for the caller to free; NULL: it can.
static char *header_fault(const json_t *header) {
    static const char remedy[] = "remove it, or name another folder with --output";
    if (strcmp(object_string(header, "format", ""), "tally-journal") != 0)
        return format("is no journal of a run; %s", remedy);
    if (object_number(header, "version", 0) != RESULTS_VERSION)
        return format("has format version %g, this program goes on with version %d; %s",
                      object_number(header, "version", 0), RESULTS_VERSION, remedy);
    if (!json_is_array(json_object_get(header, "arguments")) ||
        !json_is_object(json_object_get(header, "machine")) ||
        !json_is_object(json_object_get(header, "identity")) ||
        !json_is_string(json_object_get(header, "started")))
        return format("is damaged; %s", remedy);
    return NULL;
}

static void close_file(struct journal *journal) {
    if (journal->file >= 0) close(journal->file);
    journal->file = -1;
}

static enum journal_state refuse(struct journal *journal, const char *why) {
    fprintf(stderr, "tally-compare: %s %s\n", journal->path, why);
    close_file(journal);
    return JOURNAL_REFUSED;
}

static bool names_file(const struct journal *journal) {
    struct stat opened, named;
    return fstat(journal->file, &opened) == 0 && stat(journal->path, &named) == 0 &&
           opened.st_dev == named.st_dev && opened.st_ino == named.st_ino;
}

// Opens and locks the file; a run that has just ended may have removed it meanwhile, then once
// more.
static enum journal_state open_locked(struct journal *journal, bool create) {
    for (;;) {
        struct stat status;
        journal->file =
            open(journal->path, O_RDWR | O_APPEND | O_CLOEXEC | O_NONBLOCK | (create ? O_CREAT : 0),
                 0666);
        if (journal->file < 0 && errno == ENOENT && !create) return JOURNAL_NONE;
        if (journal->file < 0 || fstat(journal->file, &status) != 0) {
            fprintf(stderr,
                    "tally-compare: cannot write %s (%s); name another folder with --output\n",
                    journal->path, strerror(errno));
            close_file(journal);
            return JOURNAL_REFUSED;
        }
        if (!S_ISREG(status.st_mode))
            return refuse(journal,
                          "is no regular file; remove it, or name another folder with --output");
        if (flock(journal->file, LOCK_EX | LOCK_NB) != 0) {
            if (errno == EWOULDBLOCK)
                return refuse(
                    journal,
                    "belongs to a run that goes on at this moment; wait for its end, or name "
                    "another folder with --output");
            fprintf(
                stderr,
                "tally-compare: cannot lock %s (%s); see to it that no other run uses the folder\n",
                journal->path, strerror(errno));
        }
        if (names_file(journal)) return JOURNAL_GOOD;
        close_file(journal);
    }
}

enum journal_state journal_open(struct journal *journal, const char *folder, bool create) {
    *journal = (struct journal){.path = format("%s/journal.jsonl", folder),
                                .folder = checked_strdup(folder),
                                .entries = json_array(),
                                .file = -1};
    enum journal_state state = open_locked(journal, create);
    if (state != JOURNAL_GOOD) return state;
    FILE *file = fdopen(dup(journal->file), "r"); // shares the lock
    if (file == NULL) return refuse(journal, "cannot be read");
    read_lines(journal, file);
    bool empty = ftell(file) == 0 && journal->header == NULL;
    fclose(file);
    if (empty) return JOURNAL_NONE;
    char *fault = header_fault(journal->header);
    if (fault) state = refuse(journal, fault);
    free(fault);
    return state;
}

static void fail(struct journal *journal, const char *why) {
    if (!journal->failed)
        fprintf(stderr, "%stally-compare: %s\n", isatty(STDERR_FILENO) ? "\r\033[K" : "", why);
    journal->failed = true;
}

static void fail_write(struct journal *journal) {
    char *why = format("cannot write %s (%s); the run stops here. What was measured is in it: once "
                       "it can be written "
                       "again, go on with %s compare --resume %s",
                       journal->path, strerror(errno), script_name(), journal->folder);
    fail(journal, why);
    free(why);
}

static bool write_all(int file, const char *data, size_t length) {
    while (length > 0) {
        ssize_t wrote = write(file, data, length);
        if (wrote < 0 && errno == EINTR) continue;
        if (wrote <= 0) return false;
        data += wrote;
        length -= (size_t)wrote;
    }
    return true;
}

// What was written until now, in a folder that is made again.
static bool write_again(struct journal *journal) {
    char buffer[16384];
    off_t at = 0;
    ssize_t got;
    bool created;
    int file = folder_prepare(journal->folder, &created)
                   ? open(journal->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666)
                   : -1;
    if (file < 0) return false;
    while ((got = pread(journal->file, buffer, sizeof buffer, at)) > 0 &&
           write_all(file, buffer, (size_t)got))
        at += got;
    bool good = got == 0 && fsync(file) == 0;
    close(file);
    return good;
}

bool journal_is_there(struct journal *journal) {
    struct stat status;
    char path[4096], *link, *why;
    if (journal->failed || names_file(journal)) return !journal->failed;
    link = format("/proc/self/fd/%d", journal->file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    path[length > 0 ? length : 0] = '\0';
    char *name = strrchr(path, '/');
    if (fstat(journal->file, &status) == 0 && status.st_nlink > 0 && name) {
        *name = '\0';
        why = format(
            "%s is not there any more; the run stops here. Go on with %s compare --resume %s",
            journal->path, script_name(), path);
    } else if (write_again(journal)) {
        why = format("%s was removed, and is written again; the run stops here. Go on with %s "
                     "compare --resume %s",
                     journal->path, script_name(), journal->folder);
    } else {
        why = format("%s was removed, and cannot be written again (%s); the run stops here. What "
                     "was measured is lost",
                     journal->path, strerror(errno));
    }
    fail(journal, why);
    free(why);
    free(link);
    return false;
}

static bool sync_file(struct journal *journal) {
    // EINVAL: what cannot be flushed, need not be.
    if (fdatasync(journal->file) != 0 && errno != EINVAL && errno != EROFS) return false;
    journal->synced = clock_seconds();
    return true;
}

static bool add(struct journal *journal, json_t *entry, bool now) {
    char *line = json_dumps(entry, JSON_COMPACT);
    struct text text = {0};
    json_decref(entry);
    if (line) text_add_bytes(&text, line, strlen(line));
    free(line);
    text_add(&text, "\n");
    if (journal_is_there(journal)) {
        if (!write_all(journal->file, text.data, text.length) ||
            ((now || clock_seconds() - journal->synced > SYNC_SECONDS) && !sync_file(journal)))
            fail_write(journal);
    }
    text_free(&text);
    return !journal->failed;
}

bool journal_begin(struct journal *journal, json_t *header) {
    journal->header = header;
    if (add(journal, json_incref(header), true)) return true;
    unlink(journal->path);
    return false;
}

bool journal_continue(struct journal *journal, json_t *entry) {
    if (ftruncate(journal->file, journal->length) == 0) return add(journal, entry, true);
    json_decref(entry);
    fail_write(journal);
    return false;
}

bool journal_add(struct journal *journal, json_t *entry) { return add(journal, entry, false); }

void journal_end(struct journal *journal, bool remove) {
    // While the lock is held, so that it is this run's file.
    if (journal->file >= 0 && names_file(journal) && (remove || journal->header == NULL))
        unlink(journal->path);
    else if (journal->file >= 0 && !journal->failed && !sync_file(journal))
        fail_write(journal);
    close_file(journal);
    free(journal->path);
    free(journal->folder);
    json_decref(journal->header);
    json_decref(journal->entries);
    *journal = (struct journal){.file = -1};
}

// FNV-1a.
char *file_fingerprint(const char *path) {
    uint64_t hash = 0xcbf29ce484222325u;
    unsigned char buffer[65536];
    size_t got;
    FILE *file = regular_open(path);
    if (file == NULL) return checked_strdup("");
    while ((got = fread(buffer, 1, sizeof buffer, file)) > 0)
        for (size_t i = 0; i < got; i++) hash = (hash ^ buffer[i]) * 0x100000001b3u;
    fclose(file);
    return format("%016llx", (unsigned long long)hash);
}
