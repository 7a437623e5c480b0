// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What on a machine and of a build spoils numbers: each condition with its
// state, what was found, and what to do.  Looks only; changes nothing.
#ifndef TALLY_COMPARE_STABLE_H
#define TALLY_COMPARE_STABLE_H

#include <jansson.h>
#include <stddef.h>

enum state { STATE_GOOD, STATE_SPOILS, STATE_UNKNOWN, STATE_ABSENT };

struct condition {
    const char *name;
    enum state state;
    char *found;        // what there is, or why it is unknown
    const char *advice; // what to do; NULL: nothing
};

enum { MAX_CONDITIONS = 16 };

struct conditions {
    struct condition items[MAX_CONDITIONS];
    size_t count;
};

// `root` stands in front of /proc and /sys: "" for this machine, or the folder of
// a made-up one; the build and this process' own affinity and personality are
// looked at for "" alone.
struct conditions conditions_look(const char *root);
size_t conditions_spoiling(const struct conditions *conditions);
void conditions_free(struct conditions *conditions);
// Those that spoil numbers, in a line that the caller frees; NULL: none does.
char *conditions_line(const struct conditions *conditions);
// [{name, state, found, advice}, ...]
json_t *conditions_to_json(const struct conditions *conditions);
const char *state_name(enum state state);

// The command: prints them, and results in 0 if all are good, 1 if not.
int tune_check(const char *root);

#endif
