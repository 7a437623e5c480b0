/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * slots.c: instances with three attributes, in slots or of any name: bytes of
 * each, and what making one, reading and writing an attribute by its name takes.
 */
#include "experiment.h"

#include <stdio.h>
#include <stdlib.h>

enum { ATTRIBUTES = 3, TIMES = 5 };
static const char *const names[ATTRIBUTES + 1] = {"x", "y", "z", NULL};

static tally_object *make(tally_object *class_, tally_object *const *attributes) {
    tally_object *instance = program_object(tally_instance_new(class_));

    for (unsigned i = 0; i < ATTRIBUTES; i++)
        program_done(tally_set_attr(instance, attributes[i], tally_none));
    return instance;
}

static void report(const char *kind, const char *what, double value) {
    char name[64];

    snprintf(name, sizeof name, "%s_%s", kind, what);
    experiment_report(name, value);
}

static void measure_bytes(const char *kind, tally_object *class_, tally_object *const *attributes) {
    size_t count = experiment_size(100000), before = experiment_used();
    tally_object **instances = calloc(count, sizeof *instances);

    if (!instances) program_fail("no memory");
    for (size_t i = 0; i < count; i++) instances[i] = make(class_, attributes);
    report(kind, "instance_bytes", (double)(experiment_used() - before) / (double)count);
    for (size_t i = 0; i < count; i++) tally_decref(instances[i]);
    free(instances);
}

enum work { MAKE, READ, WRITE, WORKS };
static const char *const work_names[] = {
    [MAKE] = "make_ns", [READ] = "read_ns", [WRITE] = "write_ns"};

static void repeat(enum work work, tally_object *class_, tally_object *instance,
                   tally_object *const *attributes, size_t times) {
    for (size_t i = 0; i < times; i++) {
        tally_object *attribute = attributes[i % ATTRIBUTES];

        if (work == MAKE)
            tally_decref(make(class_, attributes));
        else if (work == READ)
            tally_decref(program_object(tally_get_attr(instance, attribute)));
        else
            program_done(tally_set_attr(instance, attribute, tally_none));
    }
}

static void measure_time(const char *kind, enum work work, tally_object *class_,
                         tally_object *const *attributes) {
    size_t times = experiment_size(work == MAKE ? 200000 : 1000000);
    tally_object *instance = make(class_, attributes);
    uint64_t all[TIMES];

    repeat(work, class_, instance, attributes, times / 10); /* warms up */
    for (unsigned i = 0; i < TIMES; i++) {
        uint64_t began = program_now();

        repeat(work, class_, instance, attributes, times);
        all[i] = program_now() - began;
    }
    program_sort(all, TIMES);
    report(kind, work_names[work], (double)all[TIMES / 2] / (double)times);
    tally_decref(instance);
}

static void run(unsigned variant) {
    static const char *const kinds[2] = {"slots", "dict"};
    tally_object *attributes[ATTRIBUTES], *classes[2], *dict = program_object(tally_dict_new());
    tally_object *tuple = program_object(tally_tuple_new(NULL, 0));

    (void)variant;
    for (unsigned i = 0; i < ATTRIBUTES; i++) {
        tally_object *str = program_object(tally_str_new(names[i], -1));

        attributes[i] = program_object(tally_str_intern(str));
        tally_immortalize(attributes[i]); /* as a name in code */
        tally_decref(str);
    }
    classes[0] =
        program_object(tally_class_new(&(tally_class_spec){.name = "WithSlots", .slots = names}));
    classes[1] = program_object(tally_class_new(&(tally_class_spec){.name = "WithDict"}));
    for (unsigned k = 0; k < 2; k++) {
        measure_bytes(kinds[k], classes[k], attributes);
        for (enum work work = MAKE; work < WORKS; work++)
            measure_time(kinds[k], work, classes[k], attributes);
        tally_decref(classes[k]);
    }
    experiment_report("empty_dict_bytes", (double)tally_sizeof(dict));
    experiment_report("empty_tuple_bytes", (double)tally_sizeof(tuple));
    for (unsigned i = 0; i < ATTRIBUTES; i++) tally_decref(attributes[i]);
    tally_decref(tuple);
    tally_decref(dict);
}

const experiment slots = {
    "slots", "instances with slots against instances with attributes of any name", NULL, run};
