/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * switching.c: names of the policies.
 */
#include "switching.h"

#include <string.h>

bool switching_set(tally_options *options, const char *name) {
    if (strcmp(name, "ticks") == 0) {
        if (options->switch_ticks == 0) options->switch_ticks = SWITCHING_TICKS;
        return true;
    }
    if (strcmp(name, "cpython") != 0 && strcmp(name, "deadline") != 0) return false;
    options->switch_policy = *name == 'd' ? TALLY_SWITCH_DEADLINE : TALLY_SWITCH_CPYTHON;
    return true;
}

const char *switching_name(const tally_options *options) {
    if (options->switch_ticks != 0) return "ticks";
    return options->switch_policy == TALLY_SWITCH_DEADLINE ? "deadline" : "cpython";
}

bool switching_applies(void) { return strncmp(tally_backend(), "gil", 3) == 0; }

double switching_turn_seconds(const tally_options *options) {
    unsigned interval = options->switch_interval_us;
    if (!switching_applies() || options->switch_ticks != 0) return 0;
    return 1e-6 * (interval != 0 ? interval : SWITCHING_INTERVAL_US);
}
