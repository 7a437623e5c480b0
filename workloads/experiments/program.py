# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the scripts beside the programs share: output that is looked after, and processes that do
not outlive them. Needs Python on Linux alone."""
import argparse
import ctypes
import errno
import json
import os
import platform
import resource
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


def whole(least, most):
    """A type of option."""

    def convert(text):
        if not text.isdecimal() or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(
                f"'{text}' is wrong; give a whole number from {least} to {most}"
            )
        return int(text)

    return convert


def driver_options(text, workloads):
    """The options of a Tally driver, for a script that measures in its stead."""
    parser = argparse.ArgumentParser(
        description=text, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--list",
        action="store_true",
        help="only name this Python, the workloads, and what it cannot set, as JSON",
    )
    parser.add_argument("--workload", choices=workloads, help="the workload; must be given")
    parser.add_argument("--threads", type=whole(1, 256), default=1, metavar="N")
    parser.add_argument("--samples", type=whole(1, 10000), default=5, metavar="N")
    parser.add_argument("--sample-ms", type=whole(1, 600000), default=200, metavar="MS")
    parser.add_argument("--warmup-ms", type=whole(0, 600000), default=100, metavar="MS")
    parser.add_argument("--seed", type=int, default=1)
    return parser


def parse_driver(parser, workloads, **more):
    """None where they asked for the list, which is printed."""
    options = parser.parse_args()
    if options.list:
        print(json.dumps({"name": python_name(), "workloads": list(workloads), **more}))
        return None
    if not options.workload:
        parser.error("which workload? Give --workload NAME")
    return options


def print_run(options, **more):
    """What a driver prints of a run."""
    run = {
        "format": "tally-run",
        "version": 1,
        "workload": options.workload,
        "backend": python_name(),
        "mode": "threads",
        "threads": options.threads,
        "sharing": "own",
        "peak_rss_kib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
    }
    print(json.dumps({**run, **more}))


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
        if sys.stdout is not None:  # what is left is lost, and is not to be told once more
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    sys.exit(status)


def lost(error):
    """Whether a print has failed: a pipe without a reader, or a full device."""
    lost_by = (errno.EPIPE, errno.ENOSPC, errno.EBADF, errno.EIO)
    if error.filename is None and error.errno in lost_by:
        lost.why = error.strerror
        return True
    return False


lost.why = None
