/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* build.c: the variable whose name tells how this library was compiled (tally_object.h). */
#include "tally.h"

const char TALLY_BUILT_FOR = 0;
