// SPDX-License-Identifier: LGPL-2.1-or-later
// The page says all without this.  It sorts and filters the workloads, opens the one that a link
// leads to, and saves plots.
"use strict";
const all = (selector, from = document) => [...from.querySelectorAll(selector)];
const make = (name, text, more = {}) =>
    Object.assign(document.createElement(name), { textContent: text, ...more });
const open = () => {
    const at = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    let one = at && at.closest("details");
    for (; one; one = one.parentElement.closest("details")) one.open = true;
    if (at) (at.closest("details") || at).scrollIntoView();
};
addEventListener("hashchange", open);
// The address is a link to what was opened last.
document.addEventListener("toggle", event => {
    const id = event.target.matches?.(".entry[open]") && event.target.querySelector("[id]").id;
    if (id && id !== location.hash.slice(1)) history.replaceState(null, "", "#" + id);
}, true);
if (location.hash) open();
addEventListener("beforeprint", () => all("details").forEach(one => (one.open = true)));

// ---- the workloads ------------------------------------------------------------------

const cells = entry => [...entry.firstElementChild.children];
const value = (entry, column) => {
    const cell = cells(entry)[column];
    return cell.dataset.value ? Number(cell.dataset.value) : cell.textContent;
};
const compare = (a, b) =>
    typeof a !== typeof b ? (typeof a === "number" ? -1 : 1)
    : typeof a === "number" ? b - a : a.localeCompare(b);

for (const heads of all(".heads")) {
    const entries = [];
    for (let one = heads.nextElementSibling; one?.matches(".entry"); one = one.nextElementSibling)
        entries.push(one);
    let sorted = -1, up = 1;
    [...heads.children].forEach((head, column) => {
        const button = make("button", "", { type: "button", title: "Sort by this" });
        button.append(...head.childNodes);
        head.append(button);
        button.addEventListener("click", () => {
            up = sorted === column ? -up : 1;
            sorted = column;
            entries.sort((a, b) => up * compare(value(a, column), value(b, column)));
            heads.after(...entries);
            for (const other of all("button", heads)) other.removeAttribute("aria-pressed");
            button.setAttribute("aria-pressed", "true");
        });
    });
    const text = (entry, column) => cells(entry)[column].textContent;
    const words = column => [...new Set(entries.map(entry => text(entry, column)))].sort();
    const first = cells(entries[0]);
    const advice = first.flatMap((cell, i) => (cell.querySelector(".chip") ? [i] : []));
    const backends = advice.map(column => first[column].dataset.column);
    const bar = make("form", "", { className: "filters" });
    const choose = (name, options) => {
        const label = make("label", name + " "), select = make("select", "", { name });
        select.append(...["all", ...options].map(text => make("option", text)));
        label.append(select);
        if (options.length > 1) bar.append(label);
        return select;
    };
    const kind = choose(first[1].dataset.column, words(1)), backend = choose("backend", backends);
    const verdict = choose("verdict", [...new Set(advice.flatMap(words))]);
    const count = make("output", "");
    bar.append(count);
    bar.addEventListener("submit", event => event.preventDefault());
    bar.addEventListener("input", () => {
        const fits = (select, word) => select.value === "all" || select.value === word;
        const asked = advice.filter((_, i) => fits(backend, backends[i]));
        for (const entry of entries)
            entry.hidden = !fits(kind, text(entry, 1))
                || !(fits(verdict) || asked.some(column => fits(verdict, text(entry, column))));
        for (const row of [heads, ...entries.map(entry => entry.firstElementChild)])
            [...row.children].forEach((cell, column) => {
                const its = advice.filter(at => at <= column).pop();
                cell.hidden = its !== undefined && !asked.includes(its);
            });
        count.textContent = `${entries.filter(entry => !entry.hidden).length} of ${entries.length}`;
    });
    if (first.length > 2) heads.before(bar);
}

// ---- plots --------------------------------------------------------------------------

const save = (url, name) => make("a", "", { href: url, download: name }).click();
for (const figure of all("figure")) {
    const svg = figure.querySelector("svg"), caption = figure.querySelector("figcaption");
    const name = caption.textContent.replace(/[^\w]+/g, "-").toLowerCase();
    const source = () => {
        const style = getComputedStyle(svg), copy = svg.cloneNode(true);
        const [, , width, height] = svg.getAttribute("viewBox").split(" ");
        copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
        copy.setAttribute("width", 2 * width);
        copy.setAttribute("height", 2 * height);
        copy.style = `color:${style.color};font:${style.font};background:var(--paper)`;
        return new XMLSerializer().serializeToString(copy)
            .replace(/var\((--\w+)\)/g, (_, variable) => style.getPropertyValue(variable).trim());
    };
    const button = (text, act) => {
        const made = make("button", text, { type: "button", className: "save" });
        made.setAttribute("aria-label", `${caption.firstChild.data}: save as ${text}`);
        made.addEventListener("click", act);
        return made;
    };
    const image = () => URL.createObjectURL(new Blob([source()], { type: "image/svg+xml" }));
    caption.append(button("SVG", () => save(image(), name + ".svg")), button("PNG", () => {
        const picture = new Image();
        picture.onload = () => {
            const canvas = make("canvas", "", { width: picture.width, height: picture.height });
            canvas.getContext("2d").drawImage(picture, 0, 0);
            save(canvas.toDataURL(), name + ".png");
        };
        picture.src = image();
    }));
}

// ---- keys ---------------------------------------------------------------------------

// A table that scrolls sideways can be scrolled by keys.
const reach = () => {
    for (const box of all(".scroll"))
        if (box.scrollWidth > box.clientWidth) box.setAttribute("tabindex", "0");
        else box.removeAttribute("tabindex");
};
addEventListener("resize", reach);
document.addEventListener("toggle", reach, true);
reach();
