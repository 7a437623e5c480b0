// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Runs one driver process by fork and exec and collects what it prints.  The
// child has its own process group: Ctrl-C reaches this program alone, which
// passes it on once and gives the child a moment to print what it has.
#ifndef TALLY_COMPARE_PROCESS_H
#define TALLY_COMPARE_PROCESS_H

#include "text.h"

#include <jansson.h>
#include <stdbool.h>

struct process_result {
    struct text output, errors;
    int status;     // exit status; 128 + signal where a signal ended it
    bool timed_out; // ended by us since it gave no answer in time
};

// From here on SIGINT, SIGTERM and SIGHUP only ask to stop.
void process_catch_signals(void);
bool process_stop_asked(void);
bool process_pause(double seconds); // shorter where it is asked to stop; whether it is

// argv[0] is the program's path.  `environment` ends with NULL and holds
// NAME=value to set beside what this program has; NULL: nothing.  The child has
// its addresses randomised, even where this program's are not.  The caller frees
// both texts.
struct process_result process_run(char *const argv[], char *const environment[],
                                  double timeout_seconds);

// What a program prints as JSON within a moment; NULL: it fails or prints none.  *errors, which
// the caller frees, is what it says of that; *status its exit status.
json_t *process_ask(char *const argv[], int *status, char **errors);

double clock_seconds(void);

#endif
