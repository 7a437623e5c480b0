/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * heap_profile.c: which allocations are sampled, and the records of the samples; heap_profile.h.
 *
 * A sample falls on every n-th byte on average: a thread draws the bytes until its next sample from
 * an exponential distribution, and the block that has that byte is sampled. The distribution has no
 * memory, so a block of s bytes is sampled with probability 1 - exp(-s / n), whatever came before.
 * The file divides by that (heap_profile_write.c). The seeds are constants: a thread that does the
 * same draws the same.
 *
 * A record is made at the birth of a sample, outside of all locks, and needs no more memory: at the
 * death its numbers are added to those of an equal one, or it stays as the first of its kind.
 */
#include "instrument/heap_profile.h"
#include "debug/stacks.h"
#include "memory/arena.h"
#include "memory/sampled.h"
#include "objects/object.h"
#include <errno.h>
#include <math.h>

typedef tally_profile_record record;

/* Chains; their number is a power of two. Without memory for more the chains grow longer. */
typedef struct table {
    record **at;
    size_t chains, count;
} table;

_Atomic bool tally_heap_profiling;
static struct {
    pthread_mutex_t lock;
    table living; /* by block */
    table sites;  /* of samples that are freed: by stack, type, size and thread */
    uint64_t lost, period, began;
} profile = {.lock = PTHREAD_MUTEX_INITIALIZER};

enum { PERIOD = 512 << 10, CHAINS = 1024 };

static uint64_t mixed(uint64_t x) {
    x = (x ^ x >> 32) * UINT64_C(0x9e3779b97f4a7c15);
    return x ^ x >> 29;
}

/* ---- tables; the lock is held ------------------------------------------------- */

static uint64_t key_of(const table *table, const record *r) {
    return table == &profile.living ? mixed((uintptr_t)r->block) : r->hash;
}
static record **chain_of(const table *table, uint64_t key) {
    return &table->at[key & (table->chains - 1)];
}

static void grow(table *from) {
    table to = {.at = calloc(2 * from->chains, sizeof *to.at), .chains = 2 * from->chains};
    if (!to.at) return;
    for (size_t i = 0; i < from->chains; i++)
        for (record *r = from->at[i], *next; r; r = next) {
            next = r->next;
            record **chain = chain_of(&to, key_of(from, r));
            r->next = *chain;
            *chain = r;
        }
    free(from->at);
    from->at = to.at;
    from->chains = to.chains;
}

static void put(table *table, record *r) {
    if (table->count++ == table->chains) grow(table);
    record **chain = chain_of(table, key_of(table, r));
    r->next = *chain;
    *chain = r;
}

/* The place of the record of a living block; NULL: it has none. */
static record **find_living(const void *block) {
    if (!profile.living.at) return NULL;
    record **at = chain_of(&profile.living, mixed((uintptr_t)block));
    while (*at && (*at)->block != block) at = &(*at)->next;
    return *at ? at : NULL;
}

bool tally_profile_same_site(const record *a, const record *b) {
    return a->hash == b->hash && a->size == b->size && a->maker == b->maker &&
           a->depth == b->depth &&
           memcmp(a->frames, b->frames, a->depth * sizeof a->frames[0]) == 0;
}

static void free_table(table *table) {
    for (size_t i = 0; i < table->chains; i++)
        for (record *r = table->at[i], *next; r; r = next) {
            next = r->next;
            free(r);
        }
    free(table->at);
    *table = (struct table){0};
}

/* ---- birth -------------------------------------------------------------------- */

/* By xorshift64*, from 2^-53 up to 1. */
static double random_share(uint64_t *state) {
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return (double)((*state * UINT64_C(0x2545f4914f6cdd1d) >> 11) + 1) * 0x1p-53;
}

static int64_t draw(tally_heap *heap) {
    double bytes = -log(random_share(&heap->sample_random)) * (double)profile.period;
    return bytes < 0x1p62 ? (int64_t)bytes : INT64_C(1) << 62;
}

/* The thread is about to allocate a block of so many bytes. */
static bool has_sample(tally_heap *heap, size_t bytes) {
    heap->until_sample -= (int64_t)bytes;
    if (TALLY_LIKELY(heap->until_sample >= 0)) return false;
    if (!heap->sample_random) { /* its first block */
        heap->sample_random = mixed(tally_self.id + 1u) | 1;
        heap->until_sample = draw(heap) - (int64_t)bytes;
        if (heap->until_sample >= 0) return false;
    }
    heap->until_sample = draw(heap);
    return true;
}

static record *make_record(unsigned kind, size_t bytes, const void *caller) {
    enum { OWN_FRAMES = 8 };
    const void *frames[TALLY_PROFILE_FRAMES + OWN_FRAMES];
    unsigned count = tally_stack_walk(frames, TALLY_PROFILE_FRAMES + OWN_FRAMES), first = 0;
    while (first < count && frames[first] != caller) first++;
    if (first == count) first = 0;
    unsigned depth = count - first < TALLY_PROFILE_FRAMES ? count - first : TALLY_PROFILE_FRAMES;
    record *r = malloc(sizeof *r + depth * sizeof r->frames[0]);
    if (!r) return NULL;
    *r = (record){.born = tally_now(),
                  .made = 1,
                  .size = bytes,
                  .attachment = tally_thread_current()->heap.attachments,
                  .maker = tally_self.id,
                  .kind = (uint8_t)kind,
                  .depth = depth,
                  .hash = mixed(bytes ^ (uint64_t)tally_self.id << 48)};
    for (unsigned i = 0; i < depth; i++) {
        r->frames[i] = frames[first + i];
        r->hash = mixed(r->hash ^ (uintptr_t)r->frames[i]);
    }
    return r;
}

/* A block that is sampled; NULL: no memory, and it is counted as lost. class_: 0: a large one. */
static void *alloc_sampled(unsigned kind, unsigned class_, size_t bytes, const void *caller) {
    record *r = make_record(kind, bytes, caller);
    void *block = r && !class_ ? tally_large_alloc(kind, bytes) : NULL;
    pthread_mutex_lock(&profile.lock);
    if (r && class_) block = tally_sampled_take(kind, class_);
    if (block) {
        if (class_) TALLY_DETAIL(allocations);
        r->block = block;
        put(&profile.living, r);
        if (!class_) tally_large_set_sampled(block);
        /* The type of a block that was another object before is not this one's. */
        if (kind != TALLY_RAW) ((tally_object *)block)->type = 0;
    } else {
        profile.lost++;
    }
    pthread_mutex_unlock(&profile.lock);
    if (!block) free(r);
    return block;
}

void *tally_heap_profile_alloc(unsigned kind, size_t size, const void *caller) {
    tally_heap *heap = tally_heap_current();
    unsigned class_ = size > TALLY_SMALL_LIMIT ? 0 : size ? (unsigned)((size + 15) / 16) : 1;
    size_t bytes = class_ ? class_ * 16u : size;
    if (TALLY_UNLIKELY(has_sample(heap, bytes))) {
        void *block = alloc_sampled(kind, class_, bytes, caller);
        if (block) return block;
    }
    return class_ ? tally_heap_take_queued(heap, kind, class_) : tally_large_alloc(kind, size);
}

void *tally_heap_profile_alloc_large(unsigned kind, size_t size) {
    if (has_sample(tally_heap_current(), size)) {
        void *block = alloc_sampled(kind, 0, size, __builtin_return_address(0));
        if (block) return block;
    }
    return tally_large_alloc(kind, size);
}

/* ---- death -------------------------------------------------------------------- */

static bool is_by_maker(const record *r) {
    return r->maker == tally_self.id && r->attachment == tally_thread_current()->heap.attachments;
}

/* The header of an object, dead or alive, tells the type; an instance holds its class until it is
 * freed. */
static void note_type(record *r) {
    if (*r->type) return;
    const tally_object *object = r->block;
    const char *name = r->kind == TALLY_RAW ? "(contents)"
                       : object->type       ? tally_types[object->type].name
                                            : NULL;
    snprintf(r->type, sizeof r->type, "%s", name ? name : "(run time)");
}

/* The lock is held. */
static void note_death(const void *block) {
    record **at = find_living(block), *r = at ? *at : NULL;
    if (!r) return;
    note_type(r);
    *at = r->next;
    profile.living.count--;
    r->freed = 1;
    r->freed_by_others = r->dropped_by_other || !is_by_maker(r);
    r->lifetime = tally_now() - r->born;
    r->block = NULL;
    record *same = *chain_of(&profile.sites, r->hash);
    while (same && !(tally_profile_same_site(same, r) && strcmp(same->type, r->type) == 0))
        same = same->next;
    if (!same) {
        put(&profile.sites, r);
        return;
    }
    same->made++;
    same->freed++;
    same->freed_by_others += r->freed_by_others;
    same->lifetime += r->lifetime;
    free(r);
}

void tally_heap_profile_died(const void *block) {
    pthread_mutex_lock(&profile.lock);
    note_death(block);
    pthread_mutex_unlock(&profile.lock);
}

void tally_heap_profile_freed(tally_pool *pool, void *block) {
    pthread_mutex_lock(&profile.lock);
    note_death(block ? block : pool->free);
    tally_sampled_give_back(pool, block);
    bool over =
        tally_load_relaxed(&tally_heap_profiling) ? tally_sampled_is_spare(pool) : pool->left == 0;
    /* tally_finish frees some blocks by a thread that is not attached; they go with the region. */
    over = over && tally_thread_is_attached();
    if (over) tally_sampled_remove(pool);
    pthread_mutex_unlock(&profile.lock);
    if (over) tally_pool_release(pool);
}

void tally_heap_profile_dropped(const tally_object *object) {
    if (!tally_is_sampled(object)) return;
    pthread_mutex_lock(&profile.lock);
    record **at = find_living(object);
    if (at) (*at)->dropped_by_other = true;
    pthread_mutex_unlock(&profile.lock);
}

/* ---- start and end ------------------------------------------------------------ */

static bool make_table(table *table) {
    *table = (struct table){.at = calloc(CHAINS, sizeof *table->at), .chains = CHAINS};
    return table->at;
}

/* The world is stopped. */
static void begin(tally_heap *heap) {
    tally_heap_queue_current(heap);
    heap->until_sample = 0;
    heap->sample_random = 0;
}

int tally_heap_profile_start(ptrdiff_t bytes) {
    tally_thread_require();
    if (bytes < 0) return tally_fail(TALLY_VALUE_ERROR, "a heap profile of every %td bytes", bytes);
    tally_stack_walk(&(const void *){NULL}, 1); /* the first walk may take memory */
    table living, sites;
    bool good = make_table(&living), on = false;
    good = make_table(&sites) && good; /* both are freed below */
    if (good) {
        tally_stop_the_world();
        on = tally_load_relaxed(&tally_heap_profiling);
        if (!on) {
            tally_each_thread(thread) begin(&thread->heap);
            begin(tally_heap_current());
            profile.living = living;
            profile.sites = sites;
            profile.lost = 0;
            profile.period = bytes ? (uint64_t)bytes : PERIOD;
            profile.began = tally_now();
            tally_store_relaxed(&tally_heap_profiling, true);
        }
        tally_resume_the_world();
    }
    if (good && !on) return 0;
    free(living.at);
    free(sites.at);
    return on ? tally_fail(TALLY_RUNTIME_ERROR, "a heap profile is on already") : tally_no_memory();
}

static int is_off(void) { return tally_fail(TALLY_RUNTIME_ERROR, "no heap profile is on"); }

int tally_heap_profile_stop(void) {
    tally_thread_require();
    tally_stop_the_world();
    bool on = tally_load_relaxed(&tally_heap_profiling);
    tally_store_relaxed(&tally_heap_profiling, false);
    table living = profile.living, sites = profile.sites;
    profile.living = profile.sites = (table){0};
    tally_resume_the_world();
    if (!on) return is_off();
    free_table(&living);
    free_table(&sites);
    for (;;) {
        pthread_mutex_lock(&profile.lock);
        tally_pool *empty = tally_sampled_take_empty();
        pthread_mutex_unlock(&profile.lock);
        if (!empty) return 0;
        tally_pool_release(empty);
    }
}

void tally_heap_profile_end(void) {
    tally_store_relaxed(&tally_heap_profiling, false);
    free_table(&profile.living);
    free_table(&profile.sites);
    tally_sampled_end();
}

/* ---- writing ------------------------------------------------------------------ */

static size_t bytes_of(const record *r) { return sizeof *r + r->depth * sizeof r->frames[0]; }

static void copy_table(const table *table, tally_profile_copy *copy, char **to) {
    for (size_t i = 0; i < table->chains; i++)
        for (record *r = table->at[i]; r; r = r->next) {
            if (r->block) note_type(r);
            copy->records[copy->count++] = memcpy(*to, r, bytes_of(r));
            *to += bytes_of(r);
        }
}
static size_t size_of_table(const table *table) {
    size_t bytes = 0;
    for (size_t i = 0; i < table->chains; i++)
        for (const record *r = table->at[i]; r; r = r->next)
            bytes += sizeof(record *) + bytes_of(r);
    return bytes;
}

/* The world is stopped: no object is half made. The caller frees `records`; NULL: no memory. */
static tally_profile_copy take_copy(void) {
    tally_profile_copy copy = {.lost = profile.lost,
                               .period = profile.period,
                               .began = profile.began,
                               .ended = tally_now()};
    copy.records = malloc(size_of_table(&profile.living) + size_of_table(&profile.sites) + 1);
    if (!copy.records) return copy;
    char *to = (char *)(copy.records + profile.living.count + profile.sites.count);
    copy_table(&profile.living, &copy, &to);
    copy_table(&profile.sites, &copy, &to);
    return copy;
}

int tally_heap_profile_write(const char *path) {
    tally_thread_require();
    if (!path) return tally_fail(TALLY_VALUE_ERROR, "a heap profile needs a path");
    tally_stop_the_world();
    bool on = tally_load_relaxed(&tally_heap_profiling);
    tally_profile_copy copy = {0};
    if (on) copy = take_copy();
    tally_resume_the_world();
    if (!on) return is_off();
    if (!copy.records) return tally_no_memory();
    tally_blocking_begin();
    errno = 0;
    bool good = tally_profile_write(&copy, path);
    int why = errno;
    free(copy.records);
    tally_blocking_end();
    if (good) return 0;
    if (!why) return tally_no_memory();
    return tally_fail(TALLY_RUNTIME_ERROR, "cannot write the heap profile to %.150s: %s", path,
                      strerror(why));
}
