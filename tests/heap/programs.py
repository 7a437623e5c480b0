# SPDX-License-Identifier: LGPL-2.1-or-later
"""programs.py TOOL BACKEND=PROGRAM... [--cpython]: ten programs, each written as lines that
built-BACKEND runs on Tally and this file in Python. All backends give the same answers: counts by
type, the length of the shortest path to each object, and what each one retains. --cpython: objgraph
and guppy3 give the same of the objects of CPython.

Exit status 77 with --cpython where objgraph is not installed.
"""
import gc
import os
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import snapshot
from verdict import end, judge

try:
    import guppy
except ImportError:
    guppy = None

TYPES = 'Node', 'list', 'dict', 'tuple'
PROGRAMS = {
    'a tree': """
        node root; node left; node right; node leaf; slot root 0 left; slot root 1 right
        slot left 0 leaf; drop left; drop right; drop leaf""",
    'a diamond': """
        node top; node left; node right; node bottom; slot top 0 left; slot top 1 right
        slot left 0 bottom; slot right 0 bottom; drop left; drop right; drop bottom""",
    'a chain': """
        list a; list b; list c; list d; list e; append a b; append b c; append c d; append d e
        drop b; drop c; drop d; drop e""",
    'a ring that is held': """
        node a; node b; node c; slot a 0 b; slot b 0 c; slot c 0 a; drop b; drop c""",
    'a ring that is lost': """
        node a; list b; node keep; slot a 0 b; append b a; slot a 1 keep; drop a; drop b""",
    'a dict of lists': """
        dict d; list x; list y; node z; append x z; append y z; set d 1 x; set d 2 y; set d 3 y
        drop x; drop y; drop z""",
    'tuples of tuples': """
        node n; tuple t n; tuple u t t; tuple v u n; list l; append l v; drop n; drop t; drop u
        drop v""",
    'two roots': """
        list first; list second; node shared; node own; append first shared; append second shared
        append second own; drop shared; drop own""",
    'a long way and a short one': """
        node start; node one; node two; node end; list tail; slot start 0 one; slot one 0 two
        slot two 0 end; slot start 1 end; slot end 0 tail;
        drop one; drop two; drop end; drop tail""",
    'a parent and its children': """
        node parent; list children; node a; node b; dict about; slot parent 0 children
        append children a; append children b; slot a 0 parent; slot b 0 parent; slot b 1 about
        set about 7 a; drop children; drop a; drop b; drop about""",
}


def lines_of(program):
    return [line.split() for line in re.split('[;\n]', program) if line.strip()]


# ---- Tally ------------------------------------------------------------------------------


def reach(objects, roots, without=None):
    seen = {root for root in roots if root != without}
    queue = list(seen)
    for at in queue:
        new = {to for _, to in objects[at].references if to != without} - seen
        seen |= new
        queue += new
    return seen


def dominated(objects, address):
    """What only this object leads to, by taking it away."""
    held = {one: 0 for one in objects}
    for o in objects.values():
        for _, to in o.references:
            held[to] += 1
    roots = [a for a, o in objects.items() if o.state == 6 or o.local + o.shared > held[a]]
    whole = reach(objects, roots)
    return whole - reach(objects, roots, address) if address in whole else set()


def tally(tool, program, lines, folder):
    """Counts by type, lengths of paths by name (None: lost), and the names of what each name
    retains, if a root leads to it."""
    text, path = os.path.join(folder, 'lines'), os.path.join(folder, 'heap')
    with open(text, 'w', encoding='utf-8') as file:
        file.writelines(' '.join(words) + '\n' for words in lines)
    done = subprocess.run([program, text, path], capture_output=True, text=True, timeout=60)
    judge(done.returncode == 0, program, done.stderr)
    names = dict(line.split() for line in done.stdout.splitlines())

    def ask(*words):
        done = subprocess.run([tool, path, *words], capture_output=True, text=True, timeout=60)
        judge(done.returncode == 0, words, done.stderr)
        return done.stdout

    counts = dict(re.findall(r'^(\w+) +(\d+) ', ask('--types', '--rows', '1000'), re.M))
    paths, retained = {}, {}
    _, _, objects = snapshot.read(path)
    of = {int(address, 16) >> 3: name for name, address in names.items()}
    for name, address in names.items():
        why = ask('--why', address)
        found = re.search(r'a root and (\d+) reference', why)
        paths[name] = int(found[1]) if found else None
        if not found:
            continue
        among = dominated(objects, int(address, 16) >> 3)
        total = sum(objects[one].size for one in among)
        wanted = f'{total} bytes' if total < 999.5 else f'{total / 1024:.2f} KiB'
        judge(f'retains {wanted},' in why, program, name, why, wanted)
        judge(among <= set(of), program, name, 'retains an object without a name')
        retained[name] = sorted(of[one] for one in among)
    return {name: int(counts.get(name, 0)) for name in TYPES}, paths, retained


def without(counts, empty):
    """Less what the run time, or the test, has of its own."""
    return {name: counts[name] - empty[name] for name in TYPES}


# ---- CPython ----------------------------------------------------------------------------


class Node:
    __slots__ = 'a', 'b', 'c'


def build(lines, held, numbers):
    """held has the names that hold an object; numbers the id of the object of each name."""
    for what, name, *rest in lines:
        if what in ('node', 'list', 'dict', 'tuple'):
            made = {'node': Node, 'list': list, 'dict': dict}
            held[name] = made[what]() if what in made else tuple(held[item] for item in rest)
            numbers[name] = id(held[name])
        elif what == 'append':
            held[name].append(held[rest[0]])
        elif what == 'set':
            held[name][int(rest[0])] = held[rest[1]]
        elif what == 'slot':
            setattr(held[name], 'abc'[int(rest[0])], held[rest[1]])
        else:
            del held[name]


def python_answers(lines):
    """Counts and paths of objgraph, and what guppy3, if it is there, says is dominated by each name
    that holds."""
    import objgraph

    gc.collect()
    gc.disable()
    held, numbers = {'': gc}, {}
    del held['']  # the collector knows it from now on, so objgraph counts it before and after
    before = objgraph.typestats()
    build(lines, held, numbers)
    after = objgraph.typestats()
    counts = {name: after.get(name, 0) - before.get(name, 0) for name in TYPES}
    of = {number: name for name, number in numbers.items()}
    heap, paths, retained = guppy and guppy.hpy(), {}, {}
    for name in held if guppy else ():
        nodes = heap.iso(held[name]).dominos.nodes
        retained[name] = sorted(of[id(one)] for one in nodes if id(one) in of)
    roots = {numbers[name] for name in held}
    for found in [one for one in gc.get_objects() if id(one) in of]:
        chain = objgraph.find_backref_chain(
            found, lambda one: id(one) in roots, max_depth=20, extra_ignore=[id(held)]
        )
        paths[of[id(found)]] = len(chain) - 1 if id(chain[0]) in roots else None
    gc.enable()
    return counts, paths, retained


def compare_cpython(title, lines, answers):
    counts, paths, retained = answers
    empty, _, _ = python_answers([])
    other_counts, other_paths, other_retained = python_answers(lines)
    other_counts = without(other_counts, empty)
    judge(counts == other_counts, title, 'counts: Tally', counts, 'objgraph', other_counts)
    judge(paths == other_paths, title, 'paths: Tally', paths, 'objgraph', other_paths)
    for name, names in other_retained.items():
        judge(retained[name] == names, title, name, 'retains', retained[name], 'guppy3', names)


def main():
    tool, words = sys.argv[1], [word for word in sys.argv[2:] if '=' in word]
    programs = dict(word.split('=', 1) for word in words)
    cpython = '--cpython' in sys.argv
    if cpython:
        try:
            import objgraph
        except ImportError as why:
            print(f'{why}: Tally was not compared with CPython', file=sys.stderr)
            sys.exit(77)
        if not guppy:
            print('guppy3 is not installed: what objects retain was not compared', file=sys.stderr)
    assert len(PROGRAMS) == 10
    with tempfile.TemporaryDirectory() as folder:
        for title, program in PROGRAMS.items():
            lines, by_backend = lines_of(program), {}
            for backend, path in programs.items():
                counts, paths, retained = tally(tool, path, lines, folder)
                counts = without(counts, tally(tool, path, [], folder)[0])
                answers = by_backend[backend] = counts, paths, retained
                if cpython:
                    compare_cpython(f'{title}, {backend}', lines, answers)
            first = next(iter(by_backend.values()))
            for backend, answers in by_backend.items():
                judge(answers == first, title, backend, answers, first)
    end()


main()
