/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* profile.c: a heap profile of a run; profile.h. */
#include "profile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fail.h"

bool profile_parse(options *options, const char *text) {
    size_t digits = strspn(text, "0123456789");
    options->profile_bytes = 0;
    if (digits > 0 && text[digits] == ':') {
        options->profile_bytes = strtol(text, NULL, 10);
        text += digits + 1;
        if (digits > 12 || options->profile_bytes == 0) return false;
    }
    options->profile = text;
    return *text != '\0';
}

void profile_check(const options *options) {
    if (options->processes)
        options_fail("--heap-profile shows the heap of one process; it does not go with "
                     "--processes");
    options_check_output("--heap-profile takes [BYTES:]FILE", options->profile);
}

void profile_begin(const options *options) {
    if (options->profile != NULL && tally_heap_profile_start(options->profile_bytes) != 0)
        workload_fail("%s", tally_error_message());
}

void profile_end(const options *options) {
    if (options->profile == NULL) return;
    tally_blocking_end();
    if (tally_heap_profile_write(options->profile) != 0) workload_fail("%s", tally_error_message());
    tally_heap_profile_stop();
    tally_blocking_begin();
    fprintf(stderr, "tally-%s: wrote %s; \"tally heap\" and pprof show it\n", tally_backend(),
            options->profile);
}
