#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Writes the pages of this folder that have one source: commands.md of the table of options,
results.md of the schema, counters.md of the list of counters in tally.h.

Usage: generate.py [--check]

--check writes nothing; a page that differs from its source is named, with the lines, and the exit
status is 1.
"""
import difflib
import json
import pathlib
import re
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
COMMAND = 'cmake --build build/release --target reference'


def row(*cells):
    return '| ' + ' | '.join(cell.replace('|', '\\|') for cell in cells) + ' |'


def table(heads, rows):
    return [row(*heads), row(*['---'] * len(heads)), *[row(*cells) for cells in rows], '']


def head(title, source, text):
    return [f'# {title}', '', f'<!-- Written by `{COMMAND}` from {source}. -->', '', text, '']


def code(text):
    return f'`{text}`'


# ---- commands ------------------------------------------------------------------------------


def options_of(lines):
    """Of lines of a command: what stands before the options, and (option, help) of each."""
    text, options = [], []
    for line in lines:
        if line.startswith('  --'):
            options.append((line.strip(), []))
        elif options and line.strip():
            options[-1][1].append(line.strip())
        elif not options:
            text.append(line)
    return text, options


def option_row(option, help_lines):
    words = ' '.join(help_lines)
    words = words.replace('{workloads}', '`tally list` names them.')
    words = words.replace('{backends}', '`tally list --backends` names them.')
    name, _, bounds = option.partition(' (')
    words = words.replace('<', '&lt;').replace('*', '\\*')
    return code(name), words + (f'; from {bounds[:-1]}' if bounds else '')


def commands(source):
    page = head(
        'Commands',
        source.name,
        'In a checkout the command is `./tally`. `--help` says the same on the terminal.',
    )
    parts = re.split(r'^== ', source.read_text(), flags=re.M)[1:]
    for part in parts:
        usage, summary, *lines = part.splitlines()
        name = usage.split()[0]
        if name == 'tally-compare':  # what the script alone gives
            continue
        text, options = options_of(lines)
        page += [f'## {name}', '', f'    tally {usage}', '']
        page += [summary[0].upper() + summary[1:] + '.', '']
        if any(text):
            page += ['\n'.join(text).strip(), '']
        page += table(['option', 'meaning'], [option_row(*one) for one in options])
    return page


# ---- results -------------------------------------------------------------------------------

UNITS = [('_ns', 'ns'), ('_ms', 'ms'), ('_kib', 'KiB'), ('_mib', 'MiB'), ('_bytes', 'bytes')]
UNITS += [('seconds', 's'), ('rate', 'per second')]


def unit_of(name):
    return next((unit for end, unit in UNITS if name.endswith(end)), '')


def type_of(field, defs):
    if '$ref' in field:
        name = field['$ref'].split('/')[-1]
        if name == 'count':
            return 'integer'
        if defs[name].get('type') == 'array':
            return type_of(defs[name], defs)
        return f'[{name}](#{name})'
    if 'const' in field:
        return code(json.dumps(field['const']))
    if 'enum' in field:
        return ' or '.join(code(value) for value in field['enum'])
    kind = field['type']
    if kind == 'array':
        return 'list of ' + type_of(field['items'], defs)
    return ' or '.join(kind) if isinstance(kind, list) else kind


def properties_of(definition):
    """Of an object, and of those that it adds to another."""
    parts = definition.get('allOf', [definition])
    return [one for part in parts for one in part.get('properties', {}).items()]


def fields(definition, defs):
    rows = []
    for name, field in properties_of(definition):
        if not field.get('description'):
            sys.exit(f'the schema says nothing of {name}')
        inner = field.get('properties')
        rows.append([code(name), type_of(field, defs), unit_of(name), field['description']])
        for part, below in (inner or {}).items():
            rows.append([code(f'{name}.{part}'), type_of(below, defs), unit_of(part)])
            rows[-1].append(below['description'])
    return table(['field', 'type', 'unit', 'meaning'], rows)


def results(source):
    schema = json.loads(source.read_text())
    defs = schema['$defs']
    page = head(
        'results.json',
        source.name,
        f'{schema["title"]}. {schema["description"]} A field without a unit is a count, a word or '
        'an object.',
    )
    page += ['## results', '', *fields(schema, defs)]
    for name, definition in defs.items():
        rows = properties_of(definition)
        if rows:
            page += [f'## {name}', '']
            if 'allOf' in definition:
                page += ['A [run](#run), and:', '']
            page += fields(definition, defs)
    return page


# ---- counters ------------------------------------------------------------------------------

GROUPS = [
    (
        'CHEAP',
        'Always counted',
        'Slow paths count these in every build. They are summed over all threads that ever were.',
    ),
    (
        'DETAILED',
        'Counted in builds with TALLY_COUNT_EVENTS',
        'The drivers `tally-<backend>-counted` have them; elsewhere they are 0.',
    ),
    (
        'LEVELS',
        'Levels',
        'Bytes at the moment, always 0 with a GIL. In results.json their names end in `_bytes`.',
    ),
]


def counter_rows(body, unit):
    rows = []
    for name, meaning in re.findall(r'X\((\w+)\) *(?:/\* (.*?) \*/)?', body):
        if not meaning:
            sys.exit(f'tally.h says nothing of {name}')
        if meaning == 'the same':
            meaning = rows[-1][2]
        rows.append([code(name), unit or ('ns' if name.endswith('_ns') else 'count'), meaning])
    return rows


def counters(source):
    page = head(
        'Counters',
        source.name,
        '`tally_stats` fills a `tally_stats_result` with these, and `stats` of a run in '
        '[results.json](results.md) has what the samples added.',
    )
    text = source.read_text()
    for group, title, about in GROUPS:
        body = re.search(rf'#define TALLY_STATS_{group}\(X\)(.*?[^\\])\n', text, re.S)[1]
        unit = 'bytes' if group == 'LEVELS' else ''
        page += [f'## {title}', '', about, '']
        page += table(['name', 'unit', 'meaning'], counter_rows(body, unit))
    return page


PAGES = {
    'commands.md': (commands, 'workloads/compare/cli/options.txt'),
    'results.md': (results, 'workloads/compare/results/results.schema.json'),
    'counters.md': (counters, 'core/tally.h'),
}


def main():
    check = sys.argv[1:] == ['--check']
    if sys.argv[1:] and not check:
        sys.exit(__doc__)
    stale = 0
    for name, (make, source) in PAGES.items():
        text = '\n'.join(make(ROOT / source))
        path = HERE / name
        if not check:
            path.write_text(text)
            continue
        found = path.read_text() if path.exists() else ''
        stale += found != text
        for line in difflib.unified_diff(found.splitlines(), text.splitlines(), name, source):
            print(line)
    if stale:
        print(f'{stale} pages are not what their sources give; run {COMMAND}')
    sys.exit(1 if stale else 0)


main()
