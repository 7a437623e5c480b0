// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What the heap is at one moment, read from a heap snapshot: the objects that the example has made,
// with their counts, owners, states, generations and references. An object that the snapshot no
// longer has is dead. Instances tell by their finalizers in which order they died.
#define _GNU_SOURCE
#include "explain.h"
#include "heap/heap.h"
#include "tally_heap_format.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct made {
    tally_object *object;
    unsigned id;
    bool immortal;
    unsigned finalized, by; // the how many-th finalizer since photo_dead, and its thread; 0: none
};

static struct made *objects;
static size_t count, capacity;
static unsigned last_id, finalizers;
static json_t *dead;

static struct made *find(tally_object *object) {
    for (size_t i = 0; i < count; i++)
        if (objects[i].object == object) return &objects[i];
    return NULL;
}

static void note_death(size_t at) {
    json_array_append_new(dead, json_pack("{sisisi}", "id", objects[at].id, "order",
                                          objects[at].finalized, "by", objects[at].by));
    memmove(&objects[at], &objects[at + 1], (--count - at) * sizeof *objects);
}

void photo_born(tally_object *object) {
    struct made *before = find(object);
    if (before && before->immortal) return;
    if (!dead) dead = json_array();
    if (before) note_death((size_t)(before - objects)); // its memory is used again
    if (count == capacity)
        objects = checked_realloc(objects, (capacity = 2 * capacity + 64) * sizeof *objects);
    objects[count++] = (struct made){
        .object = object, .id = ++last_id, .immortal = tally_is_immortal(object) == 1};
}

void photo_finalized(tally_object *object) {
    struct made *found = find(object);
    if (!found) return;
    found->finalized = ++finalizers;
    found->by = explain_thread + 1;
}

json_t *photo_dead(void) {
    json_t *result = dead ? dead : json_array();
    dead = json_array();
    finalizers = 0;
    return result;
}

static json_t *id_of(tally_object *object) {
    struct made *found = find(object);
    return found ? json_integer(found->id) : json_null();
}

static json_t *references_of(const struct heap *heap, uint32_t at) {
    json_t *list = json_array();
    for (uint32_t i = heap->objects[at].first; i < heap->objects[at + 1].first; i++) {
        uint32_t to = heap->references[i].to;
        if (to == NONE || heap->references[i].kind == NAME || heap->references[i].kind == CLASS)
            continue;
        uintptr_t address = (uintptr_t)heap->objects[to].address << TALLY_HEAP_ADDRESS_SHIFT;
        struct made *target = find((tally_object *)address);
        if (!target) continue;
        char *label = reference_label(heap, i, false);
        json_array_append_new(list, json_pack("[is]", target->id, label));
        free(label);
    }
    return list;
}

// What the snapshot says of an object.
static json_t *described(const struct heap *heap, uint32_t at, unsigned id) {
    const struct object *object = &heap->objects[at];
    const char *type = type_name(heap, at);
    unsigned state = object->flags & TALLY_HEAP_STATE_MASK;
    char *label = object_label(heap, at), *value = label + strlen(type) + 1;
    json_t *result = json_pack(
        "{sisssssIsIsisssbsiso}", "id", id, "type", type, "value",
        strncmp(value, "0x", 2) == 0 ? "" : value, "local", (json_int_t)object->local, "shared",
        (json_int_t)object->shared, "owner", object->owner, "state", state_name(object->flags),
        "tracked", (object->flags & TALLY_HEAP_TRACKED) != 0, "generation",
        object->flags & TALLY_HEAP_TRACKED ? (int)(object->flags >> TALLY_HEAP_AGE_SHIFT) - 1 : -1,
        "references", references_of(heap, at));
    json_object_set_new(result, "immortal", json_boolean(state == TALLY_HEAP_IMMORTAL));
    free(label);
    return result;
}
// An immortal object that only names hold is not in the snapshot.
static json_t *immortal(const struct made *made) {
    tally_object *repr = tally_repr(made->object);
    if (!repr) explain_fail("%s", tally_error_message());
    json_t *result = json_pack("{sisssssisisisssbsis[]sb}", "id", made->id, "type",
                               tally_type_name(made->object), "value", tally_str_data(repr),
                               "local", 0, "shared", 0, "owner", 0, "state", "immortal", "tracked",
                               0, "generation", -1, "references", "immortal", 1);
    tally_decref(repr);
    return result;
}

static void read_heap(struct heap *heap) {
    char path[40];
    int descriptor = memfd_create("explain", MFD_CLOEXEC);
    FILE *file = descriptor < 0 ? NULL : fdopen(descriptor, "w");
    if (!file) explain_fail("no memory for a snapshot");
    if (tally_heap_snapshot_file(file, NULL) < 0 || fflush(file) != 0)
        explain_fail("%s", tally_error_message());
    snprintf(path, sizeof path, "/proc/self/fd/%d", descriptor);
    heap_read(heap, path);
    fclose(file);
}

static json_t *threads_of(const struct heap *heap) {
    static const char *const places[TALLY_HEAP_PLACES] = {"gone", "running", "blocked"};
    json_t *result = json_array();
    for (uint32_t i = 0; i < heap->thread_count; i++)
        json_array_append_new(
            result, json_pack("[is]", heap->threads[i].number, places[heap->threads[i].place]));
    return result;
}

json_t *photo_take(void) {
    struct heap heap = {0};
    json_t *list = json_array(), *names = json_object();
    if (!dead) dead = json_array();
    read_heap(&heap);
    for (size_t i = 0; i < count;) {
        uint32_t at = heap_find(&heap, (uintptr_t)objects[i].object);
        if (at == NONE && !objects[i].immortal) {
            note_death(i);
            continue;
        }
        json_array_append_new(list, at == NONE ? immortal(&objects[i])
                                               : described(&heap, at, objects[i].id));
        i++;
    }
    machine_names(names, id_of);
    json_t *result =
        json_pack("{sososo}", "objects", list, "names", names, "threads", threads_of(&heap));
    heap_free(&heap);
    return result;
}
