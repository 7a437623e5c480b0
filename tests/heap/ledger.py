# SPDX-License-Identifier: LGPL-2.1-or-later
"""ledger.py TOOL BACKEND=PROGRAM...: memory that a program has made is in its row of the ledger,
with its bytes, and the run time's own sums are those of the tool; the tool's figures have three
digits."""
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


# Rows of tally_heap_ledger, and those of the tool that they are the sum of. Those of malloc hold
# what the snapshot has left there.
SAME = {
    'objects contents merging': ('live', 'dead in cycles', 'queued for a merge'),
    'large': ('large blocks, live', 'large blocks, dead', 'large blocks, queued'),
    'waiting': ('awaiting', 'large blocks, awaiting'),
    'remote': ('freed by another',),
    'free_blocks': ('free blocks',),
    'pool_room': ('pools: ',),
    'free_pools': ('free pools', 'cache: '),
    'side_marks': ('the collector',),
}


def compare_sums(sums, rows, where):
    for ours, theirs in SAME.items():
        one = sum(sums[name] for name in ours.split())
        other = sum(size for row, size in rows.items() if row.startswith(theirs))
        assert abs(one - other) <= max(0.01 * other, 40 << 10), (where, ours, one, other)


with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, 'parts.heap')
    for word in programs:
        backend, program = word.split('=', 1)

        def grown(what):
            """The bytes of the rows that have grown, and those the program has made."""
            made, *sums = run(program, path, what).splitlines()
            made = int(made)
            text = run(tool, path, '--ledger')
            old, new = rows(run(tool, path + '.before', '--ledger')), rows(text)
            words = [line.split() for line in sums]
            compare_sums({name: int(size) for name, size in words}, new, (backend, what, text))
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
