/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tally.h: the one public header of Tally, a multithreaded object runtime with
 * CPython's memory management and interchangeable threading backends.
 *
 * Conventions, which hold unless a function says otherwise:
 *  - `tally_object *` results are new references, or NULL with an error set.
 *  - Arguments are borrowed, never stolen.
 *  - An `int` result is 0, or -1 with an error set; a predicate is 1, 0 or -1.
 *  - Indices and sizes are `ptrdiff_t`; a negative index counts from the end.
 *  - Every function may be called from any attached thread at any time.
 *  - A call that fails leaves every object as it was.
 *  - NULL where an object or a place is due is an error; in a function that returns nothing, the
 * end of the process with a message. So is a call by a thread that is not attached, or when the run
 * time is not started. What is called most often does not look: tally_incref, tally_decref and the
 * other inline functions; functions of slots; an item or key (not the container) of a list, tuple
 * or dict; the section of a critical section. Nor does every function look at its thread that only
 * reads, or only allocates with a GIL. Builds with assertions do.
 *
 * Each function is marked with the strongest of these that it may do:
 *  [plain]    never a safepoint, and runs no foreign code: no finalizer, no callback, no
 *             user's function. It may wait for a contended lock; what dies by it, or is
 *             left for this thread meanwhile, dies at the thread's next safepoint. A
 *             library built with assertions aborts where foreign code starts in one.
 *  [collects] allocates a container: may run the cycle collector, before the
 *             new object is tracked.
 *  [foreign]  may drop a last reference, or call a user's hash, equal or repr:
 *             finalizers and other foreign code may run.
 *  [blocks]   may wait for other threads; a safepoint.
 */
#ifndef TALLY_H
#define TALLY_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
#    error "tally.h is C17: its counts are C11 atomics"
#endif

#include "tally_object.h" /* tally_object, its header; incref, decref and safepoint, inline */

/* ---- run time ----------------------------------------------------------- */

/* Who gets the GIL, and when a waiter may ask for it. */
typedef enum tally_switch_policy {
    TALLY_SWITCH_CPYTHON, /* as CPython since 3.2: any waiter takes it; a waiter's interval starts
                             anew whenever the GIL has changed hands */
    TALLY_SWITCH_DEADLINE /* each waiter keeps its own deadline, an interval after it came; first
                             come, first served */
} tally_switch_policy;

typedef struct tally_options {
    /* How long a waiter for the GIL waits before it asks the holder to let go,
     * microseconds; 0: 5000. Without a GIL: ignored. */
    unsigned switch_interval_us;
    /* Not 0: the scheme before CPython 3.2 instead: the holder lets go after
     * this many safepoints (CPython: 100), and nobody is made to take turns. */
    unsigned switch_ticks;
    tally_switch_policy switch_policy; /* not with switch_ticks */
    /* Not 0: as Python 2 did, a cycle with a finalizer is never freed: its objects
     * that have one go to tally_gc_garbage(). 0: as PEP 442 (Python 3.4). */
    unsigned uncollectable_finalizers;
} tally_options;

/* Starts the run time and attaches the caller. One run time a process at a
 * time; may be started again after tally_finish. Of two threads that start it, and while one ends
 * it: a run-time error. [blocks]
 *
 * fork: if no other thread than the caller is attached, the child has the run time with all its
 * objects, and the caller is attached there; fork is then a safepoint for it. If others are, the
 * child cannot use the run time: tally_init and tally_thread_attach are run-time errors there,
 * other calls end it with a message. */
int tally_init(const tally_options *options);
/* Ends the run time: frees every object that is left, without finalizers, and
 * detaches the caller, who must be the last thread attached (-1 and a run-time
 * error otherwise; also in a blocking region, a critical section or a collection). From then on no
 * thread can attach, or be started by a finalizer. Returns how many objects were still alive, but
 * for immortal ones and interned strs. [blocks, foreign] */
ptrdiff_t tally_finish(void);
/* "gil", "atomic", "biased", "gil-atomic", "gil-biased" or "biased-hot"; static. [plain] */
const char *tally_backend(void);
/* Bytes of the header of an object that holds none, and of one that holds others. [plain] */
size_t tally_header_size(bool container);

/* ---- threads ------------------------------------------------------------ */

typedef struct tally_thread {
    pthread_t handle;
    void (*run)(void *);
    void *argument;
} tally_thread;

/* Starts an attached thread that calls run(argument). *thread must live until
 * tally_thread_join. [blocks] */
int tally_thread_start(tally_thread *thread, void (*run)(void *), void *argument);
/* Waits for the thread's end. [blocks] */
int tally_thread_join(tally_thread *thread);
/* For threads made elsewhere. An attached thread must detach before it ends.
 * Any thread may call attach at any time; if the run time is not started, or about to end: a
 * run-time error. [blocks] */
int tally_thread_attach(void);
void tally_thread_detach(void);
/* tally_safepoint(): inline, in tally_object.h. [blocks, foreign] */
/* Around anything that may wait: between the two no tally function may be
 * called. Not to be nested. Critical sections are let go meanwhile. [blocks] */
void tally_blocking_begin(void);
void tally_blocking_end(void);

/* ---- exclusion ---------------------------------------------------------- */

/*
 * A critical section locks one or two objects: from begin to end no other thread is in an
 * operation on them, or in a section on them. The operations of this header lock their
 * object by themselves; within a section on that object they use the section's lock.
 *
 * A thread that waits holds no lock. So while it waits inside a section (for another lock, in a
 * blocking region, at a safepoint that waits for memory to become free) the section's objects are
 * unlocked, and others may use them. They are locked again before the call that waited returns.
 *
 * Sections nest, and end in the reverse order. That holds of the innermost section; an outer one
 * may be unlocked until the inner ones have ended, and is locked again when they have.
 * Foreign code that a call runs inside a section may have sections of its own, which are inner
 * ones.
 *
 * With a GIL a section costs nothing, and lasts until a safepoint or a call that may block or
 * run foreign code.
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
 * A mutex and a condition for programs; waiting is a blocking region. A finalizer may want a mutex
 * that its own thread holds, and would wait for ever; so no automatic collection starts in a thread
 * while it holds one: it is put off until the thread's first allocation of a container after that.
 * Garbage in cycles waits as long, unless another thread that holds none makes a container, or
 * somebody calls tally_gc_collect: a thread that makes much of it under a mutex calls that, where
 * its finalizers may run. What a thread drops itself under a mutex is finalized at once: a
 * finalizer had better not take a mutex under which its objects are dropped.
 */
typedef struct tally_mutex {
    pthread_mutex_t handle;
} tally_mutex;
typedef struct tally_condition {
    pthread_cond_t handle;
} tally_condition;
#define TALLY_MUTEX_INITIALIZER \
    { PTHREAD_MUTEX_INITIALIZER }
#define TALLY_CONDITION_INITIALIZER \
    { PTHREAD_COND_INITIALIZER }

void tally_mutex_init(tally_mutex *mutex);                                 /* [plain] */
void tally_mutex_lock(tally_mutex *mutex);                                 /* [blocks] */
void tally_mutex_unlock(tally_mutex *mutex);                               /* [plain] */
void tally_condition_init(tally_condition *condition);                     /* [plain] */
void tally_condition_wait(tally_condition *condition, tally_mutex *mutex); /* [blocks] */
void tally_condition_signal(tally_condition *condition);                   /* [plain] */
void tally_condition_broadcast(tally_condition *condition);                /* [plain] */

/* ---- references --------------------------------------------------------- */

/* Inline, in tally_object.h:
 *   void tally_incref(tally_object *), tally_xincref [plain]
 *   void tally_decref(tally_object *), tally_xdecref [foreign]
 * The x forms take NULL. */

/*
 * Borrowed references: tally_list_borrow, tally_dict_borrow and tally_slot_borrow
 * (below, with their containers) read like the counted forms, but count nothing.
 * The caller must hold the container, counted or borrowed. docs/design/borrowing.md has
 * the proof.
 *
 * A borrowed reference ends at its thread's next safepoint, call that blocks, or
 * call that may drop a reference or take a lock: a tally_decref, a read or store of
 * a container, a call that makes a container (it may collect), another borrow (which may take a
 * lock; the container may be one that is borrowed itself and ends by this). Until then its object
 * can be looked at by what neither counts nor takes a lock: tally_int_value, tally_float_value,
 * tally_str_data and _length, tally_type_of, tally_type_name, tally_object_data,
 * tally_tuple_length, tally_list_length; and borrowed from. For anything
 * else it is retained first: also for a counted read of what it holds.
 * It belongs to its thread. The object may die meanwhile: then its finalizer has
 * run, and it cannot be retained; its contents can still be read.
 *
 * tally_borrowed_object(b), inline, in tally_object.h: the object, or NULL. [plain]
 */

/* A counted reference to what is borrowed; NULL without an error: it is gone (or b
 * is of no object). Ends nothing. [plain] */
tally_object *tally_retain(tally_borrowed borrowed);

/* The true total of references, both halves where a count is split. A snapshot:
 * other threads may change it at once. Immortal objects: PTRDIFF_MAX. [plain] */
ptrdiff_t tally_refcount(tally_object *object);
/* 1 for an object that lives until tally_finish and whose count never changes: so made, or with so
 * many references (2^28 at least) that its count is out of room. [plain] */
int tally_is_immortal(tally_object *object);
/* Makes it immortal, for a constant in a program's code: CPython without a GIL does
 * that to literal numbers, strings and tuples of constants. The items of a tuple become immortal
 * with it, down to TALLY_CONSTANT_DEPTH tuples in each other. What anything else holds lives on
 * with it, counted as before, and tally_finish counts that as alive. [blocks] */
void tally_immortalize(tally_object *object);
enum { TALLY_CONSTANT_DEPTH = 100 };
/*
 * A hint that all threads use this object, as a function, a module, or what threads keep their own
 * data in: each thread counts it in a number of its own from now on, so that counting it does not
 * contend. It is freed by a collection, or tally_finish, not when its last reference goes; classes
 * are counted like that from birth. 1: done, or done before; 0: not, and nothing has changed: no
 * other backend than biased (and biased-hot) does it, nor to an immortal object, nor beyond 16384
 * objects. Costs a stop of the world if the object is another thread's by now; of one that its
 * maker names, nothing. After CPython's PyUnstable_Object_EnableDeferredRefcount. [blocks, foreign]
 */
int tally_defer_count(tally_object *object);

/* ---- any object --------------------------------------------------------- */

tally_object *tally_type_of(tally_object *object); /* the type or class; [plain] */
const char *tally_type_name(tally_object *object); /* lives as long as the type; [plain] */
int64_t tally_hash(tally_object *object);          /* -1 and a type error: unhashable; [foreign] */
/* tally_equal, tally_compare and tally_repr see a list or dict that other threads change as it was
 * at one moment; of two, both as they were at one moment. What foreign code changes meanwhile is no
 * error. */
int tally_equal(tally_object *a, tally_object *b); /* a predicate; [foreign] */
int tally_compare(tally_object *a, tally_object *b,
                  int *order); /* *order: -1, 0, 1; unordered types: type error; [foreign] */
tally_object *tally_repr(tally_object *object); /* a str; [foreign] */
ptrdiff_t tally_sizeof(
    tally_object *object); /* bytes held by the object itself, its arrays included; [plain] */

/* ---- numbers ------------------------------------------------------------ */

/* int with int gives int (divide: float), with a float gives float; add joins
 * two strs, two tuples or two lists. An int past 64 bits: overflow error. [collects] */
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
double tally_float_value(tally_object *object); /* takes an int too; [plain] */
/* Copies length bytes of UTF-8, which are not checked; length -1: strlen. [plain] */
tally_object *tally_str_new(const char *data, ptrdiff_t length);
const char *tally_str_data(
    tally_object *str); /* NUL after the end; lives as long as str; [plain] */
ptrdiff_t tally_str_length(tally_object *str); /* bytes; [plain] */
/* The one interned str of these contents. It goes with its last reference, as in CPython; a
 * constant of a program can be made immortal (tally_immortalize). A hit takes no lock. [plain] */
tally_object *tally_str_intern(tally_object *str);

/* ---- tuple -------------------------------------------------------------- */

tally_object *tally_tuple_new(tally_object *const *items, ptrdiff_t length); /* [collects] */
tally_object *tally_tuple_get(tally_object *tuple, ptrdiff_t index);         /* [plain] */
ptrdiff_t tally_tuple_length(tally_object *tuple);                           /* [plain] */

/* ---- list --------------------------------------------------------------- */

tally_object *tally_list_new(ptrdiff_t capacity);                  /* [collects] */
int tally_list_append(tally_object *list, tally_object *item);     /* [plain] */
tally_object *tally_list_get(tally_object *list, ptrdiff_t index); /* [plain] */
/* Without a count. Of no object, with an error: out of range; or a run-time error: the
 * list was borrowed itself, and has died since. [blocks, foreign] */
tally_borrowed tally_list_borrow(tally_object *list, ptrdiff_t index);
int tally_list_set(tally_object *list, ptrdiff_t index, tally_object *item); /* [foreign] */
/* Before index; past either end counts as that end, as in CPython. [plain] */
int tally_list_insert(tally_object *list, ptrdiff_t index, tally_object *item);
/* -1: the last. Gives memory back where less than half is used then; without memory for that it
 * succeeds all the same. [plain] */
tally_object *tally_list_pop(tally_object *list, ptrdiff_t index);
/* Appends the items of a list or tuple, itself included, as one step. [plain] */
int tally_list_extend(tally_object *list, tally_object *sequence);
int tally_list_clear(tally_object *list);        /* [foreign] */
ptrdiff_t tally_list_length(tally_object *list); /* [plain] */

/* ---- dict: insertion-ordered -------------------------------------------- */

tally_object *tally_dict_new(void); /* [collects] */
tally_object *tally_dict_get(tally_object *dict,
                             tally_object *key); /* missing: NULL, no error; [foreign] */
/* Without a count. Of no object: missing, no error; or a run-time error, as tally_list_borrow.
 * [blocks, foreign] */
tally_borrowed tally_dict_borrow(tally_object *dict, tally_object *key);
int tally_dict_set(tally_object *dict, tally_object *key, tally_object *value); /* [foreign] */
int tally_dict_delete(tally_object *dict, tally_object *key);   /* missing: key error; [foreign] */
int tally_dict_contains(tally_object *dict, tally_object *key); /* [foreign] */
/* The value of key, which is set to value first if it was missing; one step. [foreign] */
tally_object *tally_dict_set_default(tally_object *dict, tally_object *key, tally_object *value);
/* *position 0 to begin: 1 and new references (either place may be NULL: not
 * wanted), 0 at the end; -1 and a run-time error if the keys of the dict changed
 * since the last call. The first key is found at once, however many were deleted before it.
 * [foreign] */
int tally_dict_next(tally_object *dict, ptrdiff_t *position, tally_object **key,
                    tally_object **value);
int tally_dict_clear(tally_object *dict);        /* [foreign] */
ptrdiff_t tally_dict_length(tally_object *dict); /* [plain] */

/* ---- classes ------------------------------------------------------------ */

typedef struct tally_class_spec {
    const char *name;         /* copied */
    const char *const *slots; /* NULL-terminated names, copied: fixed fields, no others. A name
                                 `__weakref__` is no field and has no index: it allows weak
                                 references. NULL: attributes of any name, an instance, and
                                 weak references */
    void (*finalize)(
        tally_object *self); /* or NULL; once in an instance's life, which it may prolong */
} tally_class_spec;

tally_object *tally_class_new(const tally_class_spec *spec); /* [collects] */
tally_object *tally_instance_new(tally_object *class_);      /* [collects] */
/* Looked up in the instance, then in the class; a class in itself. name: a str. */
tally_object *tally_get_attr(tally_object *object, tally_object *name);            /* [plain] */
int tally_set_attr(tally_object *object, tally_object *name, tally_object *value); /* [foreign] */
int tally_delete_attr(tally_object *object, tally_object *name);                   /* [foreign] */
/* By index in the order of the spec; an empty slot: attribute error. */
tally_object *tally_slot_get(tally_object *object, ptrdiff_t index); /* [plain] */
/* Without a count. Of no object, with an error: as tally_slot_get, as tally_list_borrow. [blocks,
 * foreign] */
tally_borrowed tally_slot_borrow(tally_object *object, ptrdiff_t index);
int tally_slot_set(tally_object *object, ptrdiff_t index,
                   tally_object *value); /* NULL empties it; [foreign] */

/* ---- native types ------------------------------------------------------- */

typedef void (*tally_visit)(tally_object *child, void *context);

enum {
    TALLY_TYPE_CONTAINER = 1, /* holds references: give traverse and clear */
    TALLY_TYPE_WEAKLY_REFERENCABLE = 2,
};

typedef struct tally_type_spec {
    const char *name; /* copied */
    size_t size;      /* bytes of tally_object_data; zeroed in a new object */
    unsigned flags;   /* others than these, or a size that nobody has: value error */
    /* Calls visit for every reference held. Runs in parallel with other traversals; calls nothing
     * of this header. */
    void (*traverse)(tally_object *self, tally_visit visit, void *context);
    void (*clear)(
        tally_object *self); /* drops every reference held; also called at death, before dealloc */
    void (*finalize)(tally_object *self); /* as of a class */
    void (*dealloc)(tally_object *self);  /* frees what is not an object; never the object itself */
    int64_t (*hash)(tally_object *self); /* NULL: by identity, or unhashable if there is an equal */
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
 * A reference to the object that does not keep it alive: to an open instance, one
 * with a slot `__weakref__`, a class, or a native object of a type with
 * TALLY_TYPE_WEAKLY_REFERENCABLE; type error for others. When the referent dies
 * its finalizer runs first, and its weak references give it still; if it lives on by that, they
 * stay as they are. Then all its weak references are cleared, then each callback that was given is
 * called once, in the thread where it died, unless its reference has died or is
 * garbage itself. So it is whether the referent dies by its count or in a cycle; the objects that a
 * collection finds together are finalized all before the first reference is cleared, and all
 * references are cleared before the first callback. (As CPython 3.14 without a callback; with one,
 * CPython clears and calls before the finalizers if the referent is in a cycle.) An error that a
 * callback sets is reported on standard error. Without a callback: the one that exists already, if
 * there is one. [collects]
 */
tally_object *tally_weakref_new(tally_object *referent,
                                void (*callback)(tally_object *reference, void *context),
                                void *context);
/* The referent, or tally_none if it is dead. Takes no lock. [plain] */
tally_object *tally_weakref_get(tally_object *reference);
ptrdiff_t tally_weakref_count(tally_object *object);    /* 0 for what allows none; [plain] */
tally_object *tally_weakref_list(tally_object *object); /* a list of them; [collects] */

/* ---- cycle collector ---------------------------------------------------- */

/*
 * An automatic collection starts in an allocation of a container; not in a thread that is in a
 * collection, or holds a tally_mutex. With a GIL: three generations. A new object is in generation
 * 0, and what survives a collection goes to the next. Without: one generation, and a collection
 * stops the world. Every object is in generation 2; 0 and 1 are always empty, and to collect either
 * collects 2, as statistics and callbacks then say. Frozen objects are in no generation.
 * docs/design/collectors.md tells how both work.
 */

/* Collects generations 0 ... generation. How many unreachable objects were found,
 * less those that finalizers brought back; returns after their finalizers, callbacks and frees. 0
 * at once if this thread is in a collection (in a finalizer or callback). Others may be in one
 * meanwhile: what theirs have found is alive for this one. (With a GIL, without memory for a second
 * one beside another's: 0 at once, too.) If another thread was about to stop the world for a
 * collection, the two make one: the number is that one's, whose finalizers may still be running. -1
 * and a value error for another generation; -1 and a memory error if there was no room to note what
 * was found, which then stays for the next. [blocks, foreign] */
ptrdiff_t tally_gc_collect(int generation);
void tally_gc_enable(void);    /* automatic collection; [plain] */
void tally_gc_disable(void);   /* [plain] */
int tally_gc_is_enabled(void); /* [plain] */
/*
 * Garbage of few objects may be much memory. So a full collection also starts in the next
 * allocation of a container once the blocks of more than 512 bytes (arrays of lists, tables of
 * dicts, strs, native objects) are TALLY_LARGE_GARBAGE bytes more than after the last full
 * collection, and half as much more as all memory was then. Not while the first threshold is 0 or
 * automatic collection is off.
 */
enum { TALLY_LARGE_GARBAGE = 8 << 20 };
/* 700, 10, 10 at the start. The first: this many more containers made than freed
 * start a collection (0: never); the others: collections of the generation below
 * that start one of this. Without a GIL the first alone counts, and a collection
 * also waits until the new containers are a quarter of those that survived the
 * last; with a GIL the same holds of full collections. If a program collects younger
 * generations by hand, the allocation that follows starts the collection of an older
 * one that is due. [plain] */
void tally_gc_get_threshold(int thresholds[3]);
int tally_gc_set_threshold(const int thresholds[3]); /* negative: value error; [plain] */
/* Containers made less freed since the last collection, collections of generation
 * 0, of generation 1 (without a GIL: 0). A snapshot, without a stop of the world. Reading changes
 * nothing. [plain] */
void tally_gc_get_count(int counts[3]);

typedef struct tally_gc_generation_stats {
    uint64_t collections, collected, uncollectable;
} tally_gc_generation_stats;
void tally_gc_get_stats(tally_gc_generation_stats stats[3]); /* [plain] */

/* A list of the tracked objects of a generation; -1: of all tracked objects, the frozen ones too.
 * Not of what a collection has found and not freed yet. [blocks] */
tally_object *tally_gc_get_objects(int generation);
tally_object *tally_gc_get_referrers(tally_object *object); /* a list of the tracked objects that
                                                               hold it, chosen as by -1; [blocks] */
tally_object *tally_gc_get_referents(tally_object *object); /* a list of what it holds; [blocks] */
int tally_gc_is_tracked(
    tally_object *object); /* 1: a collection looks at it, unless it is frozen; [plain] */
int tally_gc_is_finalized(tally_object *object); /* 1: its finalizer has run; [plain] */

/* Frozen objects are ignored by all collections: all that are tracked now, but for what a
 * collection has found and not freed yet. They keep what they hold. One that its finalizer brings
 * back is an object as new. The counts of tally_gc_get_count begin anew. [blocks] */
void tally_gc_freeze(void);
void tally_gc_unfreeze(void);          /* back to the oldest generation; [blocks] */
ptrdiff_t tally_gc_freeze_count(void); /* [blocks] */

/* Makes every object that is alive now immortal: it is no longer counted, and lives
 * until tally_finish, with all that it holds then. For what a program sets up once and
 * all its threads then use. Objects that wait for their owner to merge their count are
 * left as they are. After gc.immortalize_heap() of Instagram's CPython. [blocks] */
void tally_gc_immortalize_heap(void);

enum {
    TALLY_GC_DEBUG_STATS = 1,         /* a line on standard error for each collection */
    TALLY_GC_DEBUG_COLLECTABLE = 2,   /* a line for each unreachable object */
    TALLY_GC_DEBUG_UNCOLLECTABLE = 4, /* a line for each that cannot be freed */
    TALLY_GC_DEBUG_SAVEALL =
        32, /* unreachable objects go to tally_gc_garbage() and are not freed */
    TALLY_GC_DEBUG_LEAK = 38
};
void tally_gc_set_debug(unsigned flags); /* [plain] */
unsigned tally_gc_get_debug(void);       /* [plain] */
/* A new reference to the one list; NULL and a run-time error in what tally_finish runs. [plain] */
tally_object *tally_gc_garbage(void);

/* Times are nanoseconds. */
typedef struct tally_gc_info {
    int generation;
    bool finished;  /* false: about to begin; then only generation, automatic and began count */
    bool automatic; /* started by an allocation */
    bool shared;    /* another thread's collection, which stopped the world for both; no times */
    ptrdiff_t collected; /* unreachable objects found, freed or saved */
    ptrdiff_t uncollectable;
    size_t examined; /* objects looked at */
    uint64_t began;  /* CLOCK_MONOTONIC */
    uint64_t stop;   /* from request until the world stood still; 0 with a GIL */
    uint64_t mark;   /* until it was known what is garbage, and its weak references were cleared */
    uint64_t finalize; /* callbacks and finalizers; the world runs, but for a GIL */
    uint64_t check; /* the second look, for what finalizers brought back: its stop and mark; 0: not
                       needed */
    uint64_t free;  /* taking apart; the world runs, but for a GIL */
    uint64_t reentry; /* from the last start of the world until the last parked thread ran again, as
                         far as they have */
    uint64_t pause;   /* from a request until the world ran again, the longest; with a GIL the whole
                         collection */
    unsigned helpers; /* parked threads that helped to mark */
    unsigned last_thread; /* number of the thread that came last, 0: none had to be waited for */
    const char *last_was; /* what it was doing; static */
} tally_gc_info;
typedef void (*tally_gc_callback)(const tally_gc_info *info, void *context);
/* Called before and after each collection, in the collecting thread; one that fails
 * has found nothing. A callback may add and remove callbacks, itself too: those that are there
 * throughout are all called, and one that is added is called from the next time on. [plain] */
int tally_gc_add_callback(tally_gc_callback callback, void *context);
/* Not there: value error. Another thread may be in the callback still. [plain] */
int tally_gc_remove_callback(tally_gc_callback callback, void *context);

/* ---- statistics --------------------------------------------------------- */

/*
 * Event counters, summed over all threads that ever were. The first group is
 * always counted (only slow paths count there); the second only in a build with
 * TALLY_COUNT_EVENTS (libraries `-counted`), else 0. Reading changes nothing.
 */
/* clang-format off */
#define TALLY_STATS_CHEAP(X)                                                                       \
    X(merges)             /* split counts merged, by whomever */                                   \
    X(queued)             /* objects queued for their owner to merge */                            \
    X(claims)             /* blocked owners claimed to merge in their stead */                     \
    X(lock_waits)         /* waits for an object's lock, parked */                                 \
    X(lock_handovers)     /* of those, that ended by a hand-over, since they took long */     \
    X(lock_revocations)   /* biased locks taken from an owner that ran, one membarrier each */     \
    X(gil_waits)          /* waits for the GIL */                                                  \
    X(gil_requests)       /* requests to the holder to let go */                                   \
    X(gil_handovers)      /* times the GIL went to another thread */                               \
    X(stops)              /* stops of the world */                                                 \
    X(stop_ns)            /* from request until the world stood still, total */                    \
    X(retired)            /* memory handed to wait for a grace period, pieces */                   \
    X(reclaimed)          /* of those, freed */                                                    \
    X(grace_throttled)       /* grace periods that a retiring thread waited for */                    \
    X(pools_taken)        /* pools taken from arenas */                                            \
    X(remote_drained)     /* blocks freed by other threads, taken back */                          \
    X(collections)        /* cycle collections */                                                  \
    X(gc_pause_ns)        /* time that other threads stood still for them */                       \
    X(gc_examined)        /* objects they looked at */                                             \
    X(gc_found)           /* unreachable objects they found */                                     \
    X(made_hot)           /* objects under fire moved to counts of each thread; biased-hot */      \
    X(made_cold)          /* and back */
/* clang-format on */
/* clang-format off */
#define TALLY_STATS_DETAILED(X)                                                                    \
    X(local_increfs)      /* by the owner, or plain */                                             \
    X(local_decrefs)                                                                               \
    X(shared_increfs)     /* atomic read-modify-writes */                                          \
    X(shared_decrefs)                                                                              \
    X(immortal_skips)     /* counts of immortal objects left alone */                              \
    X(lost_cas)           /* compare-and-swaps on counts that had to repeat */                     \
    X(locks_biased)       /* object locks taken by the owner without an atomic */                  \
    X(locks_atomic)       /* taken with a compare-and-swap */                                      \
    X(reads_unlocked)     /* container reads that took no lock */                                  \
    X(reads_locked)       /* that had to */                                                        \
    X(allocations)        /* blocks */                                                             \
    X(frees_local)                                                                                 \
    X(frees_remote)       /* blocks of another thread's heap */                                    \
    X(safepoints)                                                                                  \
    X(per_thread_increfs)        /* in the thread's number of a hot object, a class or the like */     \
    X(per_thread_decrefs)
/* clang-format on */

/* Levels in bytes, always 0 with a GIL; `most` is since tally_init. */
/* clang-format off */
#define TALLY_STATS_LEVELS(X)                                                        \
    X(waiting)            /* memory that waits for a grace period */                 \
    X(waiting_most)                                                                  \
    X(merge_queued)      /* blocks of objects that wait for their owner to merge */ \
    X(merge_queued_most) /* for one owner */
/* clang-format on */

/*
 * Bounds of these levels. A thread that retires past the limit waits for a grace period
 * at its next safepoint or blocking region; a critical section is let go for that wait and
 * taken again before the safepoint returns. So no more
 * waits than the limit, and for each thread twice the larger of TALLY_BACKLOG_BATCH and
 * what it retires between two such points (and one piece of memory): one list that it
 * waits for, and one of what it merged before it did. Who finds
 * more than the limit waiting for one owner to merge waits in the same way; so no
 * more does than the limit, and twice what others drop between two such points.
 */
enum { TALLY_BACKLOG_LIMIT = 16 << 20, TALLY_BACKLOG_BATCH = 128 << 10 };

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
    size_t arenas;       /* arenas held from the system */
    size_t bytes_arenas; /* without the collectors' notes: up to a sixteenth more, for containers */
    size_t pools_free;   /* pools in those arenas that no size class uses */
    size_t pools_waiting;             /* empty, waiting for a grace period */
    size_t large_blocks, large_bytes; /* over 512 bytes, in malloc */
    struct {
        size_t block_size; /* bytes */
        size_t arenas;     /* arenas with a pool of this class */
        size_t pools;
        size_t blocks;       /* blocks in use */
        size_t bytes_unused; /* held in its pools, not in use */
    } classes[TALLY_SIZE_CLASSES];
} tally_memory_result;

/* Stops the world for the time of a look, and changes nothing. Blocks that other threads
 * have freed are not in use, wherever they are. [blocks] */
void tally_memory_stats(tally_memory_result *result);

typedef struct tally_census_row {
    const char *type; /* lives as long as the type */
    unsigned owner;   /* thread number; 0: none, or one that does not count for itself */
    size_t objects, bytes;
} tally_census_row;

/* Live, mortal objects by type and owner. *rows is to be free()d. [blocks] */
int tally_heap_census(tally_census_row **rows, size_t *count);

typedef struct tally_contention_row {
    char type[64];  /* of the objects */
    unsigned owner; /* as in tally_census_row, at the time of the fight */
    const void
        *site; /* the call that made them; only in a build with TALLY_COUNT_EVENTS, else NULL */
    char place[64];            /* the same as text: symbol and offset, or offset in its file */
    uint64_t lost_cas;         /* compare-and-swaps on their counts that had to repeat */
    uint64_t lock_waits;       /* waits for their locks, parked */
    uint64_t lock_handovers;   /* of those, that took so long that the lock was handed over; not in
                                  share */
    uint64_t lock_revocations; /* of their biased locks, from an owner that ran */
    uint64_t merges;           /* of their counts, asked for by another thread than the owner */
    uint64_t
        shared_counts; /* increments with an atomic read-modify-write by another thread than the
                          owner or maker; only in a build with TALLY_COUNT_EVENTS, else 0 */
    double share;      /* of all of these, in all rows */
} tally_contention_row;

/* What threads fought over, the worst first; summed over all threads that ever were.
 * *rows is to be free()d. Reading changes nothing. [blocks] */
int tally_contention(tally_contention_row **rows, size_t *count);

/* A timeline. Of each thread: blocking regions, waits for the GIL and for locks,
 * safepoints that took time, collections and their parts; of all together: who
 * holds the GIL, and stops of the world. Keeps the last `events` of each thread
 * (0: 65536, 32 bytes each). [blocks] */
int tally_trace_start(ptrdiff_t events);
/* Ends it and writes it in Chrome's trace format, which Perfetto opens; by way of
 * the file PATH.tmp. A run-time error if it cannot be written. [blocks] */
int tally_trace_write(const char *path);
/* How many events are not in the trace written last, because there were more, or no memory for
 * them. [plain] */
ptrdiff_t tally_trace_dropped(void);

/* ---- errors, one a thread ----------------------------------------------- */

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

/* These four may be called by an unattached thread too. [plain] */
tally_error tally_error_kind(void);
const char *tally_error_message(void); /* "" if none; until the thread's next error */
void tally_error_clear(void);
void tally_error_set(tally_error kind, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
