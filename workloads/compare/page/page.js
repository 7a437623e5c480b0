// SPDX-License-Identifier: LGPL-2.1-or-later
// The page says all without this.  It makes the link to results.csv work where the
// file is not beside the page, from the samples that the page carries.
"use strict";
for (const link of document.querySelectorAll("a[download='results.csv']"))
    link.addEventListener("click", () => {
        const lines = [];
        for (const samples of document.querySelectorAll(".samples pre")) {
            const rows = samples.textContent.trimEnd().split("\n");
            lines.push(...(lines.length ? rows.slice(1) : rows));
        }
        link.href = URL.createObjectURL(new Blob([lines.join("\n") + "\n"], { type: "text/csv" }));
    });
// A table that scrolls sideways can be scrolled by keys.
const reach = () => {
    for (const box of document.querySelectorAll(".scroll"))
        if (box.scrollWidth > box.clientWidth) box.setAttribute("tabindex", "0");
        else box.removeAttribute("tabindex");
};
addEventListener("resize", reach);
reach();
