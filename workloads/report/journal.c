// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The journal of a run; see journal.h.
#include "journal.h"

#include "process.h"
#include "results.h"
#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const double SYNC_SECONDS = 2;

static char *journal_path(const char *folder)
{
    return format("%s/journal.jsonl", folder);
}

// One line after the other, up to the first that is cut or wrong.
static void read_lines(struct journal *journal, FILE *file)
{
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

enum journal_state journal_read(struct journal *journal, const char *folder)
{
    *journal = (struct journal){.path = journal_path(folder), .entries = json_array(), .file = -1};
    FILE *file = fopen(journal->path, "re");
    if (file == NULL)
        return JOURNAL_NONE;
    read_lines(journal, file);
    fclose(file);
    if (strcmp(object_string(journal->header, "format", ""), "tally-journal") != 0)
        fprintf(stderr, "tally-compare: %s is no journal of a run; remove it, or name another folder with --output\n",
                journal->path);
    else if (object_number(journal->header, "version", 0) != RESULTS_VERSION)
        fprintf(stderr, "tally-compare: %s has format version %g, this program goes on with version %d; remove it, or "
                "name another folder with --output\n",
                journal->path, object_number(journal->header, "version", 0), RESULTS_VERSION);
    else
        return JOURNAL_GOOD;
    return JOURNAL_FOREIGN;
}

static void complain(struct journal *journal)
{
    fprintf(stderr, "tally-compare: cannot write %s (%s); the run goes on, but cannot be resumed if it is ended\n",
            journal->path, strerror(errno));
    if (journal->file >= 0)
        close(journal->file);
    journal->file = -1;
}

static void open_file(struct journal *journal, int flags)
{
    journal->file = open(journal->path, O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC | flags, 0666);
    if (journal->file < 0 || ftruncate(journal->file, journal->length) != 0)
        complain(journal);
    journal->synced = clock_seconds();
}

void journal_begin(struct journal *journal, const char *folder, json_t *header)
{
    journal_end(journal, false);
    *journal = (struct journal){.header = header, .entries = json_array(), .path = journal_path(folder), .file = -1};
    open_file(journal, O_TRUNC);
    journal_add(journal, json_incref(header));
}

void journal_continue(struct journal *journal)
{
    open_file(journal, 0);
}

void journal_add(struct journal *journal, json_t *entry)
{
    char *line = json_dumps(entry, JSON_COMPACT);
    struct text text = {0};
    json_decref(entry);
    if (line)
        text_add_bytes(&text, line, strlen(line));
    free(line);
    text_add(&text, "\n");
    for (size_t written = 0; written < text.length && journal->file >= 0;) {
        ssize_t wrote = write(journal->file, text.data + written, text.length - written);
        if (wrote < 0 && errno != EINTR)
            complain(journal);
        written += wrote > 0 ? (size_t)wrote : 0;
    }
    text_free(&text);
    double now = clock_seconds();
    if (journal->file >= 0 && now - journal->synced > SYNC_SECONDS) {
        fdatasync(journal->file);
        journal->synced = clock_seconds();
    }
}

void journal_end(struct journal *journal, bool remove)
{
    if (journal->file >= 0) {
        fdatasync(journal->file);
        close(journal->file);
    }
    if (remove && journal->path)
        unlink(journal->path);
    free(journal->path);
    json_decref(journal->header);
    json_decref(journal->entries);
    *journal = (struct journal){.file = -1};
}

// FNV-1a.
char *file_fingerprint(const char *path)
{
    uint64_t hash = 0xcbf29ce484222325u;
    unsigned char buffer[65536];
    size_t got;
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return checked_strdup("");
    while ((got = fread(buffer, 1, sizeof buffer, file)) > 0)
        for (size_t i = 0; i < got; i++)
            hash = (hash ^ buffer[i]) * 0x100000001b3u;
    fclose(file);
    return format("%016llx", (unsigned long long)hash);
}
