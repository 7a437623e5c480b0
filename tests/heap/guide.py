# SPDX-License-Identifier: LGPL-2.1-or-later
"""guide.py PAGE PROGRAM TOOL: each command of the page prints what the page says, but for
addresses, bytes, times and the backend."""
import re
import shlex
import subprocess
import sys
import tempfile

page, program, tool = sys.argv[1:]


def masked(text):
    text = re.sub(r'0x[0-9a-f]+', '0x', text)
    text = re.sub(r'[0-9.]+ (bytes|KiB|MiB|ms)|\+\d+ bytes', 'SIZE', text)
    text = re.sub(r': (gil|atomic|biased|gil-atomic|gil-biased|biased-fixed),', ': B,', text)
    text = re.sub(r'one count|private', 'STATE', text)
    text = re.sub(r'Estimates: .*|and \d+ more|tally_\w+ < ', '', text)
    text = re.sub(r' \(thread \d+ counts.*?\)|, generation \d', '', text)
    lines = [re.sub(r' +', ' ', line).strip() for line in text.split('\n')]
    return [line for line in lines if line]


failed = commands = 0
with open(page) as file, tempfile.TemporaryDirectory() as folder:
    for block in re.findall(r'^```console\n(.*?)^```', file.read(), re.S | re.M):
        for part in re.split(r'^\$ ', block, flags=re.M)[1:]:
            command, _, wanted = part.partition('\n')
            words = shlex.split(command)
            words = [program] if words == ['./leak'] else [tool] + words[2:]
            done = subprocess.run(words, capture_output=True, text=True, cwd=folder, timeout=30)
            commands += 1
            if done.returncode != 0 or masked(done.stdout) != masked(wanted):
                failed += 1
                print(f'{command}: status {done.returncode}\n{done.stdout}{done.stderr}')
assert commands > 4
sys.exit(failed > 0)
