/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * drop_later.c: references that a plain call has to drop end at the thread's next safepoint.
 *
 * A function marked [plain] runs no foreign code, and a decref may run some, even if it is not the
 * last: it may merge for another thread.
 */
#include "objects/object.h"

void tally_drop_later(tally_object *object) {
    if (tally_refcount_try_drop(&object->refcount)) return;
    tally_thread_state *thread = tally_thread_current();
    if (thread->drops == TALLY_DROPS_LATER) {
        tally_reference_batch *batch = malloc(sizeof *batch + sizeof thread->drop_later);
        /* No memory, and more references wait since the last safepoint than there is room for. */
        if (!batch) {
            tally_decref(object);
            return;
        }
        batch->count = thread->drops;
        memcpy(batch->at, thread->drop_later, sizeof thread->drop_later);
        thread->drops = 0;
        tally_drop_batch_later(batch);
    }
    thread->drop_later[thread->drops++] = object;
    tally_breaker_set(thread, TALLY_BREAK_KEPT);
}
void tally_drop_batch_later(tally_reference_batch *batch) {
    tally_thread_state *thread = tally_thread_current();
    batch->next = thread->batches;
    thread->batches = batch;
    tally_breaker_set(thread, TALLY_BREAK_KEPT);
}

void tally_drop_kept(tally_thread_state *thread) {
    if (TALLY_LIKELY(!tally_keeps_any(thread))) return;
    tally_breaker_clear(thread, TALLY_BREAK_KEPT);
    /* A finalizer may leave more references, or come here. */
    while (tally_keeps_any(thread)) {
        tally_object *kept = thread->kept;
        thread->kept = NULL;
        tally_xdecref(kept);
        while (thread->drops) tally_decref(thread->drop_later[--thread->drops]);
        tally_reference_batch *batch = thread->batches;
        if (!batch) continue;
        thread->batches = batch->next;
        for (ptrdiff_t i = 0; i < batch->count; i++) tally_decref(batch->at[i]);
        free(batch);
    }
}
