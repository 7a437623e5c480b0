/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pins.h: strs whose bytes a heap snapshot hashes once the world runs again, so that the stop does
 * not grow with the bytes. A str cannot change, and a pin is a reference that keeps it meanwhile.
 */
#ifndef TALLY_PINS_H
#define TALLY_PINS_H

#include "tally.h"
#include <stdbool.h>

struct tally_str;

typedef struct tally_pin {
    struct tally_str *str;
    uint8_t *hash; /* 8 bytes of a snapshot */
} tally_pin;
typedef struct tally_pins {
    tally_pin *at;
    size_t count, capacity;
} tally_pins;

/* World stopped; the str lives. False: no memory, and no reference is taken. */
bool tally_pins_add(tally_pins *pins, struct tally_str *str, uint8_t *hash);
/* The world runs; the caller may be in a blocked region. */
void tally_pins_hash(const tally_pins *pins);
/* Drops the references. [safepoint] */
void tally_pins_drop(tally_pins *pins);

#endif
