// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Facts about the machine and the build that a reader needs to judge the numbers.
#ifndef TALLY_COMPARE_MACHINE_H
#define TALLY_COMPARE_MACHINE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

int machine_cores(void); // those this process may use
json_t *machine_facts(void);
json_t *build_facts(void);

// Below a root: "" for this machine, a folder for one that is made up.
// Ticks of all processors since the start: those that the hypervisor took, the idle ones, and all;
// false: not told.
struct ticks {
    double stolen, idle, total;
};
bool machine_ticks(const char *root, struct ticks *ticks);
// The load of the last minute; NAN: not told.  A build of what is to be measured is no other load:
// no more than TALLY_LOAD, which the script tally read before it.
double machine_load(const char *root);
enum turbo { TURBO_UNKNOWN, TURBO_OFF, TURBO_INTEL, TURBO_BOOST }; // on, by which file
enum turbo machine_turbo(const char *root);
// A file's first bytes, at most size - 1, and its first line; false: it is empty or not there.
bool machine_text(const char *root, const char *path, char *text, size_t size);
bool machine_line(const char *root, const char *path, char *line, size_t size);

#endif
