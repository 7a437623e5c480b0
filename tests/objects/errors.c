/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* errors.c: the pending error: one a thread, survives finalizers, may be used by any thread.
 */
#include "suite.h"

TEST(there_is_none_at_first) {
    check_int(tally_error_kind(), TALLY_NO_ERROR);
    check(strcmp(tally_error_message(), "") == 0);
    tally_error_clear();
    check_int(tally_error_kind(), TALLY_NO_ERROR);
}

TEST(set_formats_and_clear_removes) {
    tally_error_set(TALLY_VALUE_ERROR, "%d of %s", 3, "four");
    check_int(tally_error_kind(), TALLY_VALUE_ERROR);
    check(strcmp(tally_error_message(), "3 of four") == 0);
    tally_error_set(TALLY_KEY_ERROR, "another");
    check_int(tally_error_kind(), TALLY_KEY_ERROR);
    check(strcmp(tally_error_message(), "another") == 0);
    tally_error_clear();
    check_int(tally_error_kind(), TALLY_NO_ERROR);
    check(strcmp(tally_error_message(), "") == 0);
}

TEST(a_long_message_is_cut_not_overrun) {
    char *letters = malloc(100001);
    memset(letters, 'm', 100000);
    letters[100000] = '\0';
    tally_error_set(TALLY_VALUE_ERROR, "%s", letters);
    size_t length = strlen(tally_error_message());
    check(length > 20 && length <= 100000);
    check(strncmp(tally_error_message(), letters, length) == 0);
    tally_error_clear();
    free(letters);
}

static void sees_no_error(void *argument) {
    check_int(tally_error_kind(), TALLY_NO_ERROR);
    tally_error_set(TALLY_KEY_ERROR, "of the other thread");
}

TEST(each_thread_has_its_own) {
    tally_error_set(TALLY_INDEX_ERROR, "of this thread");
    tally_thread thread;
    tally_thread_start(&thread, sees_no_error, NULL);
    tally_thread_join(&thread);
    check(strcmp(tally_error_message(), "of this thread") == 0);
    check_error(TALLY_INDEX_ERROR);
}

static void *unattached(void *argument) {
    check_int(tally_error_kind(), TALLY_NO_ERROR);
    tally_error_set(TALLY_RUNTIME_ERROR, "set by %s", "an unattached thread");
    check(strcmp(tally_error_message(), "set by an unattached thread") == 0);
    check_error(TALLY_RUNTIME_ERROR);
    return NULL;
}

TEST(an_unattached_thread_may_use_them) {
    pthread_t thread;
    check_int(pthread_create(&thread, NULL, unattached, NULL), 0);
    join_blocked(thread);
}

static void spoils_the_error(tally_object *self) {
    suite_count_death(self);
    tally_error_set(TALLY_ZERO_DIVISION_ERROR, "in a finalizer");
}

static void clears_the_error(tally_object *self) {
    suite_count_death(self);
    tally_error_clear();
}

TEST(a_pending_error_survives_finalizers) {
    void (*const finalizers[])(tally_object *) = {spoils_the_error, clears_the_error};
    for (int i = 0; i < 2; i++) {
        tally_object *class =
            tally_class_new(&(tally_class_spec){.name = "Spoiler", .finalize = finalizers[i]});
        tally_object *object = tally_instance_new(class);
        tally_error_set(TALLY_KEY_ERROR, "pending");
        tally_decref(object);
        check(strcmp(tally_error_message(), "pending") == 0);
        check_error(TALLY_KEY_ERROR);
        tally_decref(class);
    }
    check_int(deaths(), 2);
}

TEST(an_error_of_a_finalizer_does_not_leak_out) {
    tally_object *class = class_finalized("Spoiler", spoils_the_error);
    tally_object *list = tally_list_new(0);
    append_new(list, tally_instance_new(class));
    check_int(tally_list_clear(list), 0);
    check_int(deaths(), 1);
    check_error(TALLY_NO_ERROR);
    drop(list, class);
}

TEST(a_success_leaves_a_pending_error_alone) {
    tally_error_set(TALLY_VALUE_ERROR, "kept");
    tally_object *list = list_of(1, 10);
    check_int(tally_error_kind(), TALLY_VALUE_ERROR);
    tally_decref(list);
    check_error(TALLY_VALUE_ERROR);
}
