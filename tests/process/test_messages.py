"""What may travel in a message: refs, mailboxes, and what is defined in `__main__`."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import textwrap
import threading
from typing import Any

import pytest

from procactors import ActorRef, errors
from procactors.wire.mailbox.queue import Mailbox
from tests.support.actors import Counter, Echo, Relay
from tests.support.scripts import run_source


def test_a_ref_travels_and_is_equal_to_itself(system):
    counter, echo = system.spawn(Counter), system.spawn(Echo)
    back = echo.ask(Echo.echo, counter)
    assert back == counter
    assert hash(back) == hash(counter)
    assert back != echo
    assert back.name == counter.name
    assert {counter: 1}[back] == 1
    assert back.ask(Counter.increment) == 1
    assert isinstance(back, ActorRef)


def test_an_actor_uses_a_ref_that_it_was_sent(system):
    counter, relay = system.spawn(Counter), system.spawn(Relay)
    relay.tell(Relay.aim, counter)
    assert relay.ask(Relay.ask, Counter.increment, 4) == 4
    assert relay.ask(Relay.ask, Counter.increment, 4) == 8


def test_an_actor_sends_its_own_ref(system):
    echo = system.spawn(Echo)
    assert echo.ask(Echo.ref) == echo


def test_a_ref_stays_good_across_restarts(system):
    echo = system.spawn(Echo)
    copy = pickle.loads(pickle.dumps(echo))
    pid = echo.ask(Echo.pid)
    os.kill(pid, signal.SIGKILL)
    assert copy.ask(Echo.incarnation) == 2
    assert copy == echo


def test_a_mailbox_travels_in_a_message(system):
    mailbox = Mailbox()
    relay = system.spawn(Putter)
    relay.tell(Putter.put, mailbox, "hello")
    assert mailbox.get() == "hello"
    mailbox.put("to the actor")
    assert relay.ask(Putter.get, mailbox) == "to the actor"
    mailbox.close()


class Putter:
    def put(self, mailbox: Any, value: Any) -> None:
        mailbox.put(value)

    def get(self, mailbox: Any) -> Any:
        return mailbox.get()


def iter_of() -> Any:
    yield 1


@pytest.mark.parametrize(
    "make",
    [
        threading.Lock,
        lambda: multiprocessing.get_context("fork").SimpleQueue(),
        lambda: multiprocessing.Pipe()[0],
        iter_of,
        lambda: open("/dev/null", "w"),  # noqa: SIM115 - closed by the test
    ],
    ids=["lock", "queue", "connection", "generator", "file"],
)
def test_what_cannot_travel_is_an_error_at_the_call_that_names_the_path(system, make):
    echo = system.spawn(Echo)
    value = make()
    try:
        with pytest.raises(errors.EncodeError, match=r"\[0\]\['deep'\]\[1\]") as raised:
            echo.tell([{"deep": (1, value)}])
        assert isinstance(raised.value, TypeError)
        assert isinstance(raised.value, errors.DeliveryError)
        with pytest.raises(errors.EncodeError):
            echo.ask(Echo.echo, value)
        with pytest.raises(errors.EncodeError):
            echo.submit([value])
        with pytest.raises(errors.EncodeError):
            system.spawn(Relay, value)
        assert echo.ask(Echo.echo, 1) == 1
        assert echo.status().incarnation == 1
    finally:
        getattr(value, "close", lambda: None)()


def test_nesting_beyond_measure_is_an_encode_error(system):
    value: Any = []
    for _ in range(100_000):
        value = [value]
    echo = system.spawn(Echo)
    with pytest.raises(errors.EncodeError):
        echo.tell(value)
    assert echo.ask(Echo.echo, 1) == 1
    while value:  # let go of it layer by layer: its destructor recurses too
        value = value[0]


@pytest.mark.methods
def test_functions_made_on_the_spot_travel_as_values(system):
    number = 3
    caller = system.spawn(Caller)
    assert caller.ask(Caller.call, lambda x: x + number, 4) == 7

    def recursive(n: int) -> int:
        return n and n + recursive(n - 1)

    assert caller.ask(Caller.call, recursive, 4) == 10


class Caller:
    def call(self, function: Any, *args: Any) -> Any:
        return function(*args)


#: Runs before each script below; `main` gets a system and an actor that calls what it is given.
OPENING = """
import sys
from procactors import Actor, ActorSystem, Message, errors
class Worker(Actor):
    def call(self, function, *args): return function(*args)
    def receive(self, message): return type(message).__name__, message
system = ActorSystem(start_method=sys.argv[1])
worker = system.spawn(Worker)
"""

#: What is defined in `__main__`, and what must hold of it.
SCRIPTS = {
    "a_class": """
        class Point:
            def __init__(self, x): self.x = x
            def __eq__(self, other): return type(self) is type(other) and self.x == other.x
            def doubled(self): return Point(2 * self.x)
        assert worker.ask(Point(1)) == ("Point", Point(1))
        assert worker.ask(Worker.call, Point.doubled, Point(4)) == Point(8)
        assert worker.ask(Worker.call, Point, 3) == Point(3)
        assert worker.ask(Worker.call, isinstance, Point(3), Point)
        assert worker.ask(Worker.call, lambda value: value, Point) is Point
    """,
    "a_dataclass": """
        import dataclasses
        @dataclasses.dataclass(frozen=True)
        class Job(Message[int]):
            number: int
            tags: list = dataclasses.field(default_factory=list)
        name, job = worker.ask(Job(3, ["a"]))
        assert job == Job(3, ["a"]) and type(job) is Job
        assert worker.ask(Worker.call, dataclasses.asdict, job) == {"number": 3, "tags": ["a"]}
        assert worker.ask(Worker.call, dataclasses.replace, job) == job
        names = worker.ask(Worker.call, lambda j: [f.name for f in dataclasses.fields(j)], job)
        assert names == ["number", "tags"]
        try: worker.ask(Worker.call, lambda j: setattr(j, "number", 1), job)
        except dataclasses.FrozenInstanceError: pass
        else: raise AssertionError("it is frozen")
    """,
    "an_enum": """
        import enum
        class Color(enum.Enum):
            RED = 1
            BLUE = 2
        class Bits(enum.IntFlag):
            A = 1
            B = 2
        assert worker.ask(Color.RED) == ("Color", Color.RED)
        assert worker.ask(Color.RED)[1] is Color.RED
        assert worker.ask(Worker.call, lambda c: c is Color.BLUE, Color.BLUE)
        assert worker.ask(Worker.call, Color, 2) is Color.BLUE
        assert worker.ask(Bits.A | Bits.B)[1] == Bits.A | Bits.B
        assert worker.ask({Color.RED: 1})[1][Color.RED] == 1
    """,
    "a_namedtuple": """
        import collections, typing
        Pair = collections.namedtuple("Pair", "a b")
        class Typed(typing.NamedTuple):
            a: int
            b: str = "x"
        assert worker.ask(Pair(1, 2))[1] == Pair(1, 2) and type(worker.ask(Pair(1, 2))[1]) is Pair
        assert worker.ask(Typed(1))[1].b == "x" and type(worker.ask(Typed(1))[1]) is Typed
    """,
    "a_generic_class": """
        import abc, typing
        T = typing.TypeVar("T")
        class Box(typing.Generic[T]):
            def __init__(self, value: T): self.value = value
        class Base(abc.ABC):
            __slots__ = ("value",)
            @abc.abstractmethod
            def get(self): ...
        class Full(Base):
            __slots__ = ()
            def get(self): return self.value
        class Child(Full):
            def get(self): return super().get() + 1
        assert worker.ask(Box[int](5))[1].value == 5
        child = Child()
        child.value = 4
        assert worker.ask(Worker.call, Child.get, child) == 5
        assert worker.ask(Worker.call, isinstance, child, Base)
    """,
    "a_nested_class": """
        class Outer:
            class Inner:
                def name(self): return Outer.__name__
            def make(self): return self.Inner()
        def local():
            class Local:
                pass
            return Local
        assert worker.ask(Worker.call, Outer.Inner.name, Outer.Inner()) == "Outer"
        assert type(worker.ask(Worker.call, Outer().make)) is Outer.Inner
        Local = local()
        assert type(worker.ask(Local())[1]) is Local
    """,
    "definitions_that_name_each_other": """
        class Even:
            def __init__(self, n): self.n = n
            def check(self): return True if self.n == 0 else Odd(self.n - 1).check()
        class Odd:
            partner = Even
            def __init__(self, n): self.n = n
            def check(self): return False if self.n == 0 else Even(self.n - 1).check()
        def even(n): return True if n == 0 else odd(n - 1)
        def odd(n): return False if n == 0 else even(n - 1)
        assert worker.ask(Worker.call, Even.check, Even(10))
        assert not worker.ask(Worker.call, Odd.check, Odd(10))
        assert worker.ask(Worker.call, odd, 11) and not worker.ask(Worker.call, even, 11)
        assert type(worker.ask(Odd(1))[1]).partner is Even
    """,
    "a_definition_whose_partner_cannot_travel": """
        import threading
        lock = threading.Lock()
        class First:
            def use(self): return Second, lock
        class Second:
            def use(self): return First
        for value in (First(), Second(), First(), Second()):
            try: worker.ask(value)
            except errors.EncodeError as error: assert "lock" in str(error), error
            else: raise AssertionError("a lock cannot travel")
    """,
    "an_exception": """
        class Refused(Exception):
            def __init__(self, code, text):
                super().__init__(code, text)
                self.code = code
        class Odd(Exception):
            def __init__(self, code, text):
                super().__init__(text)
        def refuse(kind): raise kind(7, "on purpose")
        try: worker.ask(Worker.call, refuse, Refused)
        except Refused as error: assert error.code == 7 and "in refuse" in str(error.__cause__)
        try: worker.ask(Worker.call, refuse, Odd)
        except errors.RemoteError as error:
            assert error.type_name == "__main__.Odd" and error.text == "on purpose"
            assert "in refuse" in error.traceback
    """,
    "functions_and_globals": """
        FACTOR = 10
        def scaled(x): return FACTOR * helper(x)
        def helper(x): return x + 1
        def adder(n): return lambda x: x + n
        calls = []
        def remember(x): calls.append(x); return calls
        assert worker.ask(Worker.call, scaled, 1) == 20
        assert worker.ask(Worker.call, adder(3), 1) == 4
        assert [worker.ask(Worker.call, f, 1) for f in (adder(1), adder(2))] == [2, 3]
        assert worker.ask(Worker.call, remember, 1) == [1]
        assert worker.ask(Worker.call, remember, 2) == [1, 2], "one set of globals in the actor"
        assert calls == [], "and another one here"
    """,
    "plain_pickle_inside_the_actor": """
        import pickle, multiprocessing
        class Point:
            def __init__(self, x): self.x = x
        def square(x): return x * x
        def roundtrip(point): return type(pickle.loads(pickle.dumps(point))) is type(point)
        def pool(function, values):
            with multiprocessing.get_context("fork").Pool(2) as pool:
                return pool.map(function, values)
        assert worker.ask(Worker.call, roundtrip, Point(1))
        assert worker.ask(Worker.call, pool, square, [1, 2, 3]) == [1, 4, 9]
    """,
    "a_redefinition_as_in_a_notebook": """
        class Step:
            def run(self): return "old"
        old = Step()
        assert worker.ask(Worker.call, lambda s: s.run(), old) == "old"
        def helper(): return 1
        def use(): return helper()
        assert worker.ask(Worker.call, use) == 1
        class Step:
            def run(self): return "new"
        def helper(): return 2
        def use(): return helper()
        assert worker.ask(Worker.call, lambda s: s.run(), Step()) == "new"
        assert worker.ask(Worker.call, lambda s: s.run(), old) == "old"
        assert type(worker.ask(old)[1]) is type(old)
        assert type(worker.ask(Step())[1]) is Step
        assert worker.ask(Worker.call, use) == 2
        class Worker(Actor):
            def call(self, function, *args): return "redefined"
        assert system.spawn(Worker).ask(Worker.call, None) == "redefined"
    """,
    "class_attributes_and_descriptors": """
        import functools
        class Rich:
            count = 0
            def __init__(self): self._x = 1
            @property
            def x(self): return self._x
            @x.setter
            def x(self, value): self._x = value
            @classmethod
            def bump(cls): cls.count += 1; return cls.count
            @staticmethod
            def fixed(): return "fixed"
            @functools.cached_property
            def slow(self): return "slow"
            def __call__(self, y): return self._x + y
        rich = Rich()
        rich.x = 5
        assert worker.ask(Worker.call, lambda r: (r.x, r.fixed(), r.slow, r(1)), rich) == (
            5, "fixed", "slow", 6)
        assert worker.ask(Worker.call, rich, 1) == 6
        assert worker.ask(Worker.call, Rich.bump) == 1 and worker.ask(Worker.call, Rich.bump) == 2
        assert Rich.count == 0, "the original is never overwritten"
        assert worker.ask(rich)[1].x == 5 and Rich.count == 0
    """,
    "a_metaclass": """
        class Meta(type):
            def __call__(cls, *args):
                made = super().__call__(*args)
                made.tag = cls.__name__
                return made
        class Tagged(metaclass=Meta):
            pass
        assert worker.ask(Tagged())[1].tag == "Tagged"
        assert worker.ask(Worker.call, Tagged).tag == "Tagged"
    """,
    "a_subclass_of_an_actor": """
        class Base(Actor):
            def who(self): return "base"
            def name(self): return self.who()
        class Derived(Base):
            def who(self): return "derived " + super().who()
        assert system.spawn(Derived).ask(Base.name) == "derived base"
        other = system.spawn(Derived)
        assert worker.ask(Worker.call, lambda ref: ref.ask(Base.name), other) == "derived base"
    """,
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_what_is_defined_in_main_travels(start_method, name):
    source = OPENING + textwrap.dedent(SCRIPTS[name]) + "\nsystem.stop()\nprint('done')\n"
    assert run_source(source, start_method) == "done\n"


def test_a_session_of_statements_works_like_a_notebook(start_method):
    """Case 37 of the acceptance list: an exec'd session, cell by cell, without any file."""
    cells = [
        "from procactors import Actor, ActorSystem",
        "class Greeter(Actor):\n    def greet(self, name): return f'{WORD} {name}'",
        "WORD = 'hello'",
        f"system = ActorSystem(start_method={start_method!r})",
        "greeter = system.spawn(Greeter)",
        "assert greeter.ask(Greeter.greet, 'you') == 'hello you'",
        "class Greeter(Actor):\n    def greet(self, name): return f'bye {name}'",
        "assert system.spawn(Greeter).ask(Greeter.greet, 'you') == 'bye you'",
        "system.stop()",
    ]
    source = f"""
space = {{"__name__": "__main__"}}
for number, cell in enumerate({cells!r}):
    exec(compile(cell, f"<cell {{number}}>", "exec"), space)
print("done")
"""
    assert run_source(source) == "done\n"
