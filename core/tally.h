/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tally.h: the public header of Tally, a multithreaded object runtime with CPython's memory
 * management and interchangeable threading backends.
 *
 * Unless a function says otherwise:
 *  - A `tally_object *` result is a new reference, or NULL with an error set.
 *  - Arguments are borrowed, never stolen.
 *  - An `int` result is 0, or -1 with an error set; a predicate is 1, 0 or -1.
 *  - Indices and sizes are `ptrdiff_t`; a negative index counts from the end.
 *  - Any attached thread may call any function at any time.
 *  - A call that fails leaves every object as it was.
 *  - NULL in place of an object, or of a place for a result, is an error. A function that returns
 *    nothing ends the process with a message instead. So does every call by a thread that is not
 *    attached, or while the run time is not started.
 *  - Hot calls do not check these: the inline functions, functions of slots, an item or key (not
 *    the container) of a list, tuple or dict, the section of a critical section. Some functions
 *    that only read, or with a GIL only allocate, do not check their thread. Builds with assertions
 *    check all.
 *
 * Each function is marked with the strongest effect that it may have:
 *  [plain]    Never a safepoint, and runs no foreign code (finalizers, callbacks, functions of a
 *             native type). It may wait for a contended lock. An object that dies by it dies at the
 *             thread's next safepoint.
 *  [collects] Allocates a container: may first run the cycle collector.
 *  [foreign]  May drop a last reference, or call a user's hash, equal or repr: foreign code may
 *             run.
 *  [blocks]   May wait for other threads; a safepoint.
 */
#ifndef TALLY_H
#define TALLY_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#ifdef __cplusplus
#    error "tally.h is C17: its counts are C11 atomics"
#endif

#include "tally_object.h" /* tally_object, its header; incref, decref and safepoint, inline */

/* ---- run time ----------------------------------------------------------- */

/* Which thread gets the GIL, and when a waiter may ask for it. */
typedef enum tally_switch_policy {
    /* As CPython since 3.2: any waiter takes it. A waiter's interval starts anew whenever the GIL
     * has changed hands. */
    TALLY_SWITCH_CPYTHON,
    /* Each waiter keeps its own deadline, one interval after it came; first come, first served. */
    TALLY_SWITCH_DEADLINE
} tally_switch_policy;

typedef struct tally_options {
    /* GIL only: microseconds until a waiter asks the holder to let go; 0: 5000. */
    unsigned switch_interval_us;
    /* Not 0: the scheme before CPython 3.2. The holder lets go after this many safepoints (CPython:
     * 100), and may take the GIL again at once. */
    unsigned switch_ticks;
    tally_switch_policy switch_policy; /* ignored with switch_ticks */
    /* Not 0: as in Python 2, a cycle with a finalizer is never freed; its objects that have one go
     * to tally_gc_garbage(). 0: as PEP 442 (Python 3.4). */
    unsigned uncollectable_finalizers;
} tally_options;

/*
 * Starts the run time and attaches the caller. A process has one run time at a time, and may start
 * another after tally_finish. A run-time error while another thread starts or ends it. [blocks]
 *
 * fork: if the caller is the only attached thread, it is attached in the child too, which has the
 * run time with all its objects; fork is a safepoint then. Otherwise the child cannot use the run
 * time: tally_init and tally_thread_attach are run-time errors there, other calls end it with a
 * message.
 */
int tally_init(const tally_options *options);
/*
 * Ends the run time: frees all objects, without finalizers, and detaches the caller. Returns how
 * many objects were alive, but for immortal ones and interned strs. A run-time error while other
 * threads are attached, or in a blocked region, a critical section or a collection. From its start
 * on no thread can attach or be started. [blocks, foreign]
 */
ptrdiff_t tally_finish(void);
/* "gil", "atomic", "biased", "gil-atomic", "gil-biased" or "biased-fixed"; static. [plain] */
const char *tally_backend(void);
/* Bytes of the header of a container, or of an object that holds no others. [plain] */
size_t tally_header_size(bool container);

/* ---- threads ------------------------------------------------------------ */

typedef struct tally_thread {
    pthread_t handle;
    void (*run)(void *);
    void *argument;
} tally_thread;

/* Starts an attached thread that calls run(argument). *thread must live until tally_thread_join.
 * [blocks] */
int tally_thread_start(tally_thread *thread, void (*run)(void *), void *argument);
/* Waits for the thread's end. [blocks] */
int tally_thread_join(tally_thread *thread);
/* Attaches a thread that was made elsewhere; it must detach before it ends. A run-time error if the
 * run time is not started, or ends. [blocks] */
int tally_thread_attach(void);
void tally_thread_detach(void);
/* tally_safepoint(), inline in tally_object.h. [blocks, foreign] */

/* Enclose anything that may wait. No tally function may be called between the two, so they do not
 * nest. Critical sections are unlocked meanwhile. [blocks] */
void tally_blocking_begin(void);
void tally_blocking_end(void);

/* ---- locking ------------------------------------------------------------ */

/*
 * A critical section locks one or two objects: from begin to end no other thread is in an operation
 * or a section on them. The operations of this header lock their object by themselves; inside a
 * section on that object they use the section's lock.
 *
 * A thread that waits holds no lock. So while a thread waits inside a section (for another lock, in
 * a blocked region, at a safepoint that waits for memory to become free), other threads may use
 * the section's objects. They are locked again before the call that waited returns.
 *
 * Sections nest, and end in reverse order. All this holds for the innermost section: an outer one
 * may be unlocked until the inner ones have ended. Foreign code that runs inside a section may have
 * inner sections of its own.
 *
 * With a GIL a section costs nothing, and lasts until a safepoint or a call that may block or run
 * foreign code.
 */
typedef struct tally_critical {
    struct tally_critical *outer;
    tally_object *first, *second; /* second: NULL for one object */
    unsigned char held;           /* not for programs */
} tally_critical;

void tally_critical_begin(tally_critical *section, tally_object *object); /* [blocks] */
void tally_critical_begin2(tally_critical *section, tally_object *a,
                           tally_object *b);      /* [blocks] */
void tally_critical_end(tally_critical *section); /* [blocks] */

/*
 * A mutex and a condition for programs. Waiting is a blocked region. As with POSIX a wait for a
 * condition may end without a signal: the caller looks again. Without a GIL it begins with up to
 * 0.05 ms of looking for the signal, which is about what it takes to sleep and be woken, as long as
 * that tends to help. A condition is always used with the same mutex.
 *
 * No automatic collection starts in a thread while it holds a mutex, since a finalizer may want
 * that mutex, and would wait for ever. The collection is put off until the thread's first
 * allocation of a container after that, or until a thread that holds none makes a container. A
 * thread that makes much cyclic garbage under a mutex calls tally_gc_collect where its finalizers
 * may run. An object whose last reference is dropped under a mutex is finalized at once, so its
 * finalizer must not take that mutex.
 */
typedef struct tally_mutex {
    pthread_mutex_t handle;
} tally_mutex;
typedef struct tally_condition {
    pthread_cond_t handle;
    unsigned signals, in_vain, skip; /* not for programs */
} tally_condition;
#define TALLY_MUTEX_INITIALIZER \
    { PTHREAD_MUTEX_INITIALIZER }
#define TALLY_CONDITION_INITIALIZER \
    { PTHREAD_COND_INITIALIZER, 0, 0, 0 }

void tally_mutex_init(tally_mutex *mutex);                                 /* [plain] */
void tally_mutex_lock(tally_mutex *mutex);                                 /* [blocks] */
void tally_mutex_unlock(tally_mutex *mutex);                               /* [plain] */
void tally_condition_init(tally_condition *condition);                     /* [plain] */
void tally_condition_wait(tally_condition *condition, tally_mutex *mutex); /* [blocks] */
void tally_condition_signal(tally_condition *condition);                   /* [plain] */
void tally_condition_broadcast(tally_condition *condition);                /* [plain] */

/* ---- references --------------------------------------------------------- */

/*
 * Inline, in tally_object.h; the x forms take NULL:
 *   void tally_incref(tally_object *), tally_xincref  [plain]
 *   void tally_decref(tally_object *), tally_xdecref  [foreign]
 *
 * Borrowed references: tally_list_borrow, tally_dict_borrow and tally_slot_borrow read like the
 * counted forms, but count nothing. The caller holds the container, counted or borrowed.
 * docs/design/borrowing.md has the proof.
 *
 * A borrowed reference belongs to its thread. It ends at the thread's next safepoint, call that
 * blocks, or call that may drop a reference or take a lock: a tally_decref, a read or store of a
 * container, a call that makes a container, another borrow. Until then these may look at its
 * object: tally_int_value, tally_float_value, tally_str_data and _length, tally_type_of,
 * tally_type_name, tally_object_data, tally_tuple_length, tally_list_length; and it may be borrowed
 * from. Anything else needs tally_retain first. The object may die meanwhile: then its finalizer
 * has run and it cannot be retained, but its contents can still be read.
 *
 * tally_borrowed_object(b), inline in tally_object.h: the object, or NULL. [plain]
 */

/* A counted reference to a borrowed object; NULL without an error: it has died, or b has no object.
 * Ends no borrowed reference. [plain] */
tally_object *tally_retain(tally_borrowed borrowed);

/* All references to the object, the caller's among them; PTRDIFF_MAX: it is immortal. A snapshot:
 * while other threads count, it may be too low or too high, but is never below 1. [plain] */
ptrdiff_t tally_refcount(tally_object *object);
/* 1: the object lives until tally_finish and its refcount never changes. It was made immortal, or
 * has had so many references (at least 2^28) that its count ran out of room. [plain] */
int tally_is_immortal(tally_object *object);
/*
 * Makes the object immortal, for a constant in a program's code (CPython without a GIL does so to
 * literal numbers, strs and tuples of constants). The items of a tuple become immortal with it,
 * down to TALLY_CONSTANT_DEPTH nested tuples. Other objects that it holds live on with it, counted
 * as before, and tally_finish counts them as alive. [blocks]
 */
void tally_immortalize(tally_object *object);
enum { TALLY_CONSTANT_DEPTH = 100 };
/*
 * A hint that all threads use this object, as a function, a module, or a holder of what threads
 * share: from now on each thread counts it in an array of its own, so its refcount is never
 * contended. A collection or tally_finish frees the object, not the drop of its last reference.
 * Classes are counted so from birth. 1: done, now or before. 0: nothing has changed; only biased
 * and biased-fixed do it, not to immortal objects, and to at most 16384 objects. Stops the world if
 * the object is another thread's. After CPython's PyUnstable_Object_EnableDeferredRefcount.
 * [blocks, foreign]
 */
int tally_defer_count(tally_object *object);

/* ---- any object --------------------------------------------------------- */

tally_object *tally_type_of(tally_object *object); /* the type or class; [plain] */
const char *tally_type_name(tally_object *object); /* lives as long as the type; [plain] */
int64_t tally_hash(tally_object *object);          /* -1 and a type error: unhashable; [foreign] */
/* tally_equal, tally_compare and tally_repr see a list or dict that other threads change as it was
 * at one moment, and two of them as they both were at one moment. A change by foreign code
 * meanwhile is no error. */
int tally_equal(tally_object *a, tally_object *b); /* a predicate; [foreign] */
/* *order: -1, 0 or 1. A type error: these types have no order. [foreign] */
int tally_compare(tally_object *a, tally_object *b, int *order);
tally_object *tally_repr(tally_object *object); /* a str; [foreign] */
/* Bytes of the object itself, with its arrays. [plain] */
ptrdiff_t tally_sizeof(tally_object *object);

/* ---- numbers ------------------------------------------------------------ */

/* Two ints give an int (divide: a float), an int or float and a float a float. Add also joins two
 * strs, tuples or lists. An int that needs more than 64 bits is an overflow error. [collects] */
tally_object *tally_add(tally_object *a, tally_object *b);
tally_object *tally_subtract(tally_object *a, tally_object *b);
tally_object *tally_multiply(tally_object *a, tally_object *b);
tally_object *tally_divide(tally_object *a, tally_object *b);
tally_object *tally_floor_divide(tally_object *a, tally_object *b);
tally_object *tally_remainder(tally_object *a, tally_object *b);

/* ---- values ------------------------------------------------------------- */

/* tally_none, tally_true, tally_false: immortal, in tally_object.h. */
tally_object *tally_int_new(int64_t value);     /* [plain] */
int64_t tally_int_value(tally_object *object);  /* [plain] */
tally_object *tally_float_new(double value);    /* [plain] */
double tally_float_value(tally_object *object); /* takes an int, too; [plain] */
/* Copies length bytes of UTF-8, which are not checked; length -1: strlen. [plain] */
tally_object *tally_str_new(const char *data, ptrdiff_t length);
/* Ends in a NUL; lives as long as str. [plain] */
const char *tally_str_data(tally_object *str);
ptrdiff_t tally_str_length(tally_object *str); /* bytes; [plain] */
/* The one interned str of these contents. As in CPython it goes with its last reference;
 * tally_immortalize keeps a constant. A hit takes no lock. [plain] */
tally_object *tally_str_intern(tally_object *str);

/* ---- tuple -------------------------------------------------------------- */

tally_object *tally_tuple_new(tally_object *const *items, ptrdiff_t length); /* [collects] */
tally_object *tally_tuple_get(tally_object *tuple, ptrdiff_t index);         /* [plain] */
ptrdiff_t tally_tuple_length(tally_object *tuple);                           /* [plain] */

/* ---- list --------------------------------------------------------------- */

tally_object *tally_list_new(ptrdiff_t capacity);                  /* [collects] */
int tally_list_append(tally_object *list, tally_object *item);     /* [plain] */
tally_object *tally_list_get(tally_object *list, ptrdiff_t index); /* [plain] */
/* Borrowed. No object and an error: out of range; or the list was borrowed itself, and has died
 * (run-time error). [blocks, foreign] */
tally_borrowed tally_list_borrow(tally_object *list, ptrdiff_t index);
int tally_list_set(tally_object *list, ptrdiff_t index, tally_object *item); /* [foreign] */
/* Inserts before index; an index past an end means that end, as in CPython. [plain] */
int tally_list_insert(tally_object *list, ptrdiff_t index, tally_object *item);
/* Shrinks the array if less than half is in use; without memory for that it succeeds all the same.
 * [plain] */
tally_object *tally_list_pop(tally_object *list, ptrdiff_t index);
/* Appends the items of a list or tuple, also of the list itself, in one step. [plain] */
int tally_list_extend(tally_object *list, tally_object *sequence);
int tally_list_clear(tally_object *list);        /* [foreign] */
ptrdiff_t tally_list_length(tally_object *list); /* [plain] */

/* ---- dict: insertion-ordered -------------------------------------------- */

tally_object *tally_dict_new(void); /* [collects] */
/* NULL without an error: the key is missing. [foreign] */
tally_object *tally_dict_get(tally_object *dict, tally_object *key);
/* Borrowed. No object without an error: the key is missing; errors as tally_list_borrow. [blocks,
 * foreign] */
tally_borrowed tally_dict_borrow(tally_object *dict, tally_object *key);
int tally_dict_set(tally_object *dict, tally_object *key, tally_object *value); /* [foreign] */
int tally_dict_delete(tally_object *dict, tally_object *key);   /* missing: key error; [foreign] */
int tally_dict_contains(tally_object *dict, tally_object *key); /* [foreign] */
/* The value of the key, which is set to `value` first if it is missing; in one step. [foreign] */
tally_object *tally_dict_set_default(tally_object *dict, tally_object *key, tally_object *value);
/* The next key and value, in new references; key or value may be NULL: not wanted. *position is 0
 * at first. 1; 0 at the end; -1 and a run-time error: the dict's keys have changed since the last
 * call. Finds the first key at once, however many were deleted before it. [foreign] */
int tally_dict_next(tally_object *dict, ptrdiff_t *position, tally_object **key,
                    tally_object **value);
int tally_dict_clear(tally_object *dict);        /* [foreign] */
ptrdiff_t tally_dict_length(tally_object *dict); /* [plain] */

/* ---- classes ------------------------------------------------------------ */

typedef struct tally_class_spec {
    const char *name; /* copied */
    /* The names of the instances' slots, copied; NULL ends them. `__weakref__` is no slot and has
     * no index: it allows weak references. NULL instead: instances have attributes of any name, and
     * allow weak references. */
    const char *const *slots;
    /* Or NULL. Called once in an instance's life, which it may prolong. */
    void (*finalize)(tally_object *self);
} tally_class_spec;

tally_object *tally_class_new(const tally_class_spec *spec); /* [collects] */
tally_object *tally_instance_new(tally_object *class_);      /* [collects] */
/* Looks in the instance, then in its class; of a class in the class alone. name: a str. */
tally_object *tally_get_attr(tally_object *object, tally_object *name);            /* [plain] */
int tally_set_attr(tally_object *object, tally_object *name, tally_object *value); /* [foreign] */
int tally_delete_attr(tally_object *object, tally_object *name);                   /* [foreign] */
/* By index, in the order of the spec. An attribute error: the slot is empty. [plain] */
tally_object *tally_slot_get(tally_object *object, ptrdiff_t index);
/* Borrowed. Errors as tally_slot_get and tally_list_borrow. [blocks, foreign] */
tally_borrowed tally_slot_borrow(tally_object *object, ptrdiff_t index);
/* value NULL empties the slot. [foreign] */
int tally_slot_set(tally_object *object, ptrdiff_t index, tally_object *value);

/* ---- native types ------------------------------------------------------- */

typedef void (*tally_visit)(tally_object *child, void *context);

enum {
    TALLY_TYPE_CONTAINER = 1, /* holds references: give traverse and clear */
    TALLY_TYPE_WEAKLY_REFERENCABLE = 2,
};

typedef struct tally_type_spec {
    const char *name; /* copied */
    size_t size;      /* bytes of tally_object_data; zeroed in a new object */
    unsigned flags;   /* unknown flags, or a size out of bounds: value error */
    /* Calls visit for every reference held. Runs in parallel with other traversals, and calls no
     * function of this header. */
    void (*traverse)(tally_object *self, tally_visit visit, void *context);
    /* Drops every reference held. Also called at death, before dealloc. */
    void (*clear)(tally_object *self);
    void (*finalize)(tally_object *self); /* as of a class */
    void (*dealloc)(tally_object *self);  /* frees resources of the object, never the object */
    int64_t (*hash)(tally_object *self);  /* NULL: by identity, or with `equal` unhashable */
    int (*equal)(tally_object *self, tally_object *other); /* a predicate; NULL: by identity */
    tally_object *(*repr)(tally_object *self);
} tally_type_spec;

/* The type is immortal. [blocks] */
tally_object *tally_type_new(const tally_type_spec *spec);
/* A zeroed object with extra_bytes behind the type's size. [collects] */
tally_object *tally_object_new(tally_object *type, ptrdiff_t extra_bytes);
void *tally_object_data(tally_object *object); /* [plain] */

/* ---- weak references ---------------------------------------------------- */

/*
 * A reference that does not keep its referent alive. Allowed are instances without slots or with a
 * slot `__weakref__`, classes, and objects of native types with TALLY_TYPE_WEAKLY_REFERENCABLE;
 * others are a type error. Without a callback: the weak reference that exists already, if there is
 * one. [collects]
 *
 * When the referent dies, its finalizer runs first, and its weak references still give it; if that
 * prolongs its life, they stay as they are. Then all its weak references are cleared. Then each
 * callback is called once, in the thread where the referent died, unless its reference is dead or
 * garbage itself. The order is the same for a referent that dies in a cycle: all objects that a
 * collection finds are finalized before the first reference is cleared, and all references are
 * cleared before the first callback. (CPython 3.14 clears references with a callback, and calls
 * these, before the finalizers if the referent is in a cycle.) An error that a callback sets is
 * reported on standard error.
 */
tally_object *tally_weakref_new(tally_object *referent,
                                void (*callback)(tally_object *reference, void *context),
                                void *context);
/* The referent, or tally_none: it is dead. Takes no lock. [plain] */
tally_object *tally_weakref_get(tally_object *reference);
ptrdiff_t tally_weakref_count(tally_object *object);    /* 0 if it allows none; [plain] */
tally_object *tally_weakref_list(tally_object *object); /* a list of them; [collects] */

/* ---- cycle collector ---------------------------------------------------- */

/*
 * There are three generations: a new container is in generation 0, and the survivors of a
 * collection go to the next. Frozen objects are in no generation. docs/design/collectors.md tells
 * how the collectors work.
 *  - With a GIL generations are the process's.
 *  - Where refcounts have owners each thread collects generations 0 and 1 of its own objects, while
 *    the others run. What other threads may use goes to generation 2 at the next collection,
 *    whatever its age. So do classes, containers over 512 bytes and what its finalizer brought
 *    back. Generation 2 is the process's, and its collections stop the world.
 *  - With atomic refcounts every container is in generation 2. To collect 0 or 1 collects 2, as
 *    statistics and callbacks say.
 *
 * An automatic collection starts in an allocation of a container, but not in a thread that is in a
 * collection or holds a tally_mutex. It is due by the number of new containers
 * (tally_gc_set_threshold), or by bytes: once the blocks of more than 512 bytes (arrays of lists,
 * tables of dicts, strs, native objects) are TALLY_LARGE_GARBAGE bytes more than after the last
 * full collection, and half as much more as all memory was then, a full collection is due, unless
 * the first threshold is 0 or automatic collection is off.
 */
enum { TALLY_LARGE_GARBAGE = 8 << 20 };

/*
 * Collects generations 0 ... generation. Returns the number of unreachable objects found, less
 * those that finalizers brought back, after their finalizers, callbacks and frees. [blocks,
 * foreign]
 *  - 0 at once if this thread is in a collection (in a finalizer or callback). Other threads may be
 *    in one; objects that theirs have found are alive for this one. With a GIL also 0 without
 *    memory for a collection beside another's.
 *  - If another thread was about to stop the world for a collection, the two make one, and the
 *    result is that one's, whose finalizers may still be running.
 *  - -1 and a value error: no such generation. -1 and a memory error: no memory to note the
 *    unreachable objects, which stay for the next collection.
 */
ptrdiff_t tally_gc_collect(int generation);
void tally_gc_enable(void);    /* automatic collection; [plain] */
void tally_gc_disable(void);   /* [plain] */
int tally_gc_is_enabled(void); /* [plain] */
/*
 * 700, 10, 10 at the start. The first: so many more containers made than freed make a collection
 * due (0: never). The others: so many collections of the generation below make one of this
 * generation due. A full collection also waits until the new containers are a quarter of the
 * survivors of the last. With atomic refcounts only the first threshold and this rule count. Where
 * refcounts have owners, a thread that has freed what had survived may first make as many again, up
 * to 65536. A collection that is due after younger generations were collected by hand starts with
 * the next allocation.
 * [plain]
 */
void tally_gc_get_threshold(int thresholds[3]);
int tally_gc_set_threshold(const int thresholds[3]); /* negative: value error; [plain] */
/* Containers made less freed since the last collection; collections of generation 0, and of 1 (with
 * atomic refcounts: 0). Where refcounts have owners: of the calling thread. A snapshot, which stops
 * no thread and changes nothing. [plain] */
void tally_gc_get_count(int counts[3]);

typedef struct tally_gc_generation_stats {
    uint64_t collections, collected, uncollectable;
} tally_gc_generation_stats;
void tally_gc_get_stats(tally_gc_generation_stats stats[3]); /* [plain] */

/* A list of the tracked objects of a generation; -1: of all, the frozen ones too. Objects that a
 * collection has found and not freed yet are left out. [blocks] */
tally_object *tally_gc_get_objects(int generation);
/* A list of the tracked objects (as by -1) that hold the object. [blocks] */
tally_object *tally_gc_get_referrers(tally_object *object);
/* A list of the objects that it holds. [blocks] */
tally_object *tally_gc_get_referents(tally_object *object);
/* 1: collections examine it, unless it is frozen. [plain] */
int tally_gc_is_tracked(tally_object *object);
int tally_gc_is_finalized(tally_object *object); /* 1: its finalizer has run; [plain] */

/* Freezes all tracked objects, but for those that a collection has found and not freed yet.
 * Collections ignore frozen objects, which keep the objects that they hold. A frozen object that
 * its finalizer brings back is as new. The counts of tally_gc_get_count start anew. [blocks] */
void tally_gc_freeze(void);
void tally_gc_unfreeze(void);          /* back to the oldest generation; [blocks] */
ptrdiff_t tally_gc_freeze_count(void); /* [blocks] */

/* Makes every living object immortal, for a heap that a program sets up once and all its threads
 * use. Objects that wait for their owner to merge their count are left as they are. After
 * gc.immortalize_heap() of Instagram's CPython. [blocks] */
void tally_gc_immortalize_heap(void);

enum {
    TALLY_GC_DEBUG_STATS = 1,         /* a line on standard error per collection */
    TALLY_GC_DEBUG_COLLECTABLE = 2,   /* a line per unreachable object */
    TALLY_GC_DEBUG_UNCOLLECTABLE = 4, /* a line per object that cannot be freed */
    TALLY_GC_DEBUG_SAVEALL =
        32, /* unreachable objects go to tally_gc_garbage(), and are not freed */
    TALLY_GC_DEBUG_LEAK = 38
};
void tally_gc_set_debug(unsigned flags); /* [plain] */
unsigned tally_gc_get_debug(void);       /* [plain] */
/* A new reference to the one list; a run-time error in foreign code that tally_finish runs.
 * [plain] */
tally_object *tally_gc_garbage(void);

/* Times are in nanoseconds. */
typedef struct tally_gc_info {
    int generation;
    bool finished;  /* false: about to begin; only generation, automatic and began are set */
    bool automatic; /* started by an allocation */
    bool shared;    /* another thread's collection, which stopped the world for both; no times */
    ptrdiff_t collected; /* unreachable objects found, freed or saved */
    ptrdiff_t uncollectable;
    size_t examined; /* objects looked at */
    uint64_t began;  /* CLOCK_MONOTONIC */
    uint64_t stop;   /* from the request until the world was stopped; 0 with a GIL */
    uint64_t mark;   /* until the garbage was known and its weak references were cleared */
    /* Callbacks and finalizers; without a GIL the world runs. */
    uint64_t finalize;
    /* The recheck for resurrected objects, its stop included; 0: none was needed. */
    uint64_t check;
    uint64_t free; /* destroying the garbage; without a GIL the world runs */
    /* From the last resume until the last parked thread ran again, if all have. */
    uint64_t reentry;
    /* The longest time from a request until the world ran again; 0: it ran all the time. With a GIL
     * the whole collection. */
    uint64_t pause;
    unsigned helpers;     /* parked threads that helped to mark */
    unsigned last_thread; /* the thread that came last; 0: none was waited for */
    const char *last_was; /* what it was doing; static */
} tally_gc_info;
typedef void (*tally_gc_callback)(const tally_gc_info *info, void *context);
/* The callback is called before and after each collection, in the collecting thread; a collection
 * that fails has found nothing. A callback may add and remove callbacks, itself too. An added one
 * is called from the next time on. [plain] */
int tally_gc_add_callback(tally_gc_callback callback, void *context);
/* A value error: it is not there. Another thread may still be in the callback. [plain] */
int tally_gc_remove_callback(tally_gc_callback callback, void *context);

/* ---- statistics --------------------------------------------------------- */

/*
 * Event counters, summed over all threads that ever were. Slow paths always count the first group.
 * The second is counted only in builds with TALLY_COUNT_EVENTS (libraries `-counted`), else 0.
 */
/* clang-format off */
#define TALLY_STATS_CHEAP(X)                                                                       \
    X(merges)             /* biased refcounts merged, by any thread */                             \
    X(queued)             /* objects queued for their owner to merge */                            \
    X(claims)             /* blocked owners claimed, to merge for them */                          \
    X(lock_waits)         /* parked waits for an object's lock */                                  \
    X(lock_handovers)     /* of these, ended by a hand-over, after a long wait */                  \
    X(lock_revocations)   /* biased locks taken from an owner that ran, one membarrier each */     \
    X(turn_waits)         /* of threads that contend, for their turns */                           \
    X(gil_waits)          /* waits for the GIL */                                                  \
    X(gil_requests)       /* requests to the holder to let go */                                   \
    X(gil_handovers)      /* times the GIL went to another thread */                               \
    X(stops)              /* stops of the world */                                                 \
    X(stop_ns)            /* from the requests until the world was stopped, total */               \
    X(retired)            /* pieces of memory that had to wait for a grace period */               \
    X(reclaimed)          /* of these, freed */                                                    \
    X(grace_throttled)    /* grace periods that a retiring thread waited for */                    \
    X(pools_taken)        /* pools taken from arenas */                                            \
    X(remote_drained)     /* blocks freed by other threads, taken home */                          \
    X(collections)        /* cycle collections */                                                  \
    X(gc_pause_ns)        /* time that other threads were stopped for them */                      \
    X(gc_examined)        /* objects they looked at */                                             \
    X(gc_found)           /* unreachable objects they found */                                     \
    X(adopted)            /* objects that went to the thread that uses them; biased */             \
    X(made_per_thread)    /* contended objects that went to per-thread refcounts; biased */        \
    X(safepoints)         /* calls of tally_safepoint; biased, else as those below */              \
    /* nanoseconds of all threads together */                                                      \
    X(gil_wait_ns)        /* waits for the GIL */                                                  \
    X(lock_wait_ns)       /* parked waits for objects' locks */                                    \
    X(turn_wait_ns)       /* waits of threads that contend, for their turns */                     \
    X(grace_wait_ns)      /* waits for a grace period */                                           \
    X(stopped_ns)         /* of threads that the world's stops held */                             \
    X(gc_ns)              /* of the threads that collected, in their collections */
#define TALLY_STATS_DETAILED(X)                                                                    \
    X(local_increfs)      /* by the owner, or plain */                                             \
    X(local_decrefs)      /* the same */                                                           \
    X(shared_increfs)     /* atomic read-modify-writes */                                          \
    X(shared_decrefs)     /* the same */                                                           \
    X(immortal_skips)     /* increfs and decrefs of immortal objects */                            \
    X(lost_cas)           /* compare-and-swaps on counts that had to repeat */                     \
    X(locks_biased)       /* object locks taken by the owner without an atomic */                  \
    X(locks_atomic)       /* taken with a compare-and-swap */                                      \
    X(reads_unlocked)     /* container reads that took no lock */                                  \
    X(reads_locked)       /* that had to */                                                        \
    X(allocations)        /* blocks */                                                             \
    X(frees_local)        /* blocks of the thread's own heap */                                    \
    X(frees_remote)       /* blocks of another thread's heap */                                    \
    X(per_thread_increfs) /* in the thread's array: of classes, deferred or contended objects */   \
    X(per_thread_decrefs) /* the same */                                                           \
    X(merge_ns)           /* an owner's merging of its queue */                                    \
    X(allocator_ns)       /* the allocator's slow paths: pools, and blocks over 512 bytes */
/* Levels in bytes, always 0 with a GIL; `most` is since tally_init. */
#define TALLY_STATS_LEVELS(X)                                                                      \
    X(waiting)            /* memory that waits for a grace period */                               \
    X(waiting_most)       /* the most that ever did */                                             \
    X(merge_waiting)      /* blocks of objects that wait for their owner to merge */               \
    X(merge_waiting_most) /* the most that ever did, for one owner */
/* clang-format on */

/*
 * Bounds of the levels. Let r be the bytes that one thread retires between two safepoints or
 * blocked regions, with one piece of memory more, and d the bytes that other threads drop for one
 * owner between two such points.
 *     waiting <= TALLY_WAITING_LIMIT + threads * 2 * max(TALLY_WAITING_LIST, r)
 *     merge_waiting, for one owner <= TALLY_WAITING_LIMIT + 2 * d
 * A thread that finds a level past the limit waits for a grace period at its next safepoint or
 * blocked region. A critical section is unlocked for that wait, and locked again before the
 * safepoint returns.
 */
enum { TALLY_WAITING_LIMIT = 16 << 20, TALLY_WAITING_LIST = 128 << 10 };

typedef struct tally_stats_result {
    bool detailed; /* the second group was counted */
#define TALLY_STATS_FIELD(name) uint64_t name;
    TALLY_STATS_CHEAP(TALLY_STATS_FIELD)
    TALLY_STATS_DETAILED(TALLY_STATS_FIELD)
    TALLY_STATS_LEVELS(TALLY_STATS_FIELD)
#undef TALLY_STATS_FIELD
} tally_stats_result;

void tally_stats(tally_stats_result *result); /* [blocks] */

#define TALLY_SIZE_CLASSES 32

typedef struct tally_memory_result {
    size_t arenas;        /* arenas held from the system */
    size_t bytes_arenas;  /* without the collectors' side marks: up to a sixteenth more */
    size_t pools_free;    /* pools in those arenas that no size class uses */
    size_t pools_waiting; /* empty, waiting for a grace period */
    size_t large_blocks, large_bytes; /* over 512 bytes, in malloc */
    struct {
        size_t block_size; /* bytes */
        size_t arenas;     /* arenas with a pool of this class */
        size_t pools;
        size_t blocks;       /* blocks in use */
        size_t bytes_unused; /* held in its pools, not in use */
    } classes[TALLY_SIZE_CLASSES];
} tally_memory_result;

/* Stops the world to look. Blocks that other threads have freed are not in use, wherever they are.
 * [blocks] */
void tally_memory_stats(tally_memory_result *result);

typedef struct tally_census_row {
    const char *type; /* lives as long as the type */
    unsigned owner;   /* thread number; 0: none, or a thread that does not count for itself */
    size_t objects, bytes;
} tally_census_row;

/* Living, mortal objects by type and owner. The caller frees *rows. [blocks] */
int tally_heap_census(tally_census_row **rows, size_t *count);

typedef struct tally_heap_result {
    size_t objects, references, bytes; /* in the snapshot; bytes as tally_sizeof */
    uint64_t pause; /* nanoseconds from the request to stop the world until it ran again */
} tally_heap_result;

/*
 * Writes every living object, as all were at one moment: type, size, owner, local and shared count,
 * state, the generation of a tracked object, and its references with the slot, attribute, key or
 * index of each. Static objects, such as None and small ints, are there if something refers to
 * them. `tally heap` reads the file; docs/reference/heap-snapshot.md has its format.
 *
 * The world is stopped while the heap is copied into memory of malloc (10 to 30 bytes per object),
 * and runs while large strs are hashed and the file is written. Until then the call holds a
 * reference to each str of about 500 bytes or more. No object changes, and no foreign code runs but
 * the traverse functions of native types. A native type without one holds references that the
 * snapshot does not see: their objects look as if they were held from outside.
 *
 * The first form writes through PATH.tmp, so an older file at the path stays if it fails; to a pipe
 * or a device it writes directly. The second appends to a file, which the caller keeps. result may
 * be NULL. A memory error: the heap could not be copied. A run-time error: the file cannot be
 * written. [blocks]
 */
int tally_heap_snapshot(const char *path, tally_heap_result *result);
int tally_heap_snapshot_file(FILE *file, tally_heap_result *result);

/* Where the resident memory of the process is, in bytes. */
/* clang-format off */
#define TALLY_LEDGER_ROWS(X)                                                                       \
    X(objects)     /* blocks of objects, alive or dead in cycles */                                \
    X(contents)    /* arrays and tables of objects, in small blocks; and the run time's own */     \
    X(large)       /* objects, arrays and tables over 512 bytes */                                 \
    X(merging)     /* blocks of objects that wait for their owner to merge */                      \
    X(waiting)     /* for a grace period: blocks, pools, large blocks */                           \
    X(remote)      /* freed by another thread, not yet taken home */                               \
    X(free_blocks) /* in pools that other blocks hold */                                           \
    X(pool_room)   /* descriptors of pools, and room for no block yet */                           \
    X(free_pools)  /* in arenas that others hold, those that heaps keep, and a spare arena */      \
    X(side_marks)  /* the collector's */                                                           \
    X(malloc_used) /* malloc: the program's and the run time's own; and other mappings */          \
    X(malloc_free) /* malloc: free */                                                              \
    X(stacks)      /* of attached threads, and of the first one */                                 \
    X(code)        /* of the program and its libraries, and their data */
/* clang-format on */

typedef struct tally_ledger_result {
    size_t resident; /* as the kernel tells; 0: unknown. The rows sum to it, within 2 % or 1 MiB */
    uint64_t pause;  /* nanoseconds from the request to stop the world until it ran again */
#define TALLY_LEDGER_FIELD(name) size_t name;
    TALLY_LEDGER_ROWS(TALLY_LEDGER_FIELD)
#undef TALLY_LEDGER_FIELD
} tally_ledger_result;

/*
 * The ledger in one stop of the world, which visits no object: the pause is in proportion to the
 * resident pages. A heap snapshot tells more: which blocks are of what size, and what is dead in
 * cycles. A memory error leaves *result as it was. [blocks]
 */
int tally_heap_ledger(tally_ledger_result *result);

/*
 * Where memory is allocated. While a heap profile is on, the block that has every `bytes`-th byte
 * on average (0: 512 KiB; 1: nearly every block) is sampled, with the stack and the thread that
 * allocate it, its type and size, its lifetime, and whether another thread freed it, or dropped the
 * last reference to it. Meanwhile allocations take the allocator's slow path. What was allocated
 * before is not in the profile. A value error: bytes is negative; a memory error; a run-time error:
 * one is on already. [blocks]
 */
int tally_heap_profile_start(ptrdiff_t bytes);
/*
 * Writes the profile since its start, which goes on, through PATH.tmp: in pprof's format, so that
 * `pprof` and `tally heap` show it. docs/reference/heap-profile.md says what is in the file. The
 * world is stopped while the records are copied. A memory error; a run-time error: none is on, or
 * the file cannot be written. [blocks]
 */
int tally_heap_profile_write(const char *path);
/* Ends the profile and forgets it; tally_finish does so, too. A run-time error: none is on.
 * [blocks] */
int tally_heap_profile_stop(void);

typedef struct tally_contention_row {
    char type[64];  /* of the objects */
    unsigned owner; /* as in tally_census_row, at the time of the contention */
    /* The call that made the objects, and the same as text: symbol, or file, and offset. Only in
     * builds with TALLY_COUNT_EVENTS, else NULL. */
    const void *site;
    char place[64];
    uint64_t lost_cas;         /* compare-and-swaps on their counts that had to repeat */
    uint64_t lock_waits;       /* parked waits for their locks */
    uint64_t lock_handovers;   /* of these, ended by a hand-over; not in share */
    uint64_t lock_revocations; /* of their biased locks, from an owner that ran */
    uint64_t merges;           /* of their counts, asked for by another thread than the owner */
    /* Atomic read-modify-write increments by another thread than the owner or maker; only in builds
     * with TALLY_COUNT_EVENTS, else 0. */
    uint64_t shared_counts;
    double share; /* of all these events in all rows */
} tally_contention_row;

/* The objects that threads contended for, the worst first; summed over all threads that ever were.
 * The caller frees *rows. [blocks] */
int tally_contention(tally_contention_row **rows, size_t *count);

/* Starts a timeline. Per thread: blocked regions, waits for the GIL and for locks, safepoints that
 * took time, collections with the objects that they examined and collected, and their parts; of all
 * threads: the holder of the GIL, and stops of the world. Keeps the last `events` per thread (0:
 * 65536, 48 bytes each). [blocks] */
int tally_trace_start(ptrdiff_t events);
/* Ends it and writes it in Chrome's trace format, which Perfetto opens, through PATH.tmp. A
 * run-time error: it cannot be written. [blocks] */
int tally_trace_write(const char *path);
/* Events that the trace written last lost, because there were more or no memory for them.
 * [plain] */
ptrdiff_t tally_trace_dropped(void);

/*
 * Libraries with checks (the preset checked, or -DTALLY_DEBUG=ON) look at the whole heap: blocks
 * written to after their end, in front of them or behind them, headers that were overwritten, and
 * refcounts lower than the references found. Any of these ends the program with a message. A full
 * collection, and one that the program asks for, does the same. In other libraries it does nothing.
 * [blocks]
 */
void tally_debug_check(void);

/* ---- errors: one per thread --------------------------------------------- */

typedef enum tally_error {
    TALLY_NO_ERROR,
    TALLY_MEMORY_ERROR,
    TALLY_TYPE_ERROR,
    TALLY_VALUE_ERROR,
    TALLY_INDEX_ERROR,
    TALLY_KEY_ERROR,
    TALLY_ATTRIBUTE_ERROR,
    TALLY_OVERFLOW_ERROR,
    TALLY_ZERO_DIVISION_ERROR,
    TALLY_RUNTIME_ERROR
} tally_error;

/* An unattached thread may call these, too. [plain] */
tally_error tally_error_kind(void);
const char *tally_error_message(void); /* "": none; lives until the thread's next error */
void tally_error_clear(void);
void tally_error_set(tally_error kind, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
