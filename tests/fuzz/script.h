/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * script.h: the scripts of the differential fuzzer. A script is a list of
 * operations on REGISTERS registers, and procedures that hooks run. It is text,
 * one operation a line, and means the same to every interpreter of it: fuzz.c on
 * each backend, and fuzz.py on CPython. README.md describes it.
 *
 * Invariant: no line depends on another one, but for what it finds in registers.
 * An operation whose registers are empty does nothing. So any line can be
 * removed, and what is left is a script.
 */
#ifndef TALLY_FUZZ_SCRIPT_H
#define TALLY_FUZZ_SCRIPT_H

#include <stdint.h>
#include <stdio.h>

enum { REGISTERS = 26, PROCEDURES = 8, PROCEDURE_OPS = 4, MAX_OPS = 200000, NAMES = 7 };

/* What a script keeps to; README.md says which difference each one avoids. */
enum {
    MODE_PORTABLE = 1, /* CPython runs it, too */
    MODE_KEYS = 2,     /* any object may be a key; with atomic refcounts removed keys die later */
    MODE_BORROW = 4,   /* borrowed references, and nothing that shows when contents die */
    MODE_THREADS = 8,  /* procedures run in other threads, too */
    MODE_FAIL = 16,    /* for failing allocations: no hook has a procedure */
    MODE_YOUNG = 32,   /* generations 0 and 1 are collected; with atomic refcounts there are none */
    MODE_AUTOMATIC = 64, /* with MODE_YOUNG: collections start by themselves; nothing that survived
                            one dies by its count */
};

/*
 * Name, operands and how often. Operands: > the next register is written; then a register that by
 * convention holds: L list, D dict, T tuple, S list or tuple, I instance, J instance or class, C
 * class, N native object, W weak reference, R what allows one, k key, v any value, * anything; or a
 * number: n index, s name, i int, x index of a table, p procedure, h hash, m hook, o operator, e
 * error, f kind of class or native object.
 */
/* clang-format off */
#define OPS(X)                                                                                     \
    X(int, ">vi", 30) X(big, ">vx", 8) X(real, ">vx", 12) X(str, ">vs", 25) X(const, ">vx", 8)     \
    X(copy, ">v*", 12) X(put, ">*v", 3) X(drop, "v", 9) X(is, "**", 4) X(intern, ">vs", 6)         \
    X(tuple, ">Tvvn", 25) X(tuple_get, ">vTn", 12) X(tuple_length, "T", 3)                         \
    X(list, ">L", 16) X(append, "Lv", 50) X(list_get, ">vLn", 30) X(list_set, "Lnv", 30)           \
    X(insert, "Lnv", 15) X(pop, ">vLn", 22) X(extend, "LS", 9) X(list_clear, "L", 4)               \
    X(list_length, "L", 3)                                                                         \
    X(dict, ">D", 10) X(dict_get, ">vDk", 32) X(dict_set, "Dkv", 60) X(dict_delete, "Dk", 20)      \
    X(contains, "Dk", 10) X(set_default, ">vDkv", 14) X(walk, "D", 6) X(dict_clear, "D", 3)        \
    X(dict_length, "D", 3)                                                                         \
    X(class, ">Cfp", 8) X(instance, ">IC", 45) X(set_attr, "Jsv", 30) X(get_attr, ">vJs", 16)      \
    X(delete_attr, "Js", 10) X(slot_get, ">vIn", 14) X(slot_set, "Inv", 25) X(slot_empty, "In", 8) \
    X(native, ">Nhpf", 28) X(arm, "Nm", 24) X(native_set, "Nnv", 14) X(native_get, ">vNn", 6)      \
    X(hash, "k", 6) X(equal, "**", 16) X(compare, "**", 10) X(repr, "*", 10) X(sizeof, "*", 3)     \
    X(arith, ">vvvo", 30)                                                                          \
    X(weakref, ">WRp", 26) X(weakref_get, ">vW", 16) X(weakref_count, "R", 6)                      \
    X(weakref_list, "R", 4)                                                                        \
    X(collect, "", 12) X(freeze, "", 2) X(unfreeze, "", 3) X(finalized, "I", 5)                    \
    X(referents, "S", 3) X(refcount, "*", 10) X(safepoint, "", 60) X(state, "", 16)                \
    X(raise, "e", 0)                                                                               \
    X(list_borrow, ">vLn", 0) X(dict_borrow, ">vDk", 0) X(slot_borrow, ">vIn", 0)                  \
    X(thread, "p", 0) X(pend, "e*", 0) X(referrers, "*", 0) X(census, "", 0) X(tracked, "*", 0)    \
    X(query, "", 0) X(save_all, "", 0) X(collect_young, "n", 0) X(ring, "Cnp", 0)                  \
    X(keep, "n", 0) X(threshold, "n", 0)
/* clang-format on */

enum {
#define OP_CODE(name, operands, weight) OP_##name,
    OPS(OP_CODE)
#undef OP_CODE
        OP_CODES
};

typedef struct op {
    int32_t code;
    int32_t a[4];
} op;

typedef struct script {
    uint64_t seed;
    unsigned mode;
    int procedure_lengths[PROCEDURES];
    op procedures[PROCEDURES][PROCEDURE_OPS];
    int count;
    op ops[MAX_OPS];
} script;

extern const char *const op_names[OP_CODES];
extern const char *const op_operands[OP_CODES];

/* Makes a script of so many operations; the same for the same seed, mode and length. */
void script_make(script *s, uint64_t seed, unsigned mode, int length);
/* Scripts have no operation of this name from now on; 0: there is none. */
int script_without(const char *name);
/* The modes that a seed draws. */
unsigned script_mode(uint64_t seed, unsigned always);
void script_write(const script *s, FILE *file);
/* 1: read, up to the next line "episode" or the end; 0: there was none. A wrong line ends the
 * program. */
int script_read(script *s, FILE *file);

#endif
