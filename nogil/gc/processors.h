/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* processors.h: how many processors the process may use; processors.c. */
#ifndef TALLY_PROCESSORS_H
#define TALLY_PROCESSORS_H

/* At least 1: those that any of its threads may use. Looked up anew when the last look is a second
 * old; takes no lock of the run time, but reads files: not while the world is stopped. */
unsigned tally_processors(void);

/*
 * The quota of the process's control group and of those above it, in processors, rounded up; 0:
 * there is none. membership: the file /proc/self/cgroup; hierarchy: the folder /sys/fs/cgroup.
 */
unsigned tally_quota(const char *membership, const char *hierarchy);

#endif
