# SPDX-License-Identifier: LGPL-2.1-or-later
"""waiting.py TOOL BACKEND=PROGRAM...: `tally heap --waiting` tells what waits in the programs
waits-BACKEND: for which thread, and what that one does."""
import os
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import snapshot
from verdict import end, judge

tool = sys.argv[1]
programs = dict(word.split('=', 1) for word in sys.argv[2:])
AGE = r'[\d.]+ (ns|µs|ms|s)|0'
IN_QUEUE = rf'in a merge queue +thread 2  running +1 +\S+ bytes +({AGE})$'
HOME = r'freed by another thread +thread 3  in a blocking region for \S+ m?s +\d+ +\S+ \S+ +–$'
BATCH = r'retired, until a grace period has passed +thread 2  not yet at a safepoint +– +\S+ \S+ +'
BATCH += rf'({AGE})$'


with tempfile.TemporaryDirectory() as folder:
    for backend, program in programs.items():
        path = os.path.join(folder, backend)
        done = subprocess.run([program, path], capture_output=True, text=True, timeout=60)
        judge(done.returncode == 0, backend, done.returncode, done.stderr)
        text = subprocess.run(
            [tool, path, '--waiting'], capture_output=True, text=True, timeout=60
        ).stdout
        queues = snapshot.read(path)[0]['queues']
        judge(set(queues['threads']) == {1, 2, 3}, backend, queues)
        owners, free = backend == 'biased', backend != 'gil'
        for pattern, wanted in (IN_QUEUE, owners), (HOME, free), (BATCH, free):
            found = re.search(pattern, text, re.M)
            judge((found is not None) == wanted, backend, pattern, text)
        queue = queues['threads'][2]
        judge((queue['queued'], queue['age'] is not None) == (owners, owners), backend, queue)
        judge(bool(queue['queued_bytes']) == owners, backend, queue)
        judge((queues['threads'][3]['away'] is not None) == free, backend, queues)
        judge(queue['away'] is None and queues['threads'][1]['away'] is None, backend, queues)
        behind = [batch for batch in queues['batches'] if batch['behind'] == [2]]
        judge(bool(behind) == free, backend, queues)
        judge(all(batch['age'] is not None for batch in queues['batches']), backend, queues)
        if not free:
            judge('What waits\nnone\n' in text, backend, text)
        counted = re.search(r'Counted per thread\ntype ', text)
        judge((counted is not None) == owners, backend, text)
end()
