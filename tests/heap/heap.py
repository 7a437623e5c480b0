# SPDX-License-Identifier: LGPL-2.1-or-later
"""heap.py TOOL BACKEND=PROGRAM... [--update]: what the programs known-BACKEND write is the same
heap, and `tally heap` says of it what is true: against golden.txt, against another computation of
paths, retained bytes and cycles, and of files that are cut or changed at any byte."""
import concurrent.futures
import os
import random
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import snapshot
from verdict import end, judge

tool = sys.argv[1]
programs = dict(word.split('=', 1) for word in sys.argv[2:] if '=' in word)
golden = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'golden.txt')
folder = tempfile.TemporaryDirectory()


def run(*words, status=0):
    done = subprocess.run([tool, *words], capture_output=True, text=True, timeout=60)
    judge(done.returncode == status, words, 'status', done.returncode, done.stderr)
    return done.stdout if status == 0 else done.stderr


def write(backend, name, *words):
    path = os.path.join(folder.name, f'{backend}-{name}')
    done = subprocess.run(
        [programs[backend], path, *words], capture_output=True, text=True, timeout=60
    )
    judge(done.returncode == 0, backend, words, done.stderr)
    return path, [int(word) for word in done.stdout.split()]


def masked(text):
    """Without what depends on the backend or the machine; in order, since bytes are."""
    text = re.sub(r'0x[0-9a-f]+', '0x', text)
    text = re.sub(r'[0-9.]+ (bytes|KiB|MiB)', 'BYTES', text)
    text = re.sub(r'[0-9.]+ (%|ms)', r'N \1', text)
    text = re.sub(r'/\S*/(\w+)-known', 'FILE', re.sub(r': (gil|atomic|biased),', ': B,', text))
    text = re.sub(r'one count|private|maybe shared|merged|queued|per-thread', 'STATE', text)
    text = re.sub(r' \(thread \d+ counts.*?\)|, generation \d', '', text)
    return '\n'.join(sorted(re.sub(r' +', ' ', line).strip() for line in text.split('\n') if line))


def shown(path):
    _, _, objects = snapshot.read(path)
    parts = ['\n'.join(snapshot.lines(objects))]
    for words in (
        ['--types'],
        ['--cycles'],
        ['--why', 'float'],
        ['--why', 'pair'],
        ['--why', 'Leak'],
        ['--referrers', 'Task'],
        ['--referrers', 'Config'],
        ['--referrers', 'int', '--rows', '100'],
    ):
        parts.append(f'== {" ".join(words)}\n' + masked(run(path, *words)))
    return '\n'.join(parts) + '\n'


def reach(objects, roots, without=None):
    distance = {root: 0 for root in roots if root != without}
    queue = list(distance)
    for at in queue:
        for _, to in objects[at].references:
            if to not in distance and to != without:
                distance[to] = distance[at] + 1
                queue.append(to)
    return distance


def check_known(backend, wanted):
    path, printed = write(backend, 'known')
    head, threads, objects = snapshot.read(path)
    judge(head['version'] == 3 and head['backend'] == backend, head)
    strong = sum(len(o.references) for o in objects.values())
    total = sum(o.size for o in objects.values())
    judge(printed == [len(objects), strong, total], 'result', printed, strong, total)
    judge(head['references'] == strong and head['bytes'] == total, head)
    judge(threads.get(1) == 1 and threads.get(2) == 0, 'threads', threads)
    states = {o.state for o in objects.values()}
    judge(states <= ({1, 2, 3, 4, 5, 6} if backend == 'biased' else {0, 6}), 'states', states)
    if backend == 'biased':
        judge({o.owner for o in objects.values()} >= {0, 1, 2}, 'owners')
        judge(5 in states, 'a class is counted per thread')
    found = shown(path)
    judge(found == wanted, f'{backend}: differs from golden.txt\n', found)
    return path


def check_random(backend, seed):
    path, _ = write(backend, 'random', 'random', str(seed))
    _, _, objects = snapshot.read(path)
    held = {address: 0 for address in objects}
    for o in objects.values():
        for _, to in o.references:
            held[to] += 1
    roots = [a for a, o in objects.items() if o.state == 6 or o.local + o.shared > held[a]]
    distance = reach(objects, roots)
    for address, o in objects.items():
        if address not in distance or o.type['name'] != 'list':
            continue
        left = reach(objects, roots, without=address)
        retained = sum(objects[a].size for a in distance if a not in left)
        text = run(path, '--why', hex(address << 3))
        judge(f'retains {retained} bytes' in text or retained > 999, hex(address), retained, text)
        steps = f'a root and {distance[address]} reference'
        judge(steps in text, hex(address), steps, text)
    # Objects on a cycle are those that reach themselves.
    cyclic = sum(a in reach(objects, [to for _, to in o.references]) for a, o in objects.items())
    rows = re.findall(r'\d+ list +\d+ +(\d+)', run(path, '--cycles', '--rows', '1000'))
    judge(sum(map(int, rows)) == cyclic, backend, seed, 'on cycles', rows, cyclic)


def survives(name, data):
    """A damaged file is an error or, where only a value changed, none; never a crash."""
    path = os.path.join(folder.name, name)
    with open(path, 'wb') as file:
        file.write(data)
    done = subprocess.run([tool, path], capture_output=True, timeout=60)
    os.unlink(path)
    return done.returncode, done.stderr.decode(errors='replace')


def check_damage(path):
    data = open(path, 'rb').read()
    random.seed(1)
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        cut = pool.map(lambda n: survives(f'cut-{n}', data[:n]), range(len(data)))
        for length, (status, message) in enumerate(cut):
            judge(status == 2 and len(message.splitlines()) == 1, 'cut at', length, status, message)

        def changed(n):
            place = random.randrange(len(data))
            byte = bytes([random.randrange(256)])
            return survives(f'changed-{n}', data[:place] + byte + data[place + 1 :])

        for status, message in pool.map(changed, range(600)):
            judge(status in (0, 2) and len(message.splitlines()) == status // 2, status, message)
    for name, content, word in (
        ('foreign', b'#!/bin/sh\necho this is no snapshot\n', 'no heap snapshot'),
        ('empty', b'', 'truncated'),
        ('newer', data[:8] + b'\x04' + data[9:], 'version 4'),
        ('longer', data + b'\0', 'damaged'),
    ):
        status, message = survives(name, content)
        judge(status == 2 and word in message, name, status, message)


def older(path, version):
    """The same snapshot in an older version of the format."""
    data = bytearray(open(path, 'rb').read())
    head = snapshot.read(path)[0]
    del data[head['queues_at' if version == 2 else 'ledger_at'] :]
    for at in reversed(head['hashes_at']):  # 48 bytes of text, not 36 and a hash
        data[at : at + 8] = b'tes which a '
    data[8] = version
    old = os.path.join(folder.name, f'version-{version}')
    with open(old, 'wb') as file:
        file.write(data)
    snapshot.read(old)
    return old


def check_older(path):
    for version in 1, 2:
        old = older(path, version)
        text, new = (run(each, '--types').split('\n')[1:] for each in (old, path))
        judge(text == new, 'an older file is read', text, new)
        everything = run(old)
        judge('Duplicates' not in everything and 'Owners' in everything, 'of an older file')
        judge('no hashes' in run(old, '--duplicates', status=2), 'no hashes')
        judge('no queues' in run(old, '--waiting', status=2), 'no queues')
        page = os.path.join(folder.name, 'older.html')
        run(old, '--html', page)
        judge('What retains' in open(page, encoding='utf-8', errors='replace').read(), 'a page')
    judge('The ledger' in run(older(path, 2), '--ledger'), 'the ledger of version 2')
    old = older(path, 1)
    judge('no ledger' in run(old, '--ledger', status=2), 'no ledger')
    judge('no ledger' in run(old, '--arenas', old + '.svg', status=2), 'no ledger to draw')


def reached_from_roots(objects):
    held = {address: 0 for address in objects}
    for o in objects.values():
        for _, to in o.references:
            held[to] += 1
    return reach(
        objects, [a for a, o in objects.items() if o.state == 6 or o.local + o.shared > held[a]]
    )


def check_duplicates(backend, words, exact):
    """Groups of equal values, by a computation of their own: a value is a nested tuple."""
    path, _ = write(backend, '-'.join(('duplicates', *words)), *words)
    _, _, objects = snapshot.read(path)
    values = {}

    def value(address):
        if address not in values:
            o = objects[address]
            layout, name = o.type['layout'], o.type['name']
            if layout == 'items' and name == 'tuple':
                values[address] = (name, *(value(to) for _, to in o.references))
            elif layout == 'float':
                values[address] = (name, o.value, str(o.value))  # 0.0 is not -0.0
            elif layout in ('int', 'str'):
                values[address] = (name, o.value, o.hash, getattr(o, 'length', 0))
            else:
                values[address] = address
        return values[address]

    groups = {}
    for address in reached_from_roots(objects):
        if isinstance(value(address), tuple):
            groups.setdefault(value(address), []).append(objects[address].size)
    wanted = sorted(
        (sum(sizes) - sizes[0], len(sizes)) for sizes in groups.values() if len(sizes) > 1
    )
    text = run(path, '--duplicates', '--rows', '100000')
    found = re.search(r'that cannot change: (\d+) objects?, (\S+ \S+) would be saved', text)
    copies = sum(count - 1 for _, count in wanted)
    judge(found is not None and int(found[1]) == copies, backend, words, copies, text)
    rows = re.findall(r'  (\d+) +[\d.]+ (?:bytes|KiB) +([\d.]+) (bytes|KiB)', text)
    judge(len(rows) == len(wanted), backend, words, len(rows), len(wanted))
    counts = sorted(int(count) for count, _, _ in rows)
    judge(counts == sorted(count for _, count in wanted), backend, words, 'objects per value')
    small = sorted(int(saved) for _, saved, unit in rows if unit == 'bytes')
    judge(small == sorted(saved for saved, _ in wanted if saved < 1000), backend, words, small)
    judge(copies > 0 or not exact, backend, words, 'there are duplicates')
    return len(wanted), copies, masked(text)


def check_arguments(path):
    judge('Usage: tally-heap' in run('--help'), 'help')
    for words in (
        [],
        [path, path, path],
        [path, '--rows', '0'],
        [path, '--wat'],
        [path, '--why'],
        [path, '--why', 'Nobody'],
        [path, '--why', '0x10'],
        ['/nonexistent'],
        ['/'],
    ):
        judge(len(run(*words, status=2).splitlines()) == 1, words)
    judge('tally-heap: cannot' in run(path, '--html', '/dev/null/a.html', status=2), 'no folder')
    dot = run(path, '--dot', 'Task')
    judge(dot.startswith('digraph') and '.parent' in dot and dot.endswith('}\n'), dot)


if '--update' in sys.argv:
    with open(golden, 'w') as file:
        file.write(shown(write(list(programs)[0], 'known')[0]))
    sys.exit()
with open(golden) as file:
    wanted = file.read()
paths = {backend: check_known(backend, wanted) for backend in programs}
for backend in programs:
    for seed in range(3):
        check_random(backend, seed)
    chain, _ = write(backend, 'chain', 'chain', '300000')
    text = run(chain, '--types', '--cycles', '--objects', '--rows', '3')
    judge('list' in text and '300001' in text, 'a deep chain', text)
    grown = run(paths[backend], chain)
    judge(re.search(r'list +\d+ +300001 ', grown) is not None, 'growth', grown)
for words in ('values', '1'), ('values', '2'), ('random', '1'):
    found = {
        backend: check_duplicates(backend, words, words[0] == 'values') for backend in programs
    }
    judge(len({each[:2] for each in found.values()}) == 1, 'equal on all backends', found)
check_damage(paths[list(programs)[0]])
check_arguments(paths[list(programs)[0]])
check_older(paths[list(programs)[0]])
end()
