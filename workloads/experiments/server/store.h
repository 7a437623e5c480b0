/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * store.h: tasks and their subtasks, as Tally objects that all workers share.
 *
 *   Task     an instance: name, title, subtasks (a dict: name to Subtask)
 *   Subtask  an instance: name, title, task (the reference back)
 *
 * Two dicts find them by name: all tasks, all subtasks. Version 1 refers back
 * with a plain reference, so that every task is a cycle, which only the collector
 * frees; version 2 with a weak one.
 *
 * Invariant, while nobody holds the writer's lock: a subtask is in the dict of
 * all subtasks exactly if it is in its task's, and its task in the dict of all
 * tasks. Readers take no lock. One may still hold what a writer has just taken
 * out; what it answers was true at some time during its request.
 *
 * Every function is called by attached threads, none in a critical section. The
 * answer is a C object: it can be written as text with nothing of Tally held.
 */
#ifndef TASK_SERVER_STORE_H
#define TASK_SERVER_STORE_H

#include <jansson.h>
#include <stddef.h>

typedef enum store_result {
    STORE_DONE,
    STORE_CREATED,
    STORE_NO_TASK,
    STORE_NO_SUBTASK,
    STORE_TAKEN,
    STORE_NO_MEMORY,
    STORE_DELETED
} store_result;

/* 0, or -1 if there is no memory; version: 1 or 2. */
int store_start(int version);
/* Drops all. */
void store_finish(void);

/* *answer is set where the result is STORE_DONE or STORE_CREATED. */
store_result store_list(size_t limit, json_t **answer);
store_result store_get_task(const char *name, json_t **answer);
/* Replaces a task that is there. STORE_TAKEN: a subtask of this name belongs to
 * another task; nothing was changed. The names are different from each other. */
store_result store_put_task(const char *name, const char *title, const char *const *subtasks,
                            size_t count, json_t **answer);
/* Need no memory: they always delete what is there. STORE_DELETED: done, but there is no memory for
 * the answer. */
store_result store_delete_task(const char *name, json_t **answer);
store_result store_get_subtask(const char *name, json_t **answer);
store_result store_put_subtask(const char *task_name, const char *name, const char *title,
                               json_t **answer);
store_result store_delete_subtask(const char *name, json_t **answer);

#endif
