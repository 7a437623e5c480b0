/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * backend.h: the contract of a backend. It has four parts, each a folder that
 * CMake puts on the include path and links; no part knows which others it is
 * built with beyond this page.
 *
 * Counts (tally_refcount.h, public and inline; refcount_internal.h)
 *   tally_refcounts                     the count words of a header
 *   tally_refcount_incref, _decref     by who holds a reference
 *   tally_refcount_drop(c)             a decref that leaves the end to the caller: true if c is
 *                                    dead now; false: it lives, or others see to its end
 *   tally_refcount_try_drop(c)         a decref that is not the last and that no owner has to
 * merge; false: it would be, and nothing has changed tally_refcount_init(c)             one
 * reference, the caller's; stored last tally_refcount_try_incref(c)       by who may hold none:
 * false if the object may be dead tally_refcount_set_maybe_shared(c)            under the lock of a
 * container that holds it: later try-increfs of other threads can succeed
 *   tally_refcount_try_incref_weak(c)  the same, by who holds a weak reference
 *   tally_refcount_expose(c)           by who holds a reference: from now on try-increfs of
 *                                    all threads fail only if the object is dead
 *   tally_refcount_merge_and_expose(c)       the same, of an object without a lock, where the last
 * drop had better not wait for the owner tally_refcount_adopt(c)            world stopped, in no
 * merge queue: the caller becomes the owner tally_refcount_trial_add(c, n)     world stopped: n on
 * top of the total, which may be negative tally_refcount_revive(c)           a dead object gets one
 * reference (for its finalizer) tally_refcount_drop_last(c)        gives that one back: true if it
 * is dead again, by compare-and-swap; false if others hold it now tally_refcount_total(c),
 * _is_immortal, _make_immortal, _is_dead; a count that is out of room makes its object immortal, of
 * whose total more is left than anything subtracts tally_refcount_start_dead(c)       memory that
 * is new: dead tally_refcount_out_of_room(c)      for tally_object_zero: this was no last
 * reference, and the object is immortal now tally_refcount_is_zero(c)          the same: the last
 * reference is gone, and nobody has dropped another tally_refcount_is_queued(c)        world
 * stopped: it waits in a merge queue tally_refcount_owned(c)            the caller owns it; false
 * where there are no owners tally_refcount_owner(c)            owner id, or 0
 *   tally_refcount_set_link(c, n), _link(c)   a number of 32 bits in the words of a
 *                                    dead object, which is dead to all others still; 0: as death
 * left them tally_refcount_merge_stopped() -> dead, tally_refcount_destroy(dead) without a GIL,
 * world stopped: all queues are merged; once it runs, what died by that is destroyed without a GIL:
 * tally_refcount_make_per_thread(c, n, more)  by the owner, or world stopped: counted in the number
 * n of each thread from now on, with so many references more; false: it is not;
 * tally_refcount_per_thread_index(c): n, or 0; tally_refcount_end_per_thread(c, sum): world
 * stopped: no more, the numbers had the sum tally_refcount_queued_bytes(bytes, most)  blocks of
 * objects in merge queues, now; at most in one queue tally_refcount_dealloc_pending(thread)    dead
 * objects are left for its next _safepoint tally_refcount_merge_later(thread) merges what waits for
 * it; what died is left for its next _safepoint tally_refcount_thread              state of a
 * thread; _attach, _detach, _safepoint, _pending, _is_queue_pending, _merge_blocked; without a GIL
 * _merge_blocked_later, which leaves what dies for the next _safepoint
 *
 * Exclusion (locking_inline.h)
 *   tally_lock_object(o) -> token, tally_unlock_object(o, token)
 *                                    a leaf section: short, no safepoint, no foreign code,
 *                                    nothing else locked inside
 *   tally_lock_initial(o)            the lock byte of a new container
 *   tally_may_read_unlocked(o)       a reader may try without the lock
 *   tally_is_private(o)              in a leaf section: no reader without a lock can be there
 *   TALLY_LOCK_FREE_READS           1 where a value read may have changed meanwhile
 *   tally_locking_start, _end, _attach, _detach, _safepoint
 *   tally_locking_before_fork(running), _after_fork(running, child)   the forking thread is the
 * only one attached, if any, and holds the registration lock; running: not in a blocking region
 *   tally_locking_orphan()         in a child that cannot use the run time: no allocation may
 * pass unnoticed tally_claim(slot), tally_claim_end(slot)   keep a blocked thread where it is
 *   tally_stop_the_world, tally_resume_the_world        every other thread parked or claimed
 *   without a GIL, between the two: tally_helpers_gather(most) -> n, tally_helpers_run(work,
 * context), tally_helpers_dismiss()            parked threads run work(0 ... n - 1, n, context)
 * together tally_last_stop(thread, was), tally_last_resume_ns()   about the last stop, the last
 * start tally_retire(node, what, bytes)  free memory after a grace period; cannot fail without a
 * GIL: tally_reclaim_stopped(), world stopped: a grace period has passed for all that waits;
 * tally_reclaim_free(), later: frees it tally_reclaim_request_throttle()              the caller
 * waits at its next safepoint, outside of critical sections, until all others have been at one or
 * block tally_reclaim_throttle()                  where foreign code may run: if the caller has
 * retired much, it hands it over, or waits as above; false: it is waiting already, below on the
 * stack, and is to retire no more until then tally_reclaim_backlog(bytes, most) what waits for a
 * grace period, now and at most so far tally_retire_object(o, bytes)    the same of a dead object
 * that was handed out, by tally_object_free_borrowable tally_lock_is_biased(o) no other thread than
 * the owner has been in it tally_lock_unbias(o)             before o's owner is given up
 * tally_thread_list_lock()        by an attached thread: blocked while it waits
 *   tally_locking_drain(thread)    by the last thread: frees all that waits
 *   tally_lock_fast(o)               enters a leaf section if it costs nothing, to be left by
 *                                    tally_unlock_fast(o); false: lock in the ordinary way
 *   tally_class_incref, _decref, _born, _instances, tally_classes_sweep, tally_class_is_unused
 *                                    an instance's reference to its class; incref: 0, or -1
 *                                    and a memory error
 *   tally_defer_count(o)             the public one
 *   without a GIL: tally_per_thread_allocate(), for counts that spread: the caller's table of
 * numbers; false: no memory. tally_per_thread_seem_unused(): tally_per_thread_sweep() would free
 * spread objects that are no classes tally_critical_…, tally_blocking_…         the public ones
 *
 * Layout (layout.h)
 *   tally_links                      what the collector needs in a container's header
 *   tally_heap_current(), tally_pool_is_mine(p), tally_pool_heap(p)
 *   TALLY_LOCK_FREE_READS       1: freed memory may still be looked at
 *
 * Weak references (exclusion part)
 *   tally_weak_lock(address), tally_weak_unlock(address)   the lock of the weak references
 *                                    to the object that was made there; a leaf section
 *
 * Collector (collector_inline.h, track.h)
 *   core/gc/collector.h has its contract
 */
#ifndef TALLY_BACKEND_H
#define TALLY_BACKEND_H

#include "layout/thread.h"
#include "objects/object.h"

#endif
