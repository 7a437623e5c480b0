#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Looks at a report.html in headless Chromium, on three widths, light and dark, and on paper: shut
it is short; opened it can be read; workloads are sorted, filtered and linked.

Usage: check_page.py [--need-chromium] REPORT_FOLDER
Exit status 1 and a line for each fault; 77 where chromium is not installed, 1 with --need-chromium.
"""
import collections
import html
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

WIDTHS = [390, 768, 1280]
PAPER = 700  # pixels between the margins of a sheet of A4
MOST_WORDS, MOST_SCREENS, MOST_BYTES = 5000, 12, 1 << 20

# Runs in the page and tells the page around it what it found.
LOOK = r"""
<script>
addEventListener("load", () => setTimeout(() => {
    const faults = [];
    const say = text => {
        if (faults.length < 20 && !faults.includes(text)) faults.push(text);
    };
    const numbers = colour => (colour.match(/[\d.]+/g) || []).map(Number);
    const light = ([r, g, b]) => {
        const linear = c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
        const [x, y, z] = [r, g, b].map(c => linear(c / 255));
        return 0.2126 * x + 0.7152 * y + 0.0722 * z;
    };
    const behind = element => {
        for (; element; element = element.parentElement) {
            const back = numbers(getComputedStyle(element).backgroundColor);
            if (back.length === 3 || back[3] === 1) return back;
        }
        return [255, 255, 255];
    };
    const contrast = (a, b) => {
        const [x, y] = [light(a), light(b)].sort((p, q) => q - p);
        return (x + 0.05) / (y + 0.05);
    };
    const page = document.documentElement;
    const all = selector => [...document.querySelectorAll(selector)];
    const shut = {words: document.body.innerText.split(/\s+/).length,
                  screens: page.scrollHeight / (innerWidth < 500 ? 844 : 800)};
    const first = document.querySelector(".small");
    const answered = /^Should/.test(document.querySelector("h2").textContent);
    const bottom = first ? first.getBoundingClientRect().bottom + scrollY : 0;
    if (innerWidth === 1280 && answered && bottom > 800)
        say("the picture is not on the first screen");
    const group = all(".heads").pop(), heads = group ? [...group.querySelectorAll("button")] : [];
    const entries = () => {
        const found = [];
        let one = group?.nextElementSibling;
        for (; one?.matches(".entry"); one = one.nextElementSibling) found.push(one);
        return found;
    };
    const names = () => entries().map(entry => entry.querySelector("h3").textContent);
    if (entries().length > 1) {
        const before = names(), sorted = [...before].sort((a, b) => a.localeCompare(b));
        heads[0].click();
        if (names().join() !== sorted.join()) say(`sorted by name: ${names()}`);
        heads[0].click();
        if (names().join() !== sorted.reverse().join()) say(`sorted the other way: ${names()}`);
        const values = column => entries()
            .map(entry => Number(entry.firstElementChild.children[column].dataset.value))
            .filter(number => !isNaN(number));
        for (const column of heads.keys()) {
            if (!entries()[0].firstElementChild.children[column].matches(".n")) continue;
            heads[column].click();
            if (values(column).some((value, i, list) => i && value > list[i - 1]))
                say(`sorted by column ${column}: ${values(column)}`);
        }
        const [kind, backend, verdict] = ["kind", "backend", "verdict"]
            .map(name => document.querySelector(`.filters select[name=${name}]`) ||
                document.createElement("select"));
        const seen = () => entries().filter(entry => entry.checkVisibility());
        const choose = (select, index) => {
            select.selectedIndex = index;
            select.dispatchEvent(new Event("input", {bubbles: true}));
        };
        for (const index of [...kind.options].keys()) {
            choose(kind, index);
            const chosen = kind.options[index].text, wanted = entries().filter(entry =>
                index === 0 || entry.firstElementChild.children[1].textContent === chosen);
            if (!wanted.length || seen().length !== wanted.length ||
                wanted.some(entry => !entry.checkVisibility())) say(`filtered by ${chosen}`);
        }
        choose(kind, 0);
        for (const index of [...verdict.options].keys()) {
            choose(verdict, index);
            const chosen = verdict.options[index].text;
            for (const entry of seen())
                if (index && ![...entry.querySelectorAll("summary .chip")]
                        .some(chip => chip.textContent === chosen))
                    say(`${entry.querySelector("h3").textContent} has no '${chosen}'`);
            if (!seen().length) say(`nothing is '${chosen}'`);
        }
        choose(verdict, 0);
        if (backend.options.length > 2) {
            choose(backend, 1);
            const chips = [...entries()[0].querySelectorAll("summary .chip")];
            if (chips.filter(chip => chip.checkVisibility()).length !== 1)
                say("filtered by backend, more than one is shown");
            choose(backend, 0);
        }
        location.hash = entries()[1].querySelector(":scope > div").id;
        dispatchEvent(new Event("hashchange"));
        if (!entries()[1].open) say("a link to a workload does not open it");
    }
    for (const part of all("details")) part.open = true;
    dispatchEvent(new Event("resize"));
    if (page.scrollWidth > page.clientWidth)
        say(`the page is ${page.scrollWidth} pixels wide, the window ${page.clientWidth}`);
    let texts = 0;
    const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walk.nextNode()) {
        const element = walk.currentNode.parentElement;
        const text = walk.currentNode.data.trim();
        if (!text || !element.checkVisibility()) continue;
        if (element.closest("script, style, .unseen, .skip")) continue;
        const style = getComputedStyle(element);
        const colour = element.closest("svg") ? style.fill : style.color;
        const ratio = contrast(numbers(colour), behind(element));
        texts++;
        if (ratio < 4.5)
            say(`contrast ${ratio.toFixed(2)} of "${text.slice(0, 30)}" in ${element.tagName}`);
    }
    for (const mark of document.querySelectorAll(".dot"))
        if (contrast(numbers(getComputedStyle(mark).color), behind(mark.parentElement)) < 3)
            say(`contrast under 3 of a mark, ${mark.getAttribute("style")}`);
    let level = 0;
    for (const heading of document.querySelectorAll("h1, h2, h3, h4, h5, h6")) {
        const own = Number(heading.tagName[1]);
        if (own > level + 1)
            say(`heading ${heading.textContent} of level ${own} follows level ${level}`);
        level = own;
    }
    for (const head of document.querySelectorAll("th:not([scope])"))
        say(`a header without scope: ${head.textContent}`);
    const ids = new Set();
    for (const {id} of document.querySelectorAll("[id]"))
        ids.has(id) ? say(`two elements have the id ${id}`) : ids.add(id);
    for (const link of document.querySelectorAll("a[href^='#']"))
        if (!ids.has(link.hash.slice(1))) say(`a link leads nowhere: ${link.hash}`);
    let figures = 0;
    for (const figure of document.querySelectorAll("figure")) {
        const svg = figure.querySelector("svg[role=img]"), box = svg && svg.getBoundingClientRect();
        const label = svg && svg.getAttribute("aria-label");
        if (!label) say("a plot without a label");
        else if (box.width < 120 || box.height < 40 ||
                !svg.querySelector("[style*='--b'], [style*='--c']"))
            say(`a plot that shows nothing: ${label}`);
        else if (/^[^ ]+: (throughput|samples) /.test(label)) figures++;
    }
    if (!page.classList.contains("paper"))
        for (const box of document.querySelectorAll(".scroll"))
            if (box.scrollWidth > box.clientWidth && box.tabIndex !== 0) {
                say("a table scrolls, but not by keys");
                break;
            }
    if (page.classList.contains("paper"))
        for (const table of document.querySelectorAll("table"))
            if (table.getBoundingClientRect().right > page.clientWidth)
                say(`cut off on paper: table "${(table.caption || table.rows[0]).textContent}"`);
    const dark = matchMedia("(prefers-color-scheme: dark)").matches;
    const [width, name] = [innerWidth, window.name];
    parent.postMessage({faults, figures, texts, dark, ...shut, width, name}, "*");
}, 200));
</script>
"""

WRAPPER = """<!DOCTYPE html><meta charset="utf-8"><title>look</title><body><script>
const found = [];
addEventListener("message", event => {
    found.push(event.data);
    if (found.length !== document.querySelectorAll("iframe").length) return;
    document.body.insertAdjacentHTML("beforeend", "<pre id=found></pre>");
    document.getElementById("found").textContent = JSON.stringify(found);
});
</script>%s</body>"""


def chromium(program, profile, *arguments):
    return subprocess.run(
        [
            program,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
            f"--user-data-dir={profile}",
            "--enable-logging=stderr",
            *arguments,
        ],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def console_faults(log, where):
    for line in log.splitlines():
        if "CONSOLE" in line:
            yield f"{where}: the console says: {line.split('CONSOLE', 1)[1]}"


def look(program, scratch, dark):
    """What the page says of itself at every width."""
    frames = "".join(
        f'<iframe name="{width}" src="page.html" style="width:{width}px;height:900px"></iframe>'
        for width in WIDTHS
    )
    if not dark:
        frames += (
            f'<iframe name="paper" src="paper.html" style="width:{PAPER}px;height:900px"></iframe>'
        )
    wrapper = os.path.join(scratch, "wrapper.html")
    with open(wrapper, "w", encoding="utf-8") as file:
        file.write(WRAPPER % frames)
    done = chromium(
        program,
        os.path.join(scratch, "profile"),
        f"--blink-settings=preferredColorScheme={0 if dark else 1}",
        "--window-size=1400,1000",
        "--virtual-time-budget=60000",
        "--dump-dom",
        "file://" + wrapper,
    )
    match = re.search(r'<pre id="found">(.*?)</pre>', done.stdout, re.S)
    return json.loads(html.unescape(match[1])) if match else [], done.stderr


def expected_plots(results):
    """Throughput and samples of each workload that has a sample."""
    return 2 * len({run["workload"] for run in results["runs"] if run["samples"]})


def text_faults(page, csv, results):
    if len(page.encode()) > MOST_BYTES:
        yield f"it has {len(page.encode())} bytes"
    for address in re.findall(r"""(?:src|href|action)=["']?((?:https?:)?//[^"' >]+)""", page):
        yield f"it asks for {address}"
    if re.search(r"@import|url\(\s*[\"']?(?!#)", page):
        yield "its style asks for something outside"
    # results.csv, beside it, has all samples of the runs.
    lines = collections.Counter(line.split(",", 1)[0].strip('"') for line in csv.splitlines()[1:])
    least = collections.Counter()
    for run in results["runs"]:
        least[run["workload"]] += len(run["samples"])
    for workload, count in least.items():
        if lines[workload] < count:
            yield f"{lines[workload]} samples of {workload} are in results.csv, not {count}"
    # Each of those after the warm-up, on the most threads with a core, is a dot in its plot.
    timed = [run for run in results["runs"] if run["samples"]]
    threads = max((run["threads"] for run in timed if not run["oversubscribed"]), default=1)
    for workload in sorted({run["workload"] for run in timed}):
        wanted = sum(
            not sample.get("warmup")
            for run in timed
            if run["workload"] == workload and run["threads"] == threads
            for sample in run["samples"]
        )
        plot = re.search(f'aria-label="{workload}: samples .*?</svg>', page, re.S)
        dots = plot[0].count("h0") if plot else 0
        if dots != wanted:
            yield f"{dots} samples of {workload} are dots, not {wanted}"


def faults(program, folder, scratch):
    with open(os.path.join(folder, "report.html"), encoding="utf-8") as file:
        page = file.read()
    with open(os.path.join(folder, "results.csv"), encoding="utf-8") as file:
        csv = file.read()
    with open(os.path.join(folder, "results.json"), encoding="utf-8") as file:
        results = json.load(file)
    yield from text_faults(page, csv, results)
    looking = page.replace("</body>", LOOK + "</body>")
    with open(os.path.join(scratch, "page.html"), "w", encoding="utf-8") as file:
        file.write(looking)
    with open(os.path.join(scratch, "paper.html"), "w", encoding="utf-8") as file:
        file.write(
            looking.replace("@media print", "@media all").replace(
                '<html lang="en">', '<html lang="en" class="paper">'
            )
        )
    for dark in False, True:
        scheme = "dark" if dark else "light"
        found, log = look(program, scratch, dark)
        yield from console_faults(log, scheme)
        names = sorted(one["name"] for one in found)
        if names != sorted([str(width) for width in WIDTHS] + ([] if dark else ["paper"])):
            yield f"{scheme}: only {names} answered"
        for one in found:
            where = f"{scheme}, {one['name']}"
            if one["dark"] != dark or (one["name"] != "paper" and one["width"] != int(one["name"])):
                yield f"{where}: it was shown otherwise"
            if one["figures"] != expected_plots(results):
                yield f"{where}: {one['figures']} plots of workloads, not {expected_plots(results)}"
            if one["name"] != "paper" and (
                one["words"] > MOST_WORDS or one["screens"] > MOST_SCREENS
            ):
                yield f"{where}: {one['words']} words, {one['screens']} screens when all is shut"
            if one["texts"] < 50:
                yield f"{where}: only {one['texts']} texts can be seen"
            for fault in one["faults"]:
                yield f"{where}: {fault}"
    paper = os.path.join(scratch, "report.pdf")
    done = chromium(
        program,
        os.path.join(scratch, "profile"),
        f"--print-to-pdf={paper}",
        "file://" + os.path.abspath(os.path.join(folder, "report.html")),
    )
    yield from console_faults(done.stderr, "paper")
    try:
        with open(paper, "rb") as file:
            content = file.read()
    except OSError:
        content = b""
    if not content.startswith(b"%PDF") or len(re.findall(rb"/Type\s*/Page\b", content)) < 2:
        yield "it does not print"


def main():
    arguments = sys.argv[1:]
    needed = "--need-chromium" in arguments
    folders = [argument for argument in arguments if argument != "--need-chromium"]
    if len(folders) != 1:
        sys.exit(__doc__)
    program = shutil.which("chromium")
    if program is None:
        print("chromium not installed: the page was not looked at", file=sys.stderr)
        sys.exit(1 if needed else 77)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        found = list(faults(program, folders[0], scratch))
    for fault in found:
        print(fault, file=sys.stderr)
    sys.exit(1 if found else 0)


main()
