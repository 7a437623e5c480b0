// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What a cell of a table is beside its text: for those who build and render
// documents, not for those who write them.
#ifndef TALLY_REPORT_NOTES_H
#define TALLY_REPORT_NOTES_H

#include "document.h"

struct cell_note {
    enum verdict verdict;
    double low, estimate, high; // an interval to draw; estimate 0: none
    size_t backend;
    char *link;    // a heading's text, or NULL
    size_t colour; // of the name that the cell is, plus 1; 0: none
};

// What a heading is linked by: its letters, digits and dashes.  The caller frees it.
char *heading_slug(const char *heading);

#endif
