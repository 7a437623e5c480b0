# SPDX-License-Identifier: LGPL-2.1-or-later
"""What `tally explain` shows is what the run time has: an example that is changed gives other
pictures, on each backend.

Usage: explain.py PLAY_PY EXPLAIN_PROGRAM...
"""
import pathlib
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree

PLAY = pathlib.Path(sys.argv[1])
PROGRAMS = {path.rsplit('explain-', 1)[1]: path for path in sys.argv[2:]}
EXAMPLES = PLAY.parent / 'examples'
SCRATCH = pathlib.Path(tempfile.mkdtemp())
failed = 0


def check(name, good, seen=''):
    global failed
    print(f'{"ok" if good else "FAIL"} {name}')
    if not good:
        failed += 1
        print(seen)


def call(file, programs, *options):
    words = [sys.executable, '-B', PLAY, *options, file, *programs]
    return subprocess.run(words, capture_output=True, text=True, check=False, stdin=-3)


def played(text, program):
    file = SCRATCH / 'example.txt'
    file.write_text(text)
    done = call(file, [program])
    check(f'{program[-6:]} plays', done.returncode == 0, done.stderr)
    return done.stdout


def refused(text, *words):
    file = SCRATCH / 'wrong.txt'
    file.write_text(text)
    done = call(file, [next(iter(PROGRAMS.values()))])
    good = done.returncode == 2 and not done.stdout and done.stderr.count('\n') == 1
    check(f'refused: {text!r}', good and all(word in done.stderr for word in words), done.stderr)


def counts(shown, label):
    """The counts of an object over the frames."""
    return [int(one) for one in re.findall(rf'#\d+ {label} +(\d+)', shown)]


def changed_examples(backend, program):
    text = (EXAMPLES / 'names.txt').read_text()
    check(f'{backend}: names', counts(played(text, program), 'int 300') == [1, 2, 4, 3, 2])
    shown = played(text.replace('[x, x]', '[x, x, x]'), program)
    check(f'{backend}: names with an item more', counts(shown, 'int 300') == [1, 2, 5, 4, 3], shown)
    shown = played(text.replace('del x', 'w = x'), program)
    check(f'{backend}: names without del', 'w, x' in shown or 'x, w' in shown, shown)

    text = (EXAMPLES / 'cascade.txt').read_text()
    shown = played(text, program)
    check(f'{backend}: cascade', re.search(r'freed: #1, then #2, then #[34]', shown), shown)
    check(f'{backend}: cascade spares', '#5' not in shown.rsplit('freed:', 1)[1], shown)
    shown = played(text.replace('kept = root.right', 'kept = root.left'), program)
    check(f'{backend}: cascade otherwise', 'freed: #1, then #5' in shown, shown)

    text = (EXAMPLES / 'cycle.txt').read_text()
    shown = played(text, program)
    check(f'{backend}: cycle', '2 unreachable' in shown and shown.count('the collector,') == 7)
    subtracted = shown.split('2 of 7', 1)[1].split('3 of 7', 1)[0]
    check(f'{backend}: copies', re.findall(r'copy (\d)', subtracted) == list('0010'), subtracted)
    shown = played(text.replace('del left\n', ''), program)
    check(f'{backend}: a cycle with a name', ': 0 unreachable' in shown, shown)
    subtracted = shown.split('2 of 7', 1)[1].split('3 of 7', 1)[0]
    check(f'{backend}: its copies', re.findall(r'copy (\d)', subtracted) == list('1010'), shown)


def threads(backend, program):
    shown = played((EXAMPLES / 'threads.txt').read_text(), program)
    owned = backend == 'biased'
    check(f'{backend}: halves', ('2 local + 1 shared owner A' in shown) == owned, shown)
    check(f'{backend}: queued', ('queued' in shown) == owned, shown)
    check(f'{backend}: merged', ('0 local + 1 shared, merged' in shown) == owned, shown)
    by = re.findall(r'freed by thread ([AB])', shown)
    check(f'{backend}: who frees', by == (list('BAA') if owned else list('BBA')), shown)
    text = 'x = Node()\nthread B: y = x\ndel x\ndel y\n'
    shown = played(text, program)
    check(f'{backend}: the owner drops the last', 'queued' not in shown, shown)
    check(f'{backend}: at once', 'freed by thread A' in shown, shown)
    # A collection by another thread, while A is in a blocked region.
    shown = played('a = []\na.append(a)\ndel a\nthread B: gc.collect()\n', program)
    check(f'{backend}: B collects', 'by thread B: 1 unreachable' in shown, shown)


def generations(backend, program):
    shown = played((EXAMPLES / 'generations.txt').read_text(), program)
    automatic = 'automatic collection of generation 0' in shown
    check(f'{backend}: generations', automatic == (backend != 'atomic'), shown)
    check(f'{backend}: a survivor', 'generation 1' in shown or backend == 'atomic', shown)


def world(backend, program):
    shown = played((EXAMPLES / 'world.txt').read_text(), program)
    gil = backend == 'gil'
    held = ['A is without the GIL', 'B collects, with the GIL', 'C is without the GIL']
    stopped = ['A is held in its', 'B collects\n', 'C is stopped at a safepoint']
    parts = shown.split('the collector, ')
    check(f'{backend}: seven steps of a stop', len(parts) == 8, shown)
    for place in held if gil else stopped:
        check(f'{backend}: {place.strip()}', f'* {place}' in parts[1], parts[1])
    check(f'{backend}: the end', gil or '* C runs' in parts[7].split(' of 7', 1)[1], parts[7])
    shown = played('a = []\na.append(a)\ndel a\ngc.collect()\n', program)
    check(f'{backend}: one thread is no news', 'collects' not in shown, shown)


def disagreeing():
    """A program that says that its collection freed what is alive."""
    program = next(iter(PROGRAMS.values()))
    liar = SCRATCH / 'explain-liar'
    liar.write_text(
        f'''#!{sys.executable}
import json, subprocess, sys
for line in subprocess.run(["{program}"], stdin=sys.stdin, capture_output=True).stdout.splitlines():
    state = json.loads(line)
    for one in state["collections"]:
        one["after"]["objects"] = one["before"]["objects"]
    print(json.dumps(state))
'''
    )
    liar.chmod(0o755)
    done = call(EXAMPLES / 'cycle.txt', [str(liar)])
    check('a difference is an error', done.returncode == 1 and not done.stdout, done.stderr)
    check('and is said', 'the steps say [2, 3]' in done.stderr, done.stderr)


def copies_with_owners():
    """The page has the copied counts also where it tells owners."""
    file = SCRATCH / 'page.html'
    call(EXAMPLES / 'world.txt', PROGRAMS.values(), f'--html={file}')
    copied = re.findall(r'<section(?:(?!<section).)*? 1 of 7:.*?</section>', file.read_text(), re.S)
    check('copies in the page', copied[0].count('copy 1') >= 2 * len(PROGRAMS), copied)


def pages():
    for example in sorted(EXAMPLES.glob('*.txt')):
        file = SCRATCH / 'page.html'
        done = call(example, PROGRAMS.values(), f'--html={file}')
        text = file.read_text()
        shown = call(example, PROGRAMS.values()).stdout
        frames = int(re.search(r'1 of (\d+)', shown)[1])
        check(f'{example.stem}: a frame per step', text.count('<section') == frames, done.stderr)
        check(f'{example.stem}: offline', not re.search(r'(src|href)="(?!data:)|https?://', text))
        for svg in re.findall(r'<svg.*?</svg>', text, re.S):
            xml.etree.ElementTree.fromstring(svg)
    done = call(EXAMPLES / 'names.txt', PROGRAMS.values(), '--html=/nonexistent/page.html')
    check('a page that cannot be written', done.returncode == 2 and '/nonexistent' in done.stderr)


def main():
    for backend, program in PROGRAMS.items():
        changed_examples(backend, program)
        threads(backend, program)
        generations(backend, program)
        world(backend, program)
    refused('x = 300\ny = w\n', 'line 2', "no name 'w'")
    refused('x = 300\n\nfor\n', 'line 3')
    refused('x = 1 + 2\n', 'line 1', 'no value')
    refused('x = 300\nx.append(x)\n', 'line 2')
    refused('thread Z: x = 1\n', 'line 1', 'A to H')
    refused('run()\n', 'line 1', 'thread A')
    refused('x = []\ngc.collect(7)\n', 'line 2', '0 to 2')
    refused('x = ' + '[' * 60 + ']' * 60 + '\n' + 'y = [' + '1, ' * 200 + ']', 'line 2')
    refused('# nothing\n', 'no step')
    disagreeing()
    copies_with_owners()
    pages()
    sys.exit(1 if failed else 0)


main()
