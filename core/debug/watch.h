/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * watch.h: tells Valgrind's memcheck and AddressSanitizer which bytes of a pool a program may
 * touch, so that they report a bad access where it happens. Without them it does nothing.
 */
#ifndef TALLY_DEBUG_WATCH_H
#define TALLY_DEBUG_WATCH_H

#include <stddef.h>

#if defined __SANITIZE_ADDRESS__
#    define TALLY_ASAN 1
#elif defined __has_feature
#    if __has_feature(address_sanitizer)
#        define TALLY_ASAN 1
#    endif
#endif

#ifdef TALLY_ASAN
#    include <sanitizer/asan_interface.h>
#elif defined __has_include
#    if __has_include(<valgrind/memcheck.h>)
#        include <valgrind/memcheck.h>
#    endif
#endif

/* open: anyone may touch the bytes; close: no one may. */
static inline void tally_watch_open(const void *at, size_t bytes) {
#ifdef TALLY_ASAN
    __asan_unpoison_memory_region(at, bytes);
#elif defined VALGRIND_MAKE_MEM_DEFINED
    (void)VALGRIND_MAKE_MEM_DEFINED(at, bytes);
#endif
}
static inline void tally_watch_close(const void *at, size_t bytes) {
#ifdef TALLY_ASAN
    __asan_poison_memory_region(at, bytes);
#elif defined VALGRIND_MAKE_MEM_NOACCESS
    (void)VALGRIND_MAKE_MEM_NOACCESS(at, bytes);
#endif
}
/* A block of a pool, and its end: memcheck then says of a bad address where its block was made and
 * freed. The caller opens again what may be read after the end. AddressSanitizer has a hook instead
 * (debug.c). */
static inline void tally_watch_born(const void *block, size_t bytes) {
#if !defined TALLY_ASAN && defined VALGRIND_MALLOCLIKE_BLOCK
    VALGRIND_MALLOCLIKE_BLOCK(block, bytes, 0, 0);
#endif
}
static inline void tally_watch_died(const void *block) {
#if !defined TALLY_ASAN && defined VALGRIND_FREELIKE_BLOCK
    VALGRIND_FREELIKE_BLOCK(block, 0);
#endif
}
/* New bytes, which have no value yet. */
static inline void tally_watch_made(const void *at, size_t bytes) {
#if !defined TALLY_ASAN && defined VALGRIND_MAKE_MEM_UNDEFINED
    (void)VALGRIND_MAKE_MEM_UNDEFINED(at, bytes);
#endif
}

#endif
