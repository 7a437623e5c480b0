# SPDX-License-Identifier: LGPL-2.1-or-later
"""A play as one page that needs no network: a picture per frame, with next and back."""
import html
import pathlib

import play as parts

HERE = pathlib.Path(__file__).resolve().parent
STYLE = HERE.parent / 'compare' / 'page' / 'page.css'
WIDTH, ROW, LEFT, RIGHT = 380, 50, 92, 280
OWN_STYLE = """
.frame svg { display: block; width: 100%; max-width: 30rem; height: auto; font: 12px system-ui,
    sans-serif; }
.frame h2 { font-family: ui-monospace, monospace; font-size: 1.3rem; }
.backends { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 20rem), 1fr));
    gap: 1rem; }
.frame { border-top: 1px solid var(--line); }
.threads { list-style: none; padding: 0; display: flex; flex-wrap: wrap; gap: .4rem; }
.threads li { border: 1px solid var(--grid); border-radius: 4px; padding: .1rem .5rem;
    background: var(--band); }
.bar { display: flex; gap: .6rem; align-items: center; margin: .8rem 0; }
.bar button { padding: .3rem 1rem; }
.box { fill: var(--band); stroke: var(--grid); }
.new, .changed { fill: var(--same-back); stroke: var(--same); }
.dead, .freed, .unreachable { fill: var(--bad-back); stroke: var(--bad); }
.alive { fill: var(--good-back); stroke: var(--good); }
.line { fill: none; stroke: var(--soft); stroke-width: 1.3; }
.tip { fill: var(--soft); }
text { fill: var(--ink); }
.soft { fill: var(--soft); font-size: 11px; }
.label { fill: var(--soft); font-size: 11px; paint-order: stroke; stroke: var(--paper);
    stroke-width: 4px; }
.count { font-weight: 700; text-anchor: end; }
"""
SCRIPT = """
'use strict';
const frames = [...document.querySelectorAll('.frame')];
const [back, next] = document.querySelectorAll('.bar button');
const show = at => {
    at = Math.min(Math.max(at, 0), frames.length - 1);
    frames.forEach((frame, i) => { frame.hidden = i !== at; });
    document.querySelector('.at').textContent = `${at + 1} of ${frames.length}`;
    back.disabled = at === 0;
    next.disabled = at === frames.length - 1;
    history.replaceState(null, '', `#${at + 1}`);
};
const current = () => frames.findIndex(frame => !frame.hidden);
back.addEventListener('click', () => show(current() - 1));
next.addEventListener('click', () => show(current() + 1));
addEventListener('keydown', event => {
    if (event.key === 'ArrowRight') show(current() + 1);
    if (event.key === 'ArrowLeft') show(current() - 1);
});
document.querySelector('.bar').hidden = false;
show((parseInt(location.hash.slice(1), 10) || 1) - 1);
"""


def cell(x, y, text, kind=''):
    return f'<text class="{kind}" x="{x}" y="{y}">{html.escape(text)}</text>'


def arrow(path):
    return f'<path class="line" marker-end="url(#tip)" d="{path}"/>'


def box_class(view, one):
    number, old = one['id'], view.before.get(one['id'])
    if number in view.dead:
        return 'dead'
    if view.lists.get(number):
        return view.lists[number]
    if not view.copies and (old is None or parts.total(old) != parts.total(one)):
        return 'changed'
    return ''


def reference(top, bottom, at, labels, taken):
    """From an object to another, on their right; taken: heights of labels."""
    reach = RIGHT + 24 + min(70, 9 * abs(bottom - top) // ROW) + 5 * (at % 3)
    if top == bottom:
        curve = (
            f'M{RIGHT} {top - 7} C{reach + 8} {top - 18} {reach + 8} {top + 18} {RIGHT} {top + 7}'
        )
        return arrow(curve) + cell(reach + 6, top + 4, labels, 'label')
    down = 6 if bottom > top else -6
    curve = f'M{RIGHT} {top + down} C{reach} {top + down} {reach} {bottom - down} {RIGHT} '
    # Labels of two that refer to each other are above one another, right of both bows.
    middle, shift = (top + bottom) / 2 + down * 4 / 3, (reach - RIGHT) * 3 / 4
    while any(abs(middle - other) < 12 for other in taken):
        middle += 4
    taken.append(middle)
    return arrow(curve + f'{bottom - down}') + cell(RIGHT + shift + 7, middle + 4, labels, 'label')


def picture(view, play, rows):
    """Names on the left, objects with their counts, references on the right."""
    place = {one['id']: ROW * rows[one['id']] + 24 for one in view.rows()}
    boxes, lines, taken = [], [], []
    for at, one in enumerate(view.rows()):
        y, number = place[one['id']], one['id']
        boxes.append(
            f'<rect class="box {box_class(view, one)}" x="{LEFT}" y="{y - 19}" rx="5"'
            f' width="{RIGHT - LEFT}" height="38"/>'
        )
        boxes.append(cell(LEFT + 8, y - 4, f'#{number} {one["type"]} {one["value"]}'.strip()))
        halves = play.halves and one['owner']
        count = 'immortal' if one['immortal'] else str(parts.total(one))
        below = parts.note_text(view, one, play.generations)
        if halves and number not in view.dead:
            count = f'{one["local"]} + {one["shared"]}'
            if number not in view.copies and not view.lists.get(number):
                below = f'owner {parts.letter(one["owner"])}, {one["state"]}'
        if number not in view.dead:
            boxes.append(cell(RIGHT - 8, y - 4, count, 'count'))
        boxes.append(cell(LEFT + 8, y + 12, below, 'soft'))
        names = view.held_by(number)
        for index, name in enumerate(names):
            start = y + 15 * (index - (len(names) - 1) / 2)
            boxes.append(cell(2, start + 4, name))
            lines.append(arrow(f'M{8 * len(name) + 6} {start} L{LEFT} {y + start / 99 - y / 99}'))
        for target, labels in parts.grouped(one['references']).items():
            if target in place:
                shown = ', '.join(labels[:2]) + (', ...' if len(labels) > 2 else '')
                lines.append(reference(y, place[target], at, shown, taken))
    height = ROW * (max(rows.values(), default=0) + 1)
    about = html.escape('; '.join(line.strip() for line in parts.text_of(view, play)))
    return (
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{about}">'
        f'{"".join(lines)}{"".join(boxes)}</svg>'
    )


def places(play):
    """The row of each object: the first free one when it is made, until it is dead."""
    rows, last = {}, {}
    for at, frame in enumerate(play.frames):
        for view in frame.views.values():
            last.update(dict.fromkeys(view.objects, at))
    for at, frame in enumerate(play.frames):
        for number in sorted({one for view in frame.views.values() for one in view.objects}):
            if number not in rows:
                taken = {rows[one] for one in rows if last[one] >= at}
                rows[number] = next(row for row in range(len(taken) + 1) if row not in taken)
    return rows


def frame_of(play, at, rows):
    frame = play.frames[at]
    lines = [f'<section class="frame"><h2>{html.escape(frame.step.source)}</h2>']
    lines += [f'<p>{html.escape(text)}</p>' for text in (frame.step.note, frame.part) if text]
    lines.append('<div class="backends">')
    for backends, _, view in frame.groups(play):
        lines.append(f'<div><h3>{", ".join(backends)}</h3>{picture(view, play, rows)}')
        if view.places:
            shown = (f'<li>{one} {html.escape(place)}</li>' for one, place in view.places.items())
            lines.append(f'<ul class="threads">{"".join(shown)}</ul>')
        lines += [f'<p>{html.escape(event)}</p>' for event in view.events]
        lines.append('</div>')
    return ''.join(lines) + '</div></section>\n'


def page_of(play):
    rows = places(play)
    frames = ''.join(frame_of(play, at, rows) for at in range(len(play.frames)))
    title = html.escape(play.title)
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; \
script-src 'unsafe-inline'; img-src data:">
<link rel="icon" href="data:,">
<title>{title}</title>
<style>
{STYLE.read_text(encoding='utf-8')}{OWN_STYLE}</style></head><body>
<header><h1>{title}: {html.escape(play.summary)}</h1></header>
<main><div class="bar" hidden><button type="button">Back</button>
<button type="button">Next</button> <span class="at" role="status"></span></div>
{frames}</main>
<svg width="0" height="0" aria-hidden="true"><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4"
 markerWidth="7" markerHeight="7" orient="auto"><path class="tip" d="M0 0L8 4L0 8z"/></marker></svg>
<script>{SCRIPT}</script></body></html>
"""
