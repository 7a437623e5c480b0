#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The differential fuzzer: runs the same scripts on two interpreters of them and
compares what they show. README.md describes it.

    fuzz.py run --programs DIR [--backends A,B] [--python] [--operations N] [--seed S]
                [--length N] [--jobs N] [--without OP,...] [--keep FILE]
        every backend against the first one; with --python the first one against
        CPython. A script that differs, crashes or hangs is shrunk and shown.
    fuzz.py failures --programs DIR --backends A,B [--operations N] [--seed S]
        every allocation of each operation fails once; what is shown has to be what
        is shown without failures. Needs the programs fuzz-fail-BACKEND.
    fuzz.py shrink --programs DIR FILE ONE OTHER
        ONE and OTHER are backends, or python. Prints the shrunk script.

Exit status: 0 all the same, 1 a difference, 2 a wrong argument.
"""
import argparse
import concurrent.futures
import os
import signal
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
HANG_SECONDS = 20  # a script of a thousand operations takes some milliseconds
CHUNK = 100000  # operations of one process


class Interpreter:
    def __init__(self, programs, name):
        self.name = name
        self.python = name == 'python'
        self.program = os.path.join(programs, 'fuzz-' + name)
        if not self.python and not os.access(self.program, os.X_OK):
            sys.exit('fuzz.py: no program %s; build it first' % self.program)

    def command(self, *words):
        if self.python:
            return [sys.executable, '-S', '-E', '-B', os.path.join(HERE, 'cpython.py')] + list(
                words
            )
        return [self.program, '--script', '-'] + list(words)

    def play(self, text, *words):
        """What it prints for a script; how it ended stands at the end."""
        try:
            done = subprocess.run(
                self.command(*words),
                input=text.encode(),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                timeout=HANG_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return b'hang\n', b''
        end = (
            b''
            if done.returncode in (0, 1) and b'Sanitizer' not in done.stderr
            else b'ended with %d\n' % done.returncode
        )
        return done.stdout + end, done.stderr


def flags_of(one, other):
    """Without a GIL, atomic refcounts let removed keys live on, and have one generation: episodes
    with any keys, or with generations, are not for them, and what a hook changes is not shown."""
    names = one.name, other.name
    return ['--atomic'] if 'atomic' in names and 'python' not in names else []


def differ(text, one, other):
    """They show something else, or either crashes; an interpreter against itself: it crashes or
    leaves objects."""
    a, b = (each.play(text, *flags_of(one, other))[0] for each in (one, other))
    bad = any(word in a + b for word in (b'ended with', b'hang', b'left'))
    return bad or a != b


def shrink(text, one, other, say=lambda line: None):
    """Delta debugging: removes lines, many at once first, as long as the rest differs. The mode
    stays: it says which differences are meant."""
    lines = text.strip().split('\n')
    head = [line for line in lines if line.startswith(('episode', 'mode'))]
    lines = [line for line in lines if line not in head]
    size = len(lines) // 2
    while size:
        at = 0
        while at < len(lines):
            fewer = lines[:at] + lines[at + size :]
            if fewer and differ('\n'.join(head + fewer) + '\n', one, other):
                lines = fewer
            else:
                at += size
        say('  %d lines are left, pieces of %d' % (len(lines), size))
        size = min(size // 2, len(lines))
    return '\n'.join(head + lines) + '\n'


def report(text, one, other, keep):
    say = lambda line: print(line, file=sys.stderr)
    if not differ(text, one, other):
        print('%s and %s differ in a run, but not in this script alone' % (one.name, other.name))
        small = text
    else:
        small = shrink(text, one, other, say)
    with open(keep, 'w', encoding='utf-8') as file:
        file.write(small)
    print('--- %s and %s differ; the script, also in %s:' % (one.name, other.name, keep))
    print(small if len(small) < 4000 else small[:4000] + '...')
    for interpreter in (one, other):
        shown, errors = interpreter.play(small, '--trace', *flags_of(one, other))
        errors = b'\n'.join(line for line in errors.split(b'\n') if b'error ignored' not in line)
        print('--- %s shows:' % interpreter.name)
        print(shown[-3000:].decode(errors='replace') + errors[-3000:].decode(errors='replace'))


def script_of(generator, seed, length, portable, without):
    words = [
        generator,
        '--seed',
        str(seed),
        '--operations',
        str(length),
        '--length',
        str(length),
        '--dump',
        '--without',
        without,
    ]
    return subprocess.run(
        words + (['--portable'] if portable else []), stdout=subprocess.PIPE, check=True
    ).stdout.decode()


def lines_of(command, errors, source=None):
    """The lines of a run; the last says how it ended, if it ended ill."""
    with tempfile.TemporaryFile() as stderr:
        feeder = subprocess.Popen(source, stdout=subprocess.PIPE) if source else None
        process = subprocess.Popen(
            command,
            stdin=feeder.stdout if feeder else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
        )
        if feeder:
            feeder.stdout.close()
        out = process.communicate()[0].decode(errors='replace').split('\n')
        if feeder:
            feeder.wait()
        if process.returncode < 0 or process.returncode > 1:
            stderr.seek(0)
            errors.append(
                '%s: %s\n' % (command[0], process.returncode)
                + stderr.read()[-2000:].decode(errors='replace')
            )
    return dict(line.split(' ', 1) for line in out if ' ' in line)


def compare_chunk(reference, other, seed, operations, length, portable, without):
    """The first seed whose lines differ, or None; how many were compared."""
    errors = []
    words = [
        '--seed',
        str(seed),
        '--operations',
        str(operations),
        '--length',
        str(length),
        '--without',
        without,
    ]
    flags = ['--portable'] if portable else []

    def command(interpreter):
        return [interpreter.program] + words + flags + flags_of(reference, other)

    expected = lines_of(command(reference), errors)
    if other.python:
        got = lines_of(other.command(), errors, [reference.program, '--dump'] + words + flags)
    else:
        got = lines_of(command(other), errors)
    count = 0
    for s in range(seed, seed + operations // length):
        a, b = expected.get(str(s)), got.get(str(s))
        if b == 'skipped':
            continue
        if a is None or a != b or 'left' in a:
            return s, count, errors
        count += 1
    return None, count, errors


def command_run(options):
    backends = options.backends.split(',')
    interpreters = [Interpreter(options.programs, name) for name in backends]
    reference = interpreters[0]
    pairs = [(other, False) for other in interpreters[1:] or [reference]]
    if options.python:
        pairs = [(Interpreter(options.programs, 'python'), True)]
    chunks = []
    episodes = max(1, options.operations // options.length)
    per_chunk = max(1, CHUNK // options.length)
    for first in range(0, episodes, per_chunk):
        for other, portable in pairs:
            chunks.append((other, portable, options.seed + first, min(per_chunk, episodes - first)))
    totals, failed = {}, {}
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        futures = {}
        waiting = iter(chunks)

        def submit():
            for other, portable, seed, count in waiting:
                if other.name in failed:
                    continue
                futures[
                    pool.submit(
                        compare_chunk,
                        reference,
                        other,
                        seed,
                        count * options.length,
                        options.length,
                        portable,
                        options.without,
                    )
                ] = (other, portable)
                return

        for _ in range(options.jobs):
            submit()
        while futures:
            done, _ = concurrent.futures.wait(
                futures, return_when=concurrent.futures.FIRST_COMPLETED
            )
            for future in done:
                other, portable = futures.pop(future)
                seed, count, errors = future.result()
                totals[other.name] = totals.get(other.name, 0) + count
                if seed is not None and other.name not in failed:
                    failed[other.name] = (other, seed, portable, errors)
                submit()
    for other, _ in pairs:
        print(
            '%s against %s: %d operations, %s'
            % (
                other.name,
                reference.name,
                totals.get(other.name, 0) * options.length,
                'A DIFFERENCE' if other.name in failed else 'the same',
            )
        )
    sys.stdout.flush()
    for other, seed, portable, errors in failed.values():
        print('episode %d:' % seed)
        for error in errors:
            print(error)
        text = script_of(reference.program, seed, options.length, portable, options.without)
        keep = options.keep or 'fuzz-%s-%d.script' % (other.name, seed)
        report(text, reference, other, os.path.abspath(keep))
    return 1 if failed else 0


def command_failures(options):
    status = 0
    for name in options.backends.split(','):
        program = os.path.join(options.programs, 'fuzz-fail-' + name)
        words = [
            program,
            '--fail',
            '--seed',
            str(options.seed),
            '--operations',
            str(options.operations),
        ]
        words += ['--atomic'] if name == 'atomic' else []
        plain = subprocess.run(
            words + ['--no-failures'], stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False
        )
        failing = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
        errors = [
            line
            for line in failing.stderr.decode(errors='replace').split('\n')
            if 'error ignored' not in line
        ]
        same = plain.returncode == failing.returncode == 0 and plain.stdout == failing.stdout
        print(
            '%s: %s; %s'
            % (
                name,
                ' '.join(errors[-2:]).strip(),
                'what is shown is the same' if same else 'A DIFFERENCE',
            )
        )
        if not same:
            status = 1
            print(
                '\n'.join(errors[-60:]),
                '\nexit statuses %d and %d' % (plain.returncode, failing.returncode),
            )
            shown = [
                line
                for line in failing.stdout.decode().split('\n')
                if line not in plain.stdout.decode().split('\n')
            ]
            print('\n'.join(shown[:20]))
    return status


def command_shrink(options):
    one, other = Interpreter(options.programs, options.one), Interpreter(
        options.programs, options.other
    )
    with open(options.file, encoding='utf-8') as file:
        text = file.read()
    if not differ(text, one, other):
        print('the two show the same', file=sys.stderr)
        return 1
    report(text, one, other, options.file + '.small')
    return 0


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    commands = parser.add_subparsers(dest='command', required=True)
    run = commands.add_parser('run')
    run.add_argument('--programs', required=True)
    run.add_argument('--backends', default='gil')
    run.add_argument('--python', action='store_true')
    run.add_argument('--operations', type=int, default=200000)
    run.add_argument('--seed', type=int, default=1)
    run.add_argument('--length', type=int, default=1000)
    run.add_argument('--jobs', type=int, default=len(os.sched_getaffinity(0)))
    run.add_argument('--without', default='', help='operations that scripts do not have')
    run.add_argument('--keep')
    failures = commands.add_parser('failures')
    failures.add_argument('--programs', required=True)
    failures.add_argument('--backends', default='gil')
    failures.add_argument('--operations', type=int, default=20000)
    failures.add_argument('--seed', type=int, default=1)
    small = commands.add_parser('shrink')
    small.add_argument('--programs', required=True)
    small.add_argument('file')
    small.add_argument('one')
    small.add_argument('other')
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sys.exit(
        {'run': command_run, 'failures': command_failures, 'shrink': command_shrink}[
            options.command
        ](options)
    )


if __name__ == '__main__':
    main()
