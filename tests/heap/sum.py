# SPDX-License-Identifier: LGPL-2.1-or-later
"""sum.py TOOL DRIVER... [--show]: the rows of the ledger sum to the resident size of the process,
on every workload of the drivers, within 2 % or 1 MiB."""
import concurrent.futures
import json
import os
import re
import subprocess
import sys
import tempfile

tool, *drivers = [word for word in sys.argv[1:] if word != '--show']
SIZE = r'([0-9.]+) (bytes|KiB|MiB|GiB)'
UNITS = {'bytes': 1, 'KiB': 1 << 10, 'MiB': 1 << 20, 'GiB': 1 << 30}


def rows(text):
    """The bytes of each row of the ledger's table."""
    result = {}
    for line in text.split('\n\n')[1].split('\n')[2:-1]:
        found = re.match(r'(.*?)  +(\S+)  +' + SIZE, line)
        if found:
            result[found[1]] = float(found[3]) * UNITS[found[4]]
    return result


def measure(job):
    driver, workload, folder = job
    path = os.path.join(folder, f'{os.path.basename(driver)}-{workload["name"]}.heap')
    quick = [word for set_ in workload['quick_variants'][:1] for word in ('--set', set_)]
    words = [driver, '--workload', workload['name'], '--threads', '2', '--snapshot', 'end:' + path]
    words += ['--samples', '1', '--sample-ms', '20', '--warmup-ms', '0', '--no-perf']
    words += ['--text-bytes', '1000000'] if workload['name'] == 'wordcount' else []
    done = subprocess.run(words + quick, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, (words + quick, done.stderr)
    done = subprocess.run([tool, path, '--ledger'], capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, (words, done.stderr)
    os.unlink(path)
    last = rf'The rows sum to {SIZE}; resident are {SIZE}. They are {SIZE} '
    found = re.search(last, done.stdout)
    assert found, done.stdout
    said, resident, apart = (float(found[i]) * UNITS[found[i + 1]] for i in (1, 3, 5))
    total = sum(rows(done.stdout).values())
    assert abs(total - said) < 0.01 * said, (total, done.stdout)  # rows are rounded
    return driver, workload['name'], resident, apart, done.stdout


if __name__ == '__main__':
    failures, worst = 0, 0
    with tempfile.TemporaryDirectory() as folder:
        jobs = []
        for driver in drivers:
            done = subprocess.run([driver, '--list', '--json'], capture_output=True, text=True)
            jobs += [(driver, workload, folder) for workload in json.loads(done.stdout)]
        assert len(jobs) >= 30 * len(drivers), jobs
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            for driver, name, resident, apart, text in pool.map(measure, jobs):
                worst = max(worst, apart / resident)
                if '--show' in sys.argv:
                    sizes = f'{resident / 1024:8.0f} KiB {apart / 1024:6.0f} KiB'
                    print(f'{os.path.basename(driver):14} {name:20} {sizes}')
                if resident == 0 or apart > max(0.02 * resident, 1 << 20):
                    failures += 1
                    print(f'FAILED: {driver} {name}: {apart} of {resident}\n{text}')
    print(f'{len(jobs)} workloads, at most {worst:.2%} apart')
    sys.exit(failures > 0)
