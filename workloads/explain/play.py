#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Plays an example of memory management step by step: names, objects and counts as the run time
has them after each step.

Usage: play.py [--html FILE] EXAMPLE PROGRAM...

A PROGRAM is explain-<backend>. On a terminal Enter or the right arrow goes on, the left arrow goes
back and q ends; elsewhere all steps are printed. Exit status: 0; 1 a collection freed other objects
than the collector's steps say; 2 a wrong example.
"""
import argparse
import json
import os
import subprocess
import sys
import termios
import tty

import collection
import page
import script


class View:
    """What is seen of one backend in one frame."""

    def __init__(self, scene, before, events=(), copies=None, lists=None, dead=()):
        self.names, self.threads = scene['names'], scene['threads']
        self.objects = {one['id']: one for one in scene['objects']}
        self.before, self.dead = before, {one['id']: one for one in dead}
        self.events, self.copies, self.lists = list(events), copies or {}, lists or {}
        self.places = {}  # of threads during a collection, by letter
        for number in self.dead:  # is seen once more
            if number in before:
                self.objects.setdefault(number, before[number])

    def rows(self):
        return [self.objects[number] for number in sorted(self.objects)]

    def held_by(self, number):
        return [name for name, target in self.names.items() if target == number]


def total(one):
    return one['local'] + one['shared']


def letter(thread):
    return chr(64 + thread)


def count_text(one, halves):
    """The refcount; with halves as its owner and the others count it."""
    if one['immortal']:
        return 'immortal'
    if not halves or not one['owner'] and one['state'] == 'one count':
        return str(total(one))
    owner = f' owner {letter(one["owner"])}' if one['owner'] else ''
    return f'{total(one)} = {one["local"]} local + {one["shared"]} shared{owner}, {one["state"]}'


def grouped(references):
    """The labels by target, in order."""
    found = {}
    for target, label in references:
        found.setdefault(target, []).append(label)
    return found


def note_text(view, one, generations):
    """What has become of an object in this frame."""
    number = one['id']
    if number in view.dead:
        by = view.dead[number]['by']
        return 'freed' + (f' by thread {letter(by)}' if by and len(view.threads) > 1 else '')
    parts = []
    if number in view.copies:
        parts.append(f'copy {view.copies[number]}')
    if view.lists.get(number):
        parts.append(view.lists[number])
    if generations and one['tracked']:
        parts.append(f'generation {one["generation"]}')
    old = view.before.get(number)
    if not view.copies and old is None:
        parts.append('new')
    elif not view.copies and total(old) != total(one):
        parts.append(f'was {total(old)}')
    return ', '.join(parts)


def text_of(view, play):
    lines = []
    names = {one['id']: ', '.join(view.held_by(one['id'])) for one in view.rows()}
    width = max([len(text) for text in names.values()] + [5])
    table = []
    for one in view.rows():
        text = names[one['id']]
        arrow = text + ' ' + '-' * (width - len(text)) + '->' if text else ''
        note = note_text(view, one, play.generations)
        table.append(
            [
                arrow,
                f'#{one["id"]} {one["type"]} {one["value"]}'.rstrip(),
                '' if one['id'] in view.dead else count_text(one, play.halves),
                f'({note})' if note else '',
                '  '.join(
                    f'{", ".join(labels)} -> #{target}'
                    for target, labels in grouped(one['references']).items()
                ),
            ]
        )
    for row in table:
        widths = [max(len(cell) for cell in column) for column in zip(*table)]
        lines.append('  ' + '  '.join(cell.ljust(width) for cell, width in zip(row, widths)))
    return [line.rstrip() for line in lines or ['  no objects']] + [
        f'  * {event}'
        for event in [*(f'{one} {place}' for one, place in view.places.items()), *view.events]
    ]


class Frame:
    def __init__(self, step, part, views):
        self.step, self.part, self.views = step, part, views  # views: by backend

    def groups(self, play):
        """(backends, lines, view): those that look the same are one."""
        found = {}
        for backend, view in self.views.items():
            key = tuple(text_of(view, play))
            found.setdefault(key, ([], view))[0].append(backend)
        return [(backends, list(lines), view) for lines, (backends, view) in found.items()]


def ended(dead, threads):
    """The objects that died, in order where finalizers tell it."""
    known = [one for one in dead if one['order']]
    rest = [f'#{one["id"]}' for one in dead if not one['order']]
    order = ', then '.join(f'#{one["id"]}' for one in sorted(known, key=lambda one: one['order']))
    return [f'freed: {"; and ".join(filter(None, [order, ", ".join(rest)]))}'] if dead else []


def places_of(backend, one, last):
    """Where each thread is in a step of the collection, by letter; last: in the last step."""
    gil, stopped = backend.startswith('gil'), one['stopped'] and not last
    if gil:
        collects, running, blocked = 'collects, with the GIL', *2 * ['is without the GIL']
    elif stopped:
        collects, running = 'collects', 'is stopped at a safepoint'
        blocked = 'is held in its blocked region'
    else:
        collects = 'collects beside the others'
        running, blocked = 'runs', 'is in a blocked region'
    texts = {'running': running, 'blocked': blocked}
    found = {
        letter(number): collects if number == one['by'] else texts[place]
        for number, place in one['before']['threads']
        if place in texts
    }
    return found if len(found) > 1 else {}


def events_of(backend, told):
    """Of the collections of a step."""
    for one in told['collections']:
        kind = 'automatic collection' if one['automatic'] else 'collection'
        text = f'{kind} of generation {one["generation"]} by thread {letter(one["by"])}'
        yield f'{text}: {one["collected"]} unreachable'
        steps = collection.steps_of(backend, one)  # each is verified
        if not one['automatic']:
            yield one, steps


def frames_of(backend, steps, states):
    """Per step a list of (what is done, view)."""
    before, result = {}, []
    for step, told in zip(steps, states):
        views, events = [], []
        for event in events_of(backend, told):
            if isinstance(event, str):
                events.append(event)
                continue
            one, parts = event
            for at, (text, scene, copies, lists) in enumerate(parts, 1):
                seen = {one['id']: one for one in scene['objects']}
                view = View(scene, seen, (), copies, lists)
                view.places = places_of(backend, one, at == len(parts))
                views.append((f'the collector, {at} of {len(parts)}: {text}', view))
        events += ended(told['dead'], told['photo']['threads'])
        views.append(('', View(told['photo'], before, events, dead=told['dead'])))
        before = {one['id']: one for one in told['photo']['objects']}
        result.append(views)
    return result


def states_of(program, steps, file):
    text = ''.join(
        f'step {step.thread}\n' + ''.join(f'{one}\n' for one in step.operations) for step in steps
    )
    done = subprocess.run(
        [program], input=text, capture_output=True, text=True, timeout=600, check=False
    )
    states = [json.loads(line) for line in done.stdout.splitlines()]
    if states and 'error' in states[-1]:
        at = states[-1]['step']
        raise script.Wrong(f'line {steps[at].line}: {states[-1]["error"]}')
    if done.returncode or len(states) != len(steps):
        raise script.Wrong(f'{os.path.basename(program)} failed: {done.stderr.strip()[:200]}')
    return states


class Play:
    def __init__(self, file, programs):
        with open(file, encoding='utf-8') as source:
            self.summary, self.steps = script.compile_script(source.read())
        operations = [one for step in self.steps for one in step.operations]
        self.halves = any(step.thread != 'A' for step in self.steps)
        self.generations = any(one.startswith('threshold') for one in operations)
        self.title = os.path.splitext(os.path.basename(file))[0]
        self.frames = []
        played = {}
        for program in programs:
            backend = os.path.basename(program).removeprefix('explain-')
            played[backend] = frames_of(backend, self.steps, states_of(program, self.steps, file))
        for at, step in enumerate(self.steps):
            for parts in zip(*(views[at] for views in played.values())):
                views = {backend: view for backend, (_, view) in zip(played, parts)}
                texts = dict.fromkeys(text for text, _ in parts)
                self.frames.append(Frame(step, ' / '.join(texts), views))

    def text(self, at):
        frame = self.frames[at]
        lines = [f'{at + 1} of {len(self.frames)}   {frame.step.source}']
        if frame.step.note:
            lines.append(f'  {frame.step.note}')
        if frame.part:
            lines.append(f'  {frame.part}')
        groups = frame.groups(self)
        for backends, content, _ in groups:
            lines += ['', f'  [{", ".join(backends)}]', *content]
        return '\n'.join(lines) + '\n'


def key():
    """One key: next, back, or quit."""
    while True:
        typed = os.read(sys.stdin.fileno(), 8)
        if typed in (b'q', b'\x03', b'\x04', b''):
            return 'quit'
        if typed in (b'\r', b'\n', b' ', b'\x1b[C', b'\x1b[B', b'\x1bOC', b'\x1bOB'):
            return 'next'
        if typed in (b'\x7f', b'b', b'\x1b[D', b'\x1b[A', b'\x1bOD', b'\x1bOA'):
            return 'back'


def interactive(play):
    saved, at = termios.tcgetattr(sys.stdin), 0
    tty.setcbreak(sys.stdin)
    try:
        while True:
            first, _, rest = play.text(at).partition('\n')
            sys.stdout.write(f'\033[H\033[2J\033[1m{first}\033[0m\n{rest}\n')
            sys.stdout.write('Enter or ->: next   <-: back   q: end\n')
            sys.stdout.flush()
            match key():
                case 'quit':
                    return
                case 'back':
                    at = max(0, at - 1)
                case 'next' if at + 1 == len(play.frames):
                    return
                case 'next':
                    at += 1
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, saved)


def write_page(play, file):
    text = page.page_of(play)
    try:
        with open(file + '.tmp', 'w', encoding='utf-8') as out:
            out.write(text)
        os.replace(file + '.tmp', file)
    except OSError as error:
        raise script.Wrong(f"cannot write to '{file}': {error.strerror}") from None
    print(file)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--html')
    parser.add_argument('file')
    parser.add_argument('programs', nargs='+')
    options = parser.parse_args()
    try:
        play = Play(options.file, options.programs)
        if options.html:
            write_page(play, options.html)
        elif sys.stdin.isatty() and sys.stdout.isatty():
            interactive(play)
        else:
            print(f'{play.title}: {play.summary}\n')
            print('\n'.join(play.text(at) for at in range(len(play.frames))), end='', flush=True)
    except (script.Wrong, OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else error
        print(f'tally: {options.file}: {why}', file=sys.stderr)
        return 2
    except collection.Differs as error:
        print(f'tally: {options.file}: {error}', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == '__main__':
    status = main()
    sys.exit(status)
