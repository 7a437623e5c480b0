# SPDX-License-Identifier: LGPL-2.1-or-later
"""Compiles an example into the operations of explain-<backend>: a line of Python is a step, a
comment says what the next step shows."""
import ast
import re

FORMS = (
    'a step is x = VALUE, x.a = VALUE, x[0] = VALUE, x.append(VALUE), del x, gc.collect(), '
    'gc.set_threshold(A, B, C), safepoint(), or one of these after "thread B: ", or thread B: run()'
)


class Wrong(Exception):
    """One line for the user; the exit status is 2."""


class Step:
    def __init__(self, line, source, thread, note):
        self.line, self.source, self.thread, self.note = line, source, thread, note
        self.operations = []


def whole(node, least, most):
    value = getattr(node, 'value', None)
    if type(value) is not int or not least <= value <= most:
        raise Wrong(f'{ast.unparse(node)} is no number from {least} to {most}')
    return value


def constant(value):
    if value is None or isinstance(value, bool):
        return f'constant {value}'
    if isinstance(value, int):
        if not -(2**63) <= value < 2**63:
            raise Wrong('an int has 64 bits')
        return f'int {value}'
    if isinstance(value, float):
        return f'float {value!r}'
    if isinstance(value, str) and len(value) < 40 and re.fullmatch(r'[\w .,+-]*', value):
        return f'str {value}'
    raise Wrong(f'{value!r} is no value here; give an int, a float or a short str')


def value(node):
    """The operations that push a value."""
    match node:
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as number)):
            return [constant(-number)]
        case ast.Constant():
            return [constant(node.value)]
        case ast.Name():
            return [f'load {node.id}']
        case ast.List() | ast.Tuple():
            kind = type(node).__name__.lower()
            return [*(one for item in node.elts for one in value(item)), f'{kind} {len(node.elts)}']
        case ast.Dict() if None not in node.keys:
            pairs = [one for pair in zip(node.keys, node.values) for one in pair]
            return [*(one for item in pairs for one in value(item)), f'dict {len(node.keys)}']
        case ast.Attribute():
            return [*value(node.value), f'getattr {node.attr}']
        case ast.Subscript():
            return [*value(node.value), *value(node.slice), 'getitem']
        case ast.Call(func=ast.Name(id=name), args=[], keywords=[]) if name[0].isupper():
            return [f'new {name}']
    raise Wrong(
        f"'{ast.unparse(node)}' is no value here; a value is a number, a str, a name, a list, a "
        'tuple, a dict or an instance such as Node()'
    )


def place(node, verb):
    """The operations that store the value below, or delete (verb: set or del)."""
    match node:
        case ast.Name():
            return [f'{"store" if verb == "set" else "delete"} {node.id}']
        case ast.Attribute():
            return [*value(node.value), f'{verb}attr {node.attr}']
        case ast.Subscript():
            return [*value(node.value), *value(node.slice), f'{verb}item']
    raise Wrong(FORMS)


def call(node):
    match node:
        case ast.Call(func=ast.Attribute(value=ast.Name(id='gc'), attr='collect'), keywords=[]):
            if len(node.args) > 1:
                raise Wrong('gc.collect() takes one generation')
            return [f'collect {whole(node.args[0], 0, 2) if node.args else 2}']
        case ast.Call(
            func=ast.Attribute(value=ast.Name(id='gc'), attr='set_threshold'), args=[a, b, c]
        ):
            return [f'threshold {" ".join(str(whole(one, 0, 10**6)) for one in (a, b, c))}']
        case ast.Call(func=ast.Attribute(attr='append'), args=[item], keywords=[]):
            return [*value(node.func.value), *value(item), 'append']
        case ast.Call(func=ast.Name(id='safepoint'), args=[], keywords=[]):
            return ['safepoint']
        case ast.Call(func=ast.Name(id='run'), args=[], keywords=[]):
            return ['run']
    raise Wrong(f"'{ast.unparse(node)}' is no step; {FORMS}")


def operations(source):
    try:
        statements = ast.parse(source).body
    except (SyntaxError, ValueError):
        raise Wrong(f"'{source}' is no Python; {FORMS}") from None
    match statements:
        case [ast.Assign(targets=[target], value=assigned)]:
            return value(assigned) + place(target, 'set')
        case [ast.Delete(targets=targets)]:
            return [one for target in targets for one in place(target, 'del')]
        case [ast.Expr(value=expression)]:
            return call(expression)
    raise Wrong(f"'{source}' is no step; {FORMS}")


def compile_script(text):
    """The sentence of the first comment, and the steps."""
    steps, notes, summary = [], [], None
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        if line.startswith('#'):
            notes.append(line.lstrip('# '))
            continue
        if summary is None and notes:
            summary, notes = ' '.join(notes), []
        if not line:
            continue
        thread, source = re.fullmatch(r'(?:thread\s+(\w+)\s*:)?\s*(.*)', line).groups()
        try:
            if thread and not re.fullmatch('[A-H]', thread):
                raise Wrong(f"no thread '{thread}'; threads are A to H")
            step = Step(number, line, thread or 'A', ' '.join(notes))
            step.operations = operations(source)
            if step.operations == ['run'] and step.thread == 'A':
                raise Wrong('thread A, which hands out the steps, cannot run() between them')
            if len(step.operations) > 100:
                raise Wrong('the step has too many values')
        except Wrong as error:
            raise Wrong(f'line {number}: {error}') from None
        notes = []
        steps.append(step)
    if not steps:
        raise Wrong(f'it has no step; {FORMS}')
    return summary or '', steps
