/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tasks-cycle and tasks-weakref: the server of many a talk on Python's memory:
 * tasks that have subtasks by name, and subtasks that know their task, created,
 * looked up and deleted among many that live long. A subtask refers to its task
 * plainly (every deleted task is a cycle, left to the collector) or weakly (it
 * dies when it is deleted).
 *
 * Each worker has a part of the tasks, a dict by number. Of its operations a
 * fixed share deletes a task or creates it anew, in turn; the others look a
 * subtask up and go back from it to the task. The time of each is measured, from
 * the end of the one before, so a pause at a safepoint is part of one.
 */
#include <stdio.h>

#include "workload.h"

enum { TASKS, SUBTASKS, WRITES };
enum { MOST_SUBTASKS = 64, OPERATIONS_A_RUN = 512, OPERATIONS_A_SAFEPOINT = 16 };
static const unsigned NO_HOLE = UINT32_MAX;

static const workload_parameter parameters[] = {
    {.name = "tasks",
     .help = "tasks that live, of all threads together; two a thread at the least",
     .value = 20000,
     .least = 2,
     .most = 10000000,
     .quick = 2000},
    {.name = "subtasks", .help = "subtasks of each", .value = 5, .least = 1, .most = MOST_SUBTASKS},
    {.name = "writes",
     .help = "operations in a hundred that delete or create; the others look up",
     .value = 10,
     .least = 0,
     .most = 100},
    {0},
};

struct shared {
    const workload_context *context;
    bool weak;
    tally_object *task_class, *subtask_class;
    tally_object *name, *subtasks, *task; /* names of attributes */
    tally_object *subtask_names[MOST_SUBTASKS];
    tally_object **canaries; /* one a worker; its own until it leaves */
};

struct local {
    struct shared *shared;
    histogram *latency;
    tally_object *tasks; /* a dict: number to task */
    unsigned count;      /* tasks, the one that is missing included */
    unsigned hole;       /* the number whose task was deleted last, or NO_HOLE */
    uint64_t seed;
    tally_object **canary; /* weak, to a deleted task; NULL: none yet */
};

static tally_object *interned(const char *text) {
    tally_object *str = workload_object(tally_str_new(text, -1));
    tally_object *one = workload_object(tally_str_intern(str));

    tally_immortalize(one); /* as a name in code */
    tally_decref(str);
    return one;
}

static void *setup(const workload_context *context, bool weak) {
    struct shared *shared = workload_allocate(sizeof *shared);

    shared->context = context;
    shared->weak = weak;
    shared->task_class = workload_object(tally_class_new(&(tally_class_spec){.name = "Task"}));
    shared->subtask_class =
        workload_object(tally_class_new(&(tally_class_spec){.name = "Subtask"}));
    shared->name = interned("name");
    shared->subtasks = interned("_subtasks");
    shared->task = interned("_task");
    for (unsigned i = 0; i < context->parameters[SUBTASKS]; i++) {
        char text[32];

        snprintf(text, sizeof text, "subtask-%u", i);
        shared->subtask_names[i] = interned(text);
    }
    shared->canaries = workload_allocate(context->workers * sizeof *shared->canaries);
    return shared;
}

static void *setup_cycle(const workload_context *context) { return setup(context, false); }
static void *setup_weakref(const workload_context *context) { return setup(context, true); }

/* ---- operations ---------------------------------------------------------- */

static void set_name(const struct shared *shared, tally_object *object, unsigned number) {
    char text[32];

    snprintf(text, sizeof text, "task-%u", number);
    tally_object *name = workload_object(tally_str_new(text, -1));
    workload_done(tally_set_attr(object, shared->name, name));
    tally_decref(name);
}

static void create(struct local *local, unsigned number) {
    struct shared *shared = local->shared;
    tally_object *task = workload_object(tally_instance_new(shared->task_class));
    tally_object *subtasks = workload_object(tally_dict_new());
    tally_object *back = shared->weak ? workload_object(tally_weakref_new(task, NULL, NULL)) : task;
    tally_object *key = workload_object(tally_int_new(number));

    set_name(shared, task, number);
    workload_done(tally_set_attr(task, shared->subtasks, subtasks));
    for (uint64_t i = 0; i < shared->context->parameters[SUBTASKS]; i++) {
        tally_object *subtask = workload_object(tally_instance_new(shared->subtask_class));

        workload_done(tally_set_attr(subtask, shared->name, shared->subtask_names[i]));
        workload_done(tally_set_attr(subtask, shared->task, back));
        workload_done(tally_dict_set(subtasks, shared->subtask_names[i], subtask));
        tally_decref(subtask);
    }
    workload_done(tally_dict_set(local->tasks, key, task));
    if (shared->weak) tally_decref(back);
    tally_decref(key);
    tally_decref(subtasks);
    tally_decref(task);
}

static void check_name(const struct shared *shared, tally_object *task, unsigned number) {
    tally_object *name = workload_object(tally_get_attr(task, shared->name));
    const char *text = tally_str_data(name);

    if (text == NULL || strtoul(text + sizeof "task-" - 1, NULL, 10) != number)
        workload_fail("task %u is called %s", number, text != NULL ? text : "nothing");
    tally_decref(name);
}

/* From the number to the task, to one of its subtasks, and back. */
static void look_up(struct local *local, unsigned number, uint64_t subtask_number) {
    struct shared *shared = local->shared;
    tally_object *key = workload_object(tally_int_new(number));
    tally_object *task = workload_object(tally_dict_get(local->tasks, key));
    tally_object *subtasks = workload_object(tally_get_attr(task, shared->subtasks));
    tally_object *subtask =
        workload_object(tally_dict_get(subtasks, shared->subtask_names[subtask_number]));
    tally_object *back = workload_object(tally_get_attr(subtask, shared->task));

    if (shared->weak) {
        tally_object *referent = workload_object(tally_weakref_get(back));

        tally_decref(back);
        back = referent;
    }
    if (back != task) workload_fail("a subtask of task %u has another task", number);
    check_name(shared, back, number);
    tally_decref(back);
    tally_decref(subtask);
    tally_decref(subtasks);
    tally_decref(task);
    tally_decref(key);
}

static bool is_dead(tally_object *reference) {
    tally_object *referent = workload_object(tally_weakref_get(reference));
    bool dead = referent == tally_none;

    tally_decref(referent);
    return dead;
}

/* Watches a task that is about to be deleted, if the one before is dead. */
static void watch(struct local *local, tally_object *key) {
    if (*local->canary != NULL && !is_dead(*local->canary)) return;
    tally_object *task = workload_object(tally_dict_get(local->tasks, key));
    tally_xdecref(*local->canary);
    *local->canary = workload_object(tally_weakref_new(task, NULL, NULL));
    tally_decref(task);
}

static void delete (struct local *local, unsigned number) {
    tally_object *key = workload_object(tally_int_new(number));

    watch(local, key);
    workload_done(tally_dict_delete(local->tasks, key));
    tally_decref(key);
    /* Counts alone free it: nobody else has a reference. */
    if (local->shared->weak && !is_dead(*local->canary))
        workload_fail("task %u is alive after its deletion", number);
}

static void operate(struct local *local) {
    const uint64_t *values = local->shared->context->parameters;
    uint64_t drawn = workload_random(&local->seed);
    unsigned number = (unsigned)((drawn >> 32) % local->count);

    if (drawn % 100 >= values[WRITES]) {
        number = number == local->hole ? (number + 1) % local->count : number;
        look_up(local, number, (drawn >> 16 & 0xffff) % values[SUBTASKS]);
    } else if (local->hole == NO_HOLE) {
        delete (local, number);
        local->hole = number;
    } else {
        create(local, local->hole);
        local->hole = NO_HOLE;
    }
}

/* ---- the life ------------------------------------------------------------ */

static void *enter(void *state, unsigned worker) {
    struct local *local = workload_allocate(sizeof *local);
    const workload_context *context;

    local->shared = state;
    context = local->shared->context;
    local->latency = &context->latencies[worker];
    local->tasks = workload_object(tally_dict_new());
    local->count = (unsigned)(context->parameters[TASKS] / context->workers);
    local->count = local->count < 2 ? 2 : local->count;
    local->hole = NO_HOLE;
    local->seed = workload_seed(context, worker);
    local->canary = &local->shared->canaries[worker];
    for (unsigned i = 0; i < local->count; i++) {
        create(local, i);
        tally_safepoint();
    }
    return local;
}

static uint64_t run(void *opaque) {
    struct local *local = opaque;
    uint64_t last = workload_clock();

    for (unsigned i = 1; i <= OPERATIONS_A_RUN; i++) {
        operate(local);
        if (i % OPERATIONS_A_SAFEPOINT == 0) tally_safepoint();
        uint64_t now = workload_clock();
        histogram_add(local->latency, now - last);
        last = now;
    }
    return OPERATIONS_A_RUN;
}

static void leave(void *opaque) {
    struct local *local = opaque;

    if (local->hole != NO_HOLE) create(local, local->hole);
    if (tally_dict_length(local->tasks) != (ptrdiff_t)local->count)
        workload_fail("there are %td tasks, not %u", tally_dict_length(local->tasks), local->count);
    for (unsigned i = 0; i < local->count; i++)
        for (uint64_t k = 0; k < local->shared->context->parameters[SUBTASKS]; k++)
            look_up(local, i, k);
    tally_decref(local->tasks);
    free(local);
}

static void teardown(void *state) {
    struct shared *shared = state;

    if (tally_gc_collect(2) < 0)
        workload_fail("the last collection failed: %s", tally_error_message());
    for (unsigned i = 0; i < shared->context->workers; i++) {
        if (shared->canaries[i] != NULL && !is_dead(shared->canaries[i]))
            workload_fail("a deleted task is still alive after a full collection");
        tally_xdecref(shared->canaries[i]);
    }
    for (uint64_t i = 0; i < shared->context->parameters[SUBTASKS]; i++)
        tally_decref(shared->subtask_names[i]);
    tally_decref(shared->name);
    tally_decref(shared->subtasks);
    tally_decref(shared->task);
    tally_decref(shared->task_class);
    tally_decref(shared->subtask_class);
    free(shared->canaries);
    free(shared);
}

#define SHARES_TASKS "its tasks are so many of all threads together, not of each"

#define COMMON                                                                       \
    .unit = "operations", .sharing = OWN, .parameters = parameters, .latency = true, \
    .least_sample_ms = 15, .enter = enter, .run = run, .leave = leave, .teardown = teardown

const tally_workload workload_tasks_cycle = {
    .name = "tasks-cycle",
    .kind = PROGRAMS,
    .description = "A server's tasks, whose subtasks refer back to them: each deleted task is left "
                   "to the collector.",
    .kept =
        {[CAUSE_SHARING] = SHARES_TASKS, [CAUSE_COLLECTOR] = "its garbage would fill the memory"},
    .setup = setup_cycle,
    COMMON,
};

const tally_workload workload_tasks_weakref = {
    .name = "tasks-weakref",
    .kind = PROGRAMS,
    .counterpart = "tasks-cycle",
    .description =
        "The same tasks, whose subtasks refer back weakly: each deleted task dies at once.",
    .kept = {[CAUSE_SHARING] = SHARES_TASKS},
    .setup = setup_weakref,
    COMMON,
};
