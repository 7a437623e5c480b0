# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the scripts beside the programs share: output that is looked after, and processes that do
not outlive them. Needs Python on Linux alone."""
import ctypes
import errno
import os
import platform
import signal
import subprocess
import sys
import sysconfig

PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None)  # loaded before any fork


class Refused(Exception):
    """What was asked for cannot be done: one line, status 2."""


def begin():
    """Takes descriptors 0 to 2 where they are closed, so that no file gets one of them. Call it
    first."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open("/dev/null", os.O_RDWR if number == 2 else os.O_RDONLY)


def end_with_parent(parent=None):
    """For the child of a fork: the kernel kills it when its parent dies. A parent that is dead by
    now is not its parent any more."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if parent is not None and os.getppid() != parent:
        os._exit(1)


def child():
    """The preexec_fn of a process that is not to outlive this one."""
    parent = os.getpid()
    return lambda: end_with_parent(parent)


def python_name():
    """This interpreter, and whether it is a build that can run without a GIL, and does."""
    gil = getattr(sys, "_is_gil_enabled", lambda: True)()
    free = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
    kind = (
        (" free-threaded" if not gil else " free-threaded with its GIL on") if free else " with GIL"
    )
    return f"{platform.python_implementation()} {platform.python_version()}{kind}"


def run(words, **options):
    return subprocess.run(words, preexec_fn=child(), check=False, **options)


def start(words, **options):
    return subprocess.Popen(words, preexec_fn=child(), **options)


def main(function):
    """Runs it and ends with its status: 2 after Refused, 130 after Ctrl-C, and not with 0 where
    output is lost."""
    name = os.path.basename(sys.argv[0])
    begin()
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    status = 1
    try:
        status = function()
    except Refused as refused:
        print(f"{name}: {refused}", file=sys.stderr)
        status = 2
    except KeyboardInterrupt:
        status = 130
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) or end.code is None else 1
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
    except OSError as error:
        if not lost(error):
            raise
    why = None
    try:
        if sys.stdout is None and status != 2:
            why = "it is closed"
        elif sys.stdout is not None:
            sys.stdout.flush()
    except OSError as error:
        why = error.strerror
    if why or lost.why:
        print(f"{name}: cannot write to standard output: {why or lost.why}", file=sys.stderr)
        status = status or 1
        if (
            sys.stdout is not None
        ):  # what is left in it is lost, and the interpreter is not to say so once more
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    sys.exit(status)


def lost(error):
    """Whether a print has failed: a pipe without a reader, or a full device."""
    if error.filename is None and error.errno in (
        errno.EPIPE,
        errno.ENOSPC,
        errno.EBADF,
        errno.EIO,
    ):
        lost.why = error.strerror
        return True
    return False


lost.why = None
