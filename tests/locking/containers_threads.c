/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * containers_threads.c: lists, dicts and instances that many threads change
 * at once: nothing is lost, nothing is doubled, counts are exact at the end.
 */
#include "suite.h"

enum { THREADS = 8, ROUNDS = SUITE_LONG(20000), ITEMS = 16 };

static tally_object *shared;
static tally_object *items[ITEMS];

static void begin(tally_object *container) {
    shared = container;
    for (int i = 0; i < ITEMS; i++) items[i] = tally_int_new(1000 + i);
}

/* The container is dropped, then every item has the reference left that begin
 * made, once the references that waited for a grace period are dropped too. */
static void end(void) {
    tally_decref(shared);
    for (int i = 0; i < ITEMS; i++) {
        settle_until(tally_refcount(items[i]) == 1);
        check_int(tally_refcount(items[i]), 1);
        tally_decref(items[i]);
    }
}

static void numbered(void (*run)(void *)) {
    static int numbers[THREADS];
    for (int i = 0; i < THREADS; i++) numbers[i] = i;
    run_threads(THREADS, run, numbers, sizeof numbers[0]);
}

static unsigned next_random(unsigned *state) {
    *state ^= *state << 13, *state ^= *state >> 17, *state ^= *state << 5;
    return *state;
}

static int is_item(tally_object *object) {
    for (int i = 0; i < ITEMS; i++)
        if (items[i] == object) return 1;
    return 0;
}

/* ---- list ---- */

static void append_numbers(void *argument) {
    int64_t first = (int64_t) * (int *)argument * ROUNDS;
    for (int i = 0; i < ROUNDS; i++) {
        append_new(shared, tally_int_new(first + i));
        if (i % 64 == 0) tally_safepoint();
    }
}

TEST(appends_to_one_list_are_all_there_in_each_threads_order) {
    shared = tally_list_new(0);
    numbered(append_numbers);
    check_int(tally_list_length(shared), THREADS * ROUNDS);
    int64_t last[THREADS], out_of_order = 0, sum = 0;
    for (int i = 0; i < THREADS; i++) last[i] = -1;
    for (int i = 0; i < THREADS * ROUNDS; i++) {
        int64_t value = take_int(tally_list_get(shared, i));
        out_of_order += value <= last[value / ROUNDS];
        last[value / ROUNDS] = value;
        sum += value;
    }
    check_int(out_of_order, 0);
    check_int(sum, (int64_t)THREADS * ROUNDS * (THREADS * ROUNDS - 1) / 2);
    tally_decref(shared);
}

static _Atomic int64_t pushed, popped;

static void push_and_pop(void *argument) {
    unsigned state = 77u + (unsigned)*(int *)argument;
    for (int i = 0; i < ROUNDS; i++) {
        unsigned random = next_random(&state);
        tally_object *item;
        switch (random % 6) {
        case 0:
        case 1:
            check_int(tally_list_append(shared, items[random / 8 % ITEMS]), 0);
            atomic_fetch_add_explicit(&pushed, 1, memory_order_relaxed);
            break;
        case 2:
            check_int(
                tally_list_insert(shared, (ptrdiff_t)(random % 5) - 2, items[random / 8 % ITEMS]),
                0);
            atomic_fetch_add_explicit(&pushed, 1, memory_order_relaxed);
            break;
        case 3:
        case 4:
            item = tally_list_pop(shared, random % 2 ? 0 : -1);
            if (item) {
                check(is_item(item));
                tally_decref(item);
                atomic_fetch_add_explicit(&popped, 1, memory_order_relaxed);
            } else {
                check_error(TALLY_INDEX_ERROR);
            }
            break;
        default:
            item = tally_list_get(shared, (ptrdiff_t)(random / 8 % 20));
            if (item) {
                check(is_item(item));
                tally_decref(item);
            } else {
                check_error(TALLY_INDEX_ERROR);
            }
            break;
        }
        if (i % 16 == 0) tally_safepoint();
    }
}

TEST(what_is_pushed_and_not_popped_is_in_the_list) {
    begin(tally_list_new(0));
    atomic_store_explicit(&pushed, 0, memory_order_relaxed);
    atomic_store_explicit(&popped, 0, memory_order_relaxed);
    numbered(push_and_pop);
    check_int(tally_list_length(shared), pushed - popped);
    end();
}

static void get_and_set(void *argument) {
    unsigned state = 99u + (unsigned)*(int *)argument;
    for (int i = 0; i < ROUNDS; i++) {
        unsigned random = next_random(&state);
        ptrdiff_t index = random / 8 % ITEMS;
        if (random % 4 == 0) {
            check_int(tally_list_set(shared, index, items[random / 256 % ITEMS]), 0);
        } else {
            tally_object *item = tally_list_get(shared, index);
            check(item && is_item(item));
            tally_xdecref(item);
        }
        if (i % 16 == 0) tally_safepoint();
    }
}

TEST(items_of_a_list_are_read_whole_while_others_set_them) {
    begin(tally_list_new(0));
    for (int i = 0; i < ITEMS; i++) tally_list_append(shared, items[i]);
    numbered(get_and_set);
    check_int(tally_list_length(shared), ITEMS);
    end();
}

/* Stores that take no lock, and now and then what moves the items, or wants nobody else to store.
 */
static void set_and_move(void *argument) {
    unsigned state = 17u + (unsigned)*(int *)argument;
    tally_critical section;
    tally_object *item, *copy;
    for (int i = 0; i < ROUNDS; i++) {
        unsigned random = next_random(&state);
        ptrdiff_t index = random / 512 % ITEMS;
        switch (random % 512) {
        case 0:
            check_int(tally_list_insert(shared, index, items[index]), 0);
            tally_decref(tally_list_pop(shared, -1));
            break;
        case 1:
            copy = tally_list_new(0);
            check_int(tally_list_extend(copy, shared), 0);
            check(tally_list_length(copy) >= ITEMS);
            tally_decref(copy);
            break;
        case 2:
            tally_critical_begin(&section, shared);
            item = tally_list_get(shared, index);
            check_int(tally_list_set(shared, index, items[index]), 0);
            copy = tally_list_get(shared, index);
            check(is_item(item) && copy == items[index]);
            tally_critical_end(&section);
            drop(item, copy);
            break;
        default:
            if (random % 4 == 0)
                check_int(tally_list_set(shared, index, items[random / 8192 % ITEMS]), 0);
            else
                check(is_item(tally_borrowed_object(tally_list_borrow(shared, index))));
            break;
        }
        if (i % 16 == 0) tally_safepoint();
    }
}

TEST(items_are_set_while_the_list_moves_them) {
    begin(tally_list_new(0));
    for (int i = 0; i < ITEMS; i++) tally_list_append(shared, items[i]);
    numbered(set_and_move);
    check_int(tally_list_length(shared), ITEMS);
    end();
}

/* Fresh objects, whose only reference is in the list: a reader races with the free. */
static void get_and_set_fresh(void *argument) {
    unsigned state = 5u + (unsigned)*(int *)argument;
    for (int i = 0; i < ROUNDS; i++) {
        unsigned random = next_random(&state);
        ptrdiff_t index = random / 8 % 4;
        if (random % 2) {
            tally_object *fresh = tally_int_new(1000 + index);
            check_int(tally_list_set(shared, index, fresh), 0);
            tally_decref(fresh);
        } else {
            check_int(take_int(tally_list_get(shared, index)), 1000 + index);
        }
        if (i % 16 == 0) tally_safepoint();
    }
}

TEST(an_item_that_is_replaced_while_it_is_read_stays_alive_for_the_reader) {
    shared = list_of(1000, 1003);
    numbered(get_and_set_fresh);
    check_repr(shared, "[1000, 1001, 1002, 1003]");
    tally_decref(shared);
}

static void clear_and_fill(void *argument) {
    unsigned state = 3u + (unsigned)*(int *)argument;
    for (int i = 0; i < ROUNDS / 4; i++) {
        unsigned random = next_random(&state);
        if (random % 16 == 0) {
            check_int(tally_list_clear(shared), 0);
        } else if (random % 16 < 3) {
            tally_object *some = pair(items[random / 32 % ITEMS], items[random / 64 % ITEMS]);
            check_int(tally_list_extend(shared, some), 0);
            tally_decref(some);
        } else if (random % 16 == 4) {
            if (tally_list_length(shared) < 1000) check_int(tally_list_extend(shared, shared), 0);
        } else {
            tally_object *item = tally_list_get(shared, -1);
            if (!item) check_error(TALLY_INDEX_ERROR);
            tally_xdecref(item);
        }
        if (i % 16 == 0) tally_safepoint();
    }
}

TEST(a_list_may_be_cleared_while_others_fill_and_read_it) {
    begin(tally_list_new(0));
    numbered(clear_and_fill);
    check_int(tally_list_length(shared) % 2, 0);
    end();
}

static tally_object *other_list;

static void extend_each_other(void *argument) {
    int odd = *(int *)argument % 2;
    tally_object *a = odd ? shared : other_list, *b = odd ? other_list : shared;
    for (int i = 0; i < 500; i++) {
        check_int(tally_list_extend(a, b), 0);
        if (tally_list_length(a) > 200) tally_list_clear(a);
        tally_list_append(a, items[i % ITEMS]);
        tally_safepoint();
    }
}

TEST(two_lists_extend_each_other_without_deadlock) {
    begin(tally_list_new(0));
    other_list = tally_list_new(0);
    numbered(extend_each_other);
    tally_decref(other_list);
    end();
}

/* ---- dict ---- */

static void own_keys(void *argument) {
    int64_t first = (int64_t) * (int *)argument * ROUNDS;
    for (int i = 0; i < ROUNDS; i++) {
        tally_object *key = tally_int_new(first + i);
        check_int(tally_dict_set(shared, key, key), 0);
        if (i % 2) check_int(tally_dict_delete(shared, key), 0);
        tally_object *value = tally_dict_get(shared, key);
        check((value != NULL) == (i % 2 == 0));
        tally_xdecref(value);
        tally_decref(key);
        if (i % 64 == 0) tally_safepoint();
    }
}

TEST(each_thread_finds_its_own_keys_in_a_shared_dict) {
    shared = tally_dict_new();
    numbered(own_keys);
    check_int(tally_dict_length(shared), THREADS * ROUNDS / 2);
    int64_t sum = 0, wanted = 0;
    ptrdiff_t position = 0;
    tally_object *key, *value;
    while (tally_dict_next(shared, &position, &key, &value) == 1) {
        check(key == value);
        sum += take_int(key);
        tally_decref(value);
    }
    for (int64_t i = 0; i < THREADS * ROUNDS; i += 2) wanted += i;
    check_int(sum, wanted);
    tally_decref(shared);
}

static _Atomic int64_t keys_added;

static void same_keys(void *argument) {
    unsigned state = 13u + (unsigned)*(int *)argument;
    for (int i = 0; i < ROUNDS; i++) {
        unsigned random = next_random(&state);
        tally_object *key = tally_int_new(5000 + random / 8 % 32), *value;
        switch (random % 8) {
        case 0:
            if (tally_dict_delete(shared, key) == 0)
                atomic_fetch_sub_explicit(&keys_added, 1, memory_order_relaxed);
            else
                check_error(TALLY_KEY_ERROR);
            break;
        case 1:
            /* The key itself marks the one call that added it. */
            value = tally_dict_set_default(shared, key, key);
            check(value != NULL);
            if (value == key) atomic_fetch_add_explicit(&keys_added, 1, memory_order_relaxed);
            tally_xdecref(value);
            break;
        case 2: check(tally_dict_contains(shared, key) >= 0); break;
        default:
            value = tally_dict_get(shared, key);
            if (value) check_int(tally_int_value(value), tally_int_value(key));
            check_error(TALLY_NO_ERROR);
            tally_xdecref(value);
            break;
        }
        tally_decref(key);
        if (i % 16 == 0) tally_safepoint();
    }
}

TEST(set_default_and_delete_of_the_same_keys_balance) {
    shared = tally_dict_new();
    atomic_store_explicit(&keys_added, 0, memory_order_relaxed);
    numbered(same_keys);
    check_int(tally_dict_length(shared), keys_added);
    tally_decref(shared);
}

static void mixed_dict(void *argument) {
    unsigned state = 1313u + (unsigned)*(int *)argument;
    for (int i = 0; i < ROUNDS; i++) {
        unsigned random = next_random(&state);
        tally_object *key = items[random / 8 % ITEMS], *value;
        switch (random % 8) {
        case 0:
        case 1: check_int(tally_dict_set(shared, key, items[random / 512 % ITEMS]), 0); break;
        case 2:
            if (tally_dict_delete(shared, key) != 0) check_error(TALLY_KEY_ERROR);
            break;
        case 3:
            if (random % 1000 == 3) check_int(tally_dict_clear(shared), 0);
            break;
        default:
            value = tally_dict_get(shared, key);
            check(!value || is_item(value));
            tally_xdecref(value);
            break;
        }
        if (i % 16 == 0) tally_safepoint();
    }
}

TEST(keys_and_values_of_a_shared_dict_keep_exact_counts) {
    begin(tally_dict_new());
    numbered(mixed_dict);
    check(tally_dict_length(shared) <= ITEMS);
    end();
}

static void walk_or_change(void *argument) {
    int self = *(int *)argument;
    for (int i = 0; i < 2000; i++) {
        if (self % 2) {
            tally_object *key = tally_int_new(7000 + i % 50);
            check_int(tally_dict_set(shared, key, items[i % ITEMS]), 0);
            if (tally_dict_delete(shared, key) != 0) check_error(TALLY_KEY_ERROR);
            tally_decref(key);
        } else {
            ptrdiff_t position = 0;
            tally_object *key, *value;
            int result;
            while ((result = tally_dict_next(shared, &position, &key, &value)) == 1) {
                check(is_item(value));
                drop(key, value);
            }
            if (result < 0) check_error(TALLY_RUNTIME_ERROR);
        }
        tally_safepoint();
    }
}

TEST(a_walk_over_a_dict_that_others_change_is_safe) {
    begin(tally_dict_new());
    for (int i = 0; i < ITEMS; i++) tally_dict_set(shared, items[i], items[i]);
    numbered(walk_or_change);
    check_int(tally_dict_length(shared), ITEMS);
    end();
}

/* Key k holds ints that leave k when divided by KINDS, all fresh; what is seen is checked by that.
 */
enum { KINDS = 24 };

static tally_object *kind_keys[KINDS];

static void check_kind(tally_object *value, int64_t kind) {
    check_int(tally_int_value(value) % KINDS, kind);
    tally_decref(value);
}

static void change_and_read_kinds(void *argument) {
    int self = *(int *)argument;
    unsigned state = 7u + (unsigned)self;
    for (int i = 0; i < ROUNDS / 2; i++) {
        unsigned random = next_random(&state), kind = random / 16 % KINDS;
        tally_object *key = kind_keys[kind], *value;
        switch (random % 16) {
        case 0:
            if (self % 4 == 0 && tally_dict_delete(shared, key) != 0) check_error(TALLY_KEY_ERROR);
            break;
        case 1:
            if (random / 1024 % 64 == 0 && self == 0) check_int(tally_dict_clear(shared), 0);
            break;
        case 2:
        case 3:
        case 4:
            value = tally_int_new((int64_t)(1000 + random / 1024 % 1000) * KINDS + kind);
            check_int(tally_dict_set(shared, key, value), 0);
            tally_decref(value);
            break;
        case 5: {
            ptrdiff_t position = 0;
            int result;
            while ((result = tally_dict_next(shared, &position, &key, &value)) == 1) {
                check_kind(value, tally_int_value(key));
                tally_decref(key);
            }
            if (result < 0) check_error(TALLY_RUNTIME_ERROR);
            break;
        }
        case 6: check(tally_dict_contains(shared, key) >= 0); break;
        default:
            value = tally_dict_get(shared, key);
            if (value) check_kind(value, kind);
            break;
        }
        if (i % 16 == 0) tally_safepoint();
    }
}

TEST(a_dict_gives_only_what_was_stored_for_the_key) {
    shared = tally_dict_new();
    for (int i = 0; i < KINDS; i++) kind_keys[i] = tally_int_new(i);
    numbered(change_and_read_kinds);
    check(tally_dict_length(shared) <= KINDS);
    tally_decref(shared);
    for (int i = 0; i < KINDS; i++) tally_decref(kind_keys[i]);
}

/* ---- instances ---- */

static tally_object *names[4];

static void change_attributes(void *argument) {
    unsigned state = 31u + (unsigned)*(int *)argument;
    for (int i = 0; i < ROUNDS; i++) {
        unsigned random = next_random(&state);
        tally_object *name = names[random / 8 % 4];
        if (random % 4 == 0) {
            check_int(tally_set_attr(shared, name, items[random / 64 % ITEMS]), 0);
        } else if (random % 16 == 1) {
            if (tally_delete_attr(shared, name) != 0) check_error(TALLY_ATTRIBUTE_ERROR);
        } else {
            tally_object *value = tally_get_attr(shared, name);
            if (value)
                check(is_item(value));
            else
                check_error(TALLY_ATTRIBUTE_ERROR);
            tally_xdecref(value);
        }
        if (i % 16 == 0) tally_safepoint();
    }
}

static void shared_attributes(const char *const *slots) {
    tally_object *class = tally_class_new(&(tally_class_spec){.name = "Shared", .slots = slots});
    static const char *const texts[] = {"north", "east", "south", "west"};
    for (int i = 0; i < 4; i++) names[i] = text(texts[i]);
    begin(tally_instance_new(class));
    numbered(change_attributes);
    end();
    for (int i = 0; i < 4; i++) tally_decref(names[i]);
    tally_decref(class);
}

TEST(attributes_of_a_shared_instance_keep_exact_counts) { shared_attributes(NULL); }

TEST(slots_of_a_shared_instance_keep_exact_counts) {
    static const char *const slots[] = {"north", "east", "south", "west", NULL};
    shared_attributes(slots);
}

static void make_instances(void *argument) {
    for (int i = 0; i < ROUNDS; i++) {
        tally_object *object = tally_instance_new(shared);
        check_int(tally_slot_set(object, 0, items[i % ITEMS]), 0);
        tally_decref(object);
        if (i % 64 == 0) tally_safepoint();
    }
}

TEST(instances_of_one_class_are_made_by_many_threads) {
    begin(mortal_class());
    numbered(make_instances);
    check_int(deaths(), THREADS * ROUNDS);
    end();
}

static tally_object *interned[THREADS];

static void intern_words(void *argument) {
    int self = *(int *)argument;
    char word[32];
    for (int i = 0; i < 500; i++) {
        snprintf(word, sizeof word, "interned word %d", i);
        tally_object *str = text(word), *one = tally_str_intern(str), *two = tally_str_intern(str);
        check(one == two);
        drop(str, two);
        if (i == 250)
            interned[self] = one; /* kept */
        else
            tally_decref(one);
        tally_safepoint();
    }
}

TEST(interning_gives_all_threads_the_same_str) {
    numbered(intern_words);
    for (int i = 1; i < THREADS; i++) check(interned[i] == interned[0]);
    check_int(tally_refcount(interned[0]), THREADS);
    for (int i = 0; i < THREADS; i++) tally_decref(interned[i]);
}
