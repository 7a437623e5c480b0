/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* script.c: makes, writes and reads scripts of the differential fuzzer; script.h. */
#include "script.h"

#include <stdlib.h>
#include <string.h>

const char *const op_names[] = {
#define OP_NAME(name, operands, weight) #name,
    OPS(OP_NAME)};
const char *const op_operands[] = {
#define OP_OPERANDS(name, operands, weight) operands,
    OPS(OP_OPERANDS)};
static const int op_weights[] = {
#define OP_WEIGHT(name, operands, weight) weight,
    OPS(OP_WEIGHT)};
static const char *const mode_names[] = {"portable", "keys",  "borrow",   "threads",
                                         "fail",     "young", "automatic"};
enum { MODES = sizeof mode_names / sizeof *mode_names };

/* ---- random numbers ---- */

static uint64_t state;

static void seed_random(uint64_t seed) {
    state = seed * UINT64_C(0x9e3779b97f4a7c15) + UINT64_C(0xd1b54a32d192ed03);
}

/* splitmix64 */
static int draw(int below) {
    uint64_t z = state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return (int)((z >> 33) % (unsigned)below);
}

/* ---- generator ---- */

/* By convention each kind has its registers; one in twenty operands keeps to no convention. */
static int from(int first, int count) { return first + draw(count); }
enum {
    VALUES = 0,
    LISTS = 8,
    DICTS = 12,
    TUPLES = 15,
    INSTANCES = 17,
    CLASSES = 20,
    NATIVES = 22,
    WEAKREFS = 24
};

static int register_for(char kind, int written) {
    if (draw(20) == 0) return draw(REGISTERS);
    if (kind == 'v' && written) return from(VALUES, 8);
    switch (kind) {
    case 'L': return from(LISTS, 4);
    case 'D': return from(DICTS, 3);
    case 'T': return from(TUPLES, 2);
    case 'S': return draw(3) ? from(LISTS, 4) : from(TUPLES, 2);
    case 'I': return from(INSTANCES, 3);
    case 'J': return draw(8) ? from(INSTANCES, 3) : from(CLASSES, 2);
    case 'C': return from(CLASSES, 2);
    case 'N': return from(NATIVES, 2);
    case 'W': return from(WEAKREFS, 2);
    case 'R': return draw(3) ? from(INSTANCES, 3) : from(NATIVES, 2);
    case 'k':
        return draw(4) == 0 ? from(NATIVES, 2) : draw(8) == 0 ? from(TUPLES, 2) : from(VALUES, 8);
    case 'v': return draw(2) ? from(VALUES, 8) : draw(REGISTERS);
    default: return draw(REGISTERS);
    }
}

static int number_for(char kind) {
    switch (kind) {
    case 'n': return draw(10) ? draw(4) - 1 : draw(12) - 6;
    case 's': return draw(NAMES);
    case 'i': return draw(4) ? draw(12) - 2 : draw(2000) - 1000;
    case 'x': return draw(24);
    case 'p': return draw(2) ? -1 : draw(PROCEDURES);
    case 'h': return draw(3);
    case 'm': return draw(8) < 5 ? 0 : 1 + draw(2);
    case 'o': return draw(6);
    case 'e': return 1 + draw(9);
    default: return draw(16);
    }
}

static char left_out[OP_CODES];

int script_without(const char *name) {
    for (int i = 0; i < OP_CODES; i++)
        if (strcmp(name, op_names[i]) == 0) return left_out[i] = 1;
    return 0;
}

static int weight_of(int code, unsigned mode) {
    if (left_out[code]) return 0;
    int weight = op_weights[code];
    switch (code) {
    case OP_collect_young: return mode & MODE_AUTOMATIC ? 2 : mode & MODE_YOUNG ? 30 : 0;
    case OP_ring: return mode & MODE_AUTOMATIC ? 40 : mode & MODE_YOUNG ? 20 : 0;
    case OP_keep: return mode & MODE_AUTOMATIC ? 20 : 0;
    case OP_threshold: return mode & MODE_AUTOMATIC ? 1 : 0;
    default: break;
    }
    if (mode & MODE_AUTOMATIC) return 0;
    switch (code) {
    case OP_list_borrow:
    case OP_dict_borrow:
    case OP_slot_borrow: return mode & MODE_BORROW ? 25 : 0;
    case OP_class:
    case OP_native:
    case OP_arm: return mode & MODE_BORROW ? weight / 2 : weight;
    case OP_weakref:
    case OP_weakref_get:
    case OP_weakref_count:
    case OP_weakref_list:
    case OP_refcount:
    case OP_finalized: return mode & MODE_BORROW ? 0 : weight;
    case OP_freeze:
    case OP_unfreeze: return mode & (MODE_PORTABLE | MODE_BORROW) ? 0 : weight;
    case OP_thread: return mode & MODE_THREADS ? 12 : 0;
    case OP_pend: return mode & (MODE_BORROW | MODE_FAIL) ? 0 : 4;
    case OP_referrers:
    case OP_census:
    case OP_tracked: return mode & (MODE_PORTABLE | MODE_BORROW | MODE_THREADS) ? 0 : 2;
    case OP_query: return mode & MODE_PORTABLE ? 0 : 1;
    case OP_save_all: return mode & (MODE_PORTABLE | MODE_BORROW | MODE_FAIL) ? 0 : 1;
    default: return weight;
    }
}

static void make_op(op *o, int code, unsigned mode) {
    *o = (op){.code = code};
    int operand = 0, written = 0;
    for (const char *c = op_operands[code]; *c; c++) {
        if (*c == '>') {
            written = 1;
            continue;
        }
        if (strchr("LDTSIJCNWRkv*", *c))
            o->a[operand++] = register_for(*c, written);
        else if (*c == 'p' && mode & MODE_FAIL && code != OP_thread)
            o->a[operand++] = -1;
        else
            o->a[operand++] = number_for(*c);
        written = 0;
    }
    /* Mostly those with a hash and an equal of their own. */
    static const int kinds[] = {0, 1, 1, 1, 2, 2, 2, 3};
    if (code == OP_native) o->a[3] = (o->a[3] & 12) | kinds[draw(8)];
}

static int drawn_code(const int *weights, int total) {
    int at = draw(total), code = 0;
    while (at >= weights[code]) at -= weights[code++];
    return code;
}

unsigned script_mode(uint64_t seed, unsigned always) {
    seed_random(~seed);
    unsigned mode = always;
    if (!(always & MODE_PORTABLE)) {
        if (draw(4) == 0) mode |= MODE_KEYS;
        if (draw(4) == 0) mode |= MODE_BORROW;
        if (draw(8) == 0 && !(mode & MODE_BORROW)) mode |= MODE_THREADS;
    } else {
        mode |= MODE_KEYS;
        if (draw(8) == 0) mode |= MODE_BORROW;
    }
    if (mode & (MODE_BORROW | MODE_THREADS)) mode &= ~(unsigned)MODE_KEYS;
    if (!(mode & ~(unsigned)MODE_KEYS)) {
        int drawn = draw(6);
        if (drawn < 2) mode |= MODE_YOUNG;
        if (drawn == 0) mode |= MODE_AUTOMATIC;
    }
    return mode;
}

void script_make(script *s, uint64_t seed, unsigned mode, int length) {
    int weights[OP_CODES], total = 0;
    for (int i = 0; i < OP_CODES; i++) total += weights[i] = weight_of(i, mode);
    seed_random(seed);
    s->seed = seed;
    s->mode = mode;
    for (int p = 0; p < PROCEDURES; p++) {
        s->procedure_lengths[p] = 1 + draw(PROCEDURE_OPS - 1);
        for (int i = 0; i < s->procedure_lengths[p]; i++) {
            int code = drawn_code(weights, total);
            /* what is slow, or says nothing here */
            if (code == OP_thread || code == OP_state || code == OP_census || code == OP_query)
                code = OP_append;
            if (mode & MODE_AUTOMATIC && code != OP_ring) code = OP_keep;
            if (draw(16) == 0) code = OP_raise;
            make_op(&s->procedures[p][i], code, mode);
        }
    }
    /* Registers are filled by convention first, and again now and then. */
    static const struct {
        int code, into;
    } first[] = {{OP_int, 0},       {OP_str, 1},       {OP_real, 2},    {OP_int, 3},
                 {OP_str, 4},       {OP_const, 5},     {OP_big, 6},     {OP_str, 7},
                 {OP_list, 8},      {OP_list, 9},      {OP_list, 10},   {OP_list, 11},
                 {OP_dict, 12},     {OP_dict, 13},     {OP_dict, 14},   {OP_tuple, 15},
                 {OP_tuple, 16},    {OP_class, 20},    {OP_class, 21},  {OP_instance, 17},
                 {OP_instance, 18}, {OP_instance, 19}, {OP_native, 22}, {OP_native, 23},
                 {OP_weakref, 24},  {OP_weakref, 25}};
    enum { FIRST = sizeof first / sizeof *first };
    s->count = length < MAX_OPS ? length : MAX_OPS;
    for (int i = 0; i < s->count; i++) {
        int code = i < FIRST ? first[i].code : i % 64 == 63 ? OP_state : drawn_code(weights, total);
        if (code == OP_weakref && mode & MODE_BORROW) code = OP_const;
        make_op(&s->ops[i], code, mode);
        if (i < FIRST) s->ops[i].a[0] = first[i].into;
    }
}

/* ---- text ---- */

static int operand_count(int code) {
    int count = 0;
    for (const char *c = op_operands[code]; *c; c++) count += *c != '>';
    return count;
}

static void write_op(const op *o, FILE *file) {
    fputs(op_names[o->code], file);
    for (int i = 0; i < operand_count(o->code); i++) fprintf(file, " %d", o->a[i]);
    putc('\n', file);
}

void script_write(const script *s, FILE *file) {
    fprintf(file, "episode %llu\nmode", (unsigned long long)s->seed);
    for (int i = 0; i < MODES; i++)
        if (s->mode & 1u << i) fprintf(file, " %s", mode_names[i]);
    putc('\n', file);
    for (int p = 0; p < PROCEDURES; p++) {
        for (int i = 0; i < s->procedure_lengths[p]; i++) {
            fprintf(file, "proc %d ", p);
            write_op(&s->procedures[p][i], file);
        }
    }
    for (int i = 0; i < s->count; i++) write_op(&s->ops[i], file);
}

static void wrong(const char *line) {
    fprintf(stderr, "no line of a script: %s\n", line);
    exit(2);
}

static void read_op(op *o, char *text, const char *line) {
    char *word = strtok(text, " ");
    *o = (op){0};
    while (o->code < OP_CODES && (!word || strcmp(word, op_names[o->code]) != 0)) o->code++;
    if (o->code == OP_CODES) wrong(line);
    const char *kind = op_operands[o->code];
    for (int i = 0; i < operand_count(o->code); i++, kind++) {
        kind += *kind == '>';
        word = strtok(NULL, " ");
        if (!word) wrong(line);
        o->a[i] = atoi(word);
        if ((strchr("LDTSIJCNWRkv*", *kind) && (o->a[i] < 0 || o->a[i] >= REGISTERS)) ||
            (*kind == 'p' && (o->a[i] < -1 || o->a[i] >= PROCEDURES)) ||
            (*kind == 's' && (o->a[i] < 0 || o->a[i] >= NAMES)))
            wrong(line);
    }
}

int script_read(script *s, FILE *file) {
    static char line[256], copy[256];
    static int begun; /* the line "episode" was read that begins the next script */
    int read = 0;
    s->mode = 0;
    s->count = 0;
    memset(s->procedure_lengths, 0, sizeof s->procedure_lengths);
    if (begun) {
        s->seed = strtoull(line + 8, NULL, 10);
        read = 1;
    }
    begun = 0;
    while (fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = 0;
        if (!*line || *line == '#') continue;
        if (strncmp(line, "episode ", 8) == 0) {
            if (read) {
                begun = 1;
                return 1;
            }
            s->seed = strtoull(line + 8, NULL, 10);
            read = 1;
            continue;
        }
        read = 1;
        strcpy(copy, line);
        if (strncmp(line, "mode", 4) == 0) {
            for (char *word = strtok(copy + 4, " "); word; word = strtok(NULL, " "))
                for (int i = 0; i < MODES; i++)
                    if (strcmp(word, mode_names[i]) == 0) s->mode |= 1u << i;
        } else if (strncmp(line, "proc ", 5) == 0) {
            char *end;
            long p = strtol(copy + 5, &end, 10);
            if (p < 0 || p >= PROCEDURES || s->procedure_lengths[p] == PROCEDURE_OPS) wrong(line);
            read_op(&s->procedures[p][s->procedure_lengths[p]++], end, line);
        } else {
            if (s->count == MAX_OPS) wrong(line);
            read_op(&s->ops[s->count++], copy, line);
        }
    }
    return read;
}
