/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* class_refcount.c: under a GIL a class is counted like any object, and dies at once. */
#include "objects/object.h"

void tally_class_born(tally_object *class_) {}
size_t tally_classes_sweep(void) { return 0; }
bool tally_class_is_unused(tally_object *object) { return false; }
ptrdiff_t tally_class_instances(tally_object *object) { return 0; }
int tally_defer_count(tally_object *object) {
    tally_thread_require();
    return 0;
}
