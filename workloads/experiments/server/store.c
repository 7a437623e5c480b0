/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * store.c: tasks and subtasks. Writers take one lock, so that the two dicts and a
 * task's own change together. Objects are made before it where that is possible,
 * and what is replaced is dropped after it. A writer that runs out of memory takes
 * back what it has done: setting a key that is there and deleting one need no memory.
 */
#include "store.h"
#include "tally.h"

#include <stdlib.h>
#include <string.h>

static struct {
    int version;
    tally_object *tasks, *subtasks; /* dicts */
    tally_object *task_class, *subtask_class;
    tally_object *name, *title, *subtasks_name, *task; /* names of attributes; immortal */
    tally_mutex writer;
} store = {.writer = TALLY_MUTEX_INITIALIZER};

static tally_object *attribute_name(const char *text) {
    tally_object *fresh = tally_str_new(text, -1), *name = fresh ? tally_str_intern(fresh) : NULL;

    if (name) tally_immortalize(name);
    tally_xdecref(fresh);
    return name;
}

int store_start(int version) {
    store.version = version;
    store.tasks = tally_dict_new();
    store.subtasks = tally_dict_new();
    store.task_class = tally_class_new(&(tally_class_spec){.name = "Task"});
    store.subtask_class = tally_class_new(&(tally_class_spec){.name = "Subtask"});
    store.name = attribute_name("name");
    store.title = attribute_name("title");
    store.subtasks_name = attribute_name("subtasks");
    store.task = attribute_name("task");
    if (store.tasks && store.subtasks && store.task_class && store.subtask_class && store.name &&
        store.title && store.subtasks_name && store.task)
        return 0;
    store_finish();
    return -1;
}

void store_finish(void) {
    tally_object **held[] = {&store.subtasks,      &store.tasks, &store.task_class,
                             &store.subtask_class, &store.name,  &store.title,
                             &store.subtasks_name, &store.task};

    for (size_t i = 0; i < sizeof held / sizeof *held; i++) {
        tally_xdecref(*held[i]);
        *held[i] = NULL;
    }
}

/* ---- objects -------------------------------------------------------------- */

static tally_object *item_new(tally_object *class_, tally_object *name, tally_object *title,
                              tally_object *attribute, tally_object *value) {
    tally_object *item = tally_instance_new(class_);

    if (item && (tally_set_attr(item, store.name, name) != 0 ||
                 tally_set_attr(item, store.title, title) != 0 ||
                 tally_set_attr(item, attribute, value) != 0)) {
        tally_decref(item);
        return NULL;
    }
    return item;
}

static tally_object *task_new(tally_object *name, tally_object *title) {
    tally_object *subtasks = tally_dict_new();
    tally_object *task =
        subtasks ? item_new(store.task_class, name, title, store.subtasks_name, subtasks) : NULL;

    tally_xdecref(subtasks);
    return task;
}

static tally_object *subtask_new(tally_object *name, tally_object *title, tally_object *task) {
    tally_object *back = task, *subtask;

    if (store.version == 1)
        tally_incref(back);
    else if (!(back = tally_weakref_new(task, NULL, NULL)))
        return NULL;
    subtask = item_new(store.subtask_class, name, title, store.task, back);
    tally_decref(back);
    return subtask;
}

/* The task; none: it is dead. Every subtask has the attribute. */
static tally_object *task_of(tally_object *subtask) {
    tally_object *back = tally_get_attr(subtask, store.task), *task = back;

    if (store.version == 2) {
        task = tally_weakref_get(back);
        tally_decref(back);
    }
    return task;
}

static tally_object *subtasks_of(tally_object *task) {
    return tally_get_attr(task, store.subtasks_name);
}

/* Whether the subtask, NULL for none, is some other task's. */
static bool belongs_to_another(tally_object *subtask, tally_object *task) {
    tally_object *its;
    bool another;

    if (!subtask) return false;
    its = task_of(subtask);
    another = its != task;
    tally_decref(its);
    return another;
}

/* ---- answers -------------------------------------------------------------- */

static json_t *text(tally_object *str) {
    return json_stringn(tally_str_data(str), (size_t)tally_str_length(str));
}

/* 0, or -1: no memory. */
static int describe_into(json_t *answer, tally_object *item) {
    tally_object *name = tally_get_attr(item, store.name),
                 *title = tally_get_attr(item, store.title);
    int status = json_object_set_new(answer, "id", text(name)) |
                 json_object_set_new(answer, "title", text(title));

    tally_decref(name);
    tally_decref(title);
    return status ? -1 : 0;
}

static json_t *description(tally_object *item) {
    json_t *answer = json_object();

    if (answer && describe_into(answer, item) != 0) {
        json_decref(answer);
        return NULL;
    }
    return answer;
}

static store_result answered(store_result result, json_t *whole, int status, json_t **answer) {
    if (whole && !status) {
        *answer = whole;
        return result;
    }
    tally_error_clear();
    json_decref(whole);
    return STORE_NO_MEMORY;
}

static void drop_items(tally_object **items, ptrdiff_t count) {
    for (ptrdiff_t i = 0; i < 2 * count; i++) tally_decref(items[i]);
    free(items);
}

/* Up to limit items of the dict as they are at one moment, to be dropped by drop_items; -1: no
 * memory. Within the section nothing waits: a wait would suspend it, and others could change the
 * dict. */
static ptrdiff_t copy_items(tally_object *dict, size_t limit, tally_object ***items) {
    tally_critical section;
    tally_object *key, *value;
    ptrdiff_t position = 0, count = 0;
    int more = 1;
    size_t length;

    tally_critical_begin(&section, dict);
    length = (size_t)tally_dict_length(dict);
    if (limit > length) limit = length;
    *items = malloc((2 * limit + 1) * sizeof **items);
    while (*items && (size_t)count < limit &&
           (more = tally_dict_next(dict, &position, &key, &value)) == 1) {
        (*items)[2 * count] = key;
        (*items)[2 * count + 1] = value;
        count++;
    }
    tally_critical_end(&section);
    if (*items && more >= 0) return count;
    if (*items) drop_items(*items, count);
    *items = NULL;
    return -1;
}

/* Adds up to limit items of the dict to the array: subtasks described, or names alone. */
static int describe_items(json_t *array, tally_object *dict, size_t limit, bool names_alone) {
    tally_object **items;
    ptrdiff_t count = copy_items(dict, limit, &items);
    int status = count < 0 ? -1 : 0;

    for (ptrdiff_t i = 0; i < count && !status; i++)
        status = json_array_append_new(array, names_alone ? text(items[2 * i])
                                                          : description(items[2 * i + 1]));
    if (items) drop_items(items, count);
    return status;
}

static store_result describe_task(store_result result, tally_object *task, json_t **answer) {
    json_t *whole = description(task), *array = json_array();
    tally_object *subtasks = subtasks_of(task);
    int status = !whole || !array || describe_items(array, subtasks, SIZE_MAX, false) != 0;

    tally_decref(subtasks);
    status |= json_object_set_new(whole, "subtasks", array);
    return answered(result, whole, status, answer);
}

static store_result describe_subtask(store_result result, tally_object *subtask, tally_object *task,
                                     json_t **answer) {
    json_t *whole = description(subtask), *parent = description(task);
    tally_object *subtasks = subtasks_of(task);
    int status = !whole ||
                 json_object_set_new(parent, "subtasks", json_integer(tally_dict_length(subtasks)));

    tally_decref(subtasks);
    status |= json_object_set_new(whole, "task", parent);
    return answered(result, whole, status, answer);
}

/* ---- readers -------------------------------------------------------------- */

/* A new reference, or NULL: missing, or no memory for the key. */
static tally_object *find(tally_object *dict, const char *name, store_result missing,
                          store_result *result) {
    tally_object *key = tally_str_new(name, -1), *found = key ? tally_dict_get(dict, key) : NULL;

    *result = found ? STORE_DONE : tally_error_kind() ? STORE_NO_MEMORY : missing;
    tally_error_clear();
    tally_xdecref(key);
    return found;
}

store_result store_list(size_t limit, json_t **answer) {
    json_t *whole = json_object(), *array = json_array();
    int status =
        !whole || json_object_set_new(whole, "count", json_integer(tally_dict_length(store.tasks)));

    status |= !array || describe_items(array, store.tasks, limit, true);
    status |= json_object_set_new(whole, "tasks", array);
    return answered(STORE_DONE, whole, status, answer);
}

store_result store_get_task(const char *name, json_t **answer) {
    store_result result;
    tally_object *task = find(store.tasks, name, STORE_NO_TASK, &result);

    if (task) {
        result = describe_task(STORE_DONE, task, answer);
        tally_decref(task);
    }
    return result;
}

store_result store_get_subtask(const char *name, json_t **answer) {
    tally_object *before = NULL, *subtask, *task;
    store_result result;

    /* With weak references the task may have been replaced since the subtask was found. Then the
     * name has another subtask by now; the same one once more: its task was deleted. */
    while ((subtask = find(store.subtasks, name, STORE_NO_SUBTASK, &result))) {
        task = task_of(subtask);
        if (task != tally_none) {
            result = describe_subtask(STORE_DONE, subtask, task, answer);
            tally_decref(task);
            tally_decref(subtask);
            break;
        }
        tally_xdecref(before);
        if (before == subtask) {
            tally_decref(subtask);
            before = NULL;
            result = STORE_NO_SUBTASK;
            break;
        }
        before = subtask;
    }
    tally_xdecref(before);
    return result;
}

/* The same under the writer's lock, whatever memory there is: where there is none for the key, all
 * are looked at. */
static tally_object *find_always(tally_object *dict, const char *name, store_result missing,
                                 store_result *result) {
    tally_object *found = find(dict, name, missing, result), *key, *value;
    ptrdiff_t position = 0;

    if (*result != STORE_NO_MEMORY) return found;
    *result = missing;
    while (!found && tally_dict_next(dict, &position, &key, &value) == 1) {
        if (!strcmp(tally_str_data(key), name)) {
            found = value;
            *result = STORE_DONE;
        } else {
            tally_decref(value);
        }
        tally_decref(key);
    }
    tally_error_clear();
    return found;
}

/* ---- writers -------------------------------------------------------------- */

struct entry {
    tally_object *name, *subtask, *old; /* old: what the name stood for, or NULL */
};

static void drop_entries(struct entry *entries, size_t count) {
    for (size_t i = 0; i < count; i++) {
        tally_xdecref(entries[i].name);
        tally_xdecref(entries[i].subtask);
        tally_xdecref(entries[i].old);
    }
    free(entries);
}

/* The subtasks of a task that nobody else has yet; NULL: no memory. */
static struct entry *fill(tally_object *task, const char *const *names, size_t count) {
    struct entry *entries = calloc(count + 1, sizeof *entries);
    tally_object *subtasks = subtasks_of(task), *title = tally_str_new("", 0);
    int status = !entries || !title;

    for (size_t i = 0; i < count && !status; i++) {
        entries[i].name = tally_str_new(names[i], -1);
        entries[i].subtask = entries[i].name ? subtask_new(entries[i].name, title, task) : NULL;
        status =
            !entries[i].subtask || tally_dict_set(subtasks, entries[i].name, entries[i].subtask);
    }
    tally_xdecref(title);
    tally_decref(subtasks);
    if (!status) return entries;
    if (entries) drop_entries(entries, count);
    return NULL;
}

/* As it was in one dict. */
static void restore(tally_object *dict, tally_object *name, tally_object *old) {
    if (old)
        tally_dict_set(dict, name, old);
    else
        tally_dict_delete(dict, name);
}

/* Takes a task's subtasks out of the dict of all, but for those in kept. Under the lock, which is
 * why the task's dict stays as it is. */
static void remove_subtasks(tally_object *task, tally_object *kept) {
    tally_object *subtasks = subtasks_of(task), *key;
    ptrdiff_t position = 0;

    while (tally_dict_next(subtasks, &position, &key, NULL) == 1) {
        if (!kept || tally_dict_contains(kept, key) != 1) tally_dict_delete(store.subtasks, key);
        tally_decref(key);
    }
    tally_decref(subtasks);
}

/* Under the lock. *old is what the name stood for, or NULL. */
static store_result replace_task(tally_object *name, tally_object *task, struct entry *entries,
                                 size_t count, tally_object **old) {
    tally_object *subtasks;
    size_t done;

    *old = tally_dict_get(store.tasks, name);
    for (size_t i = 0; i < count; i++) {
        entries[i].old = tally_dict_get(store.subtasks, entries[i].name);
        if (belongs_to_another(entries[i].old, *old)) return STORE_TAKEN;
    }
    for (done = 0; done < count; done++)
        if (tally_dict_set(store.subtasks, entries[done].name, entries[done].subtask) != 0) break;
    /* The subtasks first: a reader that finds an old one's task dead finds the new one then. */
    if (done < count || tally_dict_set(store.tasks, name, task) != 0) {
        while (done--) restore(store.subtasks, entries[done].name, entries[done].old);
        tally_error_clear();
        return STORE_NO_MEMORY;
    }
    if (!*old) return STORE_CREATED;
    subtasks = subtasks_of(task);
    remove_subtasks(*old, subtasks);
    tally_decref(subtasks);
    return STORE_DONE;
}

static void drop_all(tally_object *const *objects, size_t count) {
    for (size_t i = 0; i < count; i++) tally_xdecref(objects[i]);
}

store_result store_put_task(const char *name, const char *title, const char *const *subtasks,
                            size_t count, json_t **answer) {
    tally_object *key = tally_str_new(name, -1), *heading = tally_str_new(title, -1), *old = NULL;
    tally_object *task = key && heading ? task_new(key, heading) : NULL;
    struct entry *entries = task ? fill(task, subtasks, count) : NULL;
    store_result result = STORE_NO_MEMORY;
    json_t *whole = NULL;

    /* The answer before the change, so that no memory for it changes nothing. */
    if (entries && describe_task(STORE_DONE, task, &whole) == STORE_DONE) {
        tally_mutex_lock(&store.writer);
        result = replace_task(key, task, entries, count, &old);
        tally_mutex_unlock(&store.writer);
    }
    if (result == STORE_DONE || result == STORE_CREATED)
        *answer = whole;
    else
        json_decref(whole);
    tally_error_clear();
    if (entries) drop_entries(entries, count);
    drop_all((tally_object *[]){old, task, heading, key}, 4);
    return result;
}

store_result store_delete_task(const char *name, json_t **answer) {
    store_result result;
    tally_object *task, *key;

    tally_mutex_lock(&store.writer);
    task = find_always(store.tasks, name, STORE_NO_TASK, &result);
    if (task) {
        if (describe_task(STORE_DONE, task, answer) != STORE_DONE) result = STORE_DELETED;
        key = tally_get_attr(task, store.name);
        remove_subtasks(task, NULL);
        tally_dict_delete(store.tasks, key);
        tally_decref(key);
    }
    tally_mutex_unlock(&store.writer);
    tally_xdecref(task);
    return result;
}

/* Under the lock. *old is what the name stood for, or NULL. */
static store_result replace_subtask(tally_object *task, tally_object *name, tally_object *subtask,
                                    tally_object **old, json_t **answer) {
    tally_object *subtasks = subtasks_of(task);
    store_result result = STORE_NO_MEMORY;

    *old = tally_dict_get(store.subtasks, name);
    if (belongs_to_another(*old, task)) {
        result = STORE_TAKEN;
    } else if (tally_dict_set(store.subtasks, name, subtask) == 0) {
        if (tally_dict_set(subtasks, name, subtask) == 0) {
            result = describe_subtask(*old ? STORE_DONE : STORE_CREATED, subtask, task, answer);
            if (result == STORE_NO_MEMORY) restore(subtasks, name, *old);
        }
        if (result == STORE_NO_MEMORY) restore(store.subtasks, name, *old);
    }
    tally_error_clear();
    tally_decref(subtasks);
    return result;
}

store_result store_put_subtask(const char *task_name, const char *name, const char *title,
                               json_t **answer) {
    tally_object *key = tally_str_new(name, -1), *heading = tally_str_new(title, -1), *task = NULL,
                 *subtask = NULL, *old = NULL;
    store_result result = STORE_NO_MEMORY;

    if (key && heading) {
        tally_mutex_lock(&store.writer);
        task = find(store.tasks, task_name, STORE_NO_TASK, &result);
        if (task) {
            result = STORE_NO_MEMORY;
            subtask = subtask_new(key, heading, task);
            if (subtask) result = replace_subtask(task, key, subtask, &old, answer);
        }
        tally_mutex_unlock(&store.writer);
    }
    tally_error_clear();
    drop_all((tally_object *[]){old, subtask, task, heading, key}, 5);
    return result;
}

store_result store_delete_subtask(const char *name, json_t **answer) {
    store_result result;
    tally_object *subtask, *task = NULL, *subtasks, *key;

    tally_mutex_lock(&store.writer);
    subtask = find_always(store.subtasks, name, STORE_NO_SUBTASK, &result);
    if (subtask) {
        task = task_of(subtask);
        if (describe_subtask(STORE_DONE, subtask, task, answer) != STORE_DONE)
            result = STORE_DELETED;
        key = tally_get_attr(subtask, store.name);
        subtasks = subtasks_of(task);
        tally_dict_delete(subtasks, key);
        tally_dict_delete(store.subtasks, key);
        tally_decref(subtasks);
        tally_decref(key);
    }
    tally_mutex_unlock(&store.writer);
    tally_xdecref(subtask);
    tally_xdecref(task);
    return result;
}
