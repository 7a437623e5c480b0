// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Facts about the machine and the build that a reader needs to judge the numbers.
#ifndef TALLY_COMPARE_MACHINE_H
#define TALLY_COMPARE_MACHINE_H

#include <jansson.h>

int machine_cores(void); // those this process may use
json_t *machine_facts(void);
json_t *build_facts(void);

// Share of CPU time that the hypervisor has taken, as ticks since boot.
void machine_steal(double *stolen, double *total);

#endif
