/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* trace.c: the file of a timeline; trace.h. */
#include "trace.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fail.h"

/* Opens the file and locks it; false: another run has it. The lock is the open file's, so it goes
 * with the process, also with one that is killed. */
static bool lock_file(const char *name) {
    for (;;) {
        struct stat opened, named;
        int file = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0666);
        if (file < 0 || fstat(file, &opened) != 0)
            options_fail("cannot write '%s': %s; --trace takes the name of a file to be written",
                         name, strerror(errno));
        if (!S_ISREG(opened.st_mode))
            options_fail("cannot write '%s': it is no regular file; --trace takes the name of a "
                         "file to be written",
                         name);
        if (flock(file, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) return false;
        /* The run that held the lock may have renamed its file meanwhile. */
        if (stat(name, &named) == 0 && named.st_dev == opened.st_dev &&
            named.st_ino == opened.st_ino)
            return true;
        close(file);
    }
}

/* Found out before anything is measured. The name is that of the file which is renamed in the end;
 * until then it is locked, so that two runs do not write one timeline. */
void trace_check(const options *options) {
    char *name = workload_allocate(strlen(options->trace) + sizeof ".tmp");
    struct stat status;
    if (options->processes)
        options_fail("--trace shows the threads of one process; it does not go with --processes");
    if (stat(options->trace, &status) == 0 && !S_ISREG(status.st_mode))
        options_fail("--trace '%s' is no regular file", options->trace);
    sprintf(name, "%s.tmp", options->trace);
    if (!lock_file(name))
        options_fail("another run writes '%s'; wait for its end, or name another file with --trace",
                     options->trace);
    fail_remove(name); /* kept for that */
}

void trace_begin(const options *options) {
    if (options->trace != NULL && tally_trace_start(0) != 0)
        workload_fail("cannot record a timeline: %s", tally_error_message());
}

void trace_end(const options *options) {
    if (options->trace == NULL) return;
    int written = tally_trace_write(options->trace);
    fail_remove(NULL); /* it has its name, or is gone */
    if (written != 0) workload_fail("%s", tally_error_message());
    if (tally_trace_dropped() > 0)
        fprintf(stderr,
                "tally-%s: %s: %td events are not in %s: a thread keeps its last 65536; measure "
                "for less time\n",
                tally_backend(), options->workload->name, tally_trace_dropped(), options->trace);
}
