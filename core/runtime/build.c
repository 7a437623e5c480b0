/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * build.c: the variable whose name tells what this library was compiled for;
 * tally_object.h says who refers to it.
 */
#include "tally.h"

const char TALLY_BUILT_FOR = 0;
