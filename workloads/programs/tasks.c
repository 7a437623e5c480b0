/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tasks-cycle and tasks-weakref: the server of many a talk on Python's memory: tasks that have
 * subtasks by name, and subtasks that know their task, created, looked up and deleted among many
 * that live long. A subtask refers to its task plainly (every deleted task is a cycle, left to the
 * collector) or weakly (it dies when it is deleted).
 *
 * Each worker has a part of the tasks, a dict by number. Of its operations a fixed share deletes a
 * task or creates it anew, in turn; the others look a subtask up and go back from it to the task.
 * The time of each is measured, from the end of the one before, so a pause at a safepoint is part
 * of one.
 */
#include <stdio.h>

#include "workload.h"

enum { TASKS, SUBTASKS, WRITES };
enum { MOST_SUBTASKS = 64, OPERATIONS_PER_RUN = 512, OPERATIONS_PER_SAFEPOINT = 16 };
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
    bool weak;
    uint64_t subtask_count;
    tally_object *task_class, *subtask_class;
    tally_object *name, *subtasks, *task; /* names of attributes */
    tally_object *subtask_names[MOST_SUBTASKS];
    tally_object **canaries; /* one per worker; its own until it leaves */
};

struct local {
    struct shared *shared;
    tally_object *tasks; /* a dict: number to task */
    unsigned count;      /* tasks, the one that is missing included */
    unsigned hole;       /* the number whose task was deleted last, or NO_HOLE */
    uint64_t seed;
    tally_object **canary; /* weak, to a deleted task; NULL: none yet */
};

static void setup_cycle(struct shared *shared, const workload_context *context) {
    shared->subtask_count = context->parameters[SUBTASKS];
    shared->task_class = workload_keep_class(context, "Task", NULL);
    shared->subtask_class = workload_keep_class(context, "Subtask", NULL);
    shared->name = workload_name("name");
    shared->subtasks = workload_name("_subtasks");
    shared->task = workload_name("_task");
    for (unsigned i = 0; i < shared->subtask_count; i++) {
        char text[32];
        snprintf(text, sizeof text, "subtask-%u", i);
        shared->subtask_names[i] = workload_name(text);
    }
    shared->canaries = workload_memory(context, context->workers * sizeof *shared->canaries);
}

static void setup_weakref(struct shared *shared, const workload_context *context) {
    shared->weak = true;
    setup_cycle(shared, context);
}

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
    for (uint64_t i = 0; i < shared->subtask_count; i++) {
        tally_object *subtask = workload_object(tally_instance_new(shared->subtask_class));
        workload_done(tally_set_attr(subtask, shared->name, shared->subtask_names[i]));
        workload_done(tally_set_attr(subtask, shared->task, back));
        workload_dict_put(subtasks, shared->subtask_names[i], subtask);
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

static void delete (struct local *local, unsigned number) {
    tally_object *key = workload_object(tally_int_new(number));
    if (*local->canary == NULL || workload_is_dead(*local->canary)) {
        tally_object *task = workload_object(tally_dict_get(local->tasks, key));
        workload_watch(local->canary, task);
        tally_decref(task);
    }
    workload_done(tally_dict_delete(local->tasks, key));
    tally_decref(key);
    /* Counts alone free it: nobody else has a reference. */
    if (local->shared->weak && !workload_is_dead(*local->canary))
        workload_fail("task %u is alive after its deletion", number);
}

static void operate(struct local *local, const uint64_t *values) {
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

static void enter(struct shared *shared, struct local *local, const workload_context *context) {
    local->shared = shared;
    local->tasks = workload_keep(context, tally_dict_new(), ANY_HOLDERS);
    local->count = (unsigned)(context->parameters[TASKS] / context->workers);
    local->count = local->count < 2 ? 2 : local->count;
    local->hole = NO_HOLE;
    local->seed = workload_seed(context);
    local->canary = &shared->canaries[context->worker];
    for (unsigned i = 0; i < local->count; i++) {
        create(local, i);
        tally_safepoint();
    }
}

static uint64_t run(struct shared *shared, struct local *local, const workload_context *context) {
    uint64_t last = workload_clock();
    for (unsigned i = 1; i <= OPERATIONS_PER_RUN; i++) {
        operate(local, context->parameters);
        if (i % OPERATIONS_PER_SAFEPOINT == 0) tally_safepoint();
        uint64_t now = workload_clock();
        histogram_add(context->latency, now - last);
        last = now;
    }
    return OPERATIONS_PER_RUN;
}

static void leave(struct shared *shared, struct local *local, const workload_context *context) {
    if (local->hole != NO_HOLE) create(local, local->hole);
    if (tally_dict_length(local->tasks) != (ptrdiff_t)local->count)
        workload_fail("there are %td tasks, not %u", tally_dict_length(local->tasks), local->count);
    for (unsigned i = 0; i < local->count; i++)
        for (uint64_t k = 0; k < shared->subtask_count; k++) look_up(local, i, k);
}

static void teardown(struct shared *shared, const workload_context *context) {
    workload_check_canaries(shared->canaries, context->workers);
}

#define SHARES_TASKS "its tasks are so many of all threads together, not of each"

#define COMMON                                                                         \
    .unit = "operations", .kind = PROGRAMS, .parameters = parameters, .latency = true, \
    .least_sample_ms = 15, .shared_size = sizeof(struct shared),                       \
    .local_size = sizeof(struct local), .enter = enter, .run = run, .leave = leave,    \
    .teardown = teardown

WORKLOAD(
    tasks_cycle, .name = "tasks-cycle",
    .description = "A server's tasks, whose subtasks refer back to them: each deleted "
                   "task is left "
                   "to the collector.",
    .makes_garbage = true,
    .needs =
        {[CAUSE_SHARING] = SHARES_TASKS, [CAUSE_COLLECTOR] = "its garbage would fill the memory"},
    .setup = setup_cycle, COMMON);

WORKLOAD(tasks_weakref, .name = "tasks-weakref",
         .description =
             "The same tasks, whose subtasks refer back weakly: each deleted task dies at once.",
         .counterpart = "tasks-cycle", .needs = {[CAUSE_SHARING] = SHARES_TASKS},
         .setup = setup_weakref, COMMON);
