/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * critical_section.c: locks of one or two objects that a program holds over several operations.
 *
 * A thread that waits while it holds locks can deadlock with another. So a thread that is about to
 * wait (for a lock, for a grace period, in a blocked region) suspends its critical sections: it
 * unlocks all that they hold. Whatever suspended them locks the innermost section's objects again
 * before it returns to the program: the end of a blocked region, the unlock of a short lock that
 * had to wait, the end of an inner section.
 *
 * Invariants:
 *  - Between begin and end the objects of the innermost section are locked, except while the
 *    thread waits. An outer section may be unlocked until all inner ones have ended.
 *  - `held` has a bit for each lock that the section itself has to unlock. An outer section may
 *    hold the others.
 *  - Waiting for a lock runs no foreign code: an object that died in the merge queue is destroyed
 *    at the next safepoint. So no section begins or ends meanwhile.
 *  - A section never locks by bias, since the owner's mark has room for one object.
 */
#include "locking_internal.h"

/* Bits of tally_critical.held. */
enum { HELD_FIRST = 1, HELD_SECOND = 2 };

bool tally_critical_holds(tally_object *object) {
    for (tally_critical *section = tally_thread_current()->critical; section;
         section = section->outer)
        if (((section->held & HELD_FIRST) && section->first == object) ||
            ((section->held & HELD_SECOND) && section->second == object))
            return true;
    return false;
}

static bool section_try(tally_object *object) {
    return object == NULL || tally_kept_lock_hold(object) || tally_lock_try(object);
}
static void section_unlock(tally_object *object) {
    if (object) tally_unlock_object(object, TALLY_TOKEN_HELD);
}

static void section_release(tally_critical *section) {
    if (section->held & HELD_SECOND) section_unlock(section->second);
    if (section->held & HELD_FIRST) section_unlock(section->first);
    section->held = 0;
}

bool tally_critical_suspend(tally_thread_state *thread) {
    bool held = false;
    for (tally_critical *section = thread->critical; section; section = section->outer) {
        held |= section->held;
        section_release(section);
    }
    tally_kept_locks_give_up(thread);
    return held;
}

/*
 * The section holds nothing. Waits for one lock at a time and holds none meanwhile. Two threads
 * that want the same two may each have to give one back and wait again; the hand-over of locks
 * that were waited for long ends that.
 */
static void section_lock(tally_critical *section) {
    tally_object *taken = section->first, *other = section->second;
    if (!section_try(taken)) tally_lock_wait(taken);
    while (!section_try(other)) {
        section_unlock(taken);
        TALLY_FAILPOINT(section_wait);
        tally_lock_wait(other);
        tally_object *swap = taken;
        taken = other;
        other = swap;
    }
    section->held = section->second ? HELD_FIRST | HELD_SECOND : HELD_FIRST;
}

/* An outer section that holds one of the two has to let it go, or the wait would not end. */
static void section_ensure(tally_thread_state *thread, tally_critical *section) {
    bool first = tally_critical_holds(section->first);
    bool second = section->second && tally_critical_holds(section->second);
    if (first && (second || !section->second)) return;
    if (first || second) tally_critical_suspend(thread);
    section_lock(section);
}

void tally_critical_resume(tally_thread_state *thread) {
    if (thread->critical) section_ensure(thread, thread->critical);
}

static void section_begin(tally_critical *section, tally_object *first, tally_object *second) {
    tally_thread_require();
    TALLY_ENDS_BORROWS();
    tally_thread_state *thread = tally_thread_current();
    *section = (tally_critical){.first = first, .second = second};
    section_ensure(thread, section);
    section->outer = thread->critical;
    thread->critical = section;
}

void tally_critical_begin(tally_critical *section, tally_object *object) {
    section_begin(section, object, NULL);
}
void tally_critical_begin2(tally_critical *section, tally_object *a, tally_object *b) {
    /* By address, so that two threads that want the same two seldom get one each. */
    if (a == b)
        section_begin(section, a, NULL);
    else
        section_begin(section, a < b ? a : b, a < b ? b : a);
}
void tally_critical_end(tally_critical *section) {
    TALLY_ENDS_BORROWS();
    tally_thread_state *thread = tally_thread_current();
    if (TALLY_UNLIKELY(thread->critical != section))
        tally_fatal(section->first, "a critical section was ended that is not the innermost");
    section_release(section);
    thread->critical = section->outer;
    tally_critical_resume(thread);
}
