/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ledger.h: --ledger-ms MS, readings of the ledger before the first operation, each MS milliseconds
 * of the warm-up and the samples, and after the last sample. The main thread reads, between two
 * sleeps, and the workers are stopped meanwhile: samples of such a run are longer, and slower.
 */
#ifndef TALLY_HARNESS_LEDGER_H
#define TALLY_HARNESS_LEDGER_H

#include <jansson.h>

#include "options.h"

/* Ends the driver if the option goes with no other. */
void ledger_check(const options *options);

/* In a blocked region, all of them, which they leave meanwhile. begin: the first reading, if
 * readings are wanted. */
void ledger_begin(const options *options);
/* Milliseconds, at most `most`, until ledger_poll is to be called. */
unsigned ledger_wait(unsigned most);
/* Reads if it is due. */
void ledger_poll(void);
void ledger_end(void);

/* The readings, oldest first; NULL: none were wanted. The caller owns the list. */
json_t *ledger_to_json(void);

#endif
