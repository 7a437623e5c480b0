// SPDX-License-Identifier: LGPL-2.1-or-later
//
// tally-draw: pictures of what was measured or recorded.
#ifndef TALLY_DRAW_H
#define TALLY_DRAW_H

#include <jansson.h>
#include <stdbool.h>

json_t *draw_load(const char *path, const char *what);

// The picture of a timeline, as a file; the caller frees it.
char *draw_trace(const char *path);
// Writes the page of a run of tally server beside its samples. False after one line on stderr.
bool draw_server(const char *folder);

#endif
