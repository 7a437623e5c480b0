/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* collections.h: the server's collections, for its statistics. */
#ifndef TASK_SERVER_COLLECTIONS_H
#define TASK_SERVER_COLLECTIONS_H

#include <jansson.h>
#include <stdbool.h>

/* Notes collections from now on, with the times and counts of each one if `timeline` says so. */
void collections_begin(bool timeline);
void collections_stop(void);
/* What was noted, which is freed. NULL: no memory. */
json_t *collections_end(void);

#endif
