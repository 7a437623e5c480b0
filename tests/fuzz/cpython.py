# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs scripts of the differential fuzzer (script.h) on CPython.

    cpython.py [--trace] [FILE]     default: standard input

Prints for each script what fuzz.c prints: its seed and a checksum of what its
operations showed. Every operation here says in Python what fuzz.c says to the
run time; where CPython has no such call, it is spelt out (slots by index, the
order of two objects, ints of 64 bits). README.md lists what scripts avoid.
"""
import gc
import struct
import sys
import threading
import weakref
from zlib import crc32

REGISTERS, NAMES, PROCEDURES = 26, 7, 8
MOST_EVENTS, MOST_DEFERRED, HEAVY, LONGEST, FUEL = 400, 4096, 300, 1500, 24
BIG = [
    2**63 - 1,
    -(2**63),
    2**63 - 2,
    -(2**63) + 1,
    2**53,
    2**53 + 1,
    -(2**53) - 1,
    2**62,
    -(2**62),
    3037000500,
    256,
    257,
    -5,
    -6,
    2**32,
    2**31 - 1,
    1000003,
    -1000003,
    2**61,
    2**61 - 1,
    4611686018427387905,
    7,
    -7,
    100,
]
REALS = [
    '0.0',
    '-0.0',
    '1.0',
    '-1.0',
    '0.5',
    '-0.5',
    '1e308',
    '-1e308',
    '1e-308',
    '5e-324',
    'inf',
    '-inf',
    'nan',
    '9007199254740992.0',
    '9223372036854775808.0',
    '-9223372036854775808.0',
    '3.0',
    '-3.0',
    '0.1',
    '1e16',
    '2.5',
    '1e22',
    '123456.789',
    '-7.0',
]
STRINGS = ['', 'x', 'y1', '\u00e9', 'a long string of forty bytes, more or less', 'a2', 'key']
ATTRIBUTES = ['a', 'b', 'a2', 'a3', 'a4', 'a5', 'a6']
OPEN, SLOTS, WEAK_SLOTS, BARE = range(4)
SLOT_NAMES = [None, ('tag', 'a', 'b'), ('tag', 'a', 'b'), ('tag',)]


class Error(Exception):
    """An error of the run time, by its letter."""


ERRORS = ['-', 'M', 'T', 'V', 'I', 'K', 'A', 'O', 'Z', 'R']


def letter_of(error):
    if isinstance(error, Error):
        return error.args[0]
    for kind, letter in (
        (MemoryError, 'M'),
        (TypeError, 'T'),
        (IndexError, 'I'),
        (KeyError, 'K'),
        (AttributeError, 'A'),
        (OverflowError, 'O'),
        (ZeroDivisionError, 'Z'),
        (ValueError, 'V'),
        (RuntimeError, 'R'),
    ):
        if isinstance(error, kind):
            return letter
    raise error


class Machine:
    pass


m = Machine()


def new_machine(mode, procedures):
    m.__dict__.clear()
    m.registers = [m] * REGISTERS  # m itself: empty
    m.serial = m.depth = m.raised = m.fuel = 0
    m.immediate = m.collecting = m.ending = False
    m.events, m.deferred = [], []
    m.portable, m.keys, m.borrow = 'portable' in mode, 'keys' in mode, 'borrow' in mode
    m.procedures = procedures


# ---- instances, classes, native objects ----


class Native:
    __slots__ = ('serial', 'code', 'procedure', 'hook', 'armed', 'rises')

    def __repr__(self):
        hooked(self, 2)
        return 'X%d' % self.serial


class Equals(Native):
    __slots__ = ()

    def __eq__(self, other):
        same = type(other) is type(self)
        raised = hooked(other if same and other.serial < self.serial else self, 0)
        if same:
            return self is other or self.code == other.code
        return False if isinstance(other, Native) else NotImplemented

    __hash__ = None


class X0(Native):
    __slots__ = ()


class X1(Equals):
    __slots__ = ()

    def __hash__(self):
        hooked(self, 1)
        return 0x123456789AB0 + self.code * 4 + 1


class X2(Equals):
    __slots__ = ('held', '__weakref__')

    def __hash__(self):
        hooked(self, 1)
        return 0x123456789AB0 + self.code * 4 + 2

    def __del__(self):
        if not m.borrow:
            finalize(self, self.serial, -1, self.rises)


class X3(Equals):
    __slots__ = ()


NATIVES = [X0, X1, X2, X3]


class Class(type):
    """The type of classes that scripts make."""


def finalize_instance(self):
    serial, procedure, rises = self.tag
    finalize(self, serial, procedure, rises)


def kind_of(o):
    t = type(o)
    kind = KINDS.get(t)
    if kind:
        return kind
    return 'C' if type(t) is Class else 'y'


KINDS = {
    int: 'i',
    float: 'f',
    str: 's',
    bool: 'b',
    type(None): 'N',
    list: 'l',
    dict: 'd',
    tuple: 't',
    Class: 'y',
    weakref.ref: 'w',
    X0: 'X',
    X1: 'X',
    X2: 'X',
    X3: 'X',
}


# ---- what is shown ----


def show(o, depth=0):
    kind = kind_of(o)
    if kind == 'i':
        return 'i%d' % o
    if kind == 's':
        data = o.encode()
        return 's' + o if len(data) <= 24 else 's%d~%d' % (len(data), crc32(data))
    if kind == 'N':
        return '0'
    if kind == 'b':
        return 'T' if o else 'F'
    if kind == 'f':
        return 'fnan' if o != o else 'f%016x' % struct.unpack('<Q', struct.pack('<d', o))[0]
    if kind == 'C':
        return 'O%d' % o.tag[0]
    if kind == 'y':
        return 'C%d' % o.class_tag[0]
    if kind == 'X':
        return 'X%d' % o.serial
    if kind == 'w':
        referent = o()
        return 'W!' if referent is None else 'W' + show(referent, 3)
    if kind == 'd':
        parts = ['{%d' % len(o)]
        if depth < 3:
            for i, (key, value) in enumerate(o.items()):
                if i == 5:
                    break
                parts.append(show(key, depth + 1) + '=' + show(value, depth + 1))
        return ' '.join(parts)
    parts = [('[%d' if kind == 'l' else '(%d') % len(o)]
    if depth < 3:
        for item in o[:5]:
            parts.append(show(item, depth + 1))
    return ' '.join(parts)


def weigh(o, weight):
    kind = kind_of(o)
    weight += 1
    if weight > HEAVY:
        return weight
    if kind in 'lt':
        for item in o:
            if weight > HEAVY:
                break
            weight = weigh(item, weight)
    elif kind == 'd':
        for key, value in o.items():
            if weight > HEAVY:
                break
            weight = weigh(key, weight)
            weight = weigh(value, weight)
    return weight


def heavy(o):
    return weigh(o, 0) > HEAVY


def is_quiet(o):
    kind = kind_of(o)
    if kind == 't':
        return all(is_quiet(item) for item in o)
    return kind in 'ifsbNld' or (kind == 'X' and type(o) is not X2)


def may_be_key(o):
    return not heavy(o) and (m.keys or is_quiet(o))


# ---- hooks ----


def event(text):
    if len(m.events) < MOST_EVENTS:
        m.events.append(text.encode(errors='surrogateescape')[:159])


def run_procedure(p):
    if p < 0 or m.ending or m.fuel == 0:
        return 0
    m.fuel -= 1
    before, m.raised = m.raised, 0
    m.depth += 1
    for o in m.procedures[p]:
        shown = execute(o)
        event(
            '%s %s' % (o[0], shown.encode()[:100].decode(errors='surrogateescape'))
            if shown.isascii() is False
            else '%s %s' % (o[0], shown[:100])
        )
    m.depth -= 1
    raised, m.raised = m.raised, before
    return raised


def hooked(o, hook):
    if not o.armed or o.hook != hook or m.depth > 0:
        return
    o.armed = False
    immediate, m.immediate = m.immediate, not m.portable
    raised = run_procedure(o.procedure)
    m.immediate = immediate
    if raised:
        raise Error(ERRORS[raised])


def hook_at_death(serial, procedure):
    if procedure < 0 or m.ending:
        return
    if m.immediate and not m.collecting and m.depth < 2:
        immediate = m.immediate
        if m.portable:
            m.immediate = False
        run_procedure(procedure)
        m.immediate = immediate
    elif len(m.deferred) < MOST_DEFERRED:
        m.deferred.append((serial, procedure, None))


def finalize(self, serial, procedure, rises):
    event('f%d' % serial)
    if (
        rises
        and not m.ending
        and not (m.collecting and m.portable)
        and len(m.deferred) < MOST_DEFERRED
    ):
        m.deferred.append((serial, -1, self))
    hook_at_death(serial, procedure)


def callback(serial, procedure):
    def called_back(reference):
        event('w%d' % serial)
        hook_at_death(serial, procedure)

    return called_back


def run_deferred():
    while m.deferred:
        batch, m.deferred = m.deferred, []
        batch.sort(key=lambda entry: entry[:2])
        for i in range(len(batch)):
            serial, procedure, risen = batch[i]
            batch[i] = None
            if risen is not None:
                m.registers[serial % 8] = risen
                risen = None
            else:
                run_procedure(procedure)


# ---- operations: each takes its numbers and the objects in its registers ----


def need(o, *kinds):
    if type(o) not in kinds:
        raise TypeError


def give(into, o):
    text = show(o)
    m.registers[into] = o
    return text


def expect_death_of(old):
    if m.portable and m.depth == 0 and kind_of(old) == 'C' and type(old).variant == BARE:
        m.immediate = True


def item_or_none(sequence, index):
    return (
        sequence[index]
        if type(sequence) is list and -len(sequence) <= index < len(sequence)
        else None
    )


def slot_name(o, index):
    if kind_of(o) != 'C' or type(o).variant == OPEN:
        raise TypeError
    return SLOT_NAMES[type(o).variant][index]


def is_tag_slot(o, index):
    if kind_of(o) != 'C' or type(o).variant == OPEN:
        return False
    return index == 0 or index == -len(SLOT_NAMES[type(o).variant])


def is_number(o):
    return type(o) in (int, float, bool)


def checked(o):
    if type(o) is int and not -(2**63) <= o < 2**63:
        raise OverflowError
    return o


def length_of(o):
    return len(o.encode()) if type(o) is str else len(o) if type(o) in (list, tuple) else 0


def arith(a, b, operation):
    if not (is_number(a) and is_number(b)):
        if operation == 0 and type(a) is type(b) and type(a) in (str, tuple, list):
            return a + b
        raise TypeError
    if operation == 0:
        return checked(a + b)
    if operation == 1:
        return checked(a - b)
    if operation == 2:
        return checked(a * b)
    if operation == 3:
        return float(a) / float(b)  # Tally rounds the operands, then divides
    if operation == 4:
        return checked(a // b)
    return checked(a % b)


def order(a, b):
    if is_number(a) and is_number(b):
        if a != a or b != b:
            raise ValueError
        return (a > b) - (a < b)
    if type(a) is not type(b) or type(a) not in (str, tuple, list):
        raise TypeError
    if type(a) is str:
        return (a > b) - (a < b)
    i = 0
    while i < len(a) and i < len(b):
        x, y = a[i], b[i]
        if not (x is y or x == y):
            return order(x, y)
        i += 1
    return (len(a) > i) - (len(b) > i)


def do_get(o, name):
    if kind_of(o) not in 'Cy':
        raise AttributeError
    if kind_of(o) == 'C' and type(o).variant == BARE and name in ('a', 'b'):
        raise AttributeError
    return getattr(o, name)


def attribute_name(o, name):
    return ATTRIBUTES[name + 2 if kind_of(o) == 'y' and name < 2 else name]


def may_hold(o, value):
    return kind_of(o) != 'y' or kind_of(value) in 'ifsbN'


def make_class(kind, procedure):
    body = {'variant': kind & 3, 'finalizes': bool(kind & 4) and not m.borrow}
    slots = SLOT_NAMES[kind & 3]
    if slots:
        body['__slots__'] = slots if kind & 3 == SLOTS else slots + ('__weakref__',)
    if body['finalizes']:
        body['__del__'] = finalize_instance
    class_ = Class('C%d' % (kind & 3), (), body)
    m.serial += 1
    class_.class_tag = (m.serial, procedure, kind & 12 == 12)
    return class_


def make_instance(class_):
    if type(class_) is not Class:
        raise TypeError
    self = class_()
    m.serial += 1
    self.tag = (m.serial,) + class_.class_tag[1:]
    return self


def make_native(code, procedure, kind):
    self = NATIVES[kind & 3]()
    m.serial += 1
    self.serial, self.code, self.procedure, self.hook, self.armed = (
        m.serial,
        code,
        procedure,
        0,
        False,
    )
    self.rises = kind & 12 == 12
    if kind & 3 == 2:
        self.held = [m, m]
    return self


def op_drop(r, old):
    old = None
    m.registers[r] = m
    return ''


def op_is(_a, _b, a, b):
    return str(int(a is b)) if kind_of(a) in 'ldwCXy' and kind_of(b) in 'ldwCXy' else ''


def op_copy(d, _r, o):
    return give(d, o)


def op_tuple(d, _a, _b, n, a, b):
    return give(d, (a, b, a)[: n % 4])


def op_tuple_get(d, _r, n, o):
    need(o, tuple)
    return give(d, o[n])


def op_tuple_length(_r, o):
    need(o, tuple)
    return str(len(o))


def op_append(_r, _v, o, v):
    if length_of(o) > LONGEST:
        return '9'
    need(o, list)
    o.append(v)
    return '0'


def op_list_get(d, _r, n, o):
    need(o, list)
    return give(d, o[n])


def op_list_set(_r, n, _v, o, v):
    if type(o) is list:
        expect_death_of(item_or_none(o, n))
    need(o, list)
    o[n] = v
    return '0'


def op_insert(_r, n, _v, o, v):
    if length_of(o) > LONGEST:
        return '9'
    need(o, list)
    o.insert(n, v)
    return '0'


def op_pop(d, _r, n, o):
    need(o, list)
    return give(d, o.pop(n))


def op_extend(_r, _s, o, s):
    if length_of(o) + length_of(s) > LONGEST:
        return '9'
    need(o, list)
    need(s, list, tuple)
    o.extend(s)
    return '0'


def op_list_clear(_r, o):
    need(o, list)
    o.clear()
    return '0'


def op_list_length(_r, o):
    need(o, list)
    return str(len(o))


MISSING = object()


def op_dict_get(d, _r, _k, o, k):
    if not may_be_key(k):
        return ''
    need(o, dict)
    value = o.get(k, MISSING)
    return '~' if value is MISSING else give(d, value)


def op_dict_set(_r, _k, _v, o, k, v):
    if not may_be_key(k):
        return ''
    if type(o) is dict and type(k) is str:
        expect_death_of(o.get(k))
    need(o, dict)
    o[k] = v
    return '0'


def op_dict_delete(_r, _k, o, k):
    if not may_be_key(k):
        return ''
    if type(o) is dict and type(k) is str:
        expect_death_of(o.get(k))
    need(o, dict)
    del o[k]
    return '0'


def op_contains(_r, _k, o, k):
    if not may_be_key(k):
        return ''
    need(o, dict)
    return str(int(k in o))


def op_set_default(d, _r, _k, _v, o, k, v):
    if not may_be_key(k):
        return ''
    need(o, dict)
    return give(d, o.setdefault(k, v))


def op_walk(_r, o):
    need(o, dict)
    parts, count = [], 0
    for key, value in o.items():
        count += 1
        if count <= 8:
            parts.append(show(key, 2) + ':' + show(value, 2) + ' ')
    return ''.join(parts) + str(count)


def op_dict_clear(_r, o):
    need(o, dict)
    o.clear()
    return '0'


def op_dict_length(_r, o):
    need(o, dict)
    return str(len(o))


def op_set_attr(_r, s, _v, o, v):
    if not may_hold(o, v):
        return ''
    name = attribute_name(o, s)
    if kind_of(o) == 'C' and (type(o).variant == OPEN or (s < 2 and type(o).variant != BARE)):
        try:
            expect_death_of(do_get(o, name))
        except AttributeError:
            pass
    if kind_of(o) not in 'Cy':
        raise AttributeError
    setattr(o, name, v)
    return '0'


def op_get_attr(d, _r, s, o):
    return give(d, do_get(o, attribute_name(o, s)))


def op_delete_attr(_r, s, o):
    if kind_of(o) not in 'Cy':
        raise AttributeError
    delattr(o, attribute_name(o, s))
    return '0'


def op_slot_get(d, _r, n, o):
    if is_tag_slot(o, n):
        return ''
    return give(d, getattr(o, slot_name(o, n)))


def op_slot_set(_r, n, _v, o, v):
    if is_tag_slot(o, n):
        return ''
    name = None
    if kind_of(o) == 'C':
        try:
            name = slot_name(o, n)
            expect_death_of(getattr(o, name))
        except (AttributeError, IndexError, TypeError):
            pass
    setattr(o, slot_name(o, n), v)
    return '0'


def op_slot_empty(_r, n, o):
    if is_tag_slot(o, n):
        return ''
    name = slot_name(o, n)
    if hasattr(o, name):
        delattr(o, name)
    return '0'


def op_arm(_r, hook, o):
    if kind_of(o) == 'X':
        o.hook, o.armed = hook, True
    return ''


def op_native_set(_r, n, _v, o, v):
    if type(o) is not X2:
        return ''
    o.held[n & 1] = v
    return 'n'


def op_native_get(d, _r, n, o):
    if type(o) is not X2:
        return ''
    held = o.held[n & 1]
    return '~' if held is m else give(d, held)


def op_hash(_r, o):
    if not heavy(o):
        hash(o)
    return ''


def op_equal(_a, _b, a, b):
    return '' if heavy(a) or heavy(b) else str(int(a == b))


def op_compare(_a, _b, a, b):
    return '' if heavy(a) or heavy(b) else str(order(a, b))


def op_repr(_r, o):
    if heavy(o):
        return ''
    text = repr(o)
    data = text.encode()
    return '<' if '<' in text else text if len(data) < 80 else str(crc32(data))


def op_sizeof(_r, o):
    return 'z'


def op_arith(d, _a, _b, operation, a, b):
    if length_of(a) + length_of(b) > LONGEST:
        return ''
    return give(d, arith(a, b, operation % 6))


def op_weakref(d, _r, p, o):
    kind = kind_of(o)
    if kind == 'y':
        return ''
    if not (kind == 'C' and type(o).variant != SLOTS or type(o) is X2):
        raise TypeError
    if p < 0:
        return give(d, weakref.ref(o))
    m.serial += 1
    return give(d, weakref.ref(o, callback(m.serial, p)))


def op_weakref_get(d, _r, o):
    need(o, weakref.ref)
    return give(d, o())


def op_weakref_count(_r, o):
    return '0' if kind_of(o) == 'y' else str(weakref.getweakrefcount(o))


def op_weakref_list(_r, o):
    return '' if kind_of(o) == 'y' else str(len(weakref.getweakrefs(o)))


def op_collect():
    m.collecting = True
    gc.collect()
    m.collecting = False
    return 'c'


def op_freeze():
    gc.freeze()
    return ''


def op_unfreeze():
    gc.unfreeze()
    return ''


def op_finalized(_r, o):
    return str(int(gc.is_finalized(o))) if kind_of(o) in 'CX' else ''


def op_referents(_r, o):
    if kind_of(o) == 'd':  # a dict that had strs as keys only leaves those out
        return str(2 * len(o))
    return str(len(gc.get_referents(o))) if kind_of(o) in 'lt' else ''


def op_refcount(r, o):
    if m.depth > 0:  # a caller's references, that no script knows
        return ''
    if kind_of(o) in 'ldCX' and (m.keys or not is_quiet(o) or kind_of(o) in 'ld'):
        o = None
        return str(sys.getrefcount(m.registers[r]) - 2 - 1 + 1 - HELD_BY_EXECUTE)
    return ''


HELD_BY_EXECUTE = 0


def op_state():
    return ''.join(('_' if o is m else show(o)) + ' ' for o in m.registers)


def op_raise(kind):
    m.raised = kind
    return ''


def op_thread(p):
    if m.depth or p < 0 or m.ending:
        return '-'
    thread = threading.Thread(target=run_procedure, args=(p,))
    thread.start()
    thread.join()
    return 't'


def op_pend(kind, r, o):
    m.registers[r] = m
    return '!' + ERRORS[kind]


def borrowed(get):
    """A borrow that is retained: an int is shown by its value first."""

    def op(*arguments):
        text = get(*arguments)
        return text[1:] + text if text[:1] == 'i' else text

    return op


OPS = {
    'int': ('>vi', lambda d, i: give(d, i)),
    'big': ('>vx', lambda d, x: give(d, BIG[x % 24])),
    'real': ('>vx', lambda d, x: give(d, float(REALS[x % 24]))),
    'str': ('>vs', lambda d, s: give(d, STRINGS[s])),
    'const': ('>vx', lambda d, x: give(d, (None, True, False)[x % 3])),
    'copy': ('>v*', op_copy),
    'put': ('>*v', op_copy),
    'drop': ('v', op_drop),
    'is': ('**', op_is),
    'intern': ('>vs', lambda d, s: give(d, STRINGS[s])),
    'tuple': ('>Tvvn', op_tuple),
    'tuple_get': ('>vTn', op_tuple_get),
    'tuple_length': ('T', op_tuple_length),
    'list': ('>L', lambda d: give(d, [])),
    'append': ('Lv', op_append),
    'list_get': ('>vLn', op_list_get),
    'list_set': ('Lnv', op_list_set),
    'insert': ('Lnv', op_insert),
    'pop': ('>vLn', op_pop),
    'extend': ('LS', op_extend),
    'list_clear': ('L', op_list_clear),
    'list_length': ('L', op_list_length),
    'dict': ('>D', lambda d: give(d, {})),
    'dict_get': ('>vDk', op_dict_get),
    'dict_set': ('Dkv', op_dict_set),
    'dict_delete': ('Dk', op_dict_delete),
    'contains': ('Dk', op_contains),
    'set_default': ('>vDkv', op_set_default),
    'walk': ('D', op_walk),
    'dict_clear': ('D', op_dict_clear),
    'dict_length': ('D', op_dict_length),
    'class': ('>Cfp', lambda d, f, p: give(d, make_class(f, p))),
    'instance': ('>IC', lambda d, _c, c: give(d, make_instance(c))),
    'set_attr': ('Jsv', op_set_attr),
    'get_attr': ('>vJs', op_get_attr),
    'delete_attr': ('Js', op_delete_attr),
    'slot_get': ('>vIn', op_slot_get),
    'slot_set': ('Inv', op_slot_set),
    'slot_empty': ('In', op_slot_empty),
    'native': ('>Nhpf', lambda d, h, p, f: give(d, make_native(h, p, f))),
    'arm': ('Nm', op_arm),
    'native_set': ('Nnv', op_native_set),
    'native_get': ('>vNn', op_native_get),
    'hash': ('k', op_hash),
    'equal': ('**', op_equal),
    'compare': ('**', op_compare),
    'repr': ('*', op_repr),
    'sizeof': ('*', op_sizeof),
    'arith': ('>vvvo', op_arith),
    'weakref': ('>WRp', op_weakref),
    'weakref_get': ('>vW', op_weakref_get),
    'weakref_count': ('R', op_weakref_count),
    'weakref_list': ('R', op_weakref_list),
    'collect': ('', op_collect),
    'freeze': ('', op_freeze),
    'unfreeze': ('', op_unfreeze),
    'finalized': ('I', op_finalized),
    'safepoint': ('', lambda: ''),
    'referents': ('S', op_referents),
    'refcount': ('*', op_refcount),
    'state': ('', op_state),
    'raise': ('e', op_raise),
    'list_borrow': ('>vLn', borrowed(op_list_get)),
    'dict_borrow': ('>vDk', borrowed(op_dict_get)),
    'slot_borrow': ('>vIn', borrowed(op_slot_get)),
    'thread': ('p', op_thread),
    'pend': ('e*', op_pend),
}


# Put an object into a container; fuzz.c tells why no weak reference is.
STORES = frozenset(
    (
        'append',
        'list_set',
        'insert',
        'tuple',
        'dict_set',
        'set_default',
        'set_attr',
        'slot_set',
        'native_set',
    )
)


def parse(line):
    """(name, function, numbers, registers that are read)"""
    name, *words = line.split()
    operands, function = OPS[name]
    numbers = tuple(map(int, words))
    reads, written, i = [], False, 0
    for c in operands:
        if c == '>':
            written = True
            continue
        if c in 'LDTSIJCNWRkv*' and not written:
            reads.append(numbers[i])
        written = False
        i += 1
    return name, function, numbers, tuple(reads)


def call(o):
    _, function, numbers, reads = o
    registers = m.registers
    if not reads:
        return function(*numbers)
    if len(reads) == 1:
        if registers[reads[0]] is m:
            return '-'
        return function(*numbers, registers[reads[0]])
    for r in reads:
        if registers[r] is m:
            return '-'
    if m.portable and o[0] in STORES:
        for r in reads:
            if type(registers[r]) is weakref.ref:
                return '-'
    return function(*numbers, *[registers[r] for r in reads])


def execute(o):
    try:
        return call(o)
    except Exception as error:
        return '!' + letter_of(error)
    finally:
        if m.depth == 0:
            m.immediate = not m.portable


def run(seed, mode, procedures, ops, tracing):
    new_machine(mode, procedures)
    crc = 0

    def finish_line(at, name, text):
        nonlocal crc
        data = text.encode(errors='surrogateescape')
        if len(m.events) < MOST_EVENTS and m.events:
            m.events.sort()
            data += b';' + b';'.join(m.events)
        data += b'\n'
        if tracing:
            sys.stdout.buffer.write(b'%d %s %s' % (at, name.encode(), data))
        crc = crc32(data, crc)

    for at, o in enumerate(ops):
        m.events = []
        m.fuel = FUEL
        m.immediate = not m.portable
        text = execute(o)
        run_deferred()
        finish_line(at, o[0], text)
    m.ending = True
    m.events = []
    gc.unfreeze()
    for _ in range(3):
        for i in range(REGISTERS):
            m.registers[i] = m
        m.collecting = True
        gc.collect()
        m.collecting = False
        run_deferred()
    finish_line(len(ops), 'end', '')
    sys.stdout.buffer.write(b'%d %08x\n' % (seed, crc))
    sys.stdout.buffer.flush()


def main():
    tracing = '--trace' in sys.argv
    files = [word for word in sys.argv[1:] if word != '--trace']
    source = open(files[0]) if files and files[0] != '-' else sys.stdin
    sys.unraisablehook = lambda unraisable: None
    gc.disable()
    episode = None
    cache = {}

    def finish():
        if episode:
            run(*episode, tracing)

    for line in source:
        line = line.strip()
        if not line or line[0] == '#':
            continue
        if line.startswith('episode '):
            finish()
            episode = (int(line.split()[1]), [], [[] for _ in range(PROCEDURES)], [])
            continue
        if not episode:
            episode = (0, [], [[] for _ in range(PROCEDURES)], [])
        if line.startswith('mode'):
            episode[1].extend(line.split()[1:])
        elif line.startswith('proc '):
            _, p, rest = line.split(' ', 2)
            episode[2][int(p)].append(parse(rest))
        else:
            if line not in cache:
                cache[line] = parse(line)
            episode[3].append(cache[line])
    finish()


main()
