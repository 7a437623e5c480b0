# SPDX-License-Identifier: LGPL-2.1-or-later
"""page.py TOOL BACKEND=KNOWN DRIVER: looks at the page of a known heap, and of one of a million
objects, in headless Chromium: tables are sorted, the graph goes on by click and by key, all is
there without script, and it is small. AXE=FILE, axe-core's axe.min.js: it finds no violation.

Exit status 77 where chromium is not installed, or where the driver is missing.
"""
import html
import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'support'))
import look

MOST_BYTES = 1 << 20
OWN = r"""
    const first = () => {
        const table = all("main table")[0], heads = [...table.querySelectorAll("thead button")];
        const column = at => [...table.tBodies[0].rows].map(row => row.cells[at].textContent);
        const text = column(0);
        heads[0].click();
        if (column(0).join() !== [...text].sort((a, b) => a.localeCompare(b)).join())
            say(`sorted by name: ${column(0)}`);
        heads[1].click();
        const down = column(1).map(Number);
        if (down.some((value, i) => i && value > down[i - 1])) say(`sorted by number: ${down}`);
        heads[1].click();
        if (column(1).map(Number).join() !== [...down].reverse().join() &&
            column(1).map(Number).some((value, i, list) => i && value < list[i - 1]))
            say(`sorted the other way: ${column(1)}`);
        if (heads[1].parentElement.getAttribute("aria-sort") !== "ascending") say("no aria-sort");
        for (const table of all("main table")) table.querySelector("thead button").click();
        if (all("main tbody .unseen").length) say("a name is left out of a row that was moved");
        const graph = document.getElementById("graph");
        const status = () => graph.querySelector("[role=status]").textContent;
        const follow = () => dispatchEvent(new Event("hashchange"));
        const before = status(), link = graph.querySelector("a");
        if (!link) say("the graph leads nowhere");
        link.focus();
        if (document.activeElement !== link) say("no key reaches a box");
        const title = link.querySelector("title").textContent;
        location.hash = link.getAttribute("href");
        follow();
        if (!status().startsWith(title)) say(`after ${title} the graph shows ${status()}`);
        if (!graph.contains(document.activeElement)) say("the focus is lost");
        const drawn = [...document.querySelectorAll(".icicle a")];
        for (const box of drawn) {
            const [outer, inner] = [box.parentElement, box].map(one => one.getBoundingClientRect());
            if (inner.left < outer.left - 1 || inner.right > outer.right + 8)
                say(`drawn outside: ${box.title}`);
        }
        if (!drawn.length) say("nothing is drawn");
        drawn[drawn.length - 1].click();
        follow();
        const name = drawn[drawn.length - 1].title.replace(/, retains .*/, "");
        if (!status().startsWith(name)) say(`a click on ${name} shows ${status()}`);
        return {drawn: drawn.length, objects: all(".entry").length};
    };
    const then = () => ({});
"""
AXE = r"""
<script>%s</script><script>
addEventListener("load", () => setTimeout(() => {
    for (const part of document.querySelectorAll("details")) part.open = true;
    axe.run().then(found => {
        const list = found.violations.map(
            ({id, nodes}) => `${id}: ${nodes.length}, ${nodes[0].html}`);
        document.body.insertAdjacentHTML("beforeend", "<pre id=axe></pre>");
        document.getElementById("axe").textContent = list.join("\n") || "none";
    });
}, 100));
</script>
"""


def axe_faults(program, path, scratch):
    with open(path, encoding='utf-8') as file:
        page = file.read()
    with open(os.environ['AXE'], encoding='utf-8') as file:
        page = page.replace('</body>', AXE % file.read() + '</body>')
    with open(os.path.join(scratch, 'axe.html'), 'w', encoding='utf-8') as file:
        file.write(page)
    done = look.chromium(
        program,
        os.path.join(scratch, 'profile'),
        '--virtual-time-budget=60000',
        '--dump-dom',
        'file://' + os.path.join(scratch, 'axe.html'),
    )
    found = re.search(r'<pre id="axe">(.*?)</pre>', done.stdout, re.S)
    if not found or found[1] != 'none':
        yield f'axe says: {html.unescape(found[1]) if found else "nothing"}'


def without_script(page):
    """All that the terminal shows is there without script."""
    body = re.sub(r'<script.*?</script>', '', page, flags=re.S)
    text = html.unescape(re.sub(r'<[^>]*>', ' ', body))
    for words in (
        'What retains the memory',
        'retained: what would be freed with all objects of the type',
        'Cycles',
        'Owners and states',
        'Duplicates of values that cannot change',
        'What waits',
        'The ledger',
        'It is alive because of a root',
        'What refers to it',
        'What it refers to',
    ):
        if words not in text and words.capitalize() not in text:
            yield f'without script it lacks: {words}'


def faults(program, path, scratch):
    with open(path, encoding='utf-8') as file:
        page = file.read()
    if len(page.encode()) > MOST_BYTES:
        yield f'it has {len(page.encode())} bytes'
    yield from without_script(page)
    for where, one in look.faults(program, path, OWN, scratch):
        if one is None:
            yield where
    if 'AXE' in os.environ:
        yield from axe_faults(program, path, scratch)


def main():
    tool, known, driver = sys.argv[1:]
    program, failed = shutil.which('chromium'), 0
    if program is None:
        print('chromium not installed: the page was not looked at', file=sys.stderr)
        sys.exit(77)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        small, large = (os.path.join(scratch, name) for name in ('small.heap', 'large.heap'))
        subprocess.run([known.split('=')[1], small], check=True, capture_output=True, timeout=60)
        settings = [
            '--workload',
            'gc-live',
            '--set',
            'nodes=1000000,order=shuffled',
            '--samples',
            '1',
        ]
        settings += ['--warmup-ms', '0', '--sample-ms', '1', '--no-perf', '--total', '1']
        subprocess.run(
            [driver, *settings, '--snapshot', f'end:{large}'],
            check=True,
            capture_output=True,
            timeout=300,
        )
        for path in small, large:
            subprocess.run([tool, path, '--html', path + '.html'], check=True, timeout=300)
            for fault in faults(program, path + '.html', scratch):
                failed = 1
                print(f'{os.path.basename(path)}: {fault}', file=sys.stderr)
    sys.exit(failed)


main()
