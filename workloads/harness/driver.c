/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * driver.c: the program tally-<backend>: measures one workload and prints a table, or one JSON
 * object. Its exit status:
 *   0    done
 *   1    a workload found its result wrong, or the system refused something; or the
 *        output was lost
 *   2    wrong input; nothing was printed on stdout
 *   124  a step did not end: the threads' stacks are on stderr
 *   130  ended early by SIGINT or SIGTERM; what was printed is marked incomplete
 */
#include <stdlib.h>

#include "fail.h"
#include "layout.h"
#include "measure.h"
#include "options.h"
#include "output.h"
#include "processes.h"
#include "run.h"
#include "stop.h"
#include "summary.h"
#include "watch.h"

enum { ENDED_EARLY = 130 };

static json_t *run_threads(const options *options, bool *incomplete) {
    run run;
    watch_start(options->time_limit);
    measure(options, &run);
    json_t *result = run_to_json(&run, options);
    *incomplete = run.incomplete;
    run_free(&run);
    return result;
}

int main(int argc, char **argv) {
    options options;
    bool incomplete;
    layout_shift();
    output_watch("tally-" TALLY_DRIVER_BACKEND);
    options_parse(&options, argc, argv);
    processes_follow_parent(&options);
    if (options.list) {
        run_print_workloads(options.json);
        options_free(&options);
        return EXIT_SUCCESS;
    }
    fail_name(options.workload->name);
    stop_block();
    json_t *result = options.processes ? processes_run(&options, argc, argv, &incomplete)
                                       : run_threads(&options, &incomplete);
    layout_to_json(result);
    if (options.json || options.parent >= 0)
        run_print(result);
    else
        summary_print(result);
    json_decref(result);
    options_free(&options);
    return incomplete ? ENDED_EARLY : EXIT_SUCCESS;
}
