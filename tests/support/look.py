# SPDX-License-Identifier: LGPL-2.1-or-later
"""Looks at a page in headless Chromium, on three widths, light and dark, and on paper: it fits, it
can be read and reached by keys, its links lead somewhere, and the console says nothing."""
import html
import json
import os
import re
import subprocess

WIDTHS = [390, 768, 1280]
PAPER = 700  # pixels between the margins of a sheet of A4

# Runs in the page and tells the page around it what it found. What a page has beside that is judged
# by its functions first() and then(), the second with all details open; what they return is told.
BEFORE = r"""
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
"""

AFTER = r"""
    const own = first();
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
    for (const link of document.querySelectorAll("a[href^='#']:not(svg a)"))
        if (!ids.has(link.hash.slice(1))) say(`a link leads nowhere: ${link.hash}`);
    Object.assign(own, then());
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
    parent.postMessage({faults, texts, dark, ...own, width, name}, "*");
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


def faults(program, path, own, scratch):
    """Faults of the page at the path; then what it told of itself, as (where, dict). own: its
    functions first and then."""
    with open(path, encoding="utf-8") as file:
        page = file.read()
    for address in re.findall(r"""(?:src|href|action)=["']?((?:https?:)?//[^"' >]+)""", page):
        yield f"it asks for {address}", None
    if re.search(r"@import|url\(\s*[\"']?(?!#)", page):
        yield "its style asks for something outside", None
    looking = page.replace("</body>", BEFORE + own + AFTER + "</body>")
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
        for fault in console_faults(log, scheme):
            yield fault, None
        names = sorted(one["name"] for one in found)
        if names != sorted([str(width) for width in WIDTHS] + ([] if dark else ["paper"])):
            yield f"{scheme}: only {names} answered", None
        for one in found:
            where = f"{scheme}, {one['name']}"
            if one["dark"] != dark or (one["name"] != "paper" and one["width"] != int(one["name"])):
                yield f"{where}: it was shown otherwise", None
            if one["texts"] < 50:
                yield f"{where}: only {one['texts']} texts can be seen", None
            for fault in one["faults"]:
                yield f"{where}: {fault}", None
            yield where, one
    paper = os.path.join(scratch, "report.pdf")
    profile = os.path.join(scratch, "profile")
    done = chromium(program, profile, f"--print-to-pdf={paper}", "file://" + os.path.abspath(path))
    for fault in console_faults(done.stderr, "paper"):
        yield fault, None
    try:
        with open(paper, "rb") as file:
            content = file.read()
    except OSError:
        content = b""
    if not content.startswith(b"%PDF") or len(re.findall(rb"/Type\s*/Page\b", content)) < 2:
        yield "it does not print", None
