/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* pins.c: strs that are hashed once the world runs again; pins.h. */
#include "instrument/pins.h"
#include "objects/object.h"
#include "tally_heap_format.h"

bool tally_pins_add(tally_pins *pins, tally_str *str, uint8_t *hash) {
    if (pins->count == pins->capacity) {
        size_t capacity = pins->capacity ? 2 * pins->capacity : 256;
        tally_pin *at = realloc(pins->at, capacity * sizeof *at);
        if (!at) return false;
        pins->at = at;
        pins->capacity = capacity;
    }
    tally_incref(&str->base);
    pins->at[pins->count++] = (tally_pin){str, hash};
    return true;
}

void tally_pins_hash(const tally_pins *pins) {
    for (size_t i = 0; i < pins->count; i++) {
        const tally_str *str = pins->at[i].str;
        uint64_t hash = tally_hash_bytes(str->data, str->length);
        memcpy(pins->at[i].hash, &hash, TALLY_HEAP_HASH);
    }
}

void tally_pins_drop(tally_pins *pins) {
    enum { BETWEEN_SAFEPOINTS = 256 };
    for (size_t i = 0; i < pins->count; i++) {
        tally_decref(&pins->at[i].str->base);
        if (i % BETWEEN_SAFEPOINTS == 0) tally_safepoint();
    }
    free(pins->at);
}
