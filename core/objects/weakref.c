/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * weakref.c: weak references. docs/design/weak-references.md has their states and the proof.
 *
 * An object that allows them has a word for the list of its weak references, at its type's
 * weak_offset. A lock that goes by the referent's address guards the list and its links. `home`
 * keeps that address for life, so that a reference finds the same lock when its referent is gone.
 *
 * Invariants:
 *  - `referent` goes from the object to NULL once, under the lock, by the thread in which the
 *    object dies, or by the collector with the world stopped.
 *  - A reference is in the list exactly while `referent` is not NULL; both change together. So
 *    unlinking twice is harmless: a reference is unlinked when it dies, and again when its memory
 *    is freed, if that had to wait.
 *  - The list holds no count. At most one living reference has no callback; it is in front of all
 *    that have one.
 *  - The referent and each reference are exposed (tally_refcount_expose) when the reference is
 *    made, so that a try-incref by any thread fails only on a dead object. So get takes no lock,
 *    and a dead object gets no new weak reference.
 */
#include "abstract.h"
#include <stdio.h>

static _Atomic(tally_weakref *) *list_of(tally_object *object) {
    size_t offset = tally_type_entry(object)->weak_offset;
    return offset ? (_Atomic(tally_weakref *) *)((char *)object + offset) : NULL;
}

static tally_weakref *first_of(tally_object *object) { return tally_load_relaxed(list_of(object)); }

/* Lock held: the living one without a callback, with a new reference. References that are dying may
 * be in front of it. */
static tally_weakref *plain_one(tally_object *object) {
    for (tally_weakref *w = first_of(object); w && !w->callback; w = w->next)
        if (tally_refcount_try_incref_weak(&w->container.base.refcount)) return w;
    return NULL;
}

/* Lock held: in front, but a reference with a callback goes behind one without. */
static void link_to(tally_object *referent, tally_weakref *self) {
    tally_weakref *first = first_of(referent),
                  *before = self->callback && first && !first->callback ? first : NULL;
    self->previous = before;
    self->next = before ? before->next : first;
    if (self->next) self->next->previous = self;
    /* relaxed: the lock orders it, and the publishing of the reference for tally_weakref_get */
    tally_store_relaxed(&self->referent, referent);
    if (before) before->next = self;
    /* release: pairs with the acquire of tally_weakrefs_clear, which may see it without the lock */
    else
        tally_store_release(list_of(referent), self);
}

/* Lock held. */
static void unlink_from(tally_object *referent, tally_weakref *self) {
    if (self->next) self->next->previous = self->previous;
    if (self->previous) self->previous->next = self->next;
    /* release: pairs with the acquire of tally_weakrefs_clear: once that sees an empty list the
     * referent may be freed, so this thread's reads of it come before */
    else
        tally_store_release(list_of(referent), self->next);
    /* release: pairs with the recheck of get */
    tally_store_release(&self->referent, NULL);
}

tally_object *tally_weakref_new(tally_object *referent, void (*callback)(tally_object *, void *),
                                void *context) {
    if (!referent || !list_of(referent))
        return tally_expected_null("an object that allows weak references", referent);
    if (!callback && first_of(referent)) {
        tally_weak_lock(referent);
        tally_weakref *same = plain_one(referent);
        tally_weak_unlock(referent);
        if (same) return &same->container.base;
    }
    tally_weakref *self = tally_object_alloc(TALLY_TYPE_WEAKREF, sizeof *self, TALLY_CONTAINERS);
    if (!self) return NULL;
    self->callback = callback;
    self->context = context;
    self->home = referent;
    tally_store_relaxed(&self->hash, 0);
    tally_store_relaxed(&self->hashed, false);
    tally_store_relaxed(&self->referent, NULL);
    tally_refcount_expose(&referent->refcount);
    tally_object *object = tally_container_publish(self);
    tally_refcount_expose(&object->refcount);
    TALLY_FAILPOINT(weakref_made);
    tally_weak_lock(referent);
    /* Another thread, or a finalizer that the allocation ran, may have made one. */
    tally_weakref *same = callback ? NULL : plain_one(referent);
    if (!same) link_to(referent, self);
    tally_weak_unlock(referent);
    if (!same) return object;
    tally_decref(object);
    return &same->container.base;
}

static tally_weakref *check(tally_object *object) {
    if (TALLY_LIKELY(tally_has_type(object, TALLY_TYPE_WEAKREF))) return (tally_weakref *)object;
    return tally_expected_null("a weak reference", object);
}

/* The referent is dead; or its owner has closed it, under the lock, and clears this reference or
 * opens it again. */
static __attribute__((noinline, cold)) tally_object *get_locked(tally_weakref *self,
                                                                tally_object *object) {
    TALLY_FAILPOINT(weakref_closed);
    tally_weak_lock(self->home);
    bool got = tally_load_relaxed(&self->referent) == object &&
               tally_refcount_try_incref_weak(&object->refcount);
    tally_weak_unlock(self->home);
    return got ? object : NULL;
}

/* With a new reference; NULL: the referent is dead. */
static tally_object *get(tally_weakref *self) {
    /* acquire: pairs with the release that published the reference */
    tally_object *object = tally_load_acquire(&self->referent);
    if (!object) return NULL;
    if (TALLY_UNLIKELY(!tally_refcount_try_incref_weak(&object->refcount)))
        return TALLY_RECENT_POOLS ? get_locked(self, object) : NULL;
    /* Another object may have the address by now; then this reference was cleared before. acquire:
     * pairs with the release of tally_weakrefs_clear */
    if (TALLY_LOCK_FREE_READS && TALLY_UNLIKELY(tally_load_acquire(&self->referent) != object)) {
        tally_drop_later(object);
        return NULL;
    }
    return object;
}

tally_object *tally_weakref_get(tally_object *reference) {
    TALLY_PLAIN_CALL();
    tally_weakref *self = check(reference);
    if (TALLY_UNLIKELY(!self)) return NULL;
    tally_object *object = get(self);
    return object ? object : tally_none;
}

bool tally_has_weakrefs(tally_object *object) { return list_of(object) && first_of(object); }

ptrdiff_t tally_weakref_count(tally_object *object) {
    TALLY_PLAIN_CALL();
    if (!object) return tally_expected("an object", NULL);
    ptrdiff_t count = 0;
    if (!list_of(object)) return 0;
    tally_weak_lock(object);
    for (tally_weakref *w = first_of(object); w; w = w->next)
        count += !tally_refcount_is_dead(&w->container.base.refcount);
    tally_weak_unlock(object);
    return count;
}

tally_object *tally_weakref_list(tally_object *object) {
    if (!object) return tally_expected_null("an object", NULL);
    tally_thread_require();
    for (ptrdiff_t room = 0;;) {
        /* The list is made before the lock is taken, with room for all of them. */
        tally_object *list = tally_list_new(room);
        if (!list) return NULL;
        if (!list_of(object)) return list;
        ptrdiff_t count = 0;
        tally_weak_lock(object);
        for (tally_weakref *w = first_of(object); w; w = w->next) count++;
        for (tally_weakref *w = count <= room ? first_of(object) : NULL; w; w = w->next)
            if (tally_refcount_try_incref_weak(&w->container.base.refcount))
                tally_list_put_new(list, &w->container.base);
        tally_weak_unlock(object);
        if (count <= room) return list;
        tally_decref(list);
        room = count;
    }
}

/* ---- death of a referent ------------------------------------------------ */

/*
 * Clears the weak references to an object, and adds those with a callback to *calls, linked by
 * next, each with a new reference. The caller is the thread in which the object dies, or has
 * stopped the world; then `spare`, if not NULL, names references whose callback is not to be
 * called.
 */
void tally_weakrefs_clear(tally_object *object, tally_weakref **calls,
                          bool (*spare)(tally_object *reference)) {
    _Atomic(tally_weakref *) *list = list_of(object);
    /* acquire: pairs with the release of link_to and unlink_from */
    if (!list || !tally_load_acquire(list)) return;
    tally_weak_lock(object);
    tally_weakrefs_clear_locked(object, calls, spare);
    tally_weak_unlock(object);
}
void tally_weakrefs_clear_locked(tally_object *object, tally_weakref **calls,
                                 bool (*spare)(tally_object *reference)) {
    tally_weakref *w = first_of(object);
    tally_store_relaxed(list_of(object), NULL);
    for (tally_weakref *next; w; w = next) {
        next = w->next;
        /* release: pairs with the recheck of get */
        tally_store_release(&w->referent, NULL);
        if (!w->callback || (spare && spare(&w->container.base)) ||
            !tally_refcount_try_incref_weak(&w->container.base.refcount))
            continue;
        w->next = *calls;
        *calls = w;
    }
}

/* Calls each callback that tally_weakrefs_clear has collected, with no error pending. */
void tally_weakrefs_call(tally_weakref *calls) {
    for (tally_weakref *next; calls; calls = next) {
        TALLY_CHECKED(tally_check_may_run_foreign_code());
        next = calls->next;
        tally_pending_error pending;
        tally_error_put_aside(&pending);
        calls->callback(&calls->container.base, calls->context);
        tally_error_report("a callback of a weak reference", &calls->container.base);
        tally_error_put_back(&pending);
        tally_decref(&calls->container.base);
    }
}

/* ---- the type ----------------------------------------------------------- */

/* A dead reference leaves its referent's list, if it is still there. */
static void weakref_release(tally_object *object) {
    tally_weakref *self = (tally_weakref *)object;
    tally_weak_lock(self->home);
    tally_object *referent = tally_load_relaxed(&self->referent);
    if (referent) unlink_from(referent, self);
    tally_weak_unlock(self->home);
}

/* The hash of the referent, which stays when the referent is gone. */
static int64_t weakref_hash(tally_object *object) {
    tally_weakref *self = (tally_weakref *)object;
    /* acquire: pairs with the release of `hashed` below */
    if (tally_load_acquire(&self->hashed)) return tally_load_relaxed(&self->hash);
    tally_object *referent = get(self);
    if (!referent)
        return tally_fail(TALLY_TYPE_ERROR,
                          "a weak reference that was never hashed, to an object that is gone");
    int64_t hash = tally_hash(referent);
    tally_decref(referent);
    if (hash != -1) {
        tally_store_relaxed(&self->hash, hash);
        tally_store_release(&self->hashed, true);
    }
    return hash;
}

/* As the referents while both live; else by identity. */
static int weakref_equal(tally_object *a, tally_object *b) {
    if (a == b) return 1;
    if (b->type != TALLY_TYPE_WEAKREF) return 0;
    tally_object *x = get((tally_weakref *)a), *y = get((tally_weakref *)b);
    int equal = x && y ? tally_equal(x, y) : 0;
    tally_xdecref(x);
    tally_xdecref(y);
    return equal;
}

static tally_object *weakref_repr(tally_object *object) {
    char text[300];
    tally_object *referent = get((tally_weakref *)object);
    int length =
        referent ? snprintf(text, sizeof text, "<weakref to '%.200s'>", tally_type_name(referent))
                 : snprintf(text, sizeof text, "<weakref, dead>");
    tally_xdecref(referent);
    return tally_str_new(text, length);
}

void tally_register_weakref(void) {
    tally_type *type = &tally_types[TALLY_TYPE_WEAKREF];
    type->shape = TALLY_SHAPE_LEAF;
    type->release = weakref_release;
    type->hash = weakref_hash;
    type->equal = weakref_equal;
    type->repr = weakref_repr;
}
