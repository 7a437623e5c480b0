// SPDX-License-Identifier: LGPL-2.1-or-later
//
// splitmix64 (Steele, Lea, Flood, "Fast Splittable Pseudorandom Number
// Generators", 2014): small, seeded, the same everywhere.
#ifndef TALLY_COMPARE_RANDOM_H
#define TALLY_COMPARE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

static inline uint64_t random_next(uint64_t *state) {
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

// From 0 up to, and without, a limit under 2^32.
static inline size_t random_below(uint64_t *state, size_t limit) {
    return (size_t)(((random_next(state) >> 32) * (uint64_t)limit) >> 32);
}

#endif
