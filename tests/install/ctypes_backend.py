#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Drives the shared library of a backend through ctypes: lists, counts, borrowed references, the
collector, and a second thread.

Usage: ctypes_backend.py BACKEND=LIBRARY...
"""
import ctypes
import sys
import threading

Object = ctypes.c_void_p


class Borrowed(ctypes.Structure):
    _fields_ = [("object", Object), ("epoch", ctypes.c_uint64)]


FUNCTIONS = {
    "tally_init": (ctypes.c_int, [ctypes.c_void_p]),
    "tally_finish": (ctypes.c_ssize_t, []),
    "tally_backend": (ctypes.c_char_p, []),
    "tally_thread_attach": (ctypes.c_int, []),
    "tally_thread_detach": (None, []),
    "tally_blocking_begin": (None, []),
    "tally_blocking_end": (None, []),
    "tally_int_new": (Object, [ctypes.c_int64]),
    "tally_int_value": (ctypes.c_int64, [Object]),
    "tally_list_new": (Object, [ctypes.c_ssize_t]),
    "tally_list_append": (ctypes.c_int, [Object, Object]),
    "tally_list_get": (Object, [Object, ctypes.c_ssize_t]),
    "tally_list_borrow": (Borrowed, [Object, ctypes.c_ssize_t]),
    "tally_list_length": (ctypes.c_ssize_t, [Object]),
    "tally_refcount": (ctypes.c_ssize_t, [Object]),
    "tally_gc_collect": (ctypes.c_ssize_t, [ctypes.c_int]),
    "tally_error_message": (ctypes.c_char_p, []),
    # Inline in C.
    "tally_incref": (None, [Object]),
    "tally_decref": (None, [Object]),
    "tally_xincref": (None, [Object]),
    "tally_xdecref": (None, [Object]),
    "tally_safepoint": (None, []),
    "tally_borrowed_object": (Object, [Borrowed]),
    "tally_none": (Object, []),
    "tally_false": (Object, []),
    "tally_true": (Object, []),
}


def load(path):
    library = ctypes.CDLL(path)
    for name, (result, arguments) in FUNCTIONS.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


def counts(tally):
    items = tally.tally_list_new(0)
    for value in range(1000, 1100):
        item = tally.tally_int_new(value)
        assert tally.tally_list_append(items, item) == 0
        tally.tally_decref(item)
        tally.tally_safepoint()
    assert tally.tally_list_length(items) == 100
    item = tally.tally_list_get(items, 42)
    assert tally.tally_int_value(item) == 1042
    assert tally.tally_refcount(item) == 2
    tally.tally_incref(item)
    tally.tally_xincref(item)
    assert tally.tally_refcount(item) == 4
    tally.tally_xdecref(item)
    tally.tally_decref(item)
    tally.tally_decref(item)
    assert tally.tally_borrowed_object(tally.tally_list_borrow(items, 42)) == item
    tally.tally_xincref(None)
    tally.tally_xdecref(None)
    assert tally.tally_list_get(items, 100) is None and tally.tally_error_message()
    for singleton in tally.tally_none(), tally.tally_false(), tally.tally_true():
        assert tally.tally_list_append(items, singleton) == 0
        last = tally.tally_list_get(items, -1)
        assert last == singleton
        tally.tally_decref(last)
    tally.tally_decref(items)


def collects(tally):
    cycle = tally.tally_list_new(1)
    assert tally.tally_list_append(cycle, cycle) == 0
    tally.tally_decref(cycle)
    assert tally.tally_gc_collect(2) == 1


def threads(tally):
    """ctypes releases Python's GIL in each call; Tally's, where there is one, is its own."""
    shared = tally.tally_list_new(0)
    wrong = []

    def append():
        if tally.tally_thread_attach() != 0:
            wrong.append("a thread cannot attach")
            return
        for value in range(2000, 2200):
            item = tally.tally_int_new(value)
            if tally.tally_list_append(shared, item) != 0:
                wrong.append(tally.tally_error_message())
            tally.tally_decref(item)
            tally.tally_safepoint()
        tally.tally_thread_detach()

    workers = [threading.Thread(target=append) for _ in range(2)]
    tally.tally_blocking_begin()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    tally.tally_blocking_end()
    assert not wrong, wrong
    assert tally.tally_list_length(shared) == 400
    tally.tally_decref(shared)


def main():
    # All in one process: no library calls into another.
    for word in sys.argv[1:]:
        backend, path = word.split("=", 1)
        tally = load(path)
        assert tally.tally_backend() == backend.encode(), tally.tally_backend()
        for _ in range(2):
            assert tally.tally_init(None) == 0
            counts(tally)
            collects(tally)
            threads(tally)
            left = tally.tally_finish()
            assert left == 0, f"{left} objects are alive"
        print(f"{backend}: good")


if __name__ == "__main__":
    main()
