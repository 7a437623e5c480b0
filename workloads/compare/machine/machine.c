// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Facts about the machine and the build; see machine.h.  A fact that cannot be
// read is left out of the object.
#ifndef _GNU_SOURCE
#    define _GNU_SOURCE
#endif
#include "machine.h"

#include "conditions.h"
#include "text.h"

#include <math.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#ifndef TALLY_BUILD_COMPILER
#    define TALLY_BUILD_COMPILER "unknown"
#endif
#ifndef TALLY_BUILD_FLAGS
#    define TALLY_BUILD_FLAGS "unknown"
#endif
#ifndef TALLY_BUILD_TYPE
#    define TALLY_BUILD_TYPE "unknown"
#endif

int machine_cores(void) {
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0) return CPU_COUNT(&set);
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    return cores > 0 ? (int)cores : 1;
}

bool machine_text(const char *root, const char *path, char *text, size_t size) {
    char *whole = format("%s%s", root, path);
    FILE *file = fopen(whole, "re");
    free(whole);
    if (file == NULL) return false;
    size_t length = fread(text, 1, size - 1, file);
    fclose(file);
    text[length] = '\0';
    return length > 0;
}

bool machine_line(const char *root, const char *path, char *line, size_t size) {
    bool good = machine_text(root, path, line, size);
    if (good) line[strcspn(line, "\n")] = '\0';
    return good;
}

enum turbo machine_turbo(const char *root) {
    char line[16];
    if (machine_line(root, "/sys/devices/system/cpu/intel_pstate/no_turbo", line, sizeof line))
        return line[0] == '0' ? TURBO_INTEL : TURBO_OFF;
    if (machine_line(root, "/sys/devices/system/cpu/cpufreq/boost", line, sizeof line))
        return line[0] == '1' ? TURBO_BOOST : TURBO_OFF;
    return TURBO_UNKNOWN;
}

static void add_cpu_model(json_t *facts) {
    char text[4096], *at = NULL;
    if (machine_text("", "/proc/cpuinfo", text, sizeof text)) at = strstr(text, "model name");
    if (at) at = strchr(at, ':');
    if (at == NULL) return;
    at += 1 + strspn(at + 1, " ");
    at[strcspn(at, "\n")] = '\0';
    json_object_set_new(facts, "cpu", json_string(at));
}

static void add_line(json_t *facts, const char *name, const char *path) {
    char line[256];
    if (machine_line("", path, line, sizeof line))
        json_object_set_new(facts, name, json_string(line));
}

json_t *machine_facts(void) {
    json_t *facts = json_object();
    struct utsname system;
    double load = machine_load("");
    add_cpu_model(facts);
    json_object_set_new(facts, "cores", json_integer(machine_cores()));
    json_object_set_new(facts, "memory_mib",
                        json_integer((json_int_t)((double)sysconf(_SC_PHYS_PAGES) *
                                                  (double)sysconf(_SC_PAGESIZE) / 1048576)));
    if (uname(&system) == 0) {
        char *kernel = format("%s %s %s", system.sysname, system.release, system.machine);
        json_object_set_new(facts, "kernel", json_string(kernel));
        free(kernel);
    }
    add_line(facts, "governor", "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor");
    enum turbo turbo = machine_turbo("");
    if (turbo != TURBO_UNKNOWN)
        json_object_set_new(facts, "turbo", json_string(turbo == TURBO_OFF ? "off" : "on"));
    add_line(facts, "randomize_va_space", "/proc/sys/kernel/randomize_va_space");
    if (!isnan(load)) json_object_set_new(facts, "load_before", json_real(load));
    struct conditions conditions = conditions_look("");
    json_object_set_new(facts, "conditions", conditions_to_json(&conditions));
    conditions_free(&conditions);
    return facts;
}

json_t *build_facts(void) {
    const char *commit = getenv("TALLY_COMMIT");
    json_t *facts = json_object();
    json_object_set_new(facts, "compiler", json_string(TALLY_BUILD_COMPILER));
    json_object_set_new(facts, "flags", json_string(TALLY_BUILD_FLAGS));
    json_object_set_new(facts, "type", json_string(TALLY_BUILD_TYPE));
    json_object_set_new(facts, "commit", json_string(commit && *commit ? commit : "unknown"));
    return facts;
}

double machine_load(const char *root) {
    const char *told = getenv("TALLY_LOAD");
    char line[128];
    double load, before = INFINITY;
    if (!machine_line(root, "/proc/loadavg", line, sizeof line) || sscanf(line, "%lf", &load) != 1)
        return NAN;
    if (told) sscanf(told, "%lf", &before);
    return fmin(load, before);
}

bool machine_ticks(const char *root, struct ticks *ticks) {
    char line[512];
    double at[8] = {0};
    bool good = machine_line(root, "/proc/stat", line, sizeof line) &&
                sscanf(line, "cpu %lf %lf %lf %lf %lf %lf %lf %lf", &at[0], &at[1], &at[2], &at[3],
                       &at[4], &at[5], &at[6], &at[7]) == 8;
    *ticks = (struct ticks){.stolen = at[7], .idle = at[3] + at[4]}; // waiting for a disk is idle
    for (size_t i = 0; i < 8; i++) ticks->total += at[i];
    return good;
}
