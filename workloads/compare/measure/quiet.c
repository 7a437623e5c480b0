// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Waits until nothing else runs on the machine.
#include "machine.h"
#include "process.h"
#include "run.h"

#include <stdio.h>
#include <unistd.h>

// Quiet is so small a part of the processors' time in use, for so many seconds in a row.
static const double QUIET_SHARE = 0.05;
enum { QUIET_SECONDS = 5, LINE_SECONDS = 10 };

static double busy_share(const struct ticks *before, const struct ticks *now) {
    double passed = now->total - before->total;
    return passed > 0 ? 1 - (now->idle - before->idle) / passed : 0;
}

bool run_wait_for_quiet(double minutes) {
    bool terminal = isatty(STDERR_FILENO);
    int cores = machine_cores(), last = (int)(minutes * 60), quiet = 0;
    struct ticks before, now;
    double busy = 0;
    if (!machine_ticks("", &before)) return !process_stop_asked();
    for (int second = 1; second <= last && quiet < QUIET_SECONDS; second++) {
        if (process_pause(1)) return false;
        machine_ticks("", &now);
        busy = busy_share(&before, &now);
        quiet = busy < QUIET_SHARE ? quiet + 1 : 0;
        before = now;
        if (terminal || second % LINE_SECONDS == 0)
            fprintf(stderr,
                    "%swaits for a quiet machine: %.1f of %d processors busy, %d:%02d of %d:%02d%s",
                    terminal ? "\r\033[K" : "", busy * cores, cores, second / 60, second % 60,
                    last / 60, last % 60, terminal ? "" : "\n");
        fflush(stderr);
    }
    if (terminal) fputs("\r\033[K", stderr);
    if (quiet < QUIET_SECONDS)
        fprintf(stderr, "the machine is not quiet after %d:%02d: %.1f of %d processors busy\n",
                last / 60, last % 60, busy * cores, cores);
    return true;
}
