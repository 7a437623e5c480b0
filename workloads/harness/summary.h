/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * summary.h: a run for people, a short table; --json prints all of it.
 */
#ifndef TALLY_HARNESS_SUMMARY_H
#define TALLY_HARNESS_SUMMARY_H

#include <jansson.h>

/* Prints the run that run_to_json made; ends the driver if that fails. */
void summary_print(const json_t *run);

#endif
