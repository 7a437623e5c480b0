/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * memory.h: JSON is read or it is not, whatever memory there is. The parser does not
 * notice when its text of a token cannot grow: it reads on past the text's end, and takes
 * valid JSON for invalid. So it never sees an allocation that fails: the first one ends
 * the parse by a jump, and all that the parse has allocated is freed.
 */
#ifndef TASK_SERVER_MEMORY_H
#define TASK_SERVER_MEMORY_H

#include <jansson.h>
#include <stdbool.h>

/* Before the first use of JSON. */
void memory_watch_json(void);
/* As json_loadb. NULL with *no_memory: there was none; without: error has what is wrong. */
json_t *memory_load_json(const char *text, size_t length, json_error_t *error, bool *no_memory);

#endif
