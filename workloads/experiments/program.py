# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the scripts beside the programs share: output that is looked after, processes that do not
outlive them, and a folder that one run at a time writes to. Needs Python on Linux alone."""
import ctypes
import errno
import fcntl
import os
import signal
import subprocess
import sys

PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None)  # loaded before any fork
_claimed = []  # descriptors, open until the end


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


def run(words, **options):
    return subprocess.run(words, preexec_fn=child(), check=False, **options)


def start(words, **options):
    return subprocess.Popen(words, preexec_fn=child(), **options)


def claim(folder):
    """Makes the folder, keeps it for this process until it ends, and proves that a file can be
    written in it."""
    probe = os.path.join(folder, f".tally-probe-{os.getpid()}")
    try:
        os.makedirs(folder, exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        os.close(os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
        os.unlink(probe)
    except OSError as error:
        raise Refused(
            f"cannot write to folder {folder} ({error.strerror}); name a folder you may write with"
            " --output"
        ) from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno == errno.EWOULDBLOCK:
            raise Refused(
                f"another run writes to {folder} at this moment; wait for its end, or name another"
                " folder with --output"
            ) from None
    _claimed.append(descriptor)


def write(folder, files):
    """Writes files, text by name, under temporary names first: a reader finds the old or the new
    one whole."""
    try:
        for name, text in files.items():
            with open(
                os.path.join(folder, f".{name}.{os.getpid()}"), "w", encoding="utf-8"
            ) as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
        for name in files:
            os.replace(os.path.join(folder, f".{name}.{os.getpid()}"), os.path.join(folder, name))
    except OSError as error:
        for name in files:
            try:
                os.unlink(os.path.join(folder, f".{name}.{os.getpid()}"))
            except OSError:
                pass
        raise Refused(f"cannot write to {folder} ({error.strerror}); the run stops here") from None


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
