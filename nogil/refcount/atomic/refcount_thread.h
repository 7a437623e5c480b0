/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* refcount_thread.h: atomic refcounts keep nothing per thread. */
#ifndef TALLY_REFCOUNT_THREAD_H
#define TALLY_REFCOUNT_THREAD_H

typedef struct tally_refcount_thread {
    char nothing[0];
} tally_refcount_thread;

#endif
