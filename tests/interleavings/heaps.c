/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* heaps.c: heaps of threads that are blocked or gone. */
#include "cast.h"

enum { FLOATS = 4000, SERVED = 64 /* blocks pushed to a heap before a thread looks after it */ };
static tally_object *floats[FLOATS];
static _Atomic int adopted, passed_on;

static void make_floats(void) {
    for (int i = 0; i < FLOATS; i++) floats[i] = tally_float_new(i);
}
static void drop_even_floats(void) {
    for (int i = 0; i < FLOATS; i += 2) tally_decref(floats[i]);
}
static void drop_first_odd_float(void) { tally_decref(floats[1]); }
static void drop_other_odd_floats(void) {
    for (int i = 3; i < FLOATS; i += 2) tally_decref(floats[i]);
}
static void drop_some_floats(void) {
    for (int i = 0; i < SERVED; i++) tally_decref(floats[i]);
}
static void drop_other_floats(void) {
    for (int i = SERVED; i < FLOATS; i++) tally_decref(floats[i]);
}

static void make_floats_again_and_drop(void) {
    for (int i = 0; i < FLOATS; i++) tally_decref(tally_float_new(i));
}

static void set_flag(void *which) {
    atomic_store_explicit((_Atomic int *)which, 1, memory_order_relaxed);
}

/* Until *which is set: it needs one pool after the other. */
static void make_until(_Atomic int *which) {
    tally_object *list_ = tally_list_new(0);
    for (int i = 0; i < 200000 && !atomic_load_explicit(which, memory_order_relaxed); i++) {
        tally_object *number = tally_float_new(i);
        tally_list_append(list_, number);
        tally_decref(number);
    }
    tally_decref(list_);
}
static void make_until_adopted(void) { make_until(&adopted); }
static void make_until_passed_on(void) { make_until(&passed_on); }

static size_t float_blocks;
static void count_float_blocks(void) {
    tally_memory_result memory;
    tally_memory_stats(&memory);
    float_blocks = memory.classes[(tally_header_size(false) + sizeof(double) + 15) / 16 - 1].blocks;
}

/* A thread frees a block of a heap, another adopts its pool in between; the block gets home. */
TEST_IF(no_gil, a_block_on_its_way_to_a_heap_follows_its_pool) {
    atomic_store(&adopted, 0);
    atomic_store(&passed_on, 0);
    count_float_blocks();
    size_t before = float_blocks;
    raise_curtain();
    tell(OWNER, make_floats, drop_even_floats, block);
    while_held(OTHER, drop_first_odd_float, "remote_push") {
        tally_failpoint_call_always(THIRD, "heap_adopt", set_flag, &adopted);
        tell(THIRD, make_until_adopted);
        check(atomic_load(&adopted));
    }
    tell(OTHER, drop_other_odd_floats);
    tell(OWNER, unblock, safepoint);
    tally_failpoint_call_always(OWNER, "heap_pass_on", set_flag, &passed_on);
    tell(OTHER, safepoint);
    if (!atomic_load(&passed_on)) /* it stays so if the pool adopted was another */
        tell(OWNER, make_until_passed_on);
    tell(OWNER, safepoint);
    tell(THIRD, safepoint);
    drop_curtain();
    count_float_blocks();
    check_int(float_blocks, before);
}

/* The heap of a blocked thread is served: the thread does not run before that is over. */
INTERLEAVING(no_gil, a_blocked_thread_waits_while_its_heap_is_served) {
    tell(OWNER, make_floats, block);
    while_held(OTHER, drop_some_floats, "heap_claimed") {
        check_waits(OWNER, unblock);
    }
    finish(OWNER);
    tell(OWNER, make_floats_again_and_drop);
    tell(OTHER, drop_other_floats);
}

/* The heap of a vacant slot is served: nobody attaches there before that is over. */
INTERLEAVING(no_gil, nobody_attaches_while_the_heap_of_the_slot_is_served) {
    tell(OWNER, make_floats, detach);
    while_held(OTHER, drop_some_floats, "heap_claimed") {
        check_waits(OWNER, attach);
    }
    finish(OWNER);
    tell(OWNER, make_floats_again_and_drop);
    tell(OTHER, drop_other_floats);
}
