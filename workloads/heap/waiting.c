// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What waits, for which thread, since when: objects in merge queues, retired memory until a grace
// period has passed, blocks that another thread has freed, and what is counted per thread.  The
// snapshot has one time per queue: when the oldest entry came.
#include "document.h"
#include "heap.h"
#include "results.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct waiting_row {
    char *what, *whom, *is;
    double count, bytes, age;
};
struct waiting_rows {
    struct waiting_row *rows;
    size_t count;
};

static struct waiting_row *add_row(struct waiting_rows *rows, const char *what, char *whom,
                                   char *is) {
    rows->rows = checked_realloc(rows->rows, (rows->count + 1) * sizeof *rows->rows);
    struct waiting_row *row = &rows->rows[rows->count++];
    *row = (struct waiting_row){checked_strdup(what), whom, is, NAN, 0, NAN};
    return row;
}

static char *show_age(double nanoseconds) {
    return nanoseconds < 1e9 ? format("%.0f ms", nanoseconds / 1e6)
                             : format("%.1f s", nanoseconds / 1e9);
}
// As: running, or: in a blocking region for 2.1 s.
static char *state_of(const struct heap *heap, const struct thread *thread) {
    if (isnan(thread->away)) return checked_strdup(place_name(heap, thread->number));
    char *age = show_age(thread->away), *state = format("in a blocking region for %s", age);
    free(age);
    return state;
}

static void add_waiting(struct waiting_rows *rows, const struct heap *heap,
                        const struct thread *thread, const char *what,
                        const struct waiting *about) {
    if (about->bytes == 0) return;
    struct waiting_row *row =
        add_row(rows, what, format("thread %u", thread->number), state_of(heap, thread));
    row->count = about->count;
    row->bytes = about->bytes;
    row->age = about->age;
}

// ---- batches -------------------------------------------------------------------------------

static int by_behind(const void *left, const void *right) {
    const struct batch *a = left, *b = right;
    if (a->behind_count != b->behind_count) return a->behind_count < b->behind_count ? -1 : 1;
    return a->behind_count == 0 ? 0
                                : memcmp(a->behind, b->behind, a->behind_count * sizeof *a->behind);
}

static char *threads_of(const struct batch *batch) {
    enum { MOST_NAMED = 4 };
    struct text text = {0};
    text_add(&text, "thread%s", plural(batch->behind_count));
    for (uint32_t i = 0; i < batch->behind_count && i < MOST_NAMED; i++)
        text_add(&text, "%s %u", i ? "," : "", batch->behind[i]);
    if (batch->behind_count > MOST_NAMED)
        text_add(&text, " and %u more", batch->behind_count - MOST_NAMED);
    return text.data;
}

// Batches that wait for the same threads make one row.
static void add_batches(struct waiting_rows *rows, const struct heap *heap) {
    struct batch *batches = checked_malloc((heap->batch_count + 1) * sizeof *batches);
    if (heap->batch_count > 0) {
        memcpy(batches, heap->batches, heap->batch_count * sizeof *batches);
        qsort(batches, heap->batch_count, sizeof *batches, by_behind);
    }
    struct waiting_row *row = NULL;
    for (size_t i = 0; i < heap->batch_count; i++) {
        const struct batch *batch = &batches[i];
        if (i == 0 || by_behind(&batches[i - 1], batch) != 0)
            row = batch->behind_count
                      ? add_row(rows, "retired, until a grace period has passed", threads_of(batch),
                                checked_strdup("not yet at a safepoint"))
                      : add_row(rows, "retired, a grace period has passed",
                                checked_strdup("the next safepoint of any thread"), NULL);
        row->bytes += batch->about.bytes;
        row->age = fmax(row->age, batch->about.age); // fmax leaves NAN out
    }
    free(batches);
}

// ---- blocks and counts ----------------------------------------------------------------------

static void add_remote(struct waiting_rows *rows, const struct heap *heap,
                       const struct thread *thread) {
    struct waiting coming = {0, 0, NAN};
    for (size_t i = 0; i < heap->ledger.arena_count; i++)
        for (size_t k = 0; k < ARENA_POOLS; k++) {
            const struct pool *pool = &heap->ledger.arenas[i].pools[k];
            if (pool->owner != thread->number) continue;
            coming.count += pool->coming;
            coming.bytes += pool->coming * pool->class_ * 16;
        }
    add_waiting(rows, heap, thread, "freed by another thread", &coming);
}

static void add_unused(struct waiting_rows *rows, const struct heap *heap) {
    struct waiting_row *row = NULL;
    for (uint32_t i = 0; i < heap->count; i++) {
        const struct object *object = &heap->objects[i];
        if ((object->flags & TALLY_HEAP_STATE_MASK) != TALLY_HEAP_PER_THREAD ||
            object->local + object->shared != 0)
            continue;
        if (!row) {
            row = add_row(rows, "counted per thread, without a reference",
                          checked_strdup("the next sweep or collection"), NULL);
            row->count = 0;
        }
        row->count++;
        row->bytes += (double)object->size;
    }
}

// ---- what each thread counts in its own array ------------------------------------------------

struct counted_row {
    const char *type;
    double count, bytes, references;
};
static int by_references(const void *left, const void *right) {
    const struct counted_row *a = left, *b = right;
    if (a->references != b->references) return a->references < b->references ? 1 : -1;
    return strcmp(a->type, b->type);
}

static void show_counted(const struct heap *heap, struct view *view) {
    static const struct column columns[] = {
        COLUMN("type", TEXT, counted_row, type, 0), COLUMN("objects", COUNT, counted_row, count, 0),
        COLUMN("bytes", BYTES, counted_row, bytes, 0),
        COLUMN("references", COUNT, counted_row, references, 0)};
    struct counted_row *rows = checked_calloc(heap->type_count, sizeof *rows);
    size_t used = 0;
    for (uint32_t i = 0; i < heap->count; i++) {
        const struct object *object = &heap->objects[i];
        if ((object->flags & TALLY_HEAP_STATE_MASK) != TALLY_HEAP_PER_THREAD) continue;
        struct counted_row *row = &rows[object->type];
        row->type = type_name(heap, i);
        row->count++;
        row->bytes += (double)object->size;
        row->references += (double)(object->local + object->shared);
    }
    for (uint32_t i = 0; i < heap->type_count; i++)
        if (rows[i].count > 0) rows[used++] = rows[i];
    if (used > 0) qsort(rows, used, sizeof *rows, by_references);
    show_table(view, "Counted per thread", columns, sizeof columns / sizeof *columns, rows, used,
               sizeof *rows);
    free(rows);
}

void show_waiting(const struct heap *heap, struct view *view) {
    static const struct column columns[] = {COLUMN("what waits", TEXT, waiting_row, what, 0),
                                            COLUMN("for", TEXT, waiting_row, whom, 0),
                                            COLUMN("which is", TEXT, waiting_row, is, 0),
                                            COLUMN("number", COUNT, waiting_row, count, 0),
                                            COLUMN("bytes", BYTES, waiting_row, bytes, 0),
                                            COLUMN("the oldest for", TIME, waiting_row, age, 0)};
    struct waiting_rows rows = {0};
    for (uint32_t i = 0; i < heap->thread_count; i++) {
        const struct thread *thread = &heap->threads[i];
        add_waiting(&rows, heap, thread, "in a merge queue", &thread->queue);
        add_waiting(&rows, heap, thread, "retired, in no batch yet", &thread->list);
        add_waiting(&rows, heap, thread, "retired, its thread waits with it", &thread->throttled);
        add_remote(&rows, heap, thread);
    }
    add_batches(&rows, heap);
    add_unused(&rows, heap);
    show_table(view, "What waits", columns, sizeof columns / sizeof *columns, rows.rows, rows.count,
               sizeof *rows.rows);
    show_counted(heap, view);
    for (size_t i = 0; i < rows.count; i++) {
        free(rows.rows[i].what);
        free(rows.rows[i].whom);
        free(rows.rows[i].is);
    }
    free(rows.rows);
}
