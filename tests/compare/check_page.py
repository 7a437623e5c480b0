#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Looks at a report.html in headless Chromium, on three widths, light and dark, and on paper: shut
it is short; opened it can be read; workloads are sorted, filtered and linked.

Usage: check_page.py [--need-chromium] REPORT_FOLDER
Exit status 1 and a line for each fault; 77 where chromium is not installed, 1 with --need-chromium.
"""
import collections
import json
import os
import re
import shutil
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import look

MOST_WORDS, MOST_SCREENS, MOST_BYTES = 5000, 12, 1 << 20

# What look.py asks of a report beside all pages.
OWN = r"""
    const first = () => {
        const shut = {words: document.body.innerText.split(/\s+/).length,
                      screens: page.scrollHeight / (innerWidth < 500 ? 844 : 800)};
        const first = document.querySelector(".small");
        const answered = /^Should/.test(document.querySelector("h2").textContent);
        const bottom = first ? first.getBoundingClientRect().bottom + scrollY : 0;
        if (innerWidth === 1280 && answered && bottom > 800)
            say("the picture is not on the first screen");
        const group = all(".heads").pop();
        const heads = group ? [...group.querySelectorAll("button")] : [];
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
        return shut;
    };
    const then = () => {
        let figures = 0, stacks = 0;
        for (const figure of document.querySelectorAll("figure")) {
            const svg = figure.querySelector("svg[role=img]");
            const box = svg && svg.getBoundingClientRect();
            const label = svg && svg.getAttribute("aria-label");
            if (!label) say("a plot without a label");
            else if (box.width < 120 || box.height < 40 ||
                    !svg.querySelector("[style*='--b'], [style*='--c']"))
                say(`a plot that shows nothing: ${label}`);
            else if (/^[^ ]+: (throughput|samples) /.test(label)) figures++;
            else if (/^[^ ]+: memory over time with /.test(label)) {
                stacks++;
                if (!/Resident: [\d.]+ to [\d.]+ MiB; /.test(label)) say(`no sizes: ${label}`);
                const named = svg.querySelectorAll("[style*='--c'] > title").length;
                if (named < 5) say(`${named} layers: ${label}`);
                const tables = figure.parentElement.parentElement.querySelectorAll("details table");
                if (![...tables].some(one => one.textContent.includes("sum of the rows")))
                    say(`no table: ${label}`);
            }
        }
        return {figures, stacks};
    };
"""


def expected_plots(results):
    """Throughput and samples of each workload that has a sample."""
    return 2 * len({run["workload"] for run in results["runs"] if run["samples"]})


def text_faults(page, csv, results):
    if len(page.encode()) > MOST_BYTES:
        yield f"it has {len(page.encode())} bytes"
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
    for where, one in look.faults(program, os.path.join(folder, "report.html"), OWN, scratch):
        if one is None:
            yield where
            continue
        if one["figures"] != expected_plots(results):
            yield f"{where}: {one['figures']} plots of workloads, not {expected_plots(results)}"
        stacks = len({(run["workload"], run["backend"]) for run in results.get("ledger", [])})
        if one["stacks"] != stacks:
            yield f"{where}: {one['stacks']} stacks of memory, not {stacks}"
        if one["name"] != "paper" and (one["words"] > MOST_WORDS or one["screens"] > MOST_SCREENS):
            yield f"{where}: {one['words']} words, {one['screens']} screens when all is shut"


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
