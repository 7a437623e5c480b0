# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the checks of a script found: judge says what is wrong and goes on; end ends the script."""
import sys

failures = 0


def judge(good, *about):
    global failures
    if not good:
        failures += 1
        print('FAILED:', *about, file=sys.stderr)


def end():
    sys.exit(failures > 0)
