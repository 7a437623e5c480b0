/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * built.c: builds the heap that a file of lines says, writes a snapshot of it, and prints each name
 * with the address of its object: built LINES SNAPSHOT. programs.py has the lines, and does the
 * same in Python.
 *
 *     node NAME | list NAME | dict NAME | tuple NAME ITEM...    a new object, which the name holds
 *     append LIST ITEM | set DICT KEY VALUE | slot NODE 0..2 VALUE
 *     drop NAME                                                 the name holds it no more
 */
#include <tally.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 200, WORDS = 8, LENGTH = 32 };

static struct {
    char name[LENGTH];
    tally_object *object;
} names[MOST];
static int count;

static void check(int good) {
    if (good) return;
    fprintf(stderr, "built: %s\n", tally_error_message());
    exit(1);
}
static tally_object **place_of(const char *name) {
    for (int i = 0; i < count; i++)
        if (strcmp(names[i].name, name) == 0) return &names[i].object;
    fprintf(stderr, "built: no object is called %s\n", name);
    exit(1);
}
static void name_object(const char *name, tally_object *object) {
    check(object != NULL && count < MOST);
    snprintf(names[count].name, LENGTH, "%s", name);
    names[count++].object = object;
    printf("%s %p\n", name, (void *)object);
}
static tally_object *tuple_of(char words[][LENGTH], int used) {
    tally_object *items[WORDS];
    for (int i = 2; i < used; i++) items[i - 2] = *place_of(words[i]);
    return tally_tuple_new(items, used - 2);
}

static void run(tally_object *node, char words[][LENGTH], int used) {
    const char *what = words[0], *name = words[1];
    if (strcmp(what, "node") == 0) {
        name_object(name, tally_instance_new(node));
    } else if (strcmp(what, "list") == 0) {
        name_object(name, tally_list_new(0));
    } else if (strcmp(what, "dict") == 0) {
        name_object(name, tally_dict_new());
    } else if (strcmp(what, "tuple") == 0) {
        name_object(name, tuple_of(words, used));
    } else if (strcmp(what, "append") == 0) {
        check(tally_list_append(*place_of(name), *place_of(words[2])) == 0);
    } else if (strcmp(what, "slot") == 0) {
        tally_object *value = *place_of(words[3]);
        tally_slot_set(*place_of(name), atoi(words[2]), value);
    } else if (strcmp(what, "set") == 0) {
        tally_object *key = tally_int_new(atoi(words[2]));
        check(key && tally_dict_set(*place_of(name), key, *place_of(words[3])) == 0);
        tally_decref(key);
    } else {
        tally_decref(*place_of(name));
        *place_of(name) = NULL;
    }
}

int main(int argc, char **argv) {
    char line[512], words[WORDS][LENGTH];
    FILE *file = argc == 3 ? fopen(argv[1], "r") : NULL;
    if (!file) return 2;
    check(tally_init(NULL) == 0);
    tally_gc_disable();
    tally_object *node = tally_class_new(
        &(tally_class_spec){.name = "Node", .slots = (const char *const[]){"a", "b", "c", NULL}});
    check(node != NULL);
    while (fgets(line, sizeof line, file)) {
        int used = 0;
        for (char *word = strtok(line, " \n"); word && used < WORDS; word = strtok(NULL, " \n"))
            snprintf(words[used++], LENGTH, "%s", word);
        run(node, words, used);
    }
    fclose(file);
    check(tally_heap_snapshot(argv[2], NULL) == 0);
    for (int i = 0; i < count; i++) tally_xdecref(names[i].object);
    tally_decref(node);
    tally_gc_collect(2);
    return tally_finish() == 0 ? 0 : 1;
}
