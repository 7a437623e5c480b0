# SPDX-License-Identifier: LGPL-2.1-or-later
"""The steps of the talk's collector, computed from the graph that the run time had when its
collection began. What they say is compared with the objects that its collection really freed."""


class Differs(Exception):
    """The run time has freed other objects than the steps say; the exit status is 1."""


def examined(backend, collection):
    """The objects of the generations that are collected. With owners a thread collects generations
    0 and 1 of its own private objects."""
    young, own = collection['generation'], collection['by']
    alone = young < 2 and any(one['owner'] for one in collection['before']['objects'])
    return {
        one['id']: one
        for one in collection['before']['objects']
        if one['tracked']
        and (one['generation'] <= young or backend == 'atomic')
        and not (alone and (one['owner'] != own or one['state'] != 'private'))
    }


def inner(one, among):
    return [target for target, _ in one['references'] if target in among]


def steps_of(backend, collection):
    """Per step: what is done, the copied counts, and the list (alive, unreachable or freed) of each
    object. Raises Differs."""
    before = {one['id']: one for one in collection['before']['objects']}
    after = {one['id']: one for one in collection['after']['objects']}
    objects, oldest = examined(backend, collection), collection['generation']
    copies = {number: one['local'] + one['shared'] for number, one in objects.items()}
    lists = dict.fromkeys(objects, '')
    result = []

    def add(text, scene=collection['before']):
        result.append((text, scene, dict(copies), dict(lists)))

    joined = f'generations 0 to {oldest} are joined, and' if oldest else 'in generation 0'
    add(f'{joined} each count is copied')
    for one in objects.values():
        for target in inner(one, objects):
            copies[target] -= 1
    add('each reference from one of them to another is subtracted: what is left comes from outside')
    for number, copy in copies.items():
        lists[number] = 'alive' if copy else 'unreachable'
    add('objects with 0 are moved to the list of the unreachable')
    reached = [number for number in objects if lists[number] == 'alive']
    for number in reached:
        for target in inner(objects[number], objects):
            if lists[target] == 'unreachable':
                lists[target] = 'alive'
                reached.append(target)
    add('what an object outside that list refers to is moved back')
    copies.clear()
    add('the copies are dropped: the counts are as they were')
    survivors = {number for number in reached if number in after}
    older = sorted({after[number]['generation'] for number in survivors})
    where = f': now in generation {" and ".join(map(str, older))}' if older else ': there are none'
    add(f'the survivors go to the next generation, or stay in the last{where}')
    gone = {number for number, name in lists.items() if name == 'unreachable'}
    counts = {number: one['local'] + one['shared'] for number, one in before.items()}
    waiting = list(gone)
    for number in waiting:  # what only they held dies by its count
        for target in inner(before[number], before):
            counts[target] -= 1
            if counts[target] == 0 and target not in gone and not before[target]['immortal']:
                gone.add(target)
                waiting.append(target)
    freed = set(before) - set(after)
    if freed != gone:
        raise Differs(
            f'{backend}: the collection freed objects {sorted(freed)}, the steps say {sorted(gone)}'
        )
    lists.update(dict.fromkeys(gone, 'freed'))
    add(
        'the references of the unreachable are dropped, and they are freed'
        if gone
        else 'nothing is unreachable, so nothing is freed'
    )
    return result
