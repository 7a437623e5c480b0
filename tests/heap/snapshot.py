# SPDX-License-Identifier: LGPL-2.1-or-later
"""A second reader of heap snapshots, written after docs/reference/heap-snapshot.md alone."""
import struct

LAYOUTS = 'nothing int float str weakref slots items native keys names type'.split()
IMMORTAL = 6


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def number(self):
        result = shift = 0
        while True:
            byte = self.data[self.at]
            self.at += 1
            result |= (byte & 127) << shift
            if byte < 128:
                return result
            shift += 7

    def signed(self):
        folded = self.number()
        return folded >> 1 ^ -(folded & 1)

    def bytes(self, length):
        self.at += length
        return self.data[self.at - length : self.at]

    def text(self):
        return self.bytes(self.number()).decode()


class Object:
    def __init__(self):
        self.references, self.weak, self.value = [], None, None  # (name, address)
        self.hash = None  # of a str that is cut

    @property
    def state(self):
        return self.flags & 7

    def label(self):
        return self.type['name'] if self.value is None else f'{self.type["name"]} {self.value!r}'


def read_ledger(r):
    """Mappings by kind, malloc's figures, large blocks by kind, and pools by arena."""
    kinds = 'arenas side_marks malloc stacks code data anonymous'.split()
    ledger = {'resident': r.number(), 'mapped': {kind: r.number() for kind in kinds}}
    ledger['malloc'] = r.number(), r.number()
    ledger['large'] = [tuple(r.number() for _ in range(4)) for _ in range(3)]
    ledger['small_waiting'], ledger['region'], ledger['descriptors'] = (
        r.number() for _ in range(3)
    )
    ledger['arenas'] = {}
    for _ in range(r.number()):
        number = r.number()
        pools = []
        for _ in range(64):
            pool = {'kind': r.number(), 'resident': r.number()}
            if pool['kind'] > 1:
                for name in 'class', 'owner', 'made', 'used', 'coming':
                    pool[name] = r.number()
            pools.append(pool)
        ledger['arenas'][number] = pools
    return ledger


def read_queues(r):
    """By thread what waits for it, and the batches; ages are nanoseconds, or None."""

    def age():
        known = r.number()
        return known - 1 if known else None

    queues = {'threads': {}, 'batches': []}
    for _ in range(r.number()):
        number = r.number()
        about = {'away': age(), 'queued': r.number(), 'queued_bytes': r.number(), 'age': age()}
        about.update(list=r.number(), throttled=r.number(), throttled_age=age())
        queues['threads'][number] = about
    for _ in range(r.number()):
        batch = {'bytes': r.number(), 'age': age()}
        batch['behind'] = [r.number() for _ in range(r.number())]
        queues['batches'].append(batch)
    return queues


def read(path):
    """The header, the threads, and the objects by address."""
    r = Reader(open(path, 'rb').read())
    assert r.bytes(8) == b'TallyHp\n'
    head = {'version': r.number(), 'backend': r.text(), 'created': r.number()}
    for name in 'pause', 'objects', 'references', 'bytes':
        head[name] = r.number()
    threads = {r.number(): r.number() for _ in range(r.number())}
    types = {}
    for _ in range(r.number()):
        at, address, flags, layout = (r.number() for _ in range(4))
        name = r.text()
        slots = [r.text() for _ in range(r.number())]
        types[at] = dict(
            name=name, address=address, flags=flags, layout=LAYOUTS[layout], slots=slots
        )
    objects, last = {}, 0
    for _ in range(head['objects']):
        o = Object()
        last += r.signed()
        o.address = base = last
        o.type = types[r.number()]
        o.flags, o.size, o.owner, o.local = (r.number() for _ in range(4))
        o.shared = r.signed()

        def reference():
            nonlocal base
            folded = r.number()
            if folded == 0:
                return None
            folded -= 1
            base += folded >> 1 ^ -(folded & 1)
            return base

        def places(name):
            for i in range(r.number()):
                to = reference()
                if to is not None:
                    o.references.append((name(i), to))

        def pairs(value):
            for _ in range(r.number()):
                key = reference()
                o.references.append(('key', key))
                o.references.append((('value', value, key), reference()))

        layout = o.type['layout']
        if layout == 'int':
            o.value = r.signed()
        elif layout == 'float':
            o.value = struct.unpack('<d', r.bytes(8))[0]
        elif layout == 'str':
            length = r.number()
            kept = length if length <= 48 else 36 if head['version'] > 2 else 48
            o.value = r.bytes(kept).decode() + ('...' if length > kept else '')
            o.length = length
            if length > kept and head['version'] > 2:
                head.setdefault('hashes_at', []).append(r.at)
                o.hash = r.bytes(8)
        elif layout == 'weakref':
            o.weak = reference()
        elif layout == 'slots':
            places(lambda i: '.' + o.type['slots'][i])
        elif layout in ('items', 'native'):
            places(lambda i: f'[{i}]')
        elif layout in ('keys', 'names', 'type'):
            pairs(layout)
        if layout == 'type':
            pairs('slot')
            named = [t['name'] for t in types.values() if t['address'] == o.address]
            o.value = named[0] if named else None
        if o.type['flags'] & 1:
            o.references.append(('class', o.type['address']))
        objects[o.address] = o
    head['ledger_at'] = r.at
    head['ledger'] = read_ledger(r) if head['version'] > 1 else None
    head['queues_at'] = r.at
    head['queues'] = read_queues(r) if head['version'] > 2 else None
    assert r.at == len(r.data), 'bytes behind the last object'
    assert len(objects) == head['objects']
    return head, threads, objects


def lines(objects):
    """One line per object, without addresses: what is the same on all backends."""
    result = []
    for o in objects.values():
        text = o.label()
        if o.type['flags'] & 2:
            text += ', has a finalizer'
        if o.state == IMMORTAL:
            text += ', immortal'
        else:
            text += f', {o.local + o.shared} references'
        if o.weak:
            text += f', weakly {objects[o.weak].label()}'
        for name, to in o.references:
            if isinstance(name, tuple):
                name = f'{name[1]} {objects[name[2]].label()}'
            text += f'\n    {name} -> {objects[to].label()}'
        result.append(text)
    return sorted(result)
