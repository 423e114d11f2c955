"""A planted lost update: two actors read a value, and write it back one higher."""

from __future__ import annotations


class Store:
    def __init__(self):
        self.value = 0

    def get(self):
        return self.value

    def set(self, value):
        self.value = value


class Incrementer:
    def __init__(self, store):
        self.store = store

    def increment(self):
        value = self.store.ask(Store.get)
        self.store.tell(Store.set, value + 1)


def program(system):
    store = system.spawn(Store)
    both = [system.spawn(Incrementer, store) for _ in range(2)]
    for reply in [one.submit(Incrementer.increment) for one in both]:
        reply.result()
    assert store.ask(Store.get) == 2


def careful(system):
    store = system.spawn(Store)
    both = [system.spawn(Incrementer, store) for _ in range(2)]
    for one in both:
        one.ask(Incrementer.increment)
    assert store.ask(Store.get) == 2
