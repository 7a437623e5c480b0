// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Looks at what spoils numbers; see conditions.h.  Everything is read from files
// below /proc and /sys.
#ifndef _GNU_SOURCE
#    define _GNU_SOURCE
#endif
#include "conditions.h"

#include "machine.h"
#include "results.h"
#include "text.h"

#include <glob.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>

static const double BUSY_LOAD = 0.5, STOLEN_SHARE = 0.005, FREE_SHARE = 0.1;
enum { FEW_CORES = 4, SWAPPED_MIB = 16 };

const char *state_name(enum state state) {
    static const char *const names[] = {"good", "spoils", "unknown"};
    return names[state];
}

// How many processors a list such as 0-3,8 names.
static int count_list(const char *list) {
    int count = 0;
    while (*list >= '0' && *list <= '9') {
        char *end;
        long first = strtol(list, &end, 10), last = first;
        if (*end == '-') last = strtol(end + 1, &end, 10);
        count += (int)(last - first + 1);
        list = *end == ',' ? end + 1 : end;
    }
    return count;
}

// 0: not told.
static int cores_of(const char *root) {
    char line[256];
    if (*root == '\0') return machine_cores();
    return machine_line(root, "/sys/devices/system/cpu/online", line, sizeof line)
               ? count_list(line)
               : 0;
}

// The first lines of a file of each processor; *count of them.  The caller frees all.
static char **lines_of_processors(const char *root, const char *file, size_t *count) {
    char *pattern = format("%s/sys/devices/system/cpu/cpu[0-9]*/%s", root, file), line[256];
    glob_t found = {0};
    if (glob(pattern, 0, NULL, &found) != 0) found.gl_pathc = 0;
    char **lines = checked_calloc(found.gl_pathc, sizeof *lines);
    *count = 0;
    for (size_t i = 0; i < found.gl_pathc; i++)
        if (machine_line("", found.gl_pathv[i], line, sizeof line))
            lines[(*count)++] = checked_strdup(line);
    globfree(&found);
    free(pattern);
    return lines;
}

static void free_lines(char **lines, size_t count) {
    for (size_t i = 0; i < count; i++) free(lines[i]);
    free(lines);
}

// What a look finds; its name, the text for what is not told, and the advice are in the table
// below, but for advice of its own.
struct look {
    enum state state;
    char *found; // NULL: not told
    const char *advice;
};

static struct look look_of(bool spoils, char *found) {
    return (struct look){spoils ? STATE_SPOILS : STATE_GOOD, found, NULL};
}

static const struct look NOT_TOLD = {STATE_UNKNOWN, NULL, NULL};

static struct look look_governor(const char *root) {
    size_t count, others = 0, last = 0;
    char **lines = lines_of_processors(root, "cpufreq/scaling_governor", &count);
    for (size_t i = 0; i < count; i++)
        if (strcmp(lines[i], "performance") != 0) {
            others++;
            last = i;
        }
    struct look look =
        count == 0    ? NOT_TOLD
        : others == 0 ? look_of(false, format("performance on all %zu processors", count))
                      : look_of(true, format("%s on %zu of %zu processors: clocks change during a "
                                             "run",
                                             lines[last], others, count));
    free_lines(lines, count);
    return look;
}

static struct look look_turbo(const char *root) {
    enum turbo turbo = machine_turbo(root);
    if (turbo == TURBO_UNKNOWN) return NOT_TOLD;
    if (turbo == TURBO_OFF) return look_of(false, format("off"));
    struct look look = look_of(
        true, format("on: one busy core runs faster than several do, which lowers speedups"));
    look.advice = turbo == TURBO_INTEL
                      ? "echo 1 | sudo tee /sys/devices/system/cpu/intel_pstate/no_turbo"
                      : "echo 0 | sudo tee /sys/devices/system/cpu/cpufreq/boost";
    return look;
}

static struct look look_siblings(const char *root) {
    size_t count;
    int most = 0;
    char **lines = lines_of_processors(root, "topology/thread_siblings_list", &count);
    for (size_t i = 0; i < count; i++)
        most = count_list(lines[i]) > most ? count_list(lines[i]) : most;
    free_lines(lines, count);
    if (most == 0) return NOT_TOLD;
    return most == 1
               ? look_of(false, format("one a core"))
               : look_of(true, format("%d share a core: the second adds less than a core", most));
}

static struct look look_cores(const char *root) {
    int cores = cores_of(root);
    if (cores == 0) return NOT_TOLD;
    bool few = cores < FEW_CORES;
    return look_of(few,
                   format("%d%s", cores,
                          few ? ": curves are short, and say little about larger machines" : ""));
}

static struct look look_load(const char *root) {
    char line[128];
    double load = machine_load(root);
    int running;
    if (!machine_line(root, "/proc/loadavg", line, sizeof line) ||
        sscanf(line, "%*f %*f %*f %d/", &running) != 1 || isnan(load))
        return NOT_TOLD;
    running = running > 0 ? running - 1 : 0; // who reads it
    return look_of(load > BUSY_LOAD || running > 0,
                   format("load %.2f in the minute before, %d other task%s running", load, running,
                          running == 1 ? "" : "s"));
}

static struct look look_steal(const char *root) {
    struct ticks ticks;
    if (!machine_ticks(root, &ticks) || ticks.total <= 0) return NOT_TOLD;
    double share = ticks.stolen / ticks.total;
    return look_of(share > STOLEN_SHARE,
                   format("the hypervisor took %.2f %% of the time since the start", 100 * share));
}

// A line of /proc/meminfo in MiB; -1: there is none.
static double meminfo(const char *root, const char *key) {
    char text[8192];
    const char *at =
        machine_text(root, "/proc/meminfo", text, sizeof text) ? strstr(text, key) : NULL;
    return at && (at == text || at[-1] == '\n') ? atof(at + strlen(key)) / 1024 : -1;
}

static struct look look_swap(const char *root) {
    double all = meminfo(root, "SwapTotal:"), swapped = all - meminfo(root, "SwapFree:");
    if (all < 0) return NOT_TOLD;
    return look_of(swapped > SWAPPED_MIB, format("%.0f MiB", swapped));
}

static struct look look_memory(const char *root) {
    double all = meminfo(root, "MemTotal:"), left = meminfo(root, "MemAvailable:");
    if (!(all > 0) || left < 0) return NOT_TOLD;
    return look_of(left < FREE_SHARE * all, format("%.0f MiB of %.0f", left, all));
}

static struct look look_virtual(const char *root) {
    char *text = checked_calloc(1, 1 << 16), line[128];
    bool known = machine_text(root, "/proc/cpuinfo", text, 1 << 16);
    const char *flags = known ? strstr(text, "\nflags") : NULL;
    char *end = flags ? strchr(flags + 1, '\n') : NULL;
    if (end) *end = '\0';
    bool virtual = flags && strstr(flags, " hypervisor"), told = flags;
    bool named = machine_line(root, "/sys/hypervisor/type", line, sizeof line) ||
                 machine_line(root, "/sys/class/dmi/id/product_name", line, sizeof line);
    free(text);
    if (!told) return NOT_TOLD;
    if (!virtual) return look_of(false, format("no"));
    return look_of(true, format("yes%s%s: what else the host does is not seen from here",
                                named ? ", " : "", named ? line : ""));
}

// The processors that the quota in this folder of cgroup version 2 allows; 0: no limit.
static double quota_of_version_2(const char *root, const char *folder) {
    char line[64], *path = format("/sys/fs/cgroup%s/cpu.max", folder);
    double quota, period;
    bool limited = machine_line(root, path, line, sizeof line) &&
                   sscanf(line, "%lf %lf", &quota, &period) == 2;
    free(path);
    return limited && period > 0 ? quota / period : 0;
}

static double quota_of_version_1(const char *root, const char *folder) {
    char quota[64], period[64];
    char *quota_path = format("/sys/fs/cgroup/cpu%s/cpu.cfs_quota_us", folder);
    char *period_path = format("/sys/fs/cgroup/cpu%s/cpu.cfs_period_us", folder);
    bool known = machine_line(root, quota_path, quota, sizeof quota) &&
                 machine_line(root, period_path, period, sizeof period);
    free(quota_path);
    free(period_path);
    return known && atof(quota) > 0 && atof(period) > 0 ? atof(quota) / atof(period) : 0;
}

// The least quota from the folder up to the root.
static double least_quota(const char *root, char *folder,
                          double (*quota_of)(const char *, const char *)) {
    double least = 0;
    for (;;) {
        double quota = quota_of(root, folder);
        if (quota > 0 && (least == 0 || quota < least)) least = quota;
        char *slash = strrchr(folder, '/');
        if (slash == NULL) return least;
        *slash = '\0';
    }
}

static struct look look_limits(const char *root) {
    char text[4096], *rest = NULL;
    double least = 0;
    if (!machine_text(root, "/proc/self/cgroup", text, sizeof text)) return NOT_TOLD;
    // Each line is number:controllers:folder; version 2 has number 0 and none named.
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        char *controllers = strchr(line, ':'),
             *folder = controllers ? strchr(controllers + 1, ':') : NULL;
        if (folder == NULL) continue;
        *folder++ = '\0';
        char *named = format(",%s,", controllers + 1);
        bool second = controllers[1] == '\0', first = strstr(named, ",cpu,") != NULL;
        double quota = second  ? least_quota(root, folder, quota_of_version_2)
                       : first ? least_quota(root, folder, quota_of_version_1)
                               : 0;
        free(named);
        if (quota > 0 && (least == 0 || quota < least)) least = quota;
    }
    int cores = cores_of(root);
    if (least == 0) return look_of(false, format("none"));
    return look_of(cores == 0 || least < cores,
                   format("a cgroup allows the time of %.2f processors, of %d: threads stand still "
                          "when it is used up",
                          least, cores));
}

static struct look look_randomization(const char *root) {
    enum { ASK = 0xffffffff };
    char line[16];
    if (!machine_line(root, "/proc/sys/kernel/randomize_va_space", line, sizeof line))
        return NOT_TOLD;
    if (*root == '\0' && (personality(ASK) & ADDR_NO_RANDOMIZE)) {
        struct look look = look_of(
            true,
            format("off for this process: all runs share one layout of memory, and its luck"));
        look.advice = "do not start it by setarch -R";
        return look;
    }
    int level = atoi(line);
    return look_of(level != 2,
                   format(level == 2   ? "on"
                          : level == 1 ? "on but for the heap: runs share its layout, and its luck"
                                       : "off: all runs share one layout of memory, and its luck"));
}

// Of this program, so on this machine alone.
static struct look look_build(const char *root) {
    if (*root) return (struct look){STATE_ABSENT, NULL, NULL};
    json_t *build = build_facts();
    const char *type = object_string(build, "type", "unknown"),
               *flags = object_string(build, "flags", "");
    bool sanitizer = strstr(flags, "-fsanitize"), release = strcmp(type, "Release") == 0;
    struct look look =
        look_of(sanitizer || !release, sanitizer ? format("has a sanitizer: its times mean nothing")
                                       : !release ? format("%s, not Release", type)
                                                  : format("Release, without a sanitizer"));
    json_decref(build);
    return look;
}

static const struct {
    const char *name;
    struct look (*look)(const char *root);
    const char *unknown, *advice;
} table[] = {
    {"frequency governor", look_governor, "the machine does not tell",
     "sudo cpupower frequency-set --governor performance"},
    {"turbo", look_turbo, "the machine does not tell", NULL},
    {"hardware threads", look_siblings, "the machine does not tell its cores",
     "give --threads no more than there are cores, or: echo off | sudo tee "
     "/sys/devices/system/cpu/smt/control"},
    {"cores", look_cores, "the machine does not tell", "measure on a machine with four or more"},
    {"other load", look_load, "/proc/loadavg cannot be read",
     "end what else runs (top shows it), and wait a minute"},
    {"steal time", look_steal, "/proc/stat does not tell",
     "measure on a host of one's own, or when its other guests are idle"},
    {"virtual machine", look_virtual, "the processor does not tell",
     "measure on a machine itself, or on a host of one's own"},
    {"processor limit", look_limits, "/proc/self/cgroup cannot be read",
     "start the container without a limit of processor time (docker: no --cpus), or give fewer "
     "--threads"},
    {"swapped memory", look_swap, "/proc/meminfo cannot be read",
     "end what takes the memory, then: sudo swapoff -a && sudo swapon -a"},
    {"free memory", look_memory, "/proc/meminfo does not tell", "end what takes the memory"},
    {"address randomization", look_randomization, "the kernel does not tell",
     "echo 2 | sudo tee /proc/sys/kernel/randomize_va_space"},
    {"build", look_build, "", "./tally build --preset release"},
};

struct conditions conditions_look(const char *root) {
    struct conditions conditions = {0};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct look look = table[i].look(root);
        if (look.state == STATE_ABSENT) continue;
        conditions.items[conditions.count++] =
            (struct condition){.name = table[i].name,
                               .state = look.state,
                               .found = look.found ? look.found : checked_strdup(table[i].unknown),
                               .advice = look.state != STATE_SPOILS ? NULL
                                         : look.advice              ? look.advice
                                                                    : table[i].advice};
    }
    return conditions;
}

size_t conditions_spoiling(const struct conditions *conditions) {
    size_t count = 0;
    for (size_t i = 0; i < conditions->count; i++)
        count += conditions->items[i].state == STATE_SPOILS;
    return count;
}

void conditions_free(struct conditions *conditions) {
    for (size_t i = 0; i < conditions->count; i++) free(conditions->items[i].found);
    conditions->count = 0;
}

json_t *conditions_to_json(const struct conditions *conditions) {
    json_t *list = json_array();
    for (size_t i = 0; i < conditions->count; i++) {
        const struct condition *item = &conditions->items[i];
        json_t *found = json_string(item->found); // NULL where it is no UTF-8
        json_array_append_new(list,
                              json_pack("{s:s, s:s, s:o, s:s?}", "name", item->name, "state",
                                        state_name(item->state), "found",
                                        found ? found : json_string("?"), "advice", item->advice));
    }
    return list;
}

char *conditions_line(const struct conditions *conditions) {
    struct text line = {0};
    for (size_t i = 0; i < conditions->count; i++) {
        const struct condition *item = &conditions->items[i];
        if (item->state == STATE_SPOILS)
            text_add(&line, "%s%s (%.*s)", line.length ? ", " : "", item->name,
                     (int)strcspn(item->found, ":"), item->found);
    }
    return line.data;
}

int tune_check(const char *root) {
    struct conditions conditions = conditions_look(root);
    size_t spoiling = conditions_spoiling(&conditions);
    for (size_t i = 0; i < conditions.count; i++) {
        const struct condition *item = &conditions.items[i];
        printf("%-22s %-8s %s\n", item->name, state_name(item->state), item->found);
        if (item->advice) printf("%-22s %-8s to do: %s\n", "", "", item->advice);
    }
    if (spoiling)
        printf("%zu of %zu would spoil numbers\n", spoiling, conditions.count);
    else
        printf("nothing of this would spoil numbers\n");
    conditions_free(&conditions);
    return spoiling ? 1 : 0;
}
