/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* check.h: checks that only builds with assertions make. */
#ifndef TALLY_CHECK_H
#define TALLY_CHECK_H

#ifdef NDEBUG
#    define TALLY_CHECKED(statement) ((void)0)
#else
#    define TALLY_CHECKED(statement) (statement)
#endif

/* Aborts in a thread that has stopped the world: it may not wait, lock or run foreign code until
 * it resumes the world. */
void tally_check_may_wait(void);
/* Likewise where foreign code starts; also aborts in a plain call. */
void tally_check_may_run_foreign_code(void);
void tally_thread_require(void); /* aborts in a thread that is not attached, in every build */

/* For builds with assertions: the caller is attached; with TALLY_DEBUG also in no blocked region.
 */
#ifdef TALLY_DEBUG
void tally_debug_check_thread(void);
#    define TALLY_CHECK_THREAD()        tally_debug_check_thread()
#    define TALLY_CHECK_OBJECT(object)  tally_debug_use(object)
#    define TALLY_DEBUG_ONLY(statement) (statement)
#    define TALLY_DEBUG_OBJECT(object)  (object) /* whose header may be gone otherwise */
#else
#    define TALLY_CHECK_THREAD()        TALLY_CHECKED(tally_thread_require())
#    define TALLY_CHECK_OBJECT(object)  TALLY_CHECK_THREAD()
#    define TALLY_DEBUG_ONLY(statement) ((void)0)
#    define TALLY_DEBUG_OBJECT(object)  NULL
#endif

#endif
