# SPDX-License-Identifier: LGPL-2.1-or-later
"""watched.py memcheck|asan PROGRAM...: what memcheck or AddressSanitizer finds in the programs
watched-BACKEND: each mistake, in the function that makes it, and nothing where there is none. Exit
status 77: valgrind is not installed."""
import concurrent.futures
import os
import re
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'heap'))
from verdict import end, judge

tool, *programs = sys.argv[1:]
MISTAKES = {
    'freed-read': ('read', 'read_byte'),
    'freed-write': ('write', 'write_byte'),
    'behind-read': ('read', 'read_byte'),
    'behind-write': ('write', 'write_byte'),
    'front-write': ('write', 'write_byte'),
    'large-freed-read': ('read', 'read_byte'),
}
FAULT = 9
# A leak check looks through the whole region of addresses; tally_finish knows of leaks.
MEMCHECK = 'valgrind', '-q', f'--error-exitcode={FAULT}', '--leak-check=no', '--fair-sched=yes'


def run(program, what):
    words = [program, what]
    if tool == 'memcheck':
        words = [*MEMCHECK, *words]
    done = subprocess.run(
        words,
        capture_output=True,
        text=True,
        timeout=300,
        env=dict(os.environ, ASAN_OPTIONS=f'exitcode={FAULT}:detect_leaks=0'),
    )
    return done.returncode, done.stderr


def first_error(said):
    """Whether a read or a write, and the functions, the innermost first."""
    if tool == 'memcheck':
        found = re.search(r'Invalid (read|write) of size 1\n((?:==\d+==    .*\n)+)', said)
        frames = re.compile(r'(?:at|by) 0x[0-9A-F]+: (\w+)')
    else:
        found = re.search(r'^(READ|WRITE) of size 1 .*\n((?:    #.*\n)+)', said, re.M)
        frames = re.compile(r'#\d+ 0x[0-9a-f]+ in (\w+)')
    return (found[1].lower(), frames.findall(found[2])) if found else (None, [])


if tool == 'memcheck' and not shutil.which('valgrind'):
    print('skipped: valgrind is not installed', file=sys.stderr)
    sys.exit(77)


def look(program):
    for what, (access, function) in MISTAKES.items():
        status, said = run(program, what)
        found, frames = first_error(said)
        judge(
            status == FAULT
            and found == access
            and frames[:3] == [function, 'make_mistake', 'main'],
            *(program, what, 'status', status, found, frames, said),
        )
    status, said = run(program, 'correct')
    judge(status == 0 and said == '', program, 'correct: status', status, said)


with concurrent.futures.ThreadPoolExecutor(2) as pool:
    for _ in pool.map(look, programs):
        pass
end()
