// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The journal of a run that has not ended: a file in the report's folder with a
// line of JSON for what the run is, and one for each run as it finishes.  After
// Ctrl-C, a kill or a loss of power the run goes on from it.  Every line is
// written at once, and flushed to the disk every two seconds; a last line that was
// cut is left out.
//
// Invariants:
//  - One process at a time has a folder's journal.  It holds a lock on the open file
//    from before it reads until it ends, and the kernel lets go of the lock with the
//    process, however that ends.  Nobody else reads or writes the journal meanwhile.
//  - A run measures only as long as its journal can be written.  It begins with the
//    first line on the disk, and stops at the first write that fails, or when the
//    folder no longer has the file; a file that was removed is written once more then.
//  - A journal may be somebody else's.  What it holds is data: main.c has the list of
//    options that are taken from it, and none of them names a program or a file that
//    is written.
#ifndef TALLY_COMPARE_JOURNAL_H
#define TALLY_COMPARE_JOURNAL_H

#include <jansson.h>
#include <stdbool.h>

struct journal {
    json_t *header;  // owned; NULL: no run has begun in it
    json_t *entries; // owned; what was in it when it was opened
    char *path;      // owned
    char *folder;    // owned
    int file;        // locked; -1: none
    long length;     // of what is good in it
    double synced;
    bool failed; // cannot be written, which was said
};

// NONE: there is no run in the folder.  REFUSED: after one line on stderr, it is
// no journal, another run has it, or it cannot be opened.
enum journal_state { JOURNAL_NONE, JOURNAL_GOOD, JOURNAL_REFUSED };

// Locks and reads the journal of a folder.  With `create` the journal is made where
// there is none, so that NONE comes with a locked empty file.
enum journal_state journal_open(struct journal *journal, const char *folder, bool create);

// Begins the journal that is open and empty; takes the header over.  False after a
// line on stderr: it cannot be written, and is removed.
bool journal_begin(struct journal *journal, json_t *header);
// Goes on behind what was read; the same.
bool journal_continue(struct journal *journal, json_t *entry);
// Takes the entry over.  False once the journal cannot be written: the run is to stop.
bool journal_add(struct journal *journal, json_t *entry);
// Whether the folder still has the file.  False as journal_add.
bool journal_is_there(struct journal *journal);
// Closes it, and removes the file where the run has come to its end, or has never begun.
void journal_end(struct journal *journal, bool remove);

// A number that changes with the content of a file; "" where it cannot be read.
char *file_fingerprint(const char *path);

#endif
