
// ---- tables ---------------------------------------------------------------------------

const BYTES = { bytes: 1, KiB: 1024, MiB: 2 ** 20, GiB: 2 ** 30 };
const UNITS = { ...BYTES, ns: 1, "µs": 1e3, ms: 1e6, s: 1e9 };
// A number with its unit, or the text; a dash sorts last.
const amount = cell => {
    const text = cell.textContent, found = /^([-+]?[\d.]+)(?: (.+))?$/.exec(text);
    return text === "–" ? -Infinity : found ? found[1] * (UNITS[found[2]] ?? 1) : text;
};
for (const table of all("main table"))
    all("thead th", table).forEach((head, column) => {
        const button = make("button", "", { type: "button", title: "Sort by this" });
        button.append(...head.childNodes);
        head.append(button);
        button.addEventListener("click", () => {
            const up = head.getAttribute("aria-sort") === "descending" ? -1 : 1;
            const rows = [...table.tBodies[0].rows];
            const by = row => amount(row.cells[column]);
            rows.sort((a, b) => up * compare(by(a), by(b)));
            table.tBodies[0].append(...rows);
            // A name that was like that of the row above it.
            for (const name of all(".unseen", table)) name.classList.remove("unseen");
            for (const other of all("th", table)) other.removeAttribute("aria-sort");
            head.setAttribute("aria-sort", up > 0 ? "descending" : "ascending");
        });
    });

// ---- the graph around an object ---------------------------------------------------------

const data = JSON.parse(document.getElementById("data").textContent);
const graph = document.getElementById("graph");
const BOX = 40, STEP = 52, MOST = 12, LETTER = 7.2;
let shown = 0;

const size = bytes => {
    let unit = 0;
    for (; bytes >= 999.5 && unit < 3; unit++) bytes /= 1024;
    return `${unit ? bytes.toPrecision(3) : bytes} ${Object.keys(BYTES)[unit]}`;
};
const draw = (name, to, attributes, text) => {
    const one = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) one.setAttribute(key, value);
    if (text !== undefined) one.textContent = text;
    to.append(one);
    return one;
};
const cut = (text, width) => {
    const most = Math.floor(width / LETTER);
    return text.length <= most ? text : most > 1 ? text.slice(0, most - 1) + "…" : "";
};

const drawBox = (svg, id, x, y, width, before) => {
    const [label, , retained, root] = data.objects[id];
    const own = id === shown;
    const box = own ? draw("g", svg, {}) : draw("a", svg, { href: `#o${id}` });
    draw("title", box, {}, label);
    draw("rect", box, { x, y, width, height: BOX, rx: 4, class: own ? "own" : "" });
    if (root)
        draw("rect", box, { x: x + 3, y: y + 3, width: width - 6, height: BOX - 6, class: "root" });
    draw("text", box, { x: x + 10, y: y + 17 }, cut(label, width - 20));
    draw("text", box, { x: x + 10, y: y + 32, class: "soft" },
        cut(`${before}retains ${size(retained)}`, width - 20));
};
const drawLine = (svg, path, weak) =>
    draw("path", svg, { d: path, class: weak ? "weak" : "", "marker-end": "url(#tip)" });

// Referrers, the object and what it refers to: beside each other, or where it is narrow below.
const columns = (svg, width, ins, outs) => {
    const box = Math.min(280, width * 0.27), gap = (width - 3 * box) / 2;
    const rows = Math.max(ins.length, outs.length, 1), middle = (rows - 1) / 2 * STEP + 2;
    const at = (list, i) => 2 + (i + (rows - list.length) / 2) * STEP;
    const line = (x, from, to, label, end, weak) => {
        const a = from + BOX / 2, b = to + BOX / 2;
        const half = x + gap / 2;
        drawLine(svg, `M${x} ${a} C${half} ${a} ${half} ${b} ${x + gap - 2} ${b}`, weak);
        draw("text", svg, { x: end ? x + gap - 8 : x + 4, y: (end ? b : a) - 4,
            "text-anchor": end ? "end" : "start", class: "soft" }, cut(label, gap - 12));
    };
    ins.forEach(([from, , label, weak], i) => {
        line(box, at(ins, i), middle, label, false, weak);
        drawBox(svg, from, 0, at(ins, i), box, "");
    });
    outs.forEach(([, to, label, weak], i) => {
        line(2 * box + gap, middle, at(outs, i), label, true, weak);
        drawBox(svg, to, 2 * (box + gap), at(outs, i), box, "");
    });
    drawBox(svg, shown, box + gap, middle, box, "");
    return rows * STEP;
};
const stack = (svg, width, ins, outs) => {
    const box = width - 48, middle = ins.length * STEP + 2;
    ins.forEach(([from, , label, weak], i) => {
        const y = i * STEP + 2 + BOX / 2;
        drawLine(svg, `M16 ${y} H6 V${middle + BOX / 2} H28`, weak);
        drawBox(svg, from, 16, y - BOX / 2, box, `${label}, `);
    });
    outs.forEach(([, to, label, weak], i) => {
        const y = middle + (i + 1) * STEP;
        drawLine(svg, `M36 ${middle + BOX} V${y + BOX / 2} H44`, weak);
        drawBox(svg, to, 46, y, box, `${label}, `);
    });
    drawBox(svg, shown, 30, middle, box, "");
    return (ins.length + outs.length + 1) * STEP;
};

const show = id => {
    shown = id;
    const [label, bytes, retained, root, outCount, inCount] = data.objects[id];
    // Of many, those whose other ends retain most.
    const some = (own, other) => {
        const list = data.references.filter(one => one[own] === id);
        const by = one => data.objects[one[other]][2];
        return list.length > MOST ? list.sort((a, b) => by(b) - by(a)).slice(0, MOST) : list;
    };
    const ins = some(1, 0), outs = some(0, 1);
    const width = Math.max(graph.clientWidth, 280);
    const strong = list => list.filter(one => !one[3]).length;
    const about = make("p", `${label}: ${size(bytes)}, retains ${size(retained)}`
        + `${root ? `; a root: ${root}` : ""}. Drawn are ${strong(ins)} of ${inCount} references `
        + `to it, and ${strong(outs)} of its ${outCount}.`);
    const svg = draw("svg", graph, { width, role: "group",
        "aria-label": `What refers to ${label}, and what it refers to` });
    const tip = draw("marker", draw("defs", svg, {}), { id: "tip", viewBox: "0 0 8 8", refX: 7,
        refY: 4, markerWidth: 8, markerHeight: 8, orient: "auto" });
    draw("path", tip, { d: "M0 0L8 4L0 8Z" });
    svg.setAttribute("height", (width < 640 ? stack : columns)(svg, width, ins, outs) + 4);
    about.setAttribute("role", "status");
    graph.replaceChildren(about, svg);
};
const follow = () => {
    const found = /^#o(\d+)$/.exec(location.hash);
    if (!found || !(found[1] in data.objects)) return;
    const within = graph.contains(document.activeElement);
    show(Number(found[1]));
    graph.scrollIntoView({ block: "nearest" });
    // By key one goes on from the first object that it leads to.
    if (within) graph.querySelector("a")?.focus();
};
addEventListener("hashchange", follow);
document.addEventListener("click", event => {
    const link = event.target.closest?.("[data-object]");
    if (!link) return;
    event.preventDefault();
    location.hash = `o${link.dataset.object}`;
});
for (const one of all(".entry p[hidden]")) one.hidden = false;
let last = 0;
addEventListener("resize", () => {
    if (graph.clientWidth !== last) show(shown);
    last = graph.clientWidth;
});
if (data.objects.length) show(0);
follow();
