#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs threaded stress, the fuzzer and the task server by turns for a time, and watches memory.

    soak.py --build DIR --minutes N [--backends A,B] [--only stress,fuzz,server] [--threads N]
            [--seed S] [--output DIR]

Every turn takes the next seed. A turn that fails is kept in the output folder, with the command
that repeats it. Ctrl-C ends the turn and prints the table so far.
Exit status: 0 nothing failed, 1 something did, 130 Ctrl-C.
"""
import argparse
import datetime
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
FUZZ = os.path.join(ROOT, 'tests', 'fuzz', 'fuzz.py')
SERVER = os.path.join(ROOT, 'workloads', 'experiments', 'server', 'load.py')
LONGEST_TURN = 60  # seconds
WATCHED = ('soak-', 'fuzz-', 'task-server')
SLOWER = {'Asan': 10, 'Tsan': 20}


class Job:
    """What takes turns: its row of the table."""

    def __init__(self, name, command, unit):
        self.name, self.command, self.unit = name, command, unit
        self.turns = self.failed = self.amount = 0
        self.seconds = 0.0
        self.most = 0  # KiB
        self.growth = []  # of each turn: last third over the middle third


class Stopped(Exception):
    """Ctrl-C."""


def memory_of(group):
    """KiB of the largest watched process in a process group."""
    most = 0
    for pid in os.listdir('/proc'):
        if not pid.isdigit():
            continue
        try:
            with open('/proc/%s/stat' % pid) as file:
                text = file.read()
            name, rest = (
                text[text.index('(') + 1 : text.rindex(')')],
                text[text.rindex(')') + 2 :].split(),
            )
            if int(rest[2]) == group and name.startswith(WATCHED):
                most = max(most, int(rest[21]) * (os.sysconf('SC_PAGE_SIZE') // 1024))
        except (OSError, ValueError, IndexError):
            continue
    return most


def growth(samples):
    """How much the last third has over the middle one, in per cent; None: too short to tell."""
    third = len(samples) // 3
    if third < 3:
        return None
    middle, last = statistics.median(samples[third : 2 * third]), statistics.median(
        samples[2 * third :]
    )
    return (last / middle - 1) * 100 if middle else None


class Soak:
    def __init__(self, options):
        self.options = options
        self.began = time.monotonic()
        self.end = self.began + options.minutes * 60
        self.seed = options.seed
        self.process = None
        self.stopped = False
        self.tty = sys.stderr.isatty()
        with open(os.path.join(options.build, 'CMakeCache.txt'), encoding='utf-8') as file:
            cache = file.read()
        self.slower = next(
            (n for kind, n in SLOWER.items() if 'CMAKE_BUILD_TYPE:STRING=%s\n' % kind in cache), 1
        )
        self.jobs = self.find_jobs()

    def program(self, folder, name):
        return os.path.join(self.options.build, folder, name)

    def find_jobs(self):
        jobs, only = [], self.options.only.split(',')
        backends = self.options.backends.split(',')

        def fuzzer(seed, command, pair, operations, *more):
            programs = self.program('tests', 'fuzz')
            words = ['--programs', programs, '--backends', pair, '--operations', str(operations)]
            return [
                sys.executable,
                '-B',
                FUZZ,
                command,
                *words,
                '--seed',
                str(seed * 1000003),
                *more,
            ]

        for backend in backends:
            if 'stress' in only:
                stress = (
                    lambda seed, seconds, name, more: [
                        self.program('tests/soak', name),
                        '--seconds',
                        str(seconds),
                        '--seed',
                        str(seed),
                        '--threads',
                        str(self.options.threads),
                    ]
                    + more
                )
                jobs.append(
                    Job(
                        'stress ' + backend,
                        lambda seed, seconds, b=backend: stress(seed, seconds, 'soak-' + b, []),
                        'operations',
                    )
                )
                jobs.append(
                    Job(
                        'stress with delays ' + backend,
                        lambda seed, seconds, b=backend: stress(
                            seed, seconds, 'soak-delays-' + b, ['--delays', str(seed)]
                        ),
                        'operations',
                    )
                )
            if 'fuzz' in only:
                pair = backends[0] if backend == backends[0] else backends[0] + ',' + backend
                amount = 1000000 // self.slower
                jobs.append(
                    Job(
                        'fuzz ' + backend,
                        lambda seed, seconds, p=pair, n=amount: fuzzer(
                            seed, 'run', p, n * max(1, int(seconds) // 5)
                        ),
                        'operations',
                    )
                )
                jobs.append(
                    Job(
                        'failing allocations ' + backend,
                        lambda seed, seconds, b=backend, n=amount // 10: fuzzer(
                            seed, 'failures', b, n
                        ),
                        'failures',
                    )
                )
            server = self.program('workloads/experiments/server', 'task-server-' + backend)
            if 'server' in only and shutil.which('wrk') and os.access(server, os.X_OK):
                jobs.append(
                    Job(
                        'task server ' + backend,
                        lambda seed, seconds, b=backend: [
                            sys.executable,
                            '-B',
                            SERVER,
                            self.program('workloads/experiments/server', 'task-server-' + b),
                            '--seconds',
                            str(max(2, int(seconds) - 5)),
                            '--threads',
                            '4',
                            '--version',
                            '2',
                        ],
                        'requests',
                    )
                )
        if 'server' in only and not any(job.unit == 'requests' for job in jobs):
            print('The task server is left out: it needs wrk and a release build.', file=sys.stderr)
        if 'fuzz' in only:
            amount = 300000 // self.slower
            jobs.append(
                Job(
                    'fuzz CPython',
                    lambda seed, seconds, n=amount: fuzzer(
                        seed, 'run', backends[0], n * max(1, int(seconds) // 20), '--python'
                    ),
                    'operations',
                )
            )
        return jobs

    def say(self, text):
        if self.tty:
            sys.stderr.write('\r\x1b[K' + text)
            sys.stderr.flush()

    def stop(self, *_):
        self.stopped = True
        self.kill()

    def kill(self):
        if self.process and self.process.poll() is None:
            try:
                os.killpg(self.process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass

    def turn(self, job, seconds):
        self.seed += 1
        command = job.command(self.seed, seconds)
        samples, began = [], time.monotonic()
        limit = began + seconds * (6 if self.slower == 1 else 30) + 300
        with tempfile.TemporaryFile() as output:
            folder = tempfile.mkdtemp(prefix='tally-soak-')
            try:
                self.process = subprocess.Popen(
                    command,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    stdin=subprocess.DEVNULL,
                    start_new_session=True,
                    cwd=folder,
                )
                if self.stopped:
                    self.kill()
                while self.process.poll() is None:
                    memory = memory_of(self.process.pid)
                    samples += [memory] if memory else []
                    job.most = max(job.most, memory)
                    self.say(
                        '%s left, %s, %d MiB, %d failed'
                        % (self.left(), job.name, memory >> 10, sum(j.failed for j in self.jobs))
                    )
                    if time.monotonic() > limit:
                        self.kill()
                    try:
                        self.process.wait(0.5)
                    except subprocess.TimeoutExpired:
                        pass
                if self.stopped:
                    raise Stopped
                job.seconds += time.monotonic() - began
                job.turns += 1
                grown = growth(samples) if job.name.startswith(('stress', 'task')) else None
                job.growth += [grown] if grown is not None else []
                size = output.seek(0, os.SEEK_END)
                output.seek(max(0, size - (1 << 20)))
                text = output.read().decode(errors='replace')
                job.amount += amount_of(text, job.unit)
                if self.process.returncode:
                    job.failed += 1
                    self.keep(job, command, text, folder)
            finally:
                self.kill()
                shutil.rmtree(folder, ignore_errors=True)

    def keep(self, job, command, text, folder):
        os.makedirs(self.options.output, exist_ok=True)
        name = os.path.join(
            self.options.output, '%s-%d.txt' % (job.name.replace(' ', '-'), self.seed)
        )
        with open(name, 'w', encoding='utf-8') as file:
            file.write(' '.join(command) + '\nended with %d\n\n' % self.process.returncode + text)
        for script in os.listdir(folder):
            shutil.copy(os.path.join(folder, script), self.options.output)
        self.say('')
        print('FAILED: %s; %s' % (job.name, name), file=sys.stderr)

    def left(self):
        left = max(0, int(self.end - time.monotonic()))
        return '%d:%02d:%02d' % (left // 3600, left // 60 % 60, left % 60)

    def run(self):
        signal.signal(signal.SIGINT, self.stop)
        signal.signal(signal.SIGTERM, self.stop)
        total = self.options.minutes * 60
        length = max(1, min(LONGEST_TURN, total / max(1, len(self.jobs))))
        try:
            while time.monotonic() < self.end:
                for job in self.jobs:
                    left = self.end - time.monotonic()
                    if left <= 0:
                        break
                    self.turn(job, max(1, int(min(length, left))))
        except Stopped:
            pass
        self.say('')
        self.table()
        if any(job.failed for job in self.jobs):
            return 1
        return 130 if self.stopped else 0

    def table(self):
        print(
            '%s, %s, %d processors, %d threads of stress, seeds %d to %d%s'
            % (
                datetime.date.today(),
                datetime.timedelta(seconds=int(time.monotonic() - self.began)),
                os.cpu_count(),
                self.options.threads,
                self.options.seed + 1,
                self.seed,
                ', ended early' if self.stopped else '',
            )
        )
        print()
        print('| what | turns | minutes | amount | failed | most memory | growth in a turn |')
        print('| :--- | ---: | ---: | ---: | ---: | ---: | ---: |')
        for job in self.jobs:
            grown = (
                '%+.0f %% (most %+.0f %%)' % (statistics.median(job.growth), max(job.growth))
                if job.growth
                else '-'
            )
            print(
                '| %s | %d | %.1f | %s %s | %d | %d MiB | %s |'
                % (
                    job.name,
                    job.turns,
                    job.seconds / 60,
                    format(job.amount, ','),
                    job.unit,
                    job.failed,
                    job.most >> 10,
                    grown,
                )
            )


def amount_of(text, unit):
    """The numbers in front of the unit: 'biased: 123 operations by ...'; requests from a line of
    JSON."""
    amount = 0
    for line in text.split('\n'):
        words = (
            line.replace('"requests":', ' requests_are ')
            .replace(',', ' ')
            .replace('}', ' ')
            .split()
        )
        for before, word, after in zip(words, words[1:], words[2:] + ['']):
            if unit == 'requests' and word == 'requests_are' and after.isdigit():
                amount += int(after)
            elif unit == 'operations' and word == 'operations' and before.isdigit():
                amount += int(before)
            elif unit == 'failures' and word == 'allocations' and before.isdigit():
                amount += int(before)
    return amount


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument('--build', required=True)
    parser.add_argument('--minutes', type=float, required=True)
    parser.add_argument('--backends', default='gil,atomic,biased')
    parser.add_argument('--only', default='stress,fuzz,server')
    parser.add_argument('--threads', type=int, default=max(8, 2 * (os.cpu_count() or 1)))
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--output', default='tally-soak')
    options = parser.parse_args()
    options.output = os.path.abspath(options.output)
    options.build = os.path.abspath(options.build)
    sys.exit(Soak(options).run())


if __name__ == '__main__':
    main()
