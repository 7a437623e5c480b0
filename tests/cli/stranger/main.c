/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * main.c: a stranger's program, compiled against the installed header and
 * library by pkg-config alone. Prints the name of the backend.
 */
#include <tally/tally.h>

#include <stdio.h>

int main(void) {
    if (tally_init(NULL) != 0) return 1;
    tally_object *list = tally_list_new(0), *number = tally_int_new(1000);
    if (!list || !number || tally_list_append(list, number) != 0 || tally_refcount(number) != 2)
        return 1;
    tally_decref(number);
    tally_decref(list);
    tally_safepoint();
    puts(tally_backend());
    return tally_finish() == 0 ? 0 : 1;
}
