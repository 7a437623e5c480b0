/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* stacks.h: the calling stack, and the names of addresses in it. */
#ifndef TALLY_DEBUG_STACKS_H
#define TALLY_DEBUG_STACKS_H

#include <stdbool.h>
#include <stdint.h>

/* The return addresses of the calling stack, the innermost first; how many. */
unsigned tally_stack_walk(const void **frames, unsigned most);

typedef struct tally_place {
    char name[128];   /* of the function; "": not known */
    const char *path; /* of the file that it was loaded from; lives as long as that is loaded */
    uintptr_t base;   /* the address where the file is loaded */
} tally_place;
/* The call that a return address comes from. False: it is in no file. */
bool tally_stack_place(const void *address, tally_place *place);

#endif
