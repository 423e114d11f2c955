# ruff: noqa: PLW0602, PLW0603, RUF015 - editing globals is what it is for
"""A program that edits its own definitions at random, and compares actors with itself.

Run as a script: seed, steps, start method. It prints how many calls agreed.
"""

import dataclasses
import random
import sys

from procactors import Actor, ActorSystem
from procactors.futures import ActorPoolExecutor

RATE = 1
CONFIG = {"rate": 1, "more": [1, 2]}
TABLE = {"offset": 3}


def helper(x):
    return x * 10


def taxed(x):
    return helper(x) + RATE


def from_config(x):
    return x * CONFIG["rate"] + sum(CONFIG["more"])


def through_table(x):
    return TABLE["offset"] + taxed(x)


class Settings:
    def __init__(self):
        self.rate = 1


SETTINGS = Settings()
HANDLERS = {"price": [lambda x: x]}


def from_settings(x):
    return x * SETTINGS.rate + HANDLERS["price"][0](x)


def with_default(x, step=2):
    return x + step


class Base:
    weight = 2

    def weigh(self):
        return self.weight * RATE


class Item(Base):
    discount = 0

    def __init__(self, number):
        self.number = number

    def price(self):
        return helper(self.number) - self.discount + self.weigh()


@dataclasses.dataclass
class Order:
    items: list

    limit = 50

    def total(self):
        return min(self.limit, sum(item.price() for item in self.items))


class Clerk(Actor):
    fee = 1

    def work(self, x):
        return taxed(x) + self.fee + Item(x).price()

    def run(self, function, *args):
        return function(*args)


def price_of(item):
    return item.price()


# -- edits: each changes something that a call may use ------------------------------------------


def edit_rate(draw):
    global RATE
    RATE = draw(9)


def edit_config(draw):
    CONFIG["rate"] = draw(9)


def edit_inner(draw):
    CONFIG["more"].append(draw(5))


def edit_settings(draw):
    SETTINGS.rate = draw(9)


def edit_handlers(draw):
    factor = draw(9)
    HANDLERS["price"][0] = lambda x: helper(x) * factor


def edit_table(draw):
    global TABLE
    TABLE = {"offset": draw(9)}


def edit_helper(draw):
    global helper
    factor = draw(20)
    exec(f"def helper(x): return x * {factor}", globals())


def edit_closure(draw):
    global helper
    factor = draw(20)

    def helper(x):
        return x * factor


def edit_taxed(draw):
    exec(f"def taxed(x): return helper(x) + RATE + {draw(9)}", globals())


def edit_default(draw):
    with_default.__defaults__ = (draw(9),)


def edit_code(draw):
    space = {}
    exec(f"def price_of(item): return item.price() + {draw(9)}", space)
    price_of.__code__ = space["price_of"].__code__


def edit_attribute(draw):
    Item.discount = draw(9)


def edit_base(draw):
    Base.weight = draw(9)


def edit_method(draw):
    extra = draw(9)
    Item.price = lambda self: helper(self.number) + extra + self.weigh()


def edit_limit(draw):
    Order.limit = draw(99)


def edit_fee(draw):
    Clerk.fee = draw(9)


def edit_class(draw):
    exec(
        f"class Item(Base):\n"
        f"    discount = {draw(9)}\n"
        f"    def __init__(self, number): self.number = number + {draw(3)}\n"
        f"    def price(self): return taxed(self.number) - self.discount + self.weigh()\n",
        globals(),
    )


def edit_nothing(draw):
    draw(9)


EDITS = [value for name, value in list(globals().items()) if name.startswith("edit_")]


def calls(x):
    """Return (what, here, elsewhere) for each way in which code goes to another process."""
    rows = [
        ("map of a function", through_table(x), lambda: list(pool.map(through_table, [x]))[0]),
        ("map of a lambda", x * RATE, lambda: list(pool.map(lambda y: y * RATE, [x]))[0]),
        ("ask of a pool", from_config(x), lambda: pool.ask(from_config, x)),
        ("submit to a pool", from_settings(x), lambda: pool.submit(from_settings, x).result(30)),
        ("default", with_default(x), lambda: pool.ask(with_default, x)),
        ("an instance", price_of(Item(x)), lambda: pool.ask(price_of, Item(x))),
        ("a method", Item(x).price(), lambda: pool.ask(Item.price, Item(x))),
        (
            "a dataclass in a message",
            Order([Item(x), Item(1)]).total(),
            lambda: keeper.ask(Clerk.run, lambda order: order.total(), Order([Item(x), Item(1)])),
        ),
        ("executor", taxed(x), lambda: executor.submit(taxed, x).result(30)),
        ("executor's map", through_table(x), lambda: next(executor.map(through_table, [x]))),
        ("a function to an actor", taxed(x), lambda: keeper.ask(Clerk.run, taxed, x)),
    ]
    if x == 1:  # a process for each
        rows.append(("a new actor", Clerk().work(x), spawn_and_work))
    return rows


def spawn_and_work():
    clerk = system.spawn(Clerk)
    try:
        return clerk.ask(Clerk.work, 1)
    finally:
        clerk.stop()


if __name__ == "__main__":
    seed, steps, method = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    chance = random.Random(seed)
    agreed = 0
    with (
        ActorSystem(start_method=method) as system,
        system.options(size=2).pool() as pool,
        ActorPoolExecutor(1) as executor,
    ):
        keeper = system.spawn(Clerk)
        for step in range(steps):
            edit = chance.choice(EDITS)
            edit(lambda most: chance.randint(1, most))
            for what, here, elsewhere in chance.sample(rows := calls(chance.randint(1, 4)), 4):
                there = elsewhere()
                assert there == here, (seed, step, edit.__name__, what, here, there)
                agreed += 1
            came = keeper.ask(Clerk.run, lambda item: item, Item(1))
            assert type(came) is Item, (seed, step, edit.__name__, type(came))
    print(agreed, "calls agreed")
