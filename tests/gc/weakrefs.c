/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * weakrefs.c: weak references: to what, what they give, when they are
 * cleared and their callbacks called, alone and among threads.
 */
#include "cycles.h"

/* ---- classes ---- */

/* ---- callbacks ---- */

typedef struct call {
    _Atomic int calls;
    tally_object *reference, *look_at; /* what it was called with; what to look at then */
    int others_gone;
    pthread_t thread;
} call;

static void called(tally_object *reference, void *context) {
    call *seen = context;
    seen->reference = reference;
    seen->thread = pthread_self();
    check(tally_weakref_get(reference) == tally_none);
    if (seen->look_at) seen->others_gone += tally_weakref_get(seen->look_at) == tally_none;
    atomic_fetch_add_explicit(&seen->calls, 1, memory_order_release);
}

static int calls_of(call *seen) { return atomic_load_explicit(&seen->calls, memory_order_acquire); }

/* The reference gives this object; NULL: it is dead. */
static int gives(tally_object *reference, tally_object *object) {
    tally_object *got = tally_weakref_get(reference);
    int same = got == (object ? object : tally_none);
    tally_decref(got);
    return same;
}

/* ---- to what, and what it gives ---- */

static void given_while_alive(tally_object *object, int count_is_exact) {
    ptrdiff_t before = tally_refcount(object);
    tally_object *reference = tally_weakref_new(object, NULL, NULL);
    check(reference != NULL);
    check_error(TALLY_NO_ERROR);
    if (!reference) return;
    check_int(tally_weakref_count(object), 1);
    if (count_is_exact) check_int(tally_refcount(object), before);
    tally_object *got = tally_weakref_get(reference);
    check(got == object);
    if (count_is_exact) check_int(tally_refcount(object), before + 1);
    drop(got, object);
    if (count_is_exact) check(gives(reference, NULL));
    tally_decref(reference);
}

CYCLE_TEST(give_the_object_while_it_lives_and_none_after) {
    given_while_alive(tally_instance_new(open_class), 1);
    given_while_alive(tally_instance_new(weak_slots), 1);
    given_while_alive(node_new(node_type), 1);
    given_while_alive(node_new(finalized_node_type), 1);
}

CYCLE_TEST(of_a_class_give_it_while_it_lives) {
    tally_object *class = class_named("Mayfly");
    tally_object *reference = tally_weakref_new(class, NULL, NULL);
    check(gives(reference, class));
    tally_object *instance = tally_instance_new(class);
    tally_decref(class);
    check(gives(reference, class)); /* its instance holds it */
    tally_decref(instance);
    /* Without a GIL classes are freed by the next collection. */
    settle_until(tally_gc_collect(2) >= 0 && gives(reference, NULL));
    check(gives(reference, NULL));
    tally_decref(reference);
}

CYCLE_TEST(a_native_type_without_the_flag_allows_none) {
    tally_object *type = tally_type_new(&(tally_type_spec){.name = "strong", .size = 8});
    tally_object *object = tally_object_new(type, 0);
    check_null(tally_weakref_new(object, NULL, NULL), TALLY_TYPE_ERROR);
    check_int(tally_weakref_count(object), 0);
    tally_decref(object);
}

CYCLE_TEST(a_native_type_need_not_be_a_container_to_allow_them) {
    tally_object *type = tally_type_new(&(tally_type_spec){
        .name = "leaf", .size = sizeof(int64_t), .flags = TALLY_TYPE_WEAKLY_REFERENCABLE});
    tally_object *object = tally_object_new(type, 40);
    int64_t *data = tally_object_data(object);
    for (int i = 0; i < 6; i++) data[i] = i + 1;
    given_while_alive((tally_incref(object), object), 0);
    tally_object *reference = tally_weakref_new(object, NULL, NULL);
    for (int i = 0; i < 6; i++)
        check_int(data[i], i + 1); /* the word of the references is not among the data */
    tally_decref(object);
    check(gives(reference, NULL));
    tally_decref(reference);
}

static void allows_none(tally_object *object) {
    check_null(tally_weakref_new(object, NULL, NULL), TALLY_TYPE_ERROR);
    check_null(tally_weakref_new(object, called, NULL), TALLY_TYPE_ERROR);
    check_int(tally_weakref_count(object), 0);
    tally_object *list = tally_weakref_list(object);
    check_int(tally_list_length(list), 0);
    drop(list, object);
}

CYCLE_TEST(are_refused_by_all_other_types) {
    allows_none(tally_list_new(0));
    allows_none(tally_dict_new());
    allows_none(one_tuple(tally_none));
    allows_none(tally_tuple_new(NULL, 0));
    allows_none(tally_int_new(7));
    allows_none(tally_int_new(INT64_MAX));
    allows_none(tally_float_new(1.5));
    allows_none(text("a str"));
    tally_incref(tally_none);
    allows_none(tally_none);
    allows_none(tally_instance_new(plain_slots));
    tally_object *object = tally_instance_new(open_class);
    allows_none(tally_weakref_new(object, NULL, NULL));
    tally_decref(object);
}

TEST(only_a_weak_reference_can_be_asked_for_its_referent) {
    tally_object *list = tally_list_new(0);
    check_null(tally_weakref_get(list), TALLY_TYPE_ERROR);
    check_null(tally_weakref_get(tally_none), TALLY_TYPE_ERROR);
    tally_decref(list);
}

CYCLE_TEST(the_slot_that_allows_them_takes_no_index) {
    tally_object *object = tally_instance_new(weak_slots), *b = text("b"),
                 *name = text("__weakref__");
    tally_object *one = tally_int_new(1001), *two = tally_int_new(1002);
    check_int(tally_slot_set(object, 0, one), 0);
    check_int(tally_set_attr(object, b, two), 0);
    check_int(take_int(tally_slot_get(object, 0)), 1001);
    check_int(take_int(tally_slot_get(object, 1)), 1002);
    check_int(take_int(tally_slot_get(object, -2)), 1001);
    check_null(tally_slot_get(object, 2), TALLY_INDEX_ERROR);
    check_fails(tally_slot_set(object, 2, one), TALLY_INDEX_ERROR);
    check_null(tally_get_attr(object, name), TALLY_ATTRIBUTE_ERROR);
    check_fails(tally_set_attr(object, name, one), TALLY_ATTRIBUTE_ERROR);
    tally_object *reference = tally_weakref_new(object, NULL, NULL);
    check_int(take_int(tally_slot_get(object, 0)), 1001);
    check_int(take_int(tally_slot_get(object, 1)), 1002);
    tally_decref(object);
    check(gives(reference, NULL));
    drop(reference, one, two, b, name);
}

TEST(the_slot_that_allows_them_may_be_the_only_one) {
    tally_object *class = class_with("Bare", "__weakref__");
    tally_object *object = tally_instance_new(class),
                 *reference = tally_weakref_new(object, NULL, NULL);
    check_null(tally_slot_get(object, 0), TALLY_INDEX_ERROR);
    check(gives(reference, object));
    tally_decref(object);
    check(gives(reference, NULL));
    drop(reference, class);
}

/* ---- one and many ---- */

CYCLE_TEST(without_a_callback_there_is_one_for_each_object) {
    tally_object *object = tally_instance_new(open_class), *other = tally_instance_new(open_class);
    tally_object *first = tally_weakref_new(object, NULL, NULL);
    check_int(tally_refcount(first), 1);
    tally_object *again = tally_weakref_new(object, NULL, NULL),
                 *others = tally_weakref_new(other, NULL, NULL);
    check(again == first);
    check(others != first);
    check_int(tally_refcount(first), 2);
    check_int(tally_weakref_count(object), 1);
    drop(again, first);
    check_int(tally_weakref_count(object), 0);
    first = tally_weakref_new(object, NULL, NULL);
    check(gives(first, object));
    check_int(tally_weakref_count(object), 1);
    drop(first, others, object, other);
}

/* The allocation of one collects, and a finalizer asks for the same. */
static tally_object *asked_of, *asked_by_finalizer;
static void ask_for_the_same(tally_object *self) {
    if (!asked_by_finalizer) asked_by_finalizer = tally_weakref_new(asked_of, NULL, NULL);
}

CYCLE_TEST(without_a_callback_there_is_one_although_a_finalizer_makes_it_meanwhile) {
    call seen = {0};
    tally_object *object = tally_instance_new(open_class),
                 *with_callback = tally_weakref_new(object, called, &seen);
    asked_of = object;
    asked_by_finalizer = NULL;
    atomic_store(&on_finalize, ask_for_the_same);
    tally_gc_disable();
    for (int i = 0; i < 10; i++) tally_decref(ring_of(finalized_node_type, 1));
    const int at_once[3] = {1, 10, 10};
    check_int(tally_gc_set_threshold(at_once), 0);
    tally_gc_enable();
    tally_object *mine = tally_weakref_new(object, NULL, NULL);
    check(asked_by_finalizer || !has_gil());
    check(tally_gc_collect(2) >= 0); /* where it was not this allocation that collected */
    check(asked_by_finalizer == mine);
    check_int(tally_refcount(mine), 2);
    check_int(tally_weakref_count(object), 2);
    atomic_store(&on_finalize, NULL);
    tally_xdecref(asked_by_finalizer);
    drop(mine, object);
    check_int(calls_of(&seen), 1);
    tally_decref(with_callback);
}

CYCLE_TEST(with_a_callback_each_is_new) {
    call seen = {0};
    tally_object *object = tally_instance_new(weak_slots);
    tally_object *first = tally_weakref_new(object, called, &seen),
                 *second = tally_weakref_new(object, called, &seen);
    tally_object *plain = tally_weakref_new(object, NULL, NULL),
                 *again = tally_weakref_new(object, NULL, NULL);
    check(first != second);
    check(plain != first && plain != second);
    check(plain == again);
    check_int(tally_weakref_count(object), 3);
    tally_decref(object);
    check_int(calls_of(&seen), 2);
    drop(first, second, plain, again);
}

TEST(the_list_of_an_object_has_each_of_its_own_once) {
    enum { COUNT = 100 };
    begin_cycles();
    call seen = {0};
    tally_object *object = node_new(node_type), *references[COUNT];
    for (int i = 0; i < COUNT; i++) {
        references[i] = tally_weakref_new(object, i ? called : NULL, i ? &seen : NULL);
        check_int(tally_weakref_count(object), i + 1);
    }
    tally_object *list = tally_weakref_list(object);
    check_int(tally_list_length(list), COUNT);
    for (int i = 0; i < COUNT; i++) check_int(times_in(list, references[i]), 1);
    for (int i = 0; i < COUNT; i += 2) tally_decref(references[i]);
    check_int(tally_weakref_count(object), COUNT); /* the list holds them */
    tally_decref(list);
    check_int(tally_weakref_count(object), COUNT / 2);
    tally_decref(object);
    check_int(calls_of(&seen), COUNT / 2);
    for (int i = 1; i < COUNT; i += 2) tally_decref(references[i]);
    end_cycles();
}

/* ---- callbacks ---- */

CYCLE_TEST(callbacks_come_once_and_after_all_references_are_cleared) {
    tally_object *object = tally_instance_new(open_class);
    call seen[3] = {0};
    tally_object *plain = tally_weakref_new(object, NULL, NULL), *references[3];
    for (int i = 0; i < 3; i++) references[i] = tally_weakref_new(object, called, &seen[i]);
    seen[0].look_at = references[2];
    seen[1].look_at = plain;
    seen[2].look_at = references[0];
    for (int i = 0; i < 3; i++) check_int(calls_of(&seen[i]), 0);
    tally_decref(object);
    for (int i = 0; i < 3; i++) {
        check_int(calls_of(&seen[i]), 1);
        check(seen[i].reference == references[i]);
        check_int(seen[i].others_gone, 1);
        check(gives(references[i], NULL));
        tally_decref(references[i]);
        check_int(calls_of(&seen[i]), 1);
    }
    tally_decref(plain);
}

static void die_here(void *context) {
    tally_object *object = tally_instance_new(open_class),
                 *reference = tally_weakref_new(object, called, context);
    tally_decref(object);
    call *seen = context;
    check_int(calls_of(seen), 1);
    check(pthread_equal(seen->thread, pthread_self()));
    tally_decref(reference);
}

CYCLE_TEST(callbacks_run_in_the_thread_where_the_object_dies) {
    call seen[8] = {0};
    run_threads(8, die_here, seen, sizeof seen[0]);
}

static void failing(tally_object *reference, void *context) {
    called(reference, context);
    check(tally_error_kind() == TALLY_NO_ERROR);
    tally_error_set(TALLY_KEY_ERROR, "a callback that fails");
}

TEST(an_error_in_a_callback_is_reported_and_the_pending_one_stays) {
    begin_cycles();
    call seen = {0};
    for (int pending = 0; pending < 2; pending++) {
        tally_object *object = tally_instance_new(open_class);
        tally_object *bad = tally_weakref_new(object, failing, &seen),
                     *good = tally_weakref_new(object, failing, &seen);
        if (pending) tally_error_set(TALLY_VALUE_ERROR, "pending before");
        capture_begin();
        tally_decref(object);
        const char *written = capture_end();
        check_int(occurrences(written, "a callback that fails"), 2);
        check_int(calls_of(&seen), 2 * (pending + 1));
        if (pending) check(strcmp(tally_error_message(), "pending before") == 0);
        check_error(pending ? TALLY_VALUE_ERROR : TALLY_NO_ERROR);
        drop(bad, good);
    }
    end_cycles();
}

CYCLE_TEST(a_reference_that_died_first_is_not_called) {
    call gone = {0}, kept = {0};
    tally_object *object = node_new(node_type);
    tally_object *first = tally_weakref_new(object, called, &gone),
                 *second = tally_weakref_new(object, called, &kept);
    tally_object *third = tally_weakref_new(object, called, &gone);
    drop(first, third, object);
    check_int(calls_of(&gone), 0);
    check_int(calls_of(&kept), 1);
    tally_decref(second);
}

static tally_object *to_drop;

static void drop_another(tally_object *reference, void *context) {
    called(reference, context);
    tally_object *dropped = to_drop;
    to_drop = NULL;
    tally_xdecref(dropped);
}

CYCLE_TEST(a_callback_may_drop_the_last_reference_to_an_object_with_callbacks) {
    call outer = {0}, inner = {0};
    tally_object *object = tally_instance_new(open_class);
    to_drop = node_new(finalized_node_type);
    tally_object *first = tally_weakref_new(object, drop_another, &outer),
                 *second = tally_weakref_new(to_drop, called, &inner);
    tally_decref(object);
    check_int(calls_of(&outer), 1);
    check_int(calls_of(&inner), 1);
    check_int(freed(), 1);
    check_int(finalized(), 1);
    drop(first, second);
}

static tally_object *made_in_a_callback;

static void make_a_reference(tally_object *reference, void *context) {
    called(reference, context);
    tally_object *object = tally_instance_new(open_class);
    made_in_a_callback = tally_weakref_new(object, called, context);
    tally_decref(object);
}

CYCLE_TEST(a_callback_may_make_objects_with_callbacks) {
    call seen = {0};
    tally_object *object = tally_instance_new(open_class),
                 *reference = tally_weakref_new(object, make_a_reference, &seen);
    tally_decref(object);
    check_int(calls_of(&seen), 2);
    drop(made_in_a_callback, reference);
}

TEST(of_members_of_a_container_are_called_as_each_dies) {
    enum { COUNT = 1000 };
    begin_cycles();
    call seen = {0};
    tally_object *list = tally_list_new(0), *references = tally_list_new(0);
    for (int i = 0; i < COUNT; i++) {
        tally_object *object = tally_instance_new(open_class);
        append_new(references, tally_weakref_new(object, called, &seen));
        append_new(list, object);
    }
    tally_decref(list);
    check_int(calls_of(&seen), COUNT);
    tally_decref(references);
    end_cycles();
}

/* ---- the collector ---- */

CYCLE_TEST(to_members_of_a_cycle_are_cleared_when_it_is_collected) {
    call seen[4] = {0};
    tally_object *start = ring_of(node_type, 4), *at = start, *references[4];
    for (int i = 0; i < 4; i++, at = node_of(at)->child[0])
        references[i] = tally_weakref_new(at, called, &seen[i]);
    for (int i = 0; i < 4; i++) seen[i].look_at = references[(i + 1) % 4];
    check_int(tally_gc_collect(2), 0);
    check(gives(references[2], node_of(node_of(start)->child[0])->child[0]));
    tally_decref(start);
    check(gives(references[0], start));
    check_int(tally_gc_collect(2), 4);
    check_int(freed(), 4);
    for (int i = 0; i < 4; i++) {
        check_int(calls_of(&seen[i]), 1);
        check_int(seen[i].others_gone, 1);
        check(gives(references[i], NULL));
        tally_decref(references[i]);
    }
}

CYCLE_TEST(that_are_garbage_themselves_are_not_called) {
    call inside = {0}, outside = {0};
    tally_object *object = tally_instance_new(open_class), *holder = tally_list_new(0);
    append_new(holder, tally_weakref_new(object, called, &inside));
    tally_list_append(holder, object);
    tally_set_attr(object, field, holder);
    tally_object *reference = tally_weakref_new(object, called, &outside);
    drop(holder, object);
    check_int(tally_gc_collect(2), 3);
    check_int(calls_of(&inside), 0);
    check_int(calls_of(&outside), 1);
    tally_decref(reference);
}

CYCLE_TEST(held_by_a_cycle_do_not_keep_their_referent_nor_are_kept_by_it) {
    call seen = {0};
    tally_object *list = tally_list_new(0), *object = tally_instance_new(open_class);
    tally_list_append(list, list);
    append_new(list, tally_weakref_new(object, called, &seen));
    tally_decref(list);
    check_int(tally_gc_collect(2), 2); /* the list and the reference */
    check_int(calls_of(&seen), 0);
    check_int(tally_weakref_count(object), 0);
    tally_decref(object);
    check_int(calls_of(&seen), 0);
}

/* ---- finalizers ---- */

static tally_object *looked_at, *resurrected;
static int gave_itself;

static void resurrect(tally_object *self) {
    tally_object *got = tally_weakref_get(looked_at);
    gave_itself = got == self;
    tally_decref(got);
    tally_incref(self);
    resurrected = self;
}

CYCLE_TEST(still_give_the_object_in_its_finalizer_when_it_dies_by_count) {
    call seen = {0};
    tally_object *object = node_new(finalized_node_type);
    looked_at = tally_weakref_new(object, called, &seen);
    atomic_store(&on_finalize, resurrect);
    tally_decref(object);
    check_int(gave_itself, 1);
    check_int(calls_of(&seen), 0);
    check(gives(looked_at, resurrected)); /* it lives on, and so does the reference */
    check_int(tally_weakref_count(resurrected), 1);
    tally_decref(resurrected);
    check_int(calls_of(&seen), 1);
    check_int(finalized(), 1);
    check_int(freed(), 1);
    check(gives(looked_at, NULL));
    tally_decref(looked_at);
}

CYCLE_TEST(still_give_the_object_in_its_finalizer_when_the_collector_finds_it) {
    call seen = {0};
    tally_object *object = ring_of(finalized_node_type, 1);
    looked_at = tally_weakref_new(object, called, &seen);
    atomic_store(&on_finalize, resurrect);
    gave_itself = 0;
    tally_decref(object);
    check_int(tally_gc_collect(2), 0); /* found, but it lives on */
    check_int(finalized(), 1);
    check_int(gave_itself, 1);
    check_int(calls_of(&seen), 0);
    check(resurrected == object);
    check_int(freed(), 0);
    check(gives(looked_at, resurrected)); /* so does the reference */
    check_int(tally_weakref_count(resurrected), 1);
    /* The resurrected one can have others. */
    tally_object *second = tally_weakref_new(resurrected, called, &seen);
    check(gives(second, resurrected));
    tally_decref(resurrected);
    check_int(tally_gc_collect(2), 1);
    check_int(finalized(), 1);
    check_int(freed(), 1);
    check_int(calls_of(&seen), 2);
    drop(second, looked_at);
}

static tally_object *made_in_finalizer;
static call call_of_finalizer;

static void make_one_to_self(tally_object *self) {
    made_in_finalizer = tally_weakref_new(self, called, &call_of_finalizer);
}

static void make_plain_one_to_self(tally_object *self) {
    made_in_finalizer = tally_weakref_new(self, NULL, NULL);
}

TEST(made_in_the_finalizer_are_cleared_at_death) {
    for (int in_cycle = 0; in_cycle < 2; in_cycle++) {
        begin_cycles();
        atomic_store(&on_finalize, make_one_to_self);
        call_of_finalizer = (call){0};
        tally_object *object =
            in_cycle ? ring_of(finalized_node_type, 1) : node_new(finalized_node_type);
        tally_decref(object);
        if (in_cycle) check_int(tally_gc_collect(2), 1);
        check_int(freed(), 1);
        check_int(calls_of(&call_of_finalizer), 1);
        check(gives(made_in_finalizer, NULL));
        tally_decref(made_in_finalizer);
        end_cycles();
    }
}

/* A finalizer makes a weak reference to its object; it is asked for when
 * the collector destroys the object, as another thread may. */
static tally_object *asked_for;
static int asked_whole;

static void ask_clear(tally_object *self) {
    if (made_in_finalizer && !asked_for) {
        asked_for = tally_weakref_get(made_in_finalizer);
        asked_whole = asked_for == tally_none || node_of(asked_for)->child[0] != NULL;
    }
    node_clear(self);
}

TEST(made_in_a_finalizer_give_nothing_that_is_being_taken_apart) {
    for (int called_back = 0; called_back < 2; called_back++) {
        begin_cycles();
        tally_type_spec spec = {.name = "asking node",
                                .size = sizeof(node),
                                .flags = TALLY_TYPE_CONTAINER | TALLY_TYPE_WEAKLY_REFERENCABLE,
                                .traverse = node_traverse,
                                .clear = ask_clear,
                                .finalize = node_finalize,
                                .dealloc = node_dealloc};
        tally_object *type = tally_type_new(&spec);
        made_in_finalizer = asked_for = NULL;
        call_of_finalizer = (call){0};
        atomic_store(&on_finalize, called_back ? make_one_to_self : make_plain_one_to_self);
        drop_ring(type, 1);
        check_int(tally_gc_collect(2), 1);
        check(asked_whole);
        check(asked_for == tally_none);
        check_int(freed(), 1);
        check_int(calls_of(&call_of_finalizer), called_back);
        check(gives(made_in_finalizer, NULL));
        tally_xdecref(asked_for);
        tally_decref(made_in_finalizer);
        end_cycles();
    }
}

/* ---- hash, equal, repr ---- */

typedef struct number {
    int64_t value;
} number;
static int64_t number_hash(tally_object *self) {
    return ((number *)tally_object_data(self))->value;
}
static int number_equal(tally_object *a, tally_object *b) {
    return number_hash(a) == number_hash(b);
}

static tally_object *number_new(tally_object *type, int64_t value) {
    tally_object *self = tally_object_new(type, 0);
    ((number *)tally_object_data(self))->value = value;
    return self;
}

CYCLE_TEST(hash_as_their_referents_and_keep_that) {
    tally_object *type = tally_type_new(&(tally_type_spec){.name = "number",
                                                           .size = sizeof(number),
                                                           .flags = TALLY_TYPE_WEAKLY_REFERENCABLE,
                                                           .hash = number_hash,
                                                           .equal = number_equal});
    tally_object *object = number_new(type, 4711), *late = number_new(type, 4711);
    tally_object *reference = tally_weakref_new(object, NULL, NULL),
                 *never = tally_weakref_new(late, NULL, NULL);
    check_int(tally_hash(reference), 4711);
    drop(object, late);
    check_int(tally_hash(reference), 4711);
    check_fails(tally_hash(never), TALLY_TYPE_ERROR);
    drop(reference, never);

    tally_object *unhashable =
        tally_type_new(&(tally_type_spec){.name = "unhashable",
                                          .size = sizeof(number),
                                          .flags = TALLY_TYPE_WEAKLY_REFERENCABLE,
                                          .equal = number_equal});
    object = number_new(unhashable, 1);
    reference = tally_weakref_new(object, NULL, NULL);
    check_fails(tally_hash(reference), TALLY_TYPE_ERROR);
    drop(object, reference);
}

CYCLE_TEST(are_equal_as_their_referents_while_both_live_then_by_identity) {
    tally_object *type = tally_type_new(&(tally_type_spec){.name = "number",
                                                           .size = sizeof(number),
                                                           .flags = TALLY_TYPE_WEAKLY_REFERENCABLE,
                                                           .hash = number_hash,
                                                           .equal = number_equal});
    tally_object *a = number_new(type, 1000), *b = number_new(type, 1000),
                 *c = number_new(type, 1001);
    tally_object *to_a = tally_weakref_new(a, NULL, NULL), *to_b = tally_weakref_new(b, NULL, NULL),
                 *to_c = tally_weakref_new(c, NULL, NULL);
    check_int(tally_equal(to_a, to_b), 1);
    check_int(tally_equal(to_a, to_c), 0);
    check_int(tally_equal(to_a, a), 0);
    check_int(tally_hash(to_a), 1000);
    check_int(tally_hash(to_b), 1000);

    tally_object *dict = tally_dict_new();
    check_int(tally_dict_set(dict, to_a, tally_true), 0);
    check_int(tally_dict_contains(dict, to_b), 1);
    check_int(tally_dict_contains(dict, to_c), 0);
    tally_decref(b);
    check_int(tally_equal(to_a, to_b), 0);
    check_int(tally_equal(to_b, to_a), 0);
    check_int(tally_dict_contains(dict, to_b), 0);
    tally_decref(a);
    check_int(tally_equal(to_a, to_a), 1);
    check_int(tally_equal(to_a, to_b), 0);
    check_int(tally_dict_contains(dict, to_a), 1); /* found by identity, with the hash it kept */
    drop(dict, c, to_a, to_b, to_c);
}

CYCLE_TEST(name_the_type_of_a_living_referent_in_their_repr) {
    tally_object *object = tally_instance_new(open_class),
                 *reference = tally_weakref_new(object, NULL, NULL);
    check_repr(reference, "<weakref to 'Open'>");
    tally_decref(object);
    check_repr(reference, "<weakref, dead>");
    tally_decref(reference);
}

/* ---- memory used again ---- */

TEST(give_none_when_another_object_lives_at_the_address) {
    enum { COUNT = 2000 };
    begin_cycles();
    static tally_object *references[COUNT];
    static void *addresses[COUNT];
    int used_again = 0;
    for (int i = 0; i < COUNT; i++) {
        tally_object *object = tally_instance_new(open_class);
        addresses[i] = object;
        references[i] = tally_weakref_new(object, NULL, NULL);
        for (int k = 0; k < i; k++) {
            used_again += addresses[k] == object;
            if (addresses[k] == object || k % 64 == 0) check(gives(references[k], NULL));
        }
        check(gives(references[i], object));
        tally_decref(object);
        check(gives(references[i], NULL));
    }
    check(used_again > 0);
    for (int i = 0; i < COUNT; i++) tally_decref(references[i]);
    end_cycles();
}

/* ---- threads ---- */

enum { GETTERS = 4, MAKERS = 2, BOARD = 4, ROUNDS = SUITE_LONG(300000) };

static tally_object *board; /* weak references that all threads see */
static _Atomic int makers_left;
static _Atomic int64_t got_alive;

static void get_from_the_board(void *argument) {
    unsigned place = *(unsigned *)argument;
    int64_t alive = 0, wrong = 0;
    while (atomic_load_explicit(&makers_left, memory_order_acquire) > 0) {
        tally_object *reference = tally_list_get(board, (ptrdiff_t)(place++ % BOARD));
        tally_object *object = tally_weakref_get(reference);
        if (object != tally_none) {
            alive++;
            tally_object *value = tally_slot_get(object, 1);
            wrong += !value || tally_int_value(value) != 123456789;
            tally_xdecref(value);
            /* References come and go at the same time. */
            if (place % 8 == 0) {
                tally_object *another = tally_weakref_new(object, NULL, NULL);
                wrong += !another || !gives(another, object);
                wrong += tally_weakref_count(object) < 1;
                tally_xdecref(another);
            }
        }
        tally_xdecref(object);
        tally_decref(reference);
        tally_safepoint();
    }
    check_int(wrong, 0);
    atomic_fetch_add_explicit(&got_alive, alive, memory_order_relaxed);
}

/* A reference to each new object comes to the board; cycles: each object holds itself. */
static void make_many(unsigned self, unsigned rounds, bool cycles) {
    tally_object *value = tally_int_new(123456789);
    for (unsigned i = 0; i < rounds; i++) {
        tally_object *object = tally_instance_new(weak_slots);
        if (cycles) tally_slot_set(object, 0, object);
        tally_slot_set(object, 1, value);
        tally_object *reference = tally_weakref_new(object, NULL, NULL);
        tally_list_set(board, (ptrdiff_t)((i + self) % BOARD), reference);
        drop(object, reference);
        tally_safepoint();
    }
    tally_decref(value);
    atomic_fetch_sub_explicit(&makers_left, 1, memory_order_release);
}
static void make_for_the_board(void *self) { make_many(*(unsigned *)self, ROUNDS / MAKERS, false); }
static void make_cycles_for_the_board(void *self) {
    make_many(*(unsigned *)self, ROUNDS / MAKERS / 20, true);
}

static void fill_the_board(void) {
    tally_object *object = tally_instance_new(weak_slots);
    board = tally_list_new(0);
    for (int i = 0; i < BOARD; i++) append_new(board, tally_weakref_new(object, NULL, NULL));
    tally_decref(object);
}

/* Runs getters and makers at once. */
static void run_against_each_other(void (*make)(void *)) {
    unsigned numbers[GETTERS + MAKERS] = {0};
    tally_thread threads[GETTERS + MAKERS];
    atomic_store(&makers_left, MAKERS);
    for (unsigned i = 0; i < GETTERS + MAKERS; i++) {
        numbers[i] = i;
        check_int(
            tally_thread_start(&threads[i], i < GETTERS ? get_from_the_board : make, &numbers[i]),
            0);
    }
    for (int i = 0; i < GETTERS + MAKERS; i++) check_int(tally_thread_join(&threads[i]), 0);
}

CYCLE_TEST(are_asked_by_many_threads_while_others_drop_the_object) {
    fill_the_board();
    run_against_each_other(make_for_the_board);
    for (int i = 0; i < BOARD; i++) {
        tally_object *reference = tally_list_get(board, i);
        settle_until(gives(reference, NULL)); /* another thread's drop may wait for the owner */
        check(gives(reference, NULL));
        tally_decref(reference);
    }
    tally_decref(board);
}

enum { CALLED = SUITE_LONG(50000) };

static call *seen_by_maker[GETTERS + MAKERS];

static void make_with_callbacks(void *argument) {
    unsigned self = *(unsigned *)argument;
    call *seen = seen_by_maker[self];
    tally_object *kept = tally_list_new(0), *value = tally_int_new(123456789);
    for (int i = 0; i < CALLED; i++) {
        tally_object *object = tally_instance_new(weak_slots);
        tally_slot_set(object, 1, value);
        tally_object *reference = tally_weakref_new(object, called, &seen[i]);
        tally_list_append(kept, reference);
        tally_list_set(board, (ptrdiff_t)(i % BOARD), reference);
        drop(object, reference);
        tally_safepoint();
    }
    atomic_fetch_sub_explicit(&makers_left, 1, memory_order_release);
    /* A getter may have the last reference for a moment. */
    int missing = 0;
    for (int i = 0; i < CALLED; i++) {
        settle_until(calls_of(&seen[i]) > 0);
        missing += calls_of(&seen[i]) != 1;
    }
    check_int(missing, 0);
    drop(kept, value);
}

CYCLE_TEST(with_callbacks_are_called_exactly_once_among_many_threads) {
    fill_the_board();
    for (int i = 0; i < MAKERS; i++) seen_by_maker[GETTERS + i] = calloc(CALLED, sizeof(call));
    run_against_each_other(make_with_callbacks);
    tally_decref(board);
    for (int i = 0; i < MAKERS; i++) {
        int wrong = 0;
        for (int k = 0; k < CALLED; k++) wrong += calls_of(&seen_by_maker[GETTERS + i][k]) != 1;
        check_int(wrong, 0);
        free(seen_by_maker[GETTERS + i]);
    }
}

static tally_object *shared_object;

static void make_and_drop_references(void *argument) {
    call *seen = argument;
    int wrong = 0;
    for (int i = 0; i < SUITE_LONG(100000); i++) {
        tally_object *plain = tally_weakref_new(shared_object, NULL, NULL),
                     *with = tally_weakref_new(shared_object, called, seen);
        wrong += !gives(plain, shared_object) || !gives(with, shared_object);
        tally_decref(plain);
        if (i % 16 == 0) {
            tally_object *list = tally_weakref_list(shared_object);
            wrong += tally_list_length(list) < 1;
            tally_decref(list);
        }
        tally_decref(with);
        tally_safepoint();
    }
    check_int(wrong, 0);
}

CYCLE_TEST(of_one_object_are_made_and_dropped_by_many_threads) {
    static call seen[6];
    shared_object = tally_instance_new(open_class);
    run_threads(6, make_and_drop_references, seen, sizeof seen[0]);
    settle_until(tally_weakref_count(shared_object) == 0);
    check_int(tally_weakref_count(shared_object), 0);
    tally_decref(shared_object);
    for (int i = 0; i < 6; i++) check_int(calls_of(&seen[i]), 0);
}

static _Atomic int stop_collecting;

static void collect_until_told(void *argument) {
    while (!atomic_load_explicit(&stop_collecting, memory_order_acquire)) {
        check(tally_gc_collect(2) >= 0);
        tally_safepoint();
    }
}

/* A getter holds what it got: the collector must see that, or clear first. */
CYCLE_TEST(to_cycles_are_asked_while_the_collector_frees_them) {
    fill_the_board();
    tally_thread collecting;
    atomic_store(&stop_collecting, 0);
    check_int(tally_thread_start(&collecting, collect_until_told, NULL), 0);
    run_against_each_other(make_cycles_for_the_board);
    atomic_store(&stop_collecting, 1);
    check_int(tally_thread_join(&collecting), 0);
    check(tally_gc_collect(2) >= 0);
    for (int i = 0; i < BOARD; i++) {
        tally_object *reference = tally_list_get(board, i);
        settle_until(tally_gc_collect(2) >= 0 && gives(reference, NULL));
        check(gives(reference, NULL));
        tally_decref(reference);
    }
    tally_decref(board);
}
