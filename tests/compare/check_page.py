#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Looks at a report.html in headless Chromium, on three widths, light and dark, and on paper.

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
    for (const mark of document.querySelectorAll(".dot, .strip"))
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
        else if (box.width < 150 || box.height < 80 || !svg.querySelector("path[style*='--b']"))
            say(`a plot that shows nothing: ${label}`);
        else if (/^(Throughput|Speedup)/.test(label)) figures++;
    }
    for (const use of document.querySelectorAll("figure use"))
        if (!ids.has(use.href.baseVal.slice(1))) { say(`a plot lacks ${use.href.baseVal}`); break; }
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
    parent.postMessage({faults, figures, texts, dark, width: innerWidth, name: window.name}, "*");
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
    """Throughput for each workload that has a sample, and speedup where one thread has."""
    measured = [block for block in results["runs"] if block["samples"]]
    return len({block["workload"] for block in measured}) + len(
        {block["workload"] for block in measured if block["threads"] == 1}
    )


def text_faults(page, csv, results):
    for address in re.findall(r"""(?:src|href|action)=["']?((?:https?:)?//[^"' >]+)""", page):
        yield f"it asks for {address}"
    if re.search(r"@import|url\(\s*[\"']?(?!#)", page):
        yield "its style asks for something outside"
    lines = collections.Counter()
    for samples in re.findall(r'<details class="samples">.*?<pre>(.*?)</pre>', page, re.S):
        for line in html.unescape(samples).splitlines()[1:]:
            lines[line.split(",", 1)[0].strip('"')] += 1
    # The page has the lines of results.csv, and results.csv all samples of the runs.
    wanted, least = collections.Counter(), collections.Counter()
    for line in csv.splitlines()[1:]:
        wanted[line.split(",", 1)[0].strip('"')] += 1
    for block in results["runs"]:
        least[block["workload"]] += len(block["samples"])
    for workload, count in least.items():
        if wanted[workload] < count:
            yield f"{wanted[workload]} samples of {workload} are in results.csv, not {count}"
    wanted = {workload: count for workload, count in wanted.items() if least[workload]}
    for workload, count in wanted.items():
        if lines[workload] != count:
            yield f"{lines[workload]} samples of {workload} are in it, not {count}"


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
