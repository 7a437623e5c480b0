// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The command line of tally-compare.  One table of options says what each is called, takes
// and sets, within which bounds, and what it is to --resume.
#ifndef TALLY_COMPARE_CLI_H
#define TALLY_COMPARE_CLI_H

#include "run.h"

struct command {
    struct run_options run;
    const char *name, *output, *results;
    struct names files; // of diff, the newest last
    const char *resume; // the folder of a run to go on with
    const char *root;   // of a made-up machine, for tests
    double margin;      // a percentage; 0: not given
    double quiet;       // minutes; 0: not given
    bool seeded, check, json, dry_run, verbose;
    bool replaying;  // options are taken from a journal
    bool replayable; // an option was given that --resume takes from the journal
};

// Ends the program after an argument that is wrong, and after help.
void cli_parse(struct command *command, int argc, char **argv);
// Takes what a run keeps from the arguments in its journal, which must outlive the command.
void cli_replay(struct command *command, const json_t *arguments);

#endif
