/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fuzz.c: runs scripts of the differential fuzzer (script.h) on one backend, and
 * prints a checksum of what each one showed. Another backend, or fuzz.py on
 * CPython, is to print the same.
 *
 * Invariants:
 *  - What a script shows depends on nothing but its text: no address, no hash, no
 *    time. Objects with identity have a serial number.
 *  - Hooks (hash, equal, repr, finalizers, callbacks) of one operation are shown
 *    sorted, since their order is nobody's promise. What a finalizer or callback
 *    does is put off to the end of the operation where its place would show that
 *    order: in a collection always, for CPython (MODE_PORTABLE) also unless a
 *    single object dies.
 */
#include "script.h"

#include <tally.h>

#ifdef TALLY_FAILPOINTS
#    include "instrument/failpoint.h"
#endif

#include <getopt.h>
#include <inttypes.h>
#include <math.h>
#include <semaphore.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    TEXT = 16384,
    MOST_EVENTS = 400,
    EVENT_LENGTH = 160,
    MOST_DEFERRED = 4096,
    HEAVY = 300,
    LONGEST = 1500,
    FUEL = 24
};

typedef struct text {
    int length;
    char data[TEXT];
} text;
typedef struct deferred {
    int64_t serial;
    int procedure;
    tally_object *risen;
} deferred;

static const script *playing;
static bool beside_atomic; /* what is shown is compared with what atomic refcounts show */
static struct {
    tally_object *registers[REGISTERS], *names[NAMES], *tag, *class_tag, *types[4], *kept;
    tally_object *classes; /* with generations no class dies before the end */
    int64_t serial;        /* of the last object with identity */
    int depth;             /* of procedures under way */
    bool immediate;        /* finalizers and callbacks run their procedures at once */
    bool collecting, ending;
    int fuel;   /* procedures that this operation may run yet: one can start itself for ever */
    int raised; /* by the procedure that ran last: an error kind */
    int at;     /* index of the operation */
    int event_count;
    char events[MOST_EVENTS][EVENT_LENGTH];
    int deferred_count;
    deferred deferred[MOST_DEFERRED];
} m;

static bool tracing;

/* ---- text and checksums ---- */

static uint32_t crc_table[256];

static void make_crc_table(void) {
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;
        for (int bit = 0; bit < 8; bit++) c = c & 1 ? c >> 1 ^ 0xedb88320u : c >> 1;
        crc_table[i] = c;
    }
}

/* As zlib's. */
static uint32_t crc_of(uint32_t crc, const char *data, size_t length) {
    crc = ~crc;
    for (size_t i = 0; i < length; i++)
        crc = crc_table[(crc ^ (unsigned char)data[i]) & 0xff] ^ crc >> 8;
    return ~crc;
}

static void add(text *t, const char *data, size_t length) {
    if (length > (size_t)(TEXT - 1 - t->length)) length = (size_t)(TEXT - 1 - t->length);
    memcpy(t->data + t->length, data, length);
    t->length += (int)length;
    t->data[t->length] = 0;
}
static void add_char(text *t, char c) { add(t, &c, 1); }
static void add_string(text *t, const char *string) { add(t, string, strlen(string)); }
static void add_int(text *t, int64_t value) {
    char digits[24], *at = digits + sizeof digits;
    uint64_t rest = value < 0 ? -(uint64_t)value : (uint64_t)value;
    do *--at = (char)('0' + rest % 10);
    while (rest /= 10);
    if (value < 0) *--at = '-';
    add(t, at, (size_t)(digits + sizeof digits - at));
}

/* ---- what objects are ---- */

/* i f s b N(one) l d t(uple) y(type) w C(instance) X(native) */
static char kind_of(tally_object *object) {
    const char *name = tally_type_name(object);
    return name[0] == 't' && name[1] == 'y' ? 'y' : name[0];
}
/* Of an instance's class or a native object's type. */
static int variant_of(tally_object *object) { return tally_type_name(object)[1] - '0'; }

enum { OPEN, SLOTS, WEAK_SLOTS, BARE };
static const int slot_counts[] = {-1, 3, 3, 1};

typedef struct native {
    int64_t serial;
    int hash, procedure, hook;
    bool armed, rises;
    tally_object *held[2];
} native;
enum { HOOK_EQUAL, HOOK_HASH, HOOK_REPR };

static native *native_of(tally_object *object) { return tally_object_data(object); }

/* Serial number, procedure and whether it rises, of an instance or class, in one int. */
static int64_t tag_of(tally_object *object) {
    char kind = kind_of(object);
    tally_object *tag = kind == 'C' && variant_of(object) != OPEN
                            ? tally_slot_get(object, 0)
                            : tally_get_attr(object, kind == 'y' ? m.class_tag : m.tag);
    if (!tag) {
        tally_error_clear();
        return 0;
    }
    int64_t value = tally_int_value(tag);
    tally_decref(tag);
    return value;
}
static int64_t make_tag(int64_t serial, int procedure, bool rises) {
    return serial | (int64_t)(procedure + 1) << 32 | (int64_t)rises << 40;
}
static int64_t tag_serial(int64_t tag) { return tag & 0xffffffff; }
static int tag_procedure(int64_t tag) { return (int)(tag >> 32 & 0xff) - 1; }
static bool tag_rises(int64_t tag) { return tag >> 40 & 1; }

/* An error that may be pending stays so. */
static void show(text *t, tally_object *object, int depth) {
    char kind = kind_of(object);
    switch (kind) {
    case 'N': add_char(t, '0'); return;
    case 'b': add_char(t, object == tally_true ? 'T' : 'F'); return;
    case 'i':
        add_char(t, 'i');
        add_int(t, tally_int_value(object));
        return;
    case 'f': {
        double value = tally_float_value(object);
        uint64_t bits;
        char digits[24];
        memcpy(&bits, &value, sizeof bits);
        snprintf(digits, sizeof digits, "f%016" PRIx64, bits);
        add_string(t, value != value ? "fnan" : digits);
        return;
    }
    case 's': {
        ptrdiff_t length = tally_str_length(object);
        add_char(t, 's');
        if (length <= 24) {
            add(t, tally_str_data(object), (size_t)length);
        } else {
            add_int(t, length);
            add_char(t, '~');
            add_int(t, crc_of(0, tally_str_data(object), (size_t)length));
        }
        return;
    }
    case 'y':
        add_char(t, 'C');
        add_int(t, tag_serial(tag_of(object)));
        return;
    case 'C':
        add_char(t, 'O');
        add_int(t, tag_serial(tag_of(object)));
        return;
    case 'X':
        add_char(t, 'X');
        add_int(t, native_of(object)->serial);
        return;
    case 'w': {
        tally_object *referent = tally_weakref_get(object);
        add_char(t, 'W');
        if (referent == tally_none)
            add_char(t, '!');
        else
            show(t, referent, 3);
        tally_decref(referent);
        return;
    }
    case 'l':
    case 't': {
        ptrdiff_t length = kind == 'l' ? tally_list_length(object) : tally_tuple_length(object);
        add_char(t, kind == 'l' ? '[' : '(');
        add_int(t, length);
        for (ptrdiff_t i = 0; i < length && i < 5 && depth < 3; i++) {
            tally_object *item =
                kind == 'l' ? tally_list_get(object, i) : tally_tuple_get(object, i);
            add_char(t, ' ');
            if (!item) break;
            show(t, item, depth + 1);
            tally_decref(item);
        }
        return;
    }
    case 'd': {
        tally_object *key, *value;
        ptrdiff_t position = 0;
        add_char(t, '{');
        add_int(t, tally_dict_length(object));
        for (int i = 0; i < 5 && depth < 3 && tally_dict_next(object, &position, &key, &value) == 1;
             i++) {
            add_char(t, ' ');
            show(t, key, depth + 1);
            add_char(t, '=');
            show(t, value, depth + 1);
            tally_decref(key);
            tally_decref(value);
        }
        return;
    }
    default: add_char(t, '?');
    }
}

/* Adds what an operation walks that goes through the whole object; it stops once that is too much.
 */
static void weigh(tally_object *object, int *weight) {
    char kind = kind_of(object);
    if (++*weight > HEAVY) return;
    if (kind == 'l' || kind == 't') {
        ptrdiff_t length = kind == 'l' ? tally_list_length(object) : tally_tuple_length(object);
        for (ptrdiff_t i = 0; i < length && *weight <= HEAVY; i++) {
            tally_object *item =
                kind == 'l' ? tally_list_get(object, i) : tally_tuple_get(object, i);
            if (!item) break;
            weigh(item, weight);
            tally_decref(item);
        }
    } else if (kind == 'd') {
        tally_object *key, *value;
        ptrdiff_t position = 0;
        while (*weight <= HEAVY && tally_dict_next(object, &position, &key, &value) == 1) {
            weigh(key, weight);
            weigh(value, weight);
            tally_decref(key);
            tally_decref(value);
        }
    }
}
static bool heavy(tally_object *object) {
    int weight = 0;
    weigh(object, &weight);
    return weight > HEAVY;
}

/* Where keys that are removed may die later: those whose death nobody sees. */
static bool is_quiet(tally_object *object) {
    char kind = kind_of(object);
    if (kind == 't') {
        for (ptrdiff_t i = 0; i < tally_tuple_length(object); i++) {
            tally_object *item = tally_tuple_get(object, i);
            bool quiet = is_quiet(item);
            tally_decref(item);
            if (!quiet) return false;
        }
        return true;
    }
    return strchr("ifsbNld", kind) || (kind == 'X' && variant_of(object) != 2);
}
static bool may_be_key(tally_object *object) {
    return !heavy(object) && (playing->mode & MODE_KEYS || is_quiet(object));
}

/* ---- hooks ---- */

static void execute(const op *o, text *t);

static void event(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void event(const char *format, ...) {
    if (m.event_count == MOST_EVENTS) return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(m.events[m.event_count++], EVENT_LENGTH, format, arguments);
    va_end(arguments);
}

/* Returns the error that it raised, or 0. */
static int run_procedure(int p) {
    if (p < 0 || m.ending || m.fuel == 0) return 0;
    m.fuel--;
    int before = m.raised;
    m.raised = 0;
    m.depth++;
    text *t = malloc(sizeof *t);
    for (int i = 0; i < playing->procedure_lengths[p]; i++) {
        const op *o = &playing->procedures[p][i];
        t->length = 0;
        t->data[0] = 0;
        execute(o, t);
        event("%s %.100s", op_names[o->code], t->data);
    }
    free(t);
    m.depth--;
    int raised = m.raised;
    m.raised = before;
    return raised;
}

/* A native object's hook: an error kind, or 0. */
static int hooked(tally_object *object, int hook) {
    native *n = native_of(object);
    if (!n->armed || n->hook != hook || m.depth > 0) return 0;
    n->armed = false;
    bool immediate = m.immediate;
    m.immediate = !(playing->mode & MODE_PORTABLE);
    int raised = run_procedure(n->procedure);
    m.immediate = immediate;
    if (raised) tally_error_set((tally_error)raised, "a hook");
    return raised;
}

static int64_t native_hash(tally_object *self) {
    if (hooked(self, HOOK_HASH)) return -1;
    native *n = native_of(self);
    int64_t base = INT64_C(0x123456789ab0);
    /* Where the hashes of other keys are addresses, no order of comparisons is fixed: natives with
     * one hash are equal, so that there is one of them. */
    return playing->mode & (MODE_PORTABLE | MODE_KEYS) ? base + n->hash * 4 + variant_of(self)
                                                       : base + n->hash / 2;
}

static int native_equal(tally_object *self, tally_object *other) {
    native *n = native_of(self), *with = NULL;
    if (kind_of(other) == 'X' && variant_of(other) == variant_of(self)) with = native_of(other);
    if (hooked(with && with->serial < n->serial ? other : self, HOOK_EQUAL)) return -1;
    return self == other || (with && n->hash == with->hash);
}

static tally_object *native_repr(tally_object *self) {
    char name[24];
    if (hooked(self, HOOK_REPR)) return NULL;
    snprintf(name, sizeof name, "X%" PRId64, native_of(self)->serial);
    return tally_str_new(name, -1);
}

static void native_traverse(tally_object *self, tally_visit visit, void *context) {
    native *n = native_of(self);
    for (int i = 0; i < 2; i++)
        if (n->held[i]) visit(n->held[i], context);
}
static void native_clear(tally_object *self) {
    native *n = native_of(self);
    for (int i = 0; i < 2; i++) {
        tally_object *old = n->held[i];
        n->held[i] = NULL;
        tally_xdecref(old);
    }
}

static void defer(int64_t serial, int procedure, tally_object *risen) {
    if (m.deferred_count < MOST_DEFERRED) {
        tally_xincref(risen);
        m.deferred[m.deferred_count++] = (deferred){serial, procedure, risen};
    }
}

/* Runs it now, or puts it off; sets the error that it raised. */
static void hook_at_death(int64_t serial, int procedure) {
    if (procedure < 0 || m.ending) return;
    if (m.immediate && !m.collecting && m.depth < 2) {
        bool immediate = m.immediate;
        if (playing->mode & MODE_PORTABLE) m.immediate = false;
        int raised = run_procedure(procedure);
        m.immediate = immediate;
        if (raised) tally_error_set((tally_error)raised, "a hook at death");
    } else {
        defer(serial, procedure, NULL);
    }
}

static void finalize(tally_object *self, int64_t serial, int procedure, bool rises) {
    event("f%" PRId64, serial);
    /* What its last drop brings back is old with owners, and as young as it was with a GIL. */
    if (rises && !m.ending && !(m.collecting && playing->mode & MODE_PORTABLE) &&
        !(!m.collecting && playing->mode & MODE_YOUNG))
        defer(serial, -1, self);
    hook_at_death(serial, procedure);
}
static void finalize_instance(tally_object *self) {
    int64_t tag = tag_of(self);
    if (tag) /* 0: there was no memory for it, and the object never was */
        finalize(self, tag_serial(tag), tag_procedure(tag), tag_rises(tag));
}
static void finalize_native(tally_object *self) {
    native *n = native_of(self);
    if (n->serial && !(playing->mode & MODE_BORROW)) finalize(self, n->serial, -1, n->rises);
}

static void called_back(tally_object *reference, void *context) {
    int64_t number = (intptr_t)context;
    event("w%" PRId64, number >> 8);
    hook_at_death(number >> 8, (int)(number & 0xff) - 1);
}

static int by_serial(const void *a, const void *b) {
    const deferred *x = a, *y = b;
    if (x->serial != y->serial) return x->serial < y->serial ? -1 : 1;
    return x->procedure - y->procedure;
}

static void put(int into, tally_object *object) {
    tally_object *old = m.registers[into];
    m.registers[into] = object;
    tally_xdecref(old);
}

/* To the end of the episode. */
static void keep(tally_object *object) {
    if (object) tally_list_append(m.kept, object);
    tally_xdecref(object);
}

/* What was put off, in the order of serial numbers, until nothing is. */
static void run_deferred(void) {
    while (m.deferred_count) {
        int count = m.deferred_count;
        deferred *batch = malloc((size_t)count * sizeof *batch);
        memcpy(batch, m.deferred, (size_t)count * sizeof *batch);
        m.deferred_count = 0;
        qsort(batch, (size_t)count, sizeof *batch, by_serial);
        for (int i = 0; i < count; i++) {
            if (batch[i].risen && playing->mode & MODE_AUTOMATIC)
                keep(batch[i].risen);
            else if (batch[i].risen)
                put((int)(batch[i].serial % 8), batch[i].risen);
            else
                run_procedure(batch[i].procedure);
        }
        free(batch);
    }
}

/* ---- operations ---- */

static const int64_t big_ints[] = {INT64_MAX,
                                   INT64_MIN,
                                   INT64_MAX - 1,
                                   INT64_MIN + 1,
                                   1LL << 53,
                                   (1LL << 53) + 1,
                                   -(1LL << 53) - 1,
                                   1LL << 62,
                                   -(1LL << 62),
                                   3037000500LL,
                                   256,
                                   257,
                                   -5,
                                   -6,
                                   1LL << 32,
                                   (1LL << 31) - 1,
                                   1000003,
                                   -1000003,
                                   1LL << 61,
                                   (1LL << 61) - 1,
                                   4611686018427387905LL,
                                   7,
                                   -7,
                                   100};
static const double reals[] = {
    0.0, -0.0,   1.0,    -1.0,    0.5, -0.5, 1e308, -1e308, 1e-308, 5e-324, INFINITY,   -INFINITY,
    NAN, 0x1p53, 0x1p63, -0x1p63, 3.0, -3.0, 0.1,   1e16,   2.5,    1e22,   123456.789, -7.0};
static const char *const strings[NAMES] = {
    "", "x", "y1", "\xc3\xa9", "a long string of forty bytes, more or less", "a2", "key"};
static const char *const attribute_names[NAMES] = {"a", "b", "a2", "a3", "a4", "a5", "a6"};
static const char *const slots[] = {"tag", "a", "b", NULL}, *const weak_slots[] = {"tag", "a", "b",
                                                                                   "__weakref__",
                                                                                   NULL};
static const char *const bare_slots[] = {"tag", "__weakref__", NULL};
static const char *const *const slot_names[] = {NULL, slots, weak_slots, bare_slots};
static const char error_letters[] = "-MTVIKAOZR";

static void add_error(text *t) {
    add_char(t, '!');
    add_char(t, error_letters[tally_error_kind()]);
    tally_error_clear();
}

static void give_object(text *t, int into, tally_object *object) {
    if (object) {
        show(t, object, 0);
        put(into, object);
    } else if (tally_error_kind() != TALLY_NO_ERROR) {
        add_error(t);
    } else {
        add_char(t, '~');
    }
}
static void give_int(text *t, int64_t result) {
    if (result < 0)
        add_error(t);
    else
        add_int(t, result);
}
static void give_borrowed(text *t, int into, tally_borrowed borrowed) {
    tally_object *object = tally_borrowed_object(borrowed);
    if (object && kind_of(object) == 'i') add_int(t, tally_int_value(object));
    give_object(t, into, object ? tally_retain(borrowed) : NULL);
}

/* A single object that holds nothing may die by the store that follows: its hook runs at once. */
static void expect_death_of(tally_object *old) {
    if (playing->mode & MODE_PORTABLE && m.depth == 0 && old && kind_of(old) == 'C' &&
        variant_of(old) == BARE)
        m.immediate = true;
    tally_xdecref(old);
    tally_error_clear();
}

static bool is_instance(tally_object *object) { return kind_of(object) == 'C'; }

/* Attributes of classes hold only what is in no need to die: classes die at a collection. */
static bool may_hold(tally_object *object, tally_object *value) {
    return kind_of(object) != 'y' || (value && strchr("ifsbN", kind_of(value)));
}
static tally_object *attribute_name(tally_object *object, int name) {
    return m.names[kind_of(object) == 'y' && name < 2 ? name + 2 : name];
}

/* The tag's slot is never written. */
static bool is_tag_slot(tally_object *object, ptrdiff_t index) {
    return is_instance(object) && variant_of(object) != OPEN &&
           (index == 0 || index == -slot_counts[variant_of(object)]);
}

static tally_object *new_class(int kind, int procedure) {
    char name[4] = {'C', (char)('0' + (kind & 3)), 0, 0};
    bool finalizes = kind & 4 && !(playing->mode & MODE_BORROW);
    tally_object *class_ = tally_class_new(
        &(tally_class_spec){name, slot_names[kind & 3], finalizes ? finalize_instance : NULL});
    tally_object *tag =
        class_ ? tally_int_new(make_tag(m.serial + 1, procedure, (kind & 12) == 12)) : NULL;
    if (tag && tally_set_attr(class_, m.class_tag, tag) == 0) {
        m.serial++;
    } else {
        tally_xdecref(class_);
        class_ = NULL;
    }
    tally_xdecref(tag);
    if (class_ && m.classes) tally_list_append(m.classes, class_);
    return class_;
}

static tally_object *new_instance(tally_object *class_) {
    tally_object *self = tally_instance_new(class_);
    if (!self) return NULL;
    int64_t class_tag = tag_of(class_);
    tally_object *tag =
        tally_int_new(make_tag(m.serial + 1, tag_procedure(class_tag), tag_rises(class_tag)));
    int failed = !tag || (variant_of(self) == OPEN ? tally_set_attr(self, m.tag, tag)
                                                   : tally_slot_set(self, 0, tag)) < 0;
    tally_xdecref(tag);
    if (failed) {
        tally_decref(self);
        return NULL;
    }
    m.serial++;
    return self;
}

static tally_object *new_native(int hash, int procedure, int kind) {
    tally_object *self = tally_object_new(m.types[kind & 3], 0);
    if (!self) return NULL;
    native *n = native_of(self);
    n->serial = ++m.serial;
    n->hash = hash;
    n->procedure = procedure;
    n->rises = (kind & 12) == 12;
    return self;
}

static void compare(text *t, tally_object *a, tally_object *b) {
    int order;
    if (tally_compare(a, b, &order) < 0)
        add_error(t);
    else
        add_int(t, order);
}

static void show_repr(text *t, tally_object *object) {
    tally_object *repr = tally_repr(object);
    if (!repr) {
        add_error(t);
        return;
    }
    const char *data = tally_str_data(repr);
    if (strchr(data, '<')) /* an address, perhaps */
        add_char(t, '<');
    else if (tally_str_length(repr) < 80)
        add_string(t, data);
    else
        add_int(t, crc_of(0, data, (size_t)tally_str_length(repr)));
    tally_decref(repr);
}

static tally_object *arith(tally_object *a, tally_object *b, int operation) {
    switch (operation) {
    case 0: return tally_add(a, b);
    case 1: return tally_subtract(a, b);
    case 2: return tally_multiply(a, b);
    case 3: return tally_divide(a, b);
    case 4: return tally_floor_divide(a, b);
    default: return tally_remainder(a, b);
    }
}

static ptrdiff_t length_of(tally_object *object) {
    switch (kind_of(object)) {
    case 's': return tally_str_length(object);
    case 'l': return tally_list_length(object);
    case 't': return tally_tuple_length(object);
    default: return 0;
    }
}

static void walk(text *t, tally_object *dict) {
    tally_object *key, *value;
    ptrdiff_t position = 0;
    int result, count = 0;
    while ((result = tally_dict_next(dict, &position, &key, &value)) == 1) {
        if (++count <= 8) {
            show(t, key, 2);
            add_char(t, ':');
            show(t, value, 2);
            add_char(t, ' ');
        }
        tally_decref(key);
        tally_decref(value);
    }
    give_int(t, result < 0 ? result : count);
}

static void collect(text *t) {
    m.collecting = true;
    bool failed = tally_gc_collect(2) < 0;
    m.collecting = false;
    if (failed)
        add_error(t);
    else
        add_char(t, 'c');
}

/* What is promised to be the same on gil and biased. Classes die in full collections of the latter
 * only; so do not show how many objects one found. */
static void on_collection(const tally_gc_info *info, void *nothing) {
    static bool before;
    if (!info->finished) {
        before = m.collecting;
        m.collecting = true;
        return;
    }
    m.collecting = before;
    if (m.ending) return;
    if (info->generation == 2 && !(playing->mode & MODE_AUTOMATIC))
        event("g2");
    else
        event("g%d %td %td %d", info->generation, info->collected, info->uncollectable,
              info->automatic);
}
static void show_counts(text *t) {
    int counts[3];
    tally_gc_get_count(counts);
    for (int i = 0; i < 3; i++) {
        add_char(t, i ? ',' : ' ');
        add_int(t, counts[i]);
    }
}
static void collect_young(text *t, int generation) {
    ptrdiff_t found = tally_gc_collect(generation);
    if (found < 0) {
        add_error(t);
        return;
    }
    if (generation < 2 || playing->mode & MODE_AUTOMATIC) add_int(t, found);
    show_counts(t);
}
/* A cycle of lists, with an instance in it, and a weak reference to that; it is garbage at once. */
static void make_ring(tally_object *class_, int size, int procedure) {
    tally_object *first = tally_list_new(0), *last = first;
    tally_incref(last);
    for (int i = 0; i < (size & 3); i++) {
        tally_object *next = tally_list_new(0);
        tally_list_append(last, next);
        tally_decref(last);
        last = next;
    }
    tally_list_append(last, first);
    tally_decref(last);
    tally_object *instance = kind_of(class_) == 'y' && size & 4 ? new_instance(class_) : NULL;
    if (instance) {
        tally_list_append(first, instance);
        if (size & 8) {
            int64_t number = ++m.serial << 8 | (procedure + 1);
            tally_object *weak = tally_weakref_new(instance, called_back, (void *)(intptr_t)number);
            tally_error_clear();
            if (m.kept)
                keep(weak);
            else
                tally_xdecref(weak);
        }
        tally_decref(instance);
    }
    tally_decref(first);
}

static void set_threshold(int n) {
    static const int thresholds[4][3] = {{20, 2, 2}, {5, 1, 1}, {60, 3, 1}, {0, 1, 1}};
    tally_gc_set_threshold(thresholds[n & 3]);
}

static void keep_new(int kind) {
    tally_object *none = tally_none;
    keep(kind & 1 ? tally_list_new(0) : kind & 2 ? tally_dict_new() : tally_tuple_new(&none, 1));
}

static void count_garbage(text *t) {
    m.collecting = true;
    tally_gc_set_debug(TALLY_GC_DEBUG_SAVEALL);
    bool failed = tally_gc_collect(2) < 0;
    tally_gc_set_debug(0);
    tally_object *garbage = tally_gc_garbage();
    tally_list_clear(garbage);
    tally_decref(garbage);
    m.collecting = false;
    add_char(t, failed ? '!' : 'g');
}

static void show_state(text *t) {
    for (int i = 0; i < REGISTERS; i++) {
        if (m.registers[i])
            show(t, m.registers[i], 0);
        else
            add_char(t, '_');
        add_char(t, ' ');
    }
}

static void census(text *t) {
    static const char *const wanted[] = {"list", "C0", "C1", "C2", "C3", "X2"};
    tally_census_row *rows = NULL;
    size_t count = 0, objects[6] = {0};
    if (tally_heap_census(&rows, &count) < 0) {
        add_error(t);
        return;
    }
    for (size_t i = 0; i < count; i++)
        for (int j = 0; j < 6; j++)
            if (strcmp(rows[i].type, wanted[j]) == 0) objects[j] += rows[i].objects;
    free(rows);
    for (int j = 0; j < 6; j++) {
        add_int(t, (int64_t)objects[j]);
        add_char(t, ' ');
    }
}

/* What says nothing that could be compared. */
static void query(text *t) {
    tally_stats_result stats;
    tally_memory_result memory;
    tally_contention_row *rows = NULL;
    size_t count;
    int numbers[3];
    tally_stats(&stats);
    tally_memory_stats(&memory);
    tally_gc_get_count(numbers);
    tally_gc_get_threshold(numbers);
    if (tally_gc_set_threshold(numbers) < 0 || tally_contention(&rows, &count) < 0) add_error(t);
    free(rows);
    tally_object *objects = tally_gc_get_objects(-1);
    if (objects)
        tally_decref(objects);
    else
        add_error(t);
    add_char(t, 'q');
}

typedef struct {
    int procedure;
    sem_t blocked, done; /* its maker is in a blocked region; the procedure has ended */
} thread_run;

static void in_other_thread(void *argument) {
    thread_run *run = argument;
#ifdef TALLY_FAILPOINTS
    tally_failpoint_failed(); /* it is the start of the thread that fails */
#endif
    /* What a thread drops last waits for an owner that runs, and not for one that is blocked. */
    tally_blocking_begin();
    sem_wait(&run->blocked);
    tally_blocking_end();
    run_procedure(run->procedure);
    sem_post(&run->done);
}

static void run_in_thread(text *t, int procedure) {
    tally_thread thread;
    if (m.depth || procedure < 0 || m.ending) {
        add_char(t, '-');
        return;
    }
    thread_run run = {.procedure = procedure};
    sem_init(&run.blocked, 0, 0);
    sem_init(&run.done, 0, 0);
    bool immediate = m.immediate;
    m.immediate = false;
    if (tally_thread_start(&thread, in_other_thread, &run) < 0) {
        add_error(t);
    } else {
        tally_blocking_begin();
        sem_post(&run.blocked);
        sem_wait(&run.done);
        tally_blocking_end();
        if (tally_thread_join(&thread) < 0) add_error(t);
        tally_safepoint();
        add_char(t, 't');
    }
    m.immediate = immediate;
    sem_destroy(&run.blocked);
    sem_destroy(&run.done);
}

static const char *own_references; /* kinds whose count a script knows */

static void show_referrers(text *t, tally_object *object) {
    tally_object *list = tally_gc_get_referrers(object);
    int lists = 0;
    if (!list) {
        add_error(t);
        return;
    }
    for (ptrdiff_t i = 0; i < tally_list_length(list); i++) {
        tally_object *item = tally_list_get(list, i);
        lists += kind_of(item) == 'l' || kind_of(item) == 'd';
        tally_decref(item);
    }
    tally_decref(list);
    add_int(t, lists);
}

/* Whether it puts an object into a container. CPython drops the contents of one in another order,
 * and a weak reference that dies before its referent is not called back. So scripts for it keep
 * weak references in registers. */
static bool stores(int code) {
    switch (code) {
    case OP_append:
    case OP_list_set:
    case OP_insert:
    case OP_tuple:
    case OP_dict_set:
    case OP_set_default:
    case OP_set_attr:
    case OP_slot_set:
    case OP_native_set: return true;
    default: return false;
    }
}

static void execute(const op *o, text *t) {
    tally_object *h[4] = {0}, *none = NULL;
    int into = op_operands[o->code][0] == '>' ? o->a[0] : -1, operand = 0, held = 0;
    for (const char *c = op_operands[o->code]; *c; c++) {
        if (*c == '>') {
            c++;
            operand++;
            continue;
        }
        if (strchr("LDTSIJCNWRkv*", *c)) {
            h[operand] = m.registers[o->a[operand]];
            if (!h[operand]) {
                add_char(t, '-');
                goto release;
            }
            tally_incref(h[operand]);
        }
        operand++;
    }
    if (playing->mode & MODE_PORTABLE && stores(o->code)) {
        for (held = 0; held < 4; held++) {
            if (h[held] && kind_of(h[held]) == 'w') {
                add_char(t, '-');
                goto release;
            }
        }
    }
    const int32_t *a = o->a;
    switch (o->code) {
    case OP_int: give_object(t, into, tally_int_new(a[1])); break;
    case OP_big: give_object(t, into, tally_int_new(big_ints[a[1] % 24])); break;
    case OP_real: give_object(t, into, tally_float_new(reals[a[1] % 24])); break;
    case OP_str: give_object(t, into, tally_str_new(strings[a[1]], -1)); break;
    case OP_const:
        give_object(t, into, a[1] % 3 == 0 ? tally_none : a[1] % 3 == 1 ? tally_true : tally_false);
        break;
    case OP_copy:
    case OP_put:
        tally_incref(h[1]);
        give_object(t, into, h[1]);
        break;
    case OP_drop: put(a[0], NULL); break;
    case OP_is:
        if (strchr("ldwCXy", kind_of(h[0])) && strchr("ldwCXy", kind_of(h[1])))
            add_int(t, h[0] == h[1]);
        break;
    case OP_intern: {
        tally_object *plain = tally_str_new(strings[a[1]], -1);
        give_object(t, into, plain ? tally_str_intern(plain) : NULL);
        tally_xdecref(plain);
        break;
    }
    case OP_tuple:
        give_object(t, into,
                    tally_tuple_new((tally_object *[]){h[1], h[2], h[1]}, (unsigned)a[3] % 4));
        break;
    case OP_tuple_get: give_object(t, into, tally_tuple_get(h[1], a[2])); break;
    case OP_tuple_length: give_int(t, tally_tuple_length(h[0])); break;
    case OP_list: give_object(t, into, tally_list_new(0)); break;
    case OP_append:
        give_int(t, length_of(h[0]) > LONGEST ? 9 : tally_list_append(h[0], h[1]));
        break;
    case OP_list_get: give_object(t, into, tally_list_get(h[1], a[2])); break;
    case OP_list_set:
        expect_death_of(kind_of(h[0]) == 'l' ? tally_list_get(h[0], a[1]) : NULL);
        give_int(t, tally_list_set(h[0], a[1], h[2]));
        break;
    case OP_insert:
        give_int(t, length_of(h[0]) > LONGEST ? 9 : tally_list_insert(h[0], a[1], h[2]));
        break;
    case OP_pop: give_object(t, into, tally_list_pop(h[1], a[2])); break;
    case OP_extend:
        give_int(t,
                 length_of(h[0]) + length_of(h[1]) > LONGEST ? 9 : tally_list_extend(h[0], h[1]));
        break;
    case OP_list_clear: give_int(t, tally_list_clear(h[0])); break;
    case OP_list_length: give_int(t, tally_list_length(h[0])); break;
    case OP_dict: give_object(t, into, tally_dict_new()); break;
    case OP_dict_get:
        if (may_be_key(h[2])) give_object(t, into, tally_dict_get(h[1], h[2]));
        break;
    case OP_dict_set:
        if (!may_be_key(h[1])) break;
        expect_death_of(kind_of(h[0]) == 'd' && kind_of(h[1]) == 's' ? tally_dict_get(h[0], h[1])
                                                                     : NULL);
        give_int(t, tally_dict_set(h[0], h[1], h[2]));
        break;
    case OP_dict_delete:
        if (!may_be_key(h[1])) break;
        expect_death_of(kind_of(h[0]) == 'd' && kind_of(h[1]) == 's' ? tally_dict_get(h[0], h[1])
                                                                     : NULL);
        give_int(t, tally_dict_delete(h[0], h[1]));
        break;
    case OP_contains:
        if (may_be_key(h[1])) give_int(t, tally_dict_contains(h[0], h[1]));
        break;
    case OP_set_default:
        if (may_be_key(h[2])) give_object(t, into, tally_dict_set_default(h[1], h[2], h[3]));
        break;
    case OP_walk: walk(t, h[0]); break;
    case OP_dict_clear: give_int(t, tally_dict_clear(h[0])); break;
    case OP_dict_length: give_int(t, tally_dict_length(h[0])); break;
    case OP_class: give_object(t, into, new_class(a[1], a[2])); break;
    case OP_instance: give_object(t, into, new_instance(h[1])); break;
    case OP_set_attr:
        if (!may_hold(h[0], h[2])) break;
        if (is_instance(h[0]) &&
            (variant_of(h[0]) == OPEN || (a[1] < 2 && variant_of(h[0]) != BARE)))
            expect_death_of(tally_get_attr(h[0], attribute_name(h[0], a[1])));
        give_int(t, tally_set_attr(h[0], attribute_name(h[0], a[1]), h[2]));
        break;
    case OP_get_attr: give_object(t, into, tally_get_attr(h[1], attribute_name(h[1], a[2]))); break;
    case OP_delete_attr: give_int(t, tally_delete_attr(h[0], attribute_name(h[0], a[1]))); break;
    case OP_slot_get:
        if (!is_tag_slot(h[1], a[2])) give_object(t, into, tally_slot_get(h[1], a[2]));
        break;
    case OP_slot_set:
        if (is_tag_slot(h[0], a[1])) break;
        expect_death_of(is_instance(h[0]) ? tally_slot_get(h[0], a[1]) : NULL);
        give_int(t, tally_slot_set(h[0], a[1], h[2]));
        break;
    case OP_slot_empty:
        if (!is_tag_slot(h[0], a[1])) give_int(t, tally_slot_set(h[0], a[1], NULL));
        break;
    case OP_native: give_object(t, into, new_native(a[1], a[2], a[3])); break;
    case OP_arm:
        if (kind_of(h[0]) != 'X') break;
        native_of(h[0])->hook = a[1];
        native_of(h[0])->armed = true;
        break;
    case OP_native_set:
        if (kind_of(h[0]) != 'X' || variant_of(h[0]) != 2) break;
        tally_object **place = &native_of(h[0])->held[a[1] & 1], *old = *place;
        tally_incref(h[2]);
        *place = h[2];
        tally_xdecref(old);
        add_char(t, 'n');
        break;
    case OP_native_get:
        if (kind_of(h[1]) != 'X' || variant_of(h[1]) != 2) break;
        tally_xincref(native_of(h[1])->held[a[2] & 1]);
        give_object(t, into, native_of(h[1])->held[a[2] & 1]);
        break;
    case OP_hash:
        if (heavy(h[0])) break;
        if (tally_hash(h[0]) == -1 && tally_error_kind() != TALLY_NO_ERROR) add_error(t);
        break;
    case OP_equal:
        if (!heavy(h[0]) && !heavy(h[1])) give_int(t, tally_equal(h[0], h[1]));
        break;
    case OP_compare:
        if (!heavy(h[0]) && !heavy(h[1])) compare(t, h[0], h[1]);
        break;
    case OP_repr: {
        int length = t->length, fuel = m.fuel;
        if (!heavy(h[0])) show_repr(t, h[0]);
        if (!beside_atomic || m.fuel == fuel) break;
        /* A hook ran, and may have changed the container. */
        t->data[t->length = length] = 0;
        add_string(t, " hooked");
        break;
    }
    case OP_sizeof: add_char(t, tally_sizeof(h[0]) > 0 ? 'z' : '!'); break;
    case OP_arith:
        if (length_of(h[1]) + length_of(h[2]) > LONGEST) break;
        give_object(t, into, arith(h[1], h[2], a[3] % 6));
        break;
    case OP_weakref:
        if (kind_of(h[1]) == 'y') break;
        if (a[2] < 0) {
            give_object(t, into, tally_weakref_new(h[1], NULL, NULL));
        } else {
            int64_t number = (m.serial + 1) << 8 | (a[2] + 1);
            none = tally_weakref_new(h[1], called_back, (void *)(intptr_t)number);
            m.serial += none != NULL;
            give_object(t, into, none);
        }
        break;
    case OP_weakref_get: give_object(t, into, tally_weakref_get(h[1])); break;
    case OP_weakref_count: give_int(t, kind_of(h[0]) == 'y' ? 0 : tally_weakref_count(h[0])); break;
    case OP_weakref_list:
        if (kind_of(h[0]) == 'y' || !(none = tally_weakref_list(h[0]))) break;
        give_int(t, tally_list_length(none));
        tally_decref(none);
        break;
    case OP_collect: collect(t); break;
    case OP_freeze: tally_gc_freeze(); break;
    case OP_unfreeze: tally_gc_unfreeze(); break;
    case OP_finalized:
        if (strchr("CX", kind_of(h[0]))) add_int(t, tally_gc_is_finalized(h[0]));
        break;
    case OP_referents:
        if (!strchr("ldt", kind_of(h[0])) || !(none = tally_gc_get_referents(h[0]))) break;
        give_int(t, tally_list_length(none));
        tally_decref(none);
        break;
    case OP_refcount:
        /* In a hook an interpreter, or a copy that is shown, has references of its own. */
        if ((playing->mode & MODE_PORTABLE || beside_atomic) && m.depth > 0) break;
        if (strchr(own_references, kind_of(h[0])) &&
            (playing->mode & MODE_KEYS || !is_quiet(h[0]) || strchr("ld", kind_of(h[0]))))
            add_int(t, tally_refcount(h[0]) - 1);
        break;
    case OP_safepoint: tally_safepoint(); break;
    case OP_state: show_state(t); break;
    case OP_raise: m.raised = a[0]; break;
    case OP_list_borrow: give_borrowed(t, into, tally_list_borrow(h[1], a[2])); break;
    case OP_dict_borrow:
        if (may_be_key(h[2])) give_borrowed(t, into, tally_dict_borrow(h[1], h[2]));
        break;
    case OP_slot_borrow:
        if (!is_tag_slot(h[1], a[2])) give_borrowed(t, into, tally_slot_borrow(h[1], a[2]));
        break;
    case OP_thread: run_in_thread(t, a[0]); break;
    case OP_pend:
        tally_error_set((tally_error)a[0], "pending");
        put(a[1], NULL);
        tally_decref(h[1]);
        h[1] = NULL;
        add_error(t);
        break;
    case OP_referrers:
        if (strchr("ldCX", kind_of(h[0]))) show_referrers(t, h[0]);
        break;
    case OP_census: census(t); break;
    case OP_tracked: tally_gc_is_tracked(h[0]); break;
    case OP_query: query(t); break;
    case OP_save_all: count_garbage(t); break;
    case OP_collect_young: collect_young(t, (a[0] & 15) % 3); break;
    case OP_ring: make_ring(h[0], a[1], a[2]); break;
    case OP_keep: keep_new(a[0]); break;
    case OP_threshold: set_threshold(a[0]); break;
    default: add_char(t, '?');
    }
    if (tally_error_kind() != TALLY_NO_ERROR) {
        add_string(t, " left");
        add_error(t);
    }
release:
    if (m.depth == 0) m.immediate = !(playing->mode & MODE_PORTABLE);
    for (held = 0; held < 4; held++) tally_xdecref(h[held]);
    if (tally_error_kind() != TALLY_NO_ERROR) {
        add_string(t, " dropped");
        add_error(t);
    }
}

/* ---- episodes ---- */

#ifdef TALLY_FAILPOINTS
static long failed_allocations;
#endif

static int by_text(const void *a, const void *b) { return strcmp(a, b); }

static uint32_t finish_line(uint32_t crc, text *t, const char *name) {
    if (m.event_count == MOST_EVENTS) m.event_count = 0; /* too many to know which */
    qsort(m.events, (size_t)m.event_count, EVENT_LENGTH, by_text);
    for (int i = 0; i < m.event_count; i++) {
        add_char(t, ';');
        add_string(t, m.events[i]);
    }
    add_char(t, '\n');
    if (tracing) printf("%d %s %s", m.at, name, t->data);
    return crc_of(crc, t->data, (size_t)t->length);
}

#ifdef TALLY_FAILPOINTS
static uint32_t state_crc(void) {
    static text t;
    t.length = 0;
    show_state(&t);
    return crc_of(0, t.data, (size_t)t.length);
}

/* Each allocation of the operation fails once, until it has none that fails. */
static void execute_failing(const op *o, text *t) {
    for (int nth = 1; nth < 300; nth++) {
        uint32_t before = state_crc();
        int64_t serial = m.serial;
        tally_failpoint_failure(nth, 0);
        execute(o, t);
        if (!tally_failpoint_failed() || !strstr(t->data, o->code == OP_thread ? "!" : "!M"))
            return;
        failed_allocations++;
        if (m.event_count || m.deferred_count || serial != m.serial || before != state_crc()) {
            printf("operation %d, %s: its allocation %d failed, and something has changed\n", m.at,
                   op_names[o->code], nth);
            add_string(t, " changed");
            return;
        }
        t->length = 0;
        t->data[0] = 0;
    }
}
#endif

static void make_types(void) {
    static const unsigned flags = TALLY_TYPE_CONTAINER | TALLY_TYPE_WEAKLY_REFERENCABLE;
    const tally_type_spec specs[] = {
        {.name = "X0", .size = sizeof(native), .repr = native_repr},
        {.name = "X1",
         .size = sizeof(native),
         .hash = native_hash,
         .equal = native_equal,
         .repr = native_repr},
        {.name = "X2",
         .size = sizeof(native),
         .flags = flags,
         .traverse = native_traverse,
         .clear = native_clear,
         .finalize = finalize_native,
         .hash = native_hash,
         .equal = native_equal,
         .repr = native_repr},
        {.name = "X3", .size = sizeof(native), .equal = native_equal, .repr = native_repr},
    };
    for (int i = 0; i < 4; i++) m.types[i] = tally_type_new(&specs[i]);
    for (int i = 0; i < NAMES; i++) m.names[i] = tally_str_new(attribute_names[i], -1);
    m.tag = tally_str_new("tag", -1);
    m.class_tag = tally_str_new("class tag", -1);
}

static void drop_registers(void) {
    for (int i = 0; i < REGISTERS; i++) put(i, NULL);
}

/* The checksum of what it showed; *left: objects that were alive at the end. */
static uint32_t run(const script *s, bool failing, ptrdiff_t *left) {
    static text t;
    uint32_t crc = 0;
    memset(&m, 0, offsetof(typeof(m), events));
    m.deferred_count = 0;
    playing = s;
#ifdef TALLY_FAILPOINTS
    for (int nth = 1; failing && nth < 1000; nth++) {
        tally_failpoint_failure(nth, 0);
        int failed = tally_init(NULL) < 0;
        if (!tally_failpoint_failed()) {
            tally_finish();
            break;
        }
        failed_allocations++;
        if (!failed)
            tally_finish();
        else if (tally_error_kind() == TALLY_NO_ERROR)
            printf("no start without its allocation %d, and no error\n", nth);
        tally_error_clear();
    }
#endif
    if (tally_init(NULL) < 0) {
        fprintf(stderr, "no start: %s\n", tally_error_message());
        exit(1);
    }
    make_types();
    tally_gc_disable();
    if (s->mode & MODE_YOUNG) {
        tally_gc_add_callback(on_collection, NULL);
        m.classes = tally_list_new(0);
    }
    if (s->mode & MODE_AUTOMATIC) {
        m.kept = tally_list_new(0);
        set_threshold(0);
        tally_gc_enable();
    }
    own_references = "ldCX";
    for (m.at = 0; m.at < s->count; m.at++) {
        m.event_count = 0;
        m.fuel = FUEL;
        t.length = 0;
        t.data[0] = 0;
        m.immediate = !(s->mode & MODE_PORTABLE);
#ifdef TALLY_FAILPOINTS
        if (failing)
            execute_failing(&s->ops[m.at], &t);
        else
#endif
            execute(&s->ops[m.at], &t);
        run_deferred();
        if (s->mode & MODE_AUTOMATIC) show_counts(&t);
        crc = finish_line(crc, &t, op_names[s->ops[m.at].code]);
    }
    tally_gc_disable();
    m.ending = true;
    m.event_count = 0;
    t.length = 0;
    t.data[0] = 0;
    tally_gc_unfreeze();
    tally_xdecref(m.kept);
    tally_xdecref(m.classes);
    for (int round = 0; round < 3; round++) {
        drop_registers();
        tally_safepoint(); /* ends the last borrow */
        m.collecting = true;
        tally_gc_collect(2);
        m.collecting = false;
        run_deferred();
    }
    crc = finish_line(crc, &t, "end");
    for (int i = 0; i < NAMES; i++) tally_decref(m.names[i]);
    tally_decref(m.tag);
    tally_decref(m.class_tag);
    *left = tally_finish();
    return crc;
}

/* ---- the program ---- */

static void say_where(int signal) {
    char line[120];
    int length = snprintf(line, sizeof line, "signal %d in episode %" PRIu64 ", operation %d\n",
                          signal, playing ? playing->seed : 0, m.at);
    if (write(2, line, (size_t)length) < 0) {}
    struct sigaction plain = {.sa_handler = SIG_DFL};
    sigaction(signal, &plain, NULL);
    raise(signal);
}

static void usage(const char *program) {
    fprintf(
        stderr,
        "usage: %s [--seed S] [--operations N] [--length N] [--portable] [--fail] [--dump] "
        "[--trace] [--atomic] [--without OP,...] [--script FILE]\n"
        "  --seed S        the first episode's (default: 1); each one takes the next\n"
        "  --operations N  in all (default: 200000), --length N of them an episode (default: "
        "1000)\n"
        "  --portable      only what CPython has too\n"
        "  --fail          every allocation fails once; needs the library -failpoints, and shows "
        "what a run without shows\n"
        "  --no-failures   with --fail: the same scripts, and nothing fails\n"
        "  --atomic        to compare with atomic refcounts: no episodes in which any object may "
        "be "
        "a key,\n"
        "                  or with generations, and what a hook changes is not shown\n"
        "  --without OP,.. scripts have no such operations\n"
        "  --dump          print the scripts, run nothing\n"
        "  --trace         print what each operation shows\n"
        "  --script FILE   run the scripts in FILE, - for standard input\n",
        program);
    exit(2);
}

int main(int count, char **words) {
    static script s;
    static const struct option options[] = {
        {"seed", 1, 0, 's'},        {"operations", 1, 0, 'n'}, {"length", 1, 0, 'l'},
        {"portable", 0, 0, 'p'},    {"fail", 0, 0, 'f'},       {"dump", 0, 0, 'd'},
        {"trace", 0, 0, 't'},       {"script", 1, 0, 'r'},     {"atomic", 0, 0, 'k'},
        {"no-failures", 0, 0, 'q'}, {"without", 1, 0, 'w'},    {0}};
    uint64_t seed = 1;
    long operations = 200000, length = 1000;
    unsigned always = 0;
    bool failing = false, dumping = false, quiet = false;
    FILE *file = NULL;
    for (int c; (c = getopt_long(count, words, "", options, NULL)) != -1;) {
        switch (c) {
        case 's': seed = strtoull(optarg, NULL, 10); break;
        case 'n': operations = atol(optarg); break;
        case 'l': length = atol(optarg); break;
        case 'p': always |= MODE_PORTABLE; break;
        case 'f':
            failing = true;
            always |= MODE_FAIL;
            break;
        case 'q': quiet = true; break;
        case 'd': dumping = true; break;
        case 't': tracing = true; break;
        case 'k': beside_atomic = true; break;
        case 'w':
            for (char *word = strtok(optarg, ","); word; word = strtok(NULL, ","))
                if (!script_without(word)) {
                    fprintf(stderr, "--without: there is no operation %s\n", word);
                    return 2;
                }
            break;
        case 'r':
            file = strcmp(optarg, "-") == 0 ? stdin : fopen(optarg, "r");
            if (!file) {
                perror(optarg);
                return 2;
            }
            break;
        default: usage(words[0]);
        }
    }
    if (optind < count || length < 1 || operations < 1) usage(words[0]);
#ifndef TALLY_FAILPOINTS
    if (failing && !dumping) {
        fprintf(stderr, "--fail needs the program that is built with failing allocations\n");
        return 2;
    }
#endif
    setvbuf(stdout, NULL, tracing || dumping ? _IOFBF : _IOLBF, 1 << 16);
    make_crc_table();
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    signal(SIGSEGV, say_where);
    signal(SIGBUS, say_where);
#endif
    signal(SIGABRT, say_where);
    signal(SIGALRM, say_where);
    int status = 0;
    for (long done = 0; file ? script_read(&s, file) : done < operations; done += s.count, seed++) {
        if (!file) script_make(&s, seed, script_mode(seed, always), (int)length);
        if (dumping) {
            script_write(&s, stdout);
            continue;
        }
        if (beside_atomic && s.mode & (MODE_KEYS | MODE_YOUNG)) {
            printf("%" PRIu64 " skipped\n", s.seed);
            continue;
        }
        ptrdiff_t left;
        alarm(120);
        uint32_t crc = run(&s, failing && !quiet, &left);
        alarm(0);
        printf("%" PRIu64 " %08" PRIx32, s.seed, crc);
        if (left) {
            printf(" %td objects left", left);
            status = 1;
        }
        putchar('\n');
    }
#ifdef TALLY_FAILPOINTS
    if (failing && !quiet && !dumping)
        fprintf(stderr, "%ld allocations failed\n", failed_allocations);
#endif
    return status;
}
