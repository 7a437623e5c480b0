/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* contention.c: counts contended accesses by object type, owner and maker, and lists them. */
#define _GNU_SOURCE
#include "objects/object.h"
#include <dlfcn.h>
#include <stdio.h>
#include <sys/mman.h>

enum { ROOM = 256 };

typedef struct contention_entry {
    const void *site;
    uint16_t type, owner;
    bool used;
    uint64_t counts[TALLY_CONTENDED_KINDS];
} contention_entry;

struct tally_contention_table {
    contention_entry at[ROOM]; /* open addressing */
    contention_entry others;   /* the sum of those that found no room */
};

/* ---- where objects were made -------------------------------------------- */

#ifdef TALLY_COUNT_EVENTS
/* Per 16 bytes of the region: the distance of the maker's address from this file's code. Memory is
 * touched only where objects are. NULL: no address space for it. */
static _Atomic int32_t *sites;
static size_t sites_bytes;

static void sites_start(void) {
    sites_bytes = tally_region_size / 16 * sizeof *sites;
    void *map = mmap(NULL, sites_bytes, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    sites = map == MAP_FAILED ? NULL : map;
}
static void sites_end(void) {
    if (sites) munmap(sites, sites_bytes);
    sites = NULL;
}
void tally_site_note(tally_object *object, const void *made_by) {
    if (!sites || !tally_is_small(object)) return;
    intptr_t distance = (intptr_t)made_by - (intptr_t)&tally_site_note;
    tally_store_relaxed(&sites[(size_t)((char *)object - tally_region) / 16],
                        distance == (int32_t)distance ? (int32_t)distance : 0);
}
static const void *site_of(tally_object *object) {
    if (!sites || !tally_is_small(object)) return NULL;
    int32_t distance = tally_load_relaxed(&sites[(size_t)((char *)object - tally_region) / 16]);
    return distance ? (const void *)((intptr_t)&tally_site_note + distance) : NULL;
}
#else
static void sites_start(void) {}
static void sites_end(void) {}
static const void *site_of(tally_object *object) { return NULL; }
#endif

/* ---- counting ------------------------------------------------------------ */

static contention_entry *find(struct tally_contention_table *table, const void *site, uint16_t type,
                              uint16_t owner) {
    uint64_t hash = ((uintptr_t)site ^ (uint64_t)type << 32 ^ (uint64_t)owner << 48) *
                    UINT64_C(0x9e3779b97f4a7c15);
    for (unsigned i = (unsigned)(hash >> 56), tries = 0; tries < ROOM;
         tries++, i = (i + 1) % ROOM) {
        contention_entry *f = &table->at[i];
        if (!f->used) {
            *f = (contention_entry){.site = site, .type = type, .owner = owner, .used = true};
            return f;
        }
        if (f->site == site && f->type == type && f->owner == owner) return f;
    }
    return &table->others;
}

void tally_contended(tally_object *object, unsigned kind) {
    tally_thread_state *thread = tally_thread_current();
    /* Without memory it is not counted. The brackets keep a test from failing this allocation
     * instead of its own. */
    if (!thread->contention && !(thread->contention = (calloc)(1, sizeof *thread->contention)))
        return;
    find(thread->contention, site_of(object), object->type,
         (uint16_t)tally_refcount_owner(&object->refcount))
        ->counts[kind]++;
}

void tally_refcount_contended(void *refcount, unsigned lost) {
    while (lost--) tally_contended(refcount, TALLY_CONTENDED_LOST_CAS);
}

#ifdef TALLY_COUNT_EVENTS
/* By a thread that did not make the object; without owners of counts, by another than the owner of
 * the heap. */
void tally_refcount_count_shared(void *refcount) {
    tally_object *object = refcount;
    if (tally_is_small(object) && tally_pool_is_mine(tally_pool_of(object))) return;
    if (tally_is_small(object)) tally_contended(object, TALLY_CONTENDED_SHARED_COUNT);
}
#endif

void tally_contention_start(void) { sites_start(); }
void tally_contention_end(void) {
    tally_each_thread(thread) {
        free(thread->contention);
        thread->contention = NULL;
    }
    sites_end();
}

/* ---- listing ------------------------------------------------------------- */

/* A hand-over ends a wait that is counted already. */
static uint64_t total_of(const tally_contention_row *row) {
    return row->lost_cas + row->lock_waits + row->lock_revocations + row->merges +
           row->shared_counts;
}
static int most_first(const void *a, const void *b) {
    uint64_t x = total_of(a), y = total_of(b);
    return x > y ? -1 : x < y;
}

static void add(struct tally_contention_table *sum, const contention_entry *f) {
    contention_entry *to = f->used ? find(sum, f->site, f->type, f->owner) : &sum->others;
    for (unsigned kind = 0; kind < TALLY_CONTENDED_KINDS; kind++)
        to->counts[kind] += f->counts[kind];
}

static void name_index(tally_contention_row *row) {
    Dl_info about;
    if (!row->site)
        snprintf(row->place, sizeof row->place, "(not recorded)");
    else if (dladdr(row->site, &about) && about.dli_sname)
        snprintf(row->place, sizeof row->place, "%s+0x%zx", about.dli_sname,
                 (size_t)((const char *)row->site - (const char *)about.dli_saddr));
    else if (dladdr(row->site, &about) && about.dli_fbase)
        snprintf(row->place, sizeof row->place, "0x%zx",
                 (size_t)((const char *)row->site - (const char *)about.dli_fbase));
    else
        snprintf(row->place, sizeof row->place, "%p", row->site);
}

static tally_contention_row row_of(const contention_entry *f) {
    const char *type = f->used ? tally_types[f->type].name : "(others)";
    tally_contention_row row = {.owner = f->owner,
                                .site = f->site,
                                .lost_cas = f->counts[TALLY_CONTENDED_LOST_CAS],
                                .lock_waits = f->counts[TALLY_CONTENDED_LOCK_WAIT],
                                .lock_handovers = f->counts[TALLY_CONTENDED_HANDOVER],
                                .lock_revocations = f->counts[TALLY_CONTENDED_REVOCATION],
                                .merges = f->counts[TALLY_CONTENDED_MERGE],
                                .shared_counts = f->counts[TALLY_CONTENDED_SHARED_COUNT]};
    snprintf(row.type, sizeof row.type, "%s", type ? type : "(a class that is gone)");
    name_index(&row);
    return row;
}

int tally_contention(tally_contention_row **rows, size_t *count) {
    tally_thread_require();
    if (!rows || !count)
        return tally_fail(TALLY_VALUE_ERROR,
                          "the contention needs places for its rows and their number");
    struct tally_contention_table *sum = calloc(1, sizeof *sum);
    tally_contention_row *list = malloc((ROOM + 1) * sizeof *list);
    if (!sum || !list) {
        free(sum);
        free(list);
        return tally_no_memory();
    }
    tally_stop_the_world();
    tally_each_thread(thread) {
        struct tally_contention_table *table = thread->contention;
        for (unsigned i = 0; table && i < ROOM; i++)
            if (table->at[i].used) add(sum, &table->at[i]);
        if (table) add(sum, &table->others);
    }
    size_t n = 0;
    for (unsigned i = 0; i < ROOM; i++)
        if (sum->at[i].used) list[n++] = row_of(&sum->at[i]);
    list[n] = row_of(&sum->others);
    if (total_of(&list[n])) n++;
    tally_resume_the_world();
    uint64_t all = 0;
    for (size_t i = 0; i < n; i++) all += total_of(&list[i]);
    for (size_t i = 0; i < n; i++)
        list[i].share = all ? (double)total_of(&list[i]) / (double)all : 0;
    qsort(list, n, sizeof *list, most_first);
    free(sum);
    *rows = list;
    *count = n;
    return 0;
}
