// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The operations of a step. A name holds one reference; so does each entry of the stack, which is
// empty between steps.
#include "explain.h"

#include <stdlib.h>
#include <string.h>

enum { STACK = 256, NAMES = 256, CLASSES = 16 };

struct name {
    char *name;
    tally_object *object;
};

static tally_object *stack[STACK];
static size_t depth;
static struct name names[NAMES], classes[CLASSES];
static bool automatic;
_Thread_local bool machine_runs;

static tally_object *good(tally_object *object) {
    if (!object) explain_fail("%s", tally_error_message());
    return object;
}
static void done(int status) {
    if (status < 0) explain_fail("%s", tally_error_message());
}
static void push(tally_object *object) {
    if (depth == STACK) explain_fail("too many values in one step");
    stack[depth++] = object;
}
static tally_object *pop(void) { return stack[--depth]; }
static void drop(void) { tally_decref(pop()); }
static void made(tally_object *object) {
    push(good(object));
    photo_born(object);
}

// The entry of this name, or the first free one.
static struct name *entry(struct name *table, size_t count, const char *name) {
    for (size_t i = 0; i < count; i++)
        if (!table[i].name || strcmp(table[i].name, name) == 0) return &table[i];
    explain_fail("too many names");
}
static struct name *known(const char *name) {
    struct name *found = entry(names, NAMES, name);
    if (!found->object) explain_fail("no name '%s'", name);
    return found;
}
// Stores the new reference first, as Python does, then drops the old one.
static void bind(const char *name, tally_object *object) {
    struct name *found = entry(names, NAMES, name);
    tally_object *old = found->object;
    if (!found->name && !(found->name = strdup(name))) explain_fail("no memory");
    found->object = object;
    tally_xdecref(old);
}

static tally_object *class_of(const char *name) {
    struct name *found = entry(classes, CLASSES, name);
    if (found->object) return found->object;
    tally_class_spec spec = {.name = name, .finalize = photo_finalized};
    found->object = good(tally_class_new(&spec));
    if (!(found->name = strdup(name))) explain_fail("no memory");
    return found->object;
}

static void make_list(size_t count) {
    tally_object *list = good(tally_list_new((ptrdiff_t)count));
    for (size_t i = depth - count; i < depth; i++) done(tally_list_append(list, stack[i]));
    for (; count > 0; count--) drop();
    made(list);
}
static void make_tuple(size_t count) {
    tally_object *tuple = good(tally_tuple_new(stack + depth - count, (ptrdiff_t)count));
    for (; count > 0; count--) drop();
    made(tuple);
}
static void make_dict(size_t count) {
    tally_object *dict = good(tally_dict_new());
    for (size_t i = depth - 2 * count; i < depth; i += 2)
        done(tally_dict_set(dict, stack[i], stack[i + 1]));
    for (; count > 0; count--) {
        drop();
        drop();
    }
    made(dict);
}

// An attribute's or key's place: the holder, and the name or key above it on the stack.
static tally_object *attribute(const char *name) {
    return good(tally_str_intern(good(tally_str_new(name, -1))));
}
static bool is_list(tally_object *object) { return strcmp(tally_type_name(object), "list") == 0; }
static ptrdiff_t index_of(tally_object *key) {
    if (strcmp(tally_type_name(key), "int") != 0) explain_fail("an index is an int");
    return (ptrdiff_t)tally_int_value(key);
}
static void set_item(void) {
    tally_object *key = pop(), *holder = pop(), *value = pop();
    done(is_list(holder) ? tally_list_set(holder, index_of(key), value)
                         : tally_dict_set(holder, key, value));
    tally_decref(key);
    tally_decref(value);
    tally_decref(holder);
}
static void get_item(void) {
    tally_object *key = pop(), *holder = pop(), *found;
    if (is_list(holder))
        found = good(tally_list_get(holder, index_of(key)));
    else if (!(found = tally_dict_get(holder, key)))
        explain_fail("%s", tally_error_kind() ? tally_error_message() : "no such key");
    tally_decref(key);
    tally_decref(holder);
    push(found);
}
static void delete_item(void) {
    tally_object *key = pop(), *holder = pop();
    if (is_list(holder))
        tally_decref(good(tally_list_pop(holder, index_of(key))));
    else
        done(tally_dict_delete(holder, key));
    tally_decref(key);
    tally_decref(holder);
}
static void set_attribute(const char *name) {
    tally_object *holder = pop(), *value = pop(), *key = attribute(name);
    done(tally_set_attr(holder, key, value));
    tally_decref(key);
    tally_decref(value);
    tally_decref(holder);
}
static void get_attribute(const char *name) {
    tally_object *holder = pop(), *key = attribute(name);
    push(good(tally_get_attr(holder, key)));
    tally_decref(key);
    tally_decref(holder);
}
static void delete_attribute(const char *name) {
    tally_object *holder = pop(), *key = attribute(name);
    done(tally_delete_attr(holder, key));
    tally_decref(key);
    tally_decref(holder);
}
static void append(void) {
    tally_object *item = pop(), *list = pop();
    done(tally_list_append(list, item));
    tally_decref(item);
    tally_decref(list);
}

static tally_object *constant(const char *name) {
    return strcmp(name, "None") == 0   ? tally_none
           : strcmp(name, "True") == 0 ? tally_true
                                       : tally_false;
}
static void set_threshold(const char *text) {
    int thresholds[3];
    if (sscanf(text, "%d %d %d", &thresholds[0], &thresholds[1], &thresholds[2]) != 3)
        explain_fail("three thresholds");
    done(tally_gc_set_threshold(thresholds));
    tally_gc_enable();
    automatic = true;
}

bool machine_needs_world(const char *operation) {
    return automatic || strncmp(operation, "collect", 7) == 0;
}

void machine_run(const char *operation) {
    char word[16] = "";
    int length = 0;
    sscanf(operation, "%15s%n", word, &length);
    const char *rest = operation + length + (operation[length] == ' ');
    size_t count = (size_t)strtoul(rest, NULL, 10);
#define IS(name) (strcmp(word, name) == 0)
    if (IS("int")) {
        made(tally_int_new(strtoll(rest, NULL, 10)));
    } else if (IS("float")) {
        made(tally_float_new(strtod(rest, NULL)));
    } else if (IS("str")) {
        made(tally_str_new(rest, -1));
    } else if (IS("constant")) {
        tally_incref(constant(rest));
        made(constant(rest));
    } else if (IS("list")) {
        make_list(count);
    } else if (IS("tuple")) {
        make_tuple(count);
    } else if (IS("dict")) {
        make_dict(count);
    } else if (IS("new")) {
        made(tally_instance_new(class_of(rest)));
    } else if (IS("load")) {
        push(known(rest)->object);
        tally_incref(stack[depth - 1]);
    } else if (IS("store")) {
        bind(rest, pop());
    } else if (IS("delete")) {
        bind(known(rest)->name, NULL);
    } else if (IS("getattr")) {
        get_attribute(rest);
    } else if (IS("setattr")) {
        set_attribute(rest);
    } else if (IS("delattr")) {
        delete_attribute(rest);
    } else if (IS("getitem")) {
        get_item();
    } else if (IS("setitem")) {
        set_item();
    } else if (IS("delitem")) {
        delete_item();
    } else if (IS("append")) {
        append();
    } else if (IS("collect")) {
        tally_safepoint(); // merges what waits, so that the collection is all that happens
        if (tally_gc_collect((int)count) < 0) done(-1);
    } else if (IS("threshold")) {
        set_threshold(rest);
    } else if (IS("safepoint")) {
        tally_safepoint();
    } else if (IS("run")) {
        machine_runs = true;
    } else {
        explain_fail("no operation '%s'", word);
    }
#undef IS
}

void machine_names(json_t *into, json_t *(*id_of)(tally_object *)) {
    for (size_t i = 0; i < NAMES && names[i].name; i++)
        if (names[i].object) json_object_set_new(into, names[i].name, id_of(names[i].object));
}

static void clear(struct name *table, size_t count) {
    for (size_t i = 0; i < count && table[i].name; i++) {
        tally_xdecref(table[i].object);
        free(table[i].name);
    }
}
void machine_end(void) {
    clear(names, NAMES);
    clear(classes, CLASSES);
}
