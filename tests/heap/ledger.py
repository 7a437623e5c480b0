# SPDX-License-Identifier: LGPL-2.1-or-later
"""ledger.py TOOL BACKEND=PROGRAM...: memory that a program has made is in its row of the ledger,
with its bytes; the tool's figures have three digits."""
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from sum import rows

tool, *programs = sys.argv[1:]


def run(*words):
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, (words, done.stdout, done.stderr)
    return done.stdout


with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, 'parts.heap')
    for word in programs:
        backend, program = word.split('=', 1)

        def grown(what):
            """The bytes of the rows that have grown, and those the program has made."""
            made = int(run(program, path, what))
            text = run(tool, path, '--ledger')
            old, new = rows(run(tool, path + '.before', '--ledger')), rows(text)
            more = {row: size - old.get(row, 0) for row, size in new.items()}
            return (
                lambda begin: sum(n for row, n in more.items() if row.startswith(begin)),
                made,
                text,
            )

        row, made, text = grown('live')
        assert abs(row('live objects, blocks of') - made) < 0.01 * made, (backend, made, text)
        row, made, text = grown('cycles')
        assert abs(row('dead in cycles') - made) < 0.01 * made, (backend, made, text)
        row, made, text = grown('waiting')
        waiting = row('awaiting a grace period') + row('large blocks, awaiting')
        if backend == 'gil':  # nothing waits
            assert waiting == 0, text
        else:
            assert abs(waiting - made) < 0.02 * made, (backend, made, waiting, text)
        row, made, text = grown('pinned')
        free = row('free ') + row('cache: ') + row('awaiting a grace period: pools')
        assert free > 0.9 * made, (backend, made, free, text)
        pinned = text.split('What holds')[1]
        assert 'float' in pinned and 'list [i]' in pinned, text
        run(tool, path, '--arenas', os.path.join(folder, 'arenas.svg'))
        with open(os.path.join(folder, 'arenas.svg')) as file:
            assert file.read().rstrip().endswith('</svg>')
