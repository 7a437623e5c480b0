#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Every relative link of a page leads to a file, and to a heading if it names one; every page
that a comment or a message names is there; and so is every function that the head of a model says
it stands for.  check_links.py ROOT"""
import pathlib
import re
import sys

root = pathlib.Path(sys.argv[1]).resolve()
folders = ['core', 'gil', 'nogil', 'workloads', 'tests', 'docs']
files = [f for f in root.iterdir() if f.is_file()]
files += [f for folder in folders for f in (root / folder).rglob('*') if f.is_file()]
wrong = []


def headings(page):
    text = re.sub(r'```.*?```', '', page.read_text(), flags=re.S)
    found = set()
    for title in re.findall(r'^#+ +(.*)$', text, flags=re.M):
        title = re.sub(r'[^\w\- ]', '', title.lower())
        found.add(title.replace(' ', '-'))
    return found


def check_page(page, text):
    text = re.sub(r'```.*?```|`[^`\n]*`', '', text, flags=re.S)
    for link in re.findall(r'\]\(([^)\s]+)\)', text):
        if re.match(r'[a-z]+:', link):
            continue
        path, _, anchor = link.partition('#')
        target = page.parent / path if path else page
        if not target.exists():
            wrong.append(f'{page.relative_to(root)}: no file {link}')
        elif anchor and target.suffix == '.md' and anchor not in headings(target):
            wrong.append(f'{page.relative_to(root)}: no heading {link}')


def check_model(model, text, code):
    """A name that begins with _ continues the one before: tally_lock_object, _try."""
    stands = re.search(r'Stands for(.*?)\n \*\n', text, flags=re.S)
    for word in re.findall(r'[\w./]+', re.sub(r'\n \*', '', stands[1]) if stands else ''):
        word = word.rstrip('.')
        if word.endswith(('.c', '.h')):
            there = any(f'/{name}'.endswith(f'/{word}') for name in code)
        else:
            there = '_' not in word or any(re.search(word + r'\b', text) for text in code.values())
        if not there:
            wrong.append(f'{model.relative_to(root)}: stands for {word}, which does not exist')


code = {
    str(f.relative_to(root)): f.read_text()
    for house in ('core', 'gil', 'nogil')
    for f in (root / house).rglob('*.[ch]')
}
pages = 0
for file in files:
    try:
        text = file.read_text()
    except UnicodeDecodeError:
        continue
    if file.suffix == '.pml':
        check_model(file, text, code)
    if file.suffix == '.md':
        pages += 1
        check_page(file, text)
    for name in re.findall(r'(?<![\w/.-])docs/[\w/-]+\.md', text):
        if not (root / name).exists():
            wrong.append(f'{file.relative_to(root)}: names {name}, which does not exist')
print(*sorted(set(wrong)), f'{pages} pages, {len(set(wrong))} wrong links', sep='\n')
sys.exit(1 if wrong or pages < 20 else 0)
