# SPDX-License-Identifier: LGPL-2.1-or-later
"""sites.py TOOL BACKEND=PROGRAM...: what a heap profile says of a program whose sites are known
(sites.c). An estimate of n objects, each sampled with probability p, has the standard deviation
sqrt(n * (1 - p) / p). Bounds are 8 of these, which chance exceeds once in 10**15; the seeds are
constants besides."""
import math
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from pprof import Profile

tool, *programs = sys.argv[1:]
TYPES = (
    'alloc_objects alloc_space inuse_objects inuse_space remote_freed_objects '
    'remote_freed_space lifetime'
).split()
UNITS = 'count bytes count bytes count bytes nanoseconds'.split()


def run(*words):
    done = subprocess.run(words, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, (words, done.stdout, done.stderr)
    return done.stdout


def check_form(profile, backend, period):
    assert profile.types == TYPES and profile.units == UNITS
    assert profile.period == period and profile.period_type == ('space', 'bytes')
    assert profile.comments == ['tally ' + backend] and profile.default == 'inuse_space'
    assert profile.duration > 0 and profile.time > 10**18
    for sample in profile.samples:
        values, size = sample.values, sample.labels['bytes']
        assert sample.stack and sample.labels['thread'] > 0, sample.labels
        # The allocator itself is no site.
        assert not sample.stack[0].startswith('tally_memory_'), sample.stack
        for kind in 'alloc', 'inuse', 'remote_freed':
            objects, space = values[kind + '_objects'], values[kind + '_space']
            assert 0 <= objects <= values['alloc_objects']
            assert abs(space - objects * size) <= size, (values, size)  # both are rounded
        freed = values['alloc_objects'] - values['inuse_objects']
        assert 0 <= values['lifetime'] <= (freed + 1) * profile.duration
        assert freed > 0 or values['lifetime'] == 0
        assert values['remote_freed_objects'] <= freed + 1


def check_site(profile, line, backend):
    site, kind, *numbers = line.split()
    samples = [s for s in profile.samples if site in s.stack and s.labels['type'] == kind]
    sizes = {s.labels['bytes'] for s in samples}
    assert samples, line
    chance = min(1 - math.exp(-size / profile.period) for size in sizes)
    for value, wanted in zip(('alloc', 'inuse', 'remote_freed'), map(int, numbers), strict=True):
        got = sum(s.values[value + '_objects'] for s in samples)
        # What is sampled of a site has no chance to be in use, or another thread's, by mistake.
        bound = 8 * math.sqrt(wanted * (1 - chance) / chance) + len(samples)
        print(backend, profile.period, line, value, got, '+-', round(bound))
        assert abs(got - wanted) <= (bound if wanted else 0), (backend, line, value, got, bound)


with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, 'sites.pb')
    for word in programs:
        backend, program = word.split('=', 1)
        for period in 1, 256:  # nearly every object, and about every fifth
            lines = run(program, path, str(period)).splitlines()
            profile = Profile(path)
            check_form(profile, backend, period)
            for line in lines:
                check_site(profile, line, backend)
            makers = {s.labels['thread'] for s in profile.samples if 'leaks' in s.stack}
            others = {s.labels['thread'] for s in profile.samples if 'makes_for_others' in s.stack}
            assert len(makers) == 1 and len(others) == 1 and makers != others
        shown = run(tool, path)
        in_use, remote = shown.split('Most objects freed by another thread')
        assert f': {backend}, a heap profile' in in_use and '256 bytes' in in_use, shown
        first, second = in_use.split('Most bytes in use')[1].strip().splitlines()[1:3]
        assert 'tally_str_new < leaks_large' in first + second, shown
        assert 'tally_str_new < leaks < main' in first + second, shown
        for site in 'makes_for_others', 'makes_and_blocks', 'makes_and_exits':
            assert site in remote, shown
        assert 'keeps_to_itself' not in remote and 'leaks' not in remote, shown
        assert 'more; --rows N' in run(tool, path, '--rows', '2'), shown
    # Files that are none.
    with open(path, 'rb') as file:
        whole = file.read()
    for data, says in (
        (whole[: len(whole) // 2], 'damaged'),
        (b'\x1f\x8b' + whole, 'gunzip'),
        (b'\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01', 'damaged'),
    ):
        with open(path, 'wb') as file:
            file.write(data)
        done = subprocess.run([tool, path], capture_output=True, text=True)
        assert done.returncode == 2 and says in done.stderr, (says, done)
