// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What objects, references and roots are called.
#include "document.h"
#include "heap.h"
#include "tally_heap_format.h"

#include <stdlib.h>
#include <string.h>

const char *type_name(const struct heap *heap, uint32_t object) {
    return heap->types[heap->objects[object].type].name;
}

size_t text_kept(const struct heap *heap, const struct object *str) {
    if (str->value <= TALLY_HEAP_TEXT) return str->value;
    return heap->version > 2 ? TALLY_HEAP_CUT : TALLY_HEAP_TEXT;
}

// The first bytes of a str, with a full stop for what a terminal or a graph would take amiss.
static char *quoted(const struct heap *heap, const struct object *str) {
    char shown[TALLY_HEAP_TEXT + 1];
    size_t length = text_kept(heap, str);
    for (size_t i = 0; i < length; i++) {
        unsigned char byte = (unsigned char)str->text[i];
        shown[i] = (char)(byte < 32 || byte == 127 || byte == '"' || byte == '\\' ? '.' : byte);
    }
    // A character that was cut in two is left out.
    while (length < str->value && length > 0 && ((unsigned char)shown[length - 1] & 0x80) != 0)
        length--;
    shown[length] = '\0';
    return format("'%s'%s", shown, length < str->value ? "..." : "");
}

static char *value_of(const struct heap *heap, const struct object *object) {
    double number;
    switch (heap->types[object->type].layout) {
    case TALLY_HEAP_INT: return format("%lld", (long long)object->value);
    case TALLY_HEAP_FLOAT: memcpy(&number, &object->value, 8); return format("%.6g", number);
    case TALLY_HEAP_STR: return quoted(heap, object);
    case TALLY_HEAP_TYPE:
        for (uint32_t i = 0; i < heap->type_count; i++)
            if (heap->types[i].known && heap->types[i].address == object->address)
                return checked_strdup(heap->types[i].name);
        return NULL;
    default: return NULL;
    }
}

char *object_label(const struct heap *heap, uint32_t object) {
    char *value = value_of(heap, &heap->objects[object]), *label;
    if (value)
        label = format("%s %s", type_name(heap, object), value);
    else
        label =
            format("%s 0x%llx", type_name(heap, object),
                   (unsigned long long)heap->objects[object].address << TALLY_HEAP_ADDRESS_SHIFT);
    free(value);
    return label;
}

// A key as it is written in a program: its value, or its type and address.
static char *key_label(const struct heap *heap, uint32_t key) {
    if (key == NONE) return checked_strdup("?");
    char *value = value_of(heap, &heap->objects[key]);
    return value ? value : object_label(heap, key);
}

bool is_tuple(const struct heap *heap, uint32_t object) {
    const struct type *type = &heap->types[heap->objects[object].type];
    return (type->flags & TALLY_HEAP_IMMUTABLE) != 0 && type->layout == TALLY_HEAP_ITEMS;
}

char *value_label(const struct heap *heap, uint32_t object) {
    if (!is_tuple(heap, object)) return object_label(heap, object);
    enum { MOST_ITEMS = 4 };
    uint32_t from = heap->objects[object].first, to = heap->objects[object + 1].first, at = from;
    struct text text = {0};
    text_add(&text, "tuple (");
    for (; at < to && at < from + MOST_ITEMS; at++) {
        uint32_t item = heap->references[at].to;
        char *label =
            item != NONE && is_tuple(heap, item) ? checked_strdup("(...)") : key_label(heap, item);
        text_add(&text, "%s%s", at > from ? ", " : "", label);
        free(label);
    }
    text_add(&text, at < to ? ", ... %u items)" : to == from + 1 ? ",)" : ")", to - from);
    return text.data;
}

bool reference_is_alike(const struct heap *heap, uint32_t a, uint32_t b) {
    const struct reference *first = &heap->references[a], *second = &heap->references[b];
    bool by_place = first->kind == SLOT || first->kind == HELD;
    return heap->objects[first->from].type == heap->objects[second->from].type &&
           first->kind == second->kind && (!by_place || first->place == second->place) &&
           (first->kind != ATTRIBUTE || heap->references[a - 1].to == heap->references[b - 1].to);
}

char *reference_label(const struct heap *heap, uint32_t at, bool general) {
    const struct reference *reference = &heap->references[at];
    const struct type *type = &heap->types[heap->objects[reference->from].type];
    uint32_t key = at > 0 ? heap->references[at - 1].to : NONE;
    char *value, *label;
    switch ((enum reference_kind)reference->kind) {
    case SLOT:
        return reference->place < type->slot_count ? format(".%s", type->slots[reference->place])
                                                   : format(".slot %u", reference->place);
    case ITEM: return general ? checked_strdup("[i]") : format("[%u]", reference->place);
    case HELD: return format("reference %u", reference->place + 1);
    case KEY: return checked_strdup("a key");
    case NAME: return checked_strdup("an attribute's name");
    case SLOT_NAME: return checked_strdup("its slots");
    case CLASS: return checked_strdup("its class");
    case WEAK: return checked_strdup("weakly");
    case VALUE:
        if (general) return checked_strdup("[key]");
        value = key_label(heap, key);
        label = format("[%s]", value);
        break;
    default:
        value = key_label(heap, key);
        if (value[0] == '\'') { // .name, not .'name'
            value[strcspn(value + 1, "'") + 1] = '\0';
            label = format(".%s", value + 1);
        } else {
            label = format(".%s", value);
        }
    }
    free(value);
    return label;
}

const char *state_name(unsigned flags) {
    static const char *const names[TALLY_HEAP_STATES] = {[TALLY_HEAP_WHOLE] = "one count",
                                                         [TALLY_HEAP_PRIVATE] = "private",
                                                         [TALLY_HEAP_MAYBE_SHARED] = "maybe shared",
                                                         [TALLY_HEAP_QUEUED] = "queued",
                                                         [TALLY_HEAP_MERGED] = "merged",
                                                         [TALLY_HEAP_PER_THREAD] = "per-thread",
                                                         [TALLY_HEAP_IMMORTAL] = "immortal"};
    return names[flags & TALLY_HEAP_STATE_MASK];
}

char *root_label(const struct heap *heap, uint32_t object) {
    const struct object *about = &heap->objects[object];
    unsigned state = about->flags & TALLY_HEAP_STATE_MASK;
    if (state == TALLY_HEAP_IMMORTAL) return checked_strdup("immortal");
    if (state == TALLY_HEAP_QUEUED)
        return format("%lld from outside, one by the merge queue of thread %u",
                      (long long)heap->outside[object], about->owner);
    return format("%lld reference%s from outside", (long long)heap->outside[object],
                  plural((double)heap->outside[object]));
}

uint32_t object_named(const struct heap *heap, const char *what, size_t *of_type) {
    uint32_t best = NONE;
    char *end;
    *of_type = 0;
    if (strncmp(what, "0x", 2) == 0) {
        uint64_t address = strtoull(what, &end, 16);
        best = *end ? NONE : heap_find(heap, address);
        if (best == NONE) reject("%s has no object at %s", heap->path, what);
        return best;
    }
    for (uint32_t i = 0; i < heap->count; i++) {
        if (strcmp(type_name(heap, i), what) != 0) continue;
        ++*of_type;
        bool better = best == NONE || heap->reachable[i] > heap->reachable[best] ||
                      (heap->reachable[i] == heap->reachable[best] &&
                       heap->retained[i] > heap->retained[best]);
        if (better) best = i;
    }
    if (best == NONE)
        reject("%s has no object of type '%s'; --types --rows 1000 lists the types, and an "
               "address begins with 0x",
               heap->path, what);
    return best;
}
