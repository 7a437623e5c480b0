/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * wordcount: how often each word occurs in a real text, map and reduce. It stands for the data
 * processing that people want threads for: each worker counts the words of its slices in a dict of
 * its own, and merges that into the one result when it is through with the text, and at the end.
 *
 * A word is a run of ASCII letters, lower-cased. The text is one original and its copies, all cut
 * at the same places, so that the result can be checked word for word: how often each slice was
 * counted, times the words that plain C finds in it.
 */
#include "workload.h"

#include <string.h>

#include "harness/text.h"

enum { SLICE = 8192, LONGEST_WORD = 64, WORDS_PER_SAFEPOINT = 32 };

struct shared {
    struct text text;
    size_t *cuts;  /* slice i of a copy: from cuts[i] to cuts[i + 1] */
    size_t slices; /* of one copy */
    tally_mutex merging;
    tally_object *total;
    atomic_uint_fast64_t *counted; /* how often each slice of the original was counted */
};

struct local {
    tally_object *words;
    size_t next; /* slice, of all copies */
};

static bool is_letter(unsigned char c) { return (unsigned char)((c | 32) - 'a') < 26; }

/* The next word from *at on, lower-cased, a longer one than LONGEST_WORD in pieces; its length, 0
 * at the end. */
static size_t next_word(const char **at, const char *end, char word[LONGEST_WORD]) {
    const char *from = *at;
    size_t length = 0;
    while (from < end && !is_letter((unsigned char)*from)) from++;
    while (from < end && length < LONGEST_WORD && is_letter((unsigned char)*from))
        word[length++] = (char)(*from++ | 32);
    *at = from;
    return length;
}

/* Cuts the original between words, about every SLICE bytes. */
static void cut(struct shared *shared, const workload_context *context) {
    const struct text *text = &shared->text;
    size_t end = 0;
    shared->cuts = workload_memory(context, (text->original / SLICE + 2) * sizeof *shared->cuts);
    while (end < text->original) {
        end = end + SLICE < text->original ? end + SLICE : text->original;
        while (end < text->original && is_letter((unsigned char)text->data[end])) end++;
        shared->cuts[++shared->slices] = end;
    }
    shared->counted = workload_memory(context, shared->slices * sizeof *shared->counted);
}

static void setup(struct shared *shared, const workload_context *context) {
    text_load(&shared->text, context->texts, context->text_count, context->text_bytes);
    cut(shared, context);
    tally_mutex_init(&shared->merging);
    shared->total = workload_keep(context, tally_dict_new(), ANY_HOLDERS);
}

static void enter(struct shared *shared, struct local *local, const workload_context *context) {
    local->words = workload_keep(context, tally_dict_new(), ANY_HOLDERS);
    local->next = context->worker % (shared->slices * shared->text.copies);
}

/* dict[word] += by */
static void add(tally_object *dict, tally_object *word, int64_t by) {
    tally_object *old = tally_dict_get(dict, word);
    int64_t count = by;
    if (old != NULL) {
        count += tally_int_value(old);
        tally_decref(old);
    } else if (tally_error_kind() != TALLY_NO_ERROR) {
        workload_fail("cannot look up a word: %s", tally_error_message());
    }
    tally_object *sum = workload_object(tally_int_new(count));
    workload_dict_put(dict, word, sum);
}

static uint64_t count_slice(struct shared *shared, struct local *local, size_t copy, size_t slice) {
    const char *data = shared->text.data + copy * shared->text.original;
    const char *at = data + shared->cuts[slice];
    const char *end = data + shared->cuts[slice + 1];
    char word[LONGEST_WORD];
    uint64_t words = 0;
    for (size_t length; (length = next_word(&at, end, word)) > 0;) {
        tally_object *key = workload_object(tally_str_new(word, (ptrdiff_t)length));
        add(local->words, key, 1);
        tally_decref(key);
        if (++words % WORDS_PER_SAFEPOINT == 0) tally_safepoint();
    }
    /* Relaxed: a plain sum, read when all workers are joined. */
    atomic_fetch_add_explicit(&shared->counted[slice], 1, memory_order_relaxed);
    return words;
}

/* The mutex makes one step of each get and set: no other thread adds meanwhile. */
static void merge(struct shared *shared, struct local *local) {
    tally_object *word, *count;
    ptrdiff_t position = 0;
    tally_mutex_lock(&shared->merging);
    while (workload_done(tally_dict_next(local->words, &position, &word, &count)) == 1) {
        add(shared->total, word, tally_int_value(count));
        tally_decref(word);
        tally_decref(count);
    }
    tally_mutex_unlock(&shared->merging);
    workload_done(tally_dict_clear(local->words));
}

static uint64_t run(struct shared *shared, struct local *local, const workload_context *context) {
    size_t slices = shared->slices, all = slices * shared->text.copies;
    uint64_t words = count_slice(shared, local, local->next / slices, local->next % slices);
    local->next += context->workers;
    if (local->next >= all) {
        local->next %= all;
        merge(shared, local);
    }
    return words;
}

static void leave(struct shared *shared, struct local *local, const workload_context *context) {
    merge(shared, local);
}

/* ---- the same in plain C, to check against ------------------------------ */

struct plain_word {
    size_t length; /* 0: the place is empty */
    uint64_t count;
    char word[LONGEST_WORD];
};

struct plain_table {
    struct plain_word *words;
    size_t mask; /* places - 1: linear probing, at most half full */
    size_t used;
};

static struct plain_word *plain_find(struct plain_table *table, const char *word, size_t length) {
    uint64_t hash = UINT64_C(14695981039346656037); /* FNV-1a */
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ (unsigned char)word[i]) * UINT64_C(1099511628211);
    for (size_t i = hash & table->mask;; i = (i + 1) & table->mask) {
        struct plain_word *place = &table->words[i];
        if (place->length == 0 ||
            (place->length == length && memcmp(place->word, word, length) == 0))
            return place;
    }
}

static void plain_grow(struct plain_table *table) {
    struct plain_table old = *table;
    table->mask = 2 * old.mask + 1;
    table->words = workload_allocate((table->mask + 1) * sizeof *table->words);
    for (size_t i = 0; i <= old.mask; i++)
        if (old.words[i].length > 0)
            *plain_find(table, old.words[i].word, old.words[i].length) = old.words[i];
    free(old.words);
}

static void plain_count(const struct shared *shared, struct plain_table *table) {
    char word[LONGEST_WORD];
    for (size_t slice = 0; slice < shared->slices; slice++) {
        uint64_t times = atomic_load_explicit(&shared->counted[slice], memory_order_relaxed);
        const char *at = shared->text.data + shared->cuts[slice];
        const char *end = shared->text.data + shared->cuts[slice + 1];
        for (size_t length; times > 0 && (length = next_word(&at, end, word)) > 0;) {
            struct plain_word *place = plain_find(table, word, length);
            if (place->length == 0) {
                memcpy(place->word, word, length);
                place->length = length;
                table->used++;
            }
            place->count += times;
            if (2 * table->used > table->mask) plain_grow(table);
        }
    }
}

static void check_total(const struct shared *shared) {
    struct plain_table table = {.mask = 4095};
    tally_object *word, *count;
    ptrdiff_t position = 0;
    table.words = workload_allocate((table.mask + 1) * sizeof *table.words);
    plain_count(shared, &table);
    if ((size_t)tally_dict_length(shared->total) != table.used)
        workload_fail("found %td words, but the text has %zu", tally_dict_length(shared->total),
                      table.used);
    while (workload_done(tally_dict_next(shared->total, &position, &word, &count)) == 1) {
        const struct plain_word *place =
            plain_find(&table, tally_str_data(word), (size_t)tally_str_length(word));
        if ((uint64_t)tally_int_value(count) != place->count)
            workload_fail("counted '%s' %lld times, but it occurs %llu times", tally_str_data(word),
                          (long long)tally_int_value(count), (unsigned long long)place->count);
        tally_decref(word);
        tally_decref(count);
    }
    free(table.words);
}

static void teardown(struct shared *shared, const workload_context *context) {
    check_total(shared);
    text_free(&shared->text);
}

WORKLOAD(wordcount, .name = "wordcount", .kind = PROGRAMS, .in_price = true, .takes_text = true,
         .description =
             "Count the words of a real text in own dicts, then merge: map and reduce over data.",
         .unit = "words", .needs = {[CAUSE_SHARING] = "the text is too long for a copy a thread"},
         SHARED_STATE, LOCAL_STATE, .setup = setup, .enter = enter, .run = run, .leave = leave,
         .teardown = teardown);
