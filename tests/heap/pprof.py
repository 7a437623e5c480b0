# SPDX-License-Identifier: LGPL-2.1-or-later
"""A reader of heap profiles, written after docs/reference/heap-profile.md and pprof's profile.proto
alone."""

from snapshot import Reader


class Message(Reader):
    """The fields of a protobuf message: lists of numbers and bytes by field number."""

    def __init__(self, data):
        super().__init__(data)
        self.fields = {}
        while self.at < len(data):
            key = self.number()
            assert key & 7 in (0, 2), key
            value = self.number()
            if key & 7 == 2:
                assert self.at + value <= len(data)
                self.at += value
                value = data[self.at - value : self.at]
            self.fields.setdefault(key >> 3, []).append(value)

    def all(self, field):
        return self.fields.get(field, [])

    def one(self, field):
        values = self.all(field)
        assert len(values) <= 1, (field, values)
        return values[0] if values else 0


def packed(data):
    numbers, message = [], Message(b'')
    message.data = data
    while message.at < len(data):
        numbers.append(message.number())
    return numbers


class Sample:
    def __init__(self, profile, message):
        self.stack = [profile.locations[at] for at in packed(message.one(1))]
        self.values = dict(zip(profile.types, packed(message.one(2)), strict=True))
        self.labels = {}
        for label in map(Message, message.all(3)):
            value = profile.strings[label.one(2)] if label.all(2) else label.one(3)
            self.labels[profile.strings[label.one(1)]] = value


class Profile:
    def __init__(self, path):
        with open(path, 'rb') as file:
            whole = Message(file.read())
        self.strings = [text.decode() for text in whole.all(6)]
        assert self.strings[0] == '' and len(set(self.strings)) == len(self.strings)
        pairs = [Message(each) for each in whole.all(1)]
        self.types = [self.strings[pair.one(1)] for pair in pairs]
        self.units = [self.strings[pair.one(2)] for pair in pairs]
        mappings = {}
        for mapping in map(Message, whole.all(3)):
            mappings[mapping.one(1)] = (mapping.one(2), mapping.one(3))
        functions = {}
        for function in map(Message, whole.all(5)):
            assert function.one(1) not in functions
            functions[function.one(1)] = self.strings[function.one(2)]
        self.locations = {}
        for location in map(Message, whole.all(4)):
            assert location.one(1) not in self.locations
            if location.one(2):
                start, end = mappings[location.one(2)]
                assert start <= location.one(3) < end
            lines = [Message(line) for line in location.all(4)]
            name = functions[lines[0].one(1)] if lines else '?'
            self.locations[location.one(1)] = name
        self.samples = [Sample(self, Message(each)) for each in whole.all(2)]
        self.time, self.duration, self.period = whole.one(9), whole.one(10), whole.one(12)
        period = Message(whole.one(11))
        self.period_type = self.strings[period.one(1)], self.strings[period.one(2)]
        self.comments = [self.strings[at] for at in whole.all(13)]
        self.default = self.strings[whole.one(14)]
