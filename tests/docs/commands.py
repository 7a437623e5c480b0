#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs the commands of a page in order, in a copy of the checkout with the programs of this build.

Usage: commands.py PAGE BUILD ROOT

Commands are the lines of ```sh blocks, and of ```yaml blocks what follows "run:" or "- ./". They
share one shell, as a reader's do. Every line must succeed. NOT_RUN, BRIEF and SHORTER are the only
exceptions; whatever they change or leave out is printed, with the reason. A block in ```console has
a test of its own (tests/heap/guide.py). An indented block is a fault: nobody would run it.
"""
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import tempfile

FOLDERS = ['core', 'gil', 'nogil', 'workloads', 'docs']

# What is left out: a pattern of the line, and why.
NOT_RUN = [
    (r'\./tally (test|soak|findings)\b', 'it takes minutes'),
    (
        r'cmake (--preset (?!checked)|--build build/(?!checked))',
        'the programs of this build are used',
    ),
    (r'ctest .*mine', 'it needs the backend that the page writes'),
    (r'\./tally compare .*\bmine\b', 'it needs the backend that the page writes'),
]
# What the first comparison of a page is given where the page does not say it, so that it takes
# seconds; the others get --dry-run, which judges all options.
BRIEF = [
    ('--rounds', '2'),
    ('--sample-ms', '10'),
    ('--threads', '2'),
    ('--backends', 'gil,biased'),
    ('--workloads', 'churn'),
    ('--quick', None),
]
# What is replaced: an option, by what, and why.
SHORTER = [
    (r'--workloads operations,collector,convoy', '--workloads load-tuple-const', 'fewer workloads'),
    (
        r'--against \S*?\$\{\{.*?\}\}|--against \S+',
        '--against {build}',
        'no other commit is built',
    ),
    (r'( --with-python \S+)+', ' --with-python python3', 'the interpreter that is here'),
]
# Statuses that are no failure.
STATUS = [(r'tune --check', (0, 1)), (r'--against', (0, 3))]


def blocks(text):
    """The kind and the lines of each fenced block."""
    for indent, kind, body in re.findall(r'^( *)```(\w+)\n(.*?)^ *```$', text, re.S | re.M):
        yield kind, [line[len(indent) :] for line in body.splitlines()]


def commands(text):
    for kind, lines in blocks(text):
        if kind == 'sh':
            joined = '\n'.join(lines).replace('\\\n', ' ').split('\n')
            yield from (line for line in joined if line and not line.startswith('#'))
        elif kind == 'yaml':
            found = [re.match(r' *(?:- )?run: (.*)| *- (\./.*)', line) for line in lines]
            yield from (one[1] or one[2] for one in found if one)


def shorter(line, build, measured):
    """The line that is run, and what was done to it; measured: by a line before."""
    changed = []
    for pattern, other, why in SHORTER:
        other = other.format(build=build)
        made = re.sub(pattern, other, line)
        if made != line:
            changed.append(f'{other.strip()} ({why})')
        line = made
    if not line.startswith('./tally compare') or '--dry-run' in line:
        return line, changed
    for name, value in [('--dry-run', None)] if measured else BRIEF:
        if name not in line:
            words = f'{name} {value}' if value else name
            line += ' ' + words
            changed.append(words)
    return line, changed


def checkout(root, build, scratch):
    """A copy of the sources, beside the programs of the build."""
    copy = scratch / 'checkout'
    copy.mkdir()
    for file in root.iterdir():
        if file.is_file():
            shutil.copy2(file, copy)
    for folder in FOLDERS:
        shutil.copytree(root / folder, copy / folder)
    (copy / 'build').mkdir()
    (copy / 'build' / 'release').symlink_to(build)
    return copy


def script_of(text, build):
    """The shell script, and how many lines it runs."""
    script, count, measured = ['set -u'], 0, False
    for line in commands(text):
        why = next((why for pattern, why in NOT_RUN if re.search(pattern, line)), None)
        if why:
            script.append(f'echo {shlex.quote(f"not run: {line}: {why}")}')
            continue
        run, changed = shorter(line, build, measured)
        measured = measured or (run.startswith('./tally compare') and '--dry-run' not in run)
        good = next((good for pattern, good in STATUS if re.search(pattern, line)), (0,))
        tests = ' && '.join(f'[ $status -ne {status} ]' for status in good)
        said = f'== {line}' + (f'\n   with {", ".join(changed)}' if changed else '')
        script += [f'echo {shlex.quote(said)}', run, 'status=$?']
        script.append(f'if {tests}; then echo "status $status"; exit 1; fi')
        count += 1
    return '\n'.join(script) + '\n', count


def main():
    page, build, root = (pathlib.Path(path).resolve() for path in sys.argv[1:])
    text = page.read_text()
    outside = re.sub(r'^ *```.*?^ *```$', '', text, flags=re.S | re.M)
    for line in re.findall(r'^    +(?:\./tally|build/|cmake|cc) .*', outside, re.M):
        sys.exit(f'{page}: in a block that is not run: {line.strip()}')
    script, count = script_of(text, build)
    if not count and '```console' not in text:
        sys.exit(f'{page}: no command is run')
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        copy = checkout(root, build, scratch)
        surroundings = dict(os.environ, HOME=str(scratch), TALLY_NO_BUILD='yes')
        done = subprocess.run(['bash', '-c', script], cwd=copy, env=surroundings, check=False)
    print(f'{count} command{"s" if count != 1 else ""} run', flush=True)
    sys.exit(done.returncode)


main()
