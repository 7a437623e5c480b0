/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * text.c: reads the files of a text into memory and repeats them.
 */
#include "text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "options.h"

#define LICENCES "/usr/share/common-licenses"

FILE *text_open(const char *name) {
    struct stat status;
    /* O_NONBLOCK: a pipe is opened at once, and refused; without it, the open waits for a writer.
     */
    int file = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

    if (file < 0 || fstat(file, &status) != 0)
        options_fail("cannot read the text file '%s': %s; --text takes files that can be read",
                     name, strerror(errno));
    if (!S_ISREG(status.st_mode))
        options_fail("the text '%s' is not a regular file; --text takes files", name);
    FILE *stream = fdopen(file, "r");
    if (stream == NULL) options_fail("no memory for the text file '%s'", name);
    return stream;
}

static void read_file(struct text *text, const char *name) {
    FILE *file = text_open(name);
    struct stat status;
    if (fstat(fileno(file), &status) != 0)
        options_fail("cannot read the text file '%s': %s", name, strerror(errno));
    size_t size = (size_t)status.st_size;
    /* One more for a line feed: a word must not go on in the next file. */
    char *data = realloc(text->data, text->original + size + 1);
    if (data == NULL) options_fail("no memory for the text '%s' of %zu bytes", name, size);
    text->data = data;
    size = fread(data + text->original, 1, size, file);
    if (ferror(file))
        options_fail("cannot read the text file '%s': %s; --text takes files that can be read",
                     name, strerror(errno));
    fclose(file);
    text->original += size;
    text->data[text->original++] = '\n';
}

/* Links are left out: they would only name one of the others again. */
static int is_regular(const struct dirent *entry) {
    char name[sizeof LICENCES + sizeof entry->d_name + 1];
    struct stat status;
    snprintf(name, sizeof name, LICENCES "/%s", entry->d_name);
    return lstat(name, &status) == 0 && S_ISREG(status.st_mode);
}

static void read_licences(struct text *text) {
    struct dirent **entries;
    int count = scandir(LICENCES, &entries, is_regular, alphasort);
    if (count <= 0) options_fail("no text in " LICENCES "; name files with --text FILE");
    for (int i = 0; i < count; i++) {
        char name[sizeof LICENCES + sizeof entries[i]->d_name + 1];
        snprintf(name, sizeof name, LICENCES "/%s", entries[i]->d_name);
        read_file(text, name);
        free(entries[i]);
    }
    free(entries);
}

void text_load(struct text *text, const char *const *files, size_t count, size_t bytes) {
    *text = (struct text){.data = NULL};
    if (count == 0) read_licences(text);
    for (size_t i = 0; i < count; i++) read_file(text, files[i]);

    text->copies = bytes > text->original ? bytes / text->original : 1;
    char *data = realloc(text->data, text->copies * text->original);
    if (data == NULL)
        options_fail("no memory for %zu bytes of text; ask for less with --text-bytes",
                     text->copies * text->original);
    text->data = data;
    for (size_t copy = 1; copy < text->copies; copy++)
        memcpy(data + copy * text->original, data, text->original);
}

void text_free(struct text *text) {
    free(text->data);
    *text = (struct text){.data = NULL};
}
