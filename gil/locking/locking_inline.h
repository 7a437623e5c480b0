/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Exclusion by one lock, the GIL: a thread that runs holds it, so everything
 * the contract asks for an object is there for nothing. gil.c has the lock.
 */
#ifndef TALLY_LOCKING_INLINE_H
#define TALLY_LOCKING_INLINE_H

#define TALLY_LOCKING_NAME "one lock"

typedef struct tally_locking_thread {
    uint64_t since;      /* taken, or given up, if that is traced; own thread */
    unsigned ticks_left; /* of the tick scheme; own thread */
} tally_locking_thread;

enum { TALLY_LOCK_FREE_READS = 0 };

struct tally_thread_state;
#define tally_lock_initial()               0
#define tally_lock_object(object)          (TALLY_ENDS_BORROWS(), (void)(object), 0u)
#define tally_unlock_object(object, token) ((void)(object), (void)(token))
#define tally_lock_fast(object)            (TALLY_ENDS_BORROWS(), (void)(object), true)
#define tally_unlock_fast(object)          ((void)(object))
#define tally_is_private(token)            ((void)(token), 1)
/* No foreign code and no safepoint inside: the GIL is enough. */
#define tally_weak_lock(address)   ((void)(address))
#define tally_weak_unlock(address) ((void)(address))
static inline void tally_lock_unbias(tally_object *object) { (void)object; }
static inline bool tally_lock_is_biased(tally_object *object) {
    (void)object;
    return true;
}
static inline bool tally_may_read_unlocked(tally_object *object) {
    (void)object;
    return true;
}

/* With one lock, an instance counts its class like any object. */
static inline int tally_class_incref(tally_object *class_) {
    tally_incref(class_);
    return 0;
}
static inline void tally_class_decref(tally_object *class_) { tally_decref(class_); }

int tally_locking_start(void);
void tally_locking_end(void);
/* The forking thread is the only one: nobody waits for the lock, and it goes on to hold it or not.
 */
static inline void tally_locking_before_fork(bool running) { (void)running; }
static inline void tally_locking_after_fork(bool running, bool child) {
    (void)running, (void)child;
}
void tally_locking_orphan(void); /* in a child that cannot use the run time */
void tally_locking_drain(struct tally_thread_state *thread);
void tally_locking_attach(struct tally_thread_state *thread);
void tally_locking_detach(struct tally_thread_state *thread);
void tally_locking_safepoint(struct tally_thread_state *thread);
bool tally_claim(struct tally_thread_state *thread);
void tally_claim_end(struct tally_thread_state *thread);
void tally_thread_list_lock(void);
void tally_stop_the_world(void);
void tally_resume_the_world(void);
void tally_retire(tally_retired *node, unsigned what, size_t bytes);
static inline void tally_reclaim_request_throttle(void) {} /* no other thread runs */
static inline bool tally_reclaim_throttle(void) { return true; }
static inline void tally_reclaim_backlog(size_t *bytes, size_t *most) { *bytes = *most = 0; }
static inline void tally_retire_object(tally_object *object, size_t bytes) {
    (void)object, (void)bytes;
} /* nothing is handed out */

#endif
