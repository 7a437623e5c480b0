# SPDX-License-Identifier: LGPL-2.1-or-later
"""readings.py DRIVER...: the readings of the ledger that a driver takes over the time of a run: on
every workload their rows sum to the resident size within 2 % or 1 MiB, and their times go up."""
import concurrent.futures
import json
import os
import subprocess
import sys

TOLD = 'seconds', 'pause_ns', 'resident_bytes'


def measure(job):
    driver, workload = job
    quick = [word for set_ in workload['quick_variants'][:1] for word in ('--set', set_)]
    words = [driver, '--json', '--workload', workload['name'], '--threads', '2', '--ledger-ms', '5']
    words += ['--samples', '1', '--sample-ms', '40', '--warmup-ms', '0', '--no-perf']
    words += ['--text-bytes', '1000000'] if workload['name'] == 'wordcount' else []
    done = subprocess.run(words + quick, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, (words + quick, done.stderr)
    return driver, workload['name'], json.loads(done.stdout)


def faults(run):
    readings = run['ledger']
    if len(readings) < 3:
        yield f'{len(readings)} readings'
    times = [reading['seconds'] for reading in readings]
    if times != sorted(times) or times[0] > times[-1] / 2:
        yield f'times {times}'
    for reading in readings:
        rows = {name: value for name, value in reading.items() if name not in TOLD}
        resident, apart = reading['resident_bytes'], sum(rows.values()) - reading['resident_bytes']
        if reading['pause_ns'] <= 0 or len(rows) != 14 or min(rows.values()) < 0:
            yield f'a reading is wrong: {reading}'
        if resident <= 0 or abs(apart) > max(0.02 * resident, 1 << 20):
            yield f'{apart} of {resident}: {reading}'
    peak, setup = run['peak_rss_kib'], run['setup_peak_rss_kib']
    if not 0 < setup <= peak + 1024:  # threads tell the kernel of some pages late
        yield f'the peak is {peak}, that of the setup {setup}'


if __name__ == '__main__':
    failures, pauses = 0, []
    jobs = []
    for driver in sys.argv[1:]:
        done = subprocess.run([driver, '--list', '--json'], capture_output=True, text=True)
        jobs += [(driver, workload) for workload in json.loads(done.stdout)]
    assert len(jobs) >= 30 * len(sys.argv[1:]) > 0, jobs
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for driver, name, run in pool.map(measure, jobs):
            pauses += [reading['pause_ns'] / 1e6 for reading in run['ledger']]
            for fault in faults(run):
                failures += 1
                print(f'FAILED: {os.path.basename(driver)} {name}: {fault}')
    pauses.sort()
    middle = pauses[len(pauses) // 2]
    print(f'{len(jobs)} workloads, {len(pauses)} readings, half with less than {middle:.2f} ms')
    sys.exit(failures > 0)
