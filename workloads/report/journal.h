// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The journal of a run that has not ended: a file in the report's folder with a
// line of JSON for what the run is, and one for each block as it finishes.  After
// Ctrl-C, a kill or a loss of power the run goes on from it.  Every line is
// written at once, and flushed to the disk every two seconds; a last line that was
// cut is left out.
#ifndef TALLY_REPORT_JOURNAL_H
#define TALLY_REPORT_JOURNAL_H

#include <jansson.h>
#include <stdbool.h>

struct journal {
    json_t *header;  // owned
    json_t *entries; // owned; what was in it when it was opened
    char *path;      // owned
    int file;        // -1: cannot be written, which was said
    long length;     // of what is good in it
    double synced;
};

enum journal_state { JOURNAL_NONE, JOURNAL_GOOD, JOURNAL_FOREIGN };

// Reads the journal of a folder.  FOREIGN after one line on stderr.
enum journal_state journal_read(struct journal *journal, const char *folder);

// Begins an empty one; takes the header over.
void journal_begin(struct journal *journal, const char *folder, json_t *header);
// Goes on behind what was read.
void journal_continue(struct journal *journal);
// Takes the entry over.
void journal_add(struct journal *journal, json_t *entry);
// Closes it, and removes the file where the run has come to its end.
void journal_end(struct journal *journal, bool remove);

// A number that changes with the content of a file; "" where it cannot be read.
char *file_fingerprint(const char *path);

#endif
