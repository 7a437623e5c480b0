/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * footprint.c: reads the kernel's account of this process, and weighs objects.
 */
#include "footprint.h"

#include <stdio.h>
#include <string.h>

#include "../workload.h"

/* A line of a file in /proc such as "VmHWM:     5120 kB". Not getrusage: its peak survives an exec,
 * and would be that of the program that started the driver. */
static long kib_of(const char *path, const char *name) {
    FILE *file = fopen(path, "re");
    char line[256];
    long value = 0;
    if (file == NULL) return 0;
    while (fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, name, strlen(name)) == 0 && line[strlen(name)] == ':') {
            value = strtol(line + strlen(name) + 1, NULL, 10);
            break;
        }
    fclose(file);
    return value;
}

long footprint_resident(void) { return kib_of("/proc/self/status", "VmRSS"); }

long footprint_peak(void) { return kib_of("/proc/self/status", "VmHWM"); }

long footprint_proportional(void) { return kib_of("/proc/self/smaps_rollup", "Pss"); }

static footprint_kind weigh(const char *name, tally_object *object) {
    footprint_kind kind = {name, tally_sizeof(workload_object(object))};
    tally_decref(object);
    return kind;
}

static tally_object *point(tally_object *class_, tally_object *value) {
    static const char *const names[] = {"x", "y"};
    tally_object *instance = workload_object(tally_instance_new(class_));
    for (unsigned i = 0; i < 2; i++) {
        tally_object *name = workload_object(tally_str_new(names[i], -1));
        workload_done(tally_set_attr(instance, name, value));
        tally_decref(name);
    }
    return instance;
}

void footprint_measure_kinds(footprint_kind kinds[FOOTPRINT_KINDS]) {
    static const char *const slots[] = {"x", "y", NULL};
    tally_object *value = workload_object(tally_float_new(0.5));
    tally_object *slotted =
        workload_object(tally_class_new(&(tally_class_spec){.name = "Slotted", .slots = slots}));
    tally_object *open = workload_object(tally_class_new(&(tally_class_spec){.name = "Open"}));
    kinds[0] = weigh("int", tally_int_new(INT64_C(1) << 40));
    kinds[1] = weigh("float", tally_float_new(0.25));
    kinds[2] = weigh("tuple2", tally_tuple_new((tally_object *[]){value, value}, 2));
    kinds[3] = weigh("slots2 instance", point(slotted, value));
    kinds[4] = weigh("dict instance", point(open, value));
    kinds[5] = weigh("empty list", tally_list_new(0));
    tally_decref(value);
    tally_decref(slotted);
    tally_decref(open);
}
