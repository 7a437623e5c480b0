/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * causes.h: the causes that can be taken from a workload, and why one cannot.
 */
#ifndef TALLY_HARNESS_CAUSES_H
#define TALLY_HARNESS_CAUSES_H

#include <jansson.h>

#include "../workload.h"

/* Static text. */
const char *cause_name(enum cause cause);
/* Why it cannot be taken from the workload on this backend; NULL: it can. Static text. */
const char *cause_kept(const tally_workload *workload, enum cause cause);
/* The cause of that name; -1: there is none. */
int cause_find(const char *name);
/* {name: reason, or null where it can be taken} */
json_t *causes_to_json(const tally_workload *workload);

#endif
