"""Code that travels is the caller's code at the call, and one class stays one class."""

from __future__ import annotations

import functools
import subprocess
import sys
import textwrap
import threading
from collections import namedtuple
from pathlib import Path

import pytest

from procactors import Actor, errors
from tests.support import edits
from tests.support.programs import environment
from tests.support.scripts import run_source
from tests.support.waiting import LONG_S

#: Runs before each script below.
OPENING = """
import sys, textwrap
from procactors import Actor, ActorSystem, errors
class Caller(Actor):
    def call(self, function, *args): return function(*args)
system = ActorSystem(start_method=sys.argv[1])
caller = system.spawn(Caller)
pool = system.options(size=1).pool()
def refused(make):
    try: make()
    except errors.ProcActorsError as error: return str(error)
    raise AssertionError("nothing was raised")
"""

SCRIPTS = {
    "an_edited_script": """
        RATE = 1
        CONFIG = {"rate": 1}
        def helper(x): return x * 10
        def tax(x): return x * RATE
        def from_config(x): return x * CONFIG["rate"]
        def through_helper(x): return helper(x)
        class Clerk(Actor):
            def tax(self, x): return x * RATE
        def all_of_it():
            return [
                *pool.map(lambda x: x * RATE, [1]), *pool.map(tax, [1]),
                *pool.map(from_config, [1]), *pool.map(through_helper, [1]),
                system.spawn(Clerk).ask(Clerk.tax, 1), caller.ask(Caller.call, tax, 1),
            ]
        assert all_of_it() == [1, 1, 1, 10, 1, 1]
        RATE = 2
        CONFIG["rate"] = 2
        def helper(x): return x * 20
        assert all_of_it() == [2, 2, 2, 20, 2, 2]
    """,
    "instances_of_an_edited_class": """
        RATE = 1
        class Item:
            discount = 0
            def __init__(self, number): self.number = number
            def price(self): return self.number * RATE - self.discount
        class Keeper(Actor):
            def price(self, item): return item.price(), type(item) is Item
        keeper = system.spawn(Keeper)
        assert keeper.ask(Keeper.price, Item(10)) == (10, True)
        RATE = 2
        assert keeper.ask(Keeper.price, Item(10)) == (20, True)
        Item.discount = 1
        assert keeper.ask(Keeper.price, Item(10)) == (19, True)
        Item.price = lambda self: 77
        assert keeper.ask(Keeper.price, Item(10)) == (77, True)
        del Item.discount
        assert caller.ask(Caller.call, lambda item: hasattr(item, "discount"), Item(1)) is False
    """,
    "edits_that_are_hard_to_see": """
        import abc, enum, functools
        class Duck(abc.ABC): pass
        class Registry:
            __registry__ = {}
            _fields = []
        class Kind(enum.Enum):
            A = {"x": 1}
            B = 2
        @functools.lru_cache
        def cached(x): return cached.k + x
        cached.k = 1
        def keyword(x, *, k=1): return k
        def marked(x): return getattr(marked, "k", 0) + x
        marks = lambda: sorted(vars(marked).items())
        class Int(int): pass
        number = Int(3)
        number.note = "a"
        one = [1]
        other = one
        def shared(x):
            one.append(x)
            found = list(other)
            one.pop()
            return found
        import xml
        def xml_name(): return xml.dom.__name__
        def isduck(x): return isinstance(x, Duck)
        def look(x):
            return (
                isduck(1), Registry.__registry__, Registry._fields, Kind.A.value,
                getattr(Kind.B, "note", None), cached(0), keyword(0), marked(0), number.note,
                shared(2), keyword.__doc__,
            )
        def here_and_there():
            there = pool.ask(look, 0)
            assert there == look(0), (there, look(0))
        here_and_there()
        Duck.register(int); here_and_there()
        Registry.__registry__["a"] = 1; here_and_there()
        Registry._fields.append("x"); here_and_there()
        Kind.A.value["x"] = 2; here_and_there()
        Kind.B.note = "n"; here_and_there()
        cached.k = 5; cached.cache_clear(); here_and_there()
        keyword.__kwdefaults__["k"] = 9; here_and_there()
        marked.k = 5; here_and_there()
        number.note = "b"; here_and_there()
        other = list(one); here_and_there()
        keyword.__doc__ = "text"; here_and_there()
        assert isinstance(pool.submit(xml_name).exception(), AttributeError)
        import xml.dom
        assert pool.ask(xml_name) == "xml.dom"
    """,
    "what_cloudpickle_loses": """
        import enum
        GG = 7
        def body(x):
            class Inner: y = GG
            return Inner.y
        class Planet(enum.Enum):
            EARTH = (1, 2)
            TERRA = (1, 2)
            def __init__(self, a, b): self.sum = a + b
        class Labelled(int, enum.Enum):
            A = (1, "one")
            def __new__(cls, value, label):
                it = int.__new__(cls, value)
                it._value_, it.label = value, label
                return it
        class Bits(enum.Flag):
            A = 1
            B = 2
            AB = 3
        names = []
        class Plugin:
            def __init_subclass__(cls, **more): names.append(cls.__name__)
        class One(Plugin): pass
        class Meta(type):
            def __new__(meta, name, bases, space):
                names.append(space["required"])
                return super().__new__(meta, name, bases, space)
        class Made(metaclass=Meta): required = "m"
        assert pool.ask(body, 0) == 7
        assert pool.ask(lambda: (Planet.EARTH.sum, Planet["TERRA"] is Planet.EARTH)) == (3, True)
        assert pool.ask(lambda: (Labelled.A.label, Labelled.A + 1)) == ("one", 2)
        assert pool.ask(lambda: Bits["AB"] == Bits.A | Bits.B)
        assert pool.ask(lambda: (One.__name__, Made.required, names)) == ("One", "m", ["One", "m"])
        assert pool.ask(lambda x: x, Planet.EARTH) is Planet.EARTH
    """,
    "classes_of_one_text": """
        def twin():
            class Item: n = 0
            return Item
        first, second = twin(), twin()
        back = pool.ask(lambda items: items, [first(), second(), first()])
        assert [type(item) for item in back] == [first, second, first]
        first.n, second.n = 1, 2
        assert pool.ask(lambda items: [item.n for item in items], [first(), second()]) == [1, 2]
    """,
    "an_edit_by_another_thread_during_the_call": """
        import threading, time
        FLAG, DATA = 0, bytearray(20_000_000)
        def flag(x): return FLAG, len(DATA)
        def edit():
            global FLAG
            time.sleep(0.005)
            FLAG = 1
        thread = threading.Thread(target=edit)
        thread.start()
        assert list(pool.map(flag, [0]))[0][0] in (0, 1)
        thread.join()
        FLAG = 0
        assert [list(pool.map(flag, [0])) for _ in range(3)] == 3 * [[(0, 20_000_000)]]
    """,
    "versions_do_not_pile_up": """
        import os, psutil
        WEIGHTS = b""
        class Big: table = b""
        def step(x): return len(WEIGHTS), psutil.Process().memory_info().rss
        def size():
            folder = os.path.join(system._endpoint.path, "defs")
            return sum(entry.stat().st_size for entry in os.scandir(folder))
        first = None
        for epoch in range(12):
            WEIGHTS = os.urandom(10_000_000)
            Big.table = os.urandom(2_000_000)
            length, memory = pool.ask(step, 0)
            assert length == 10_000_000 and pool.ask(lambda b: len(b.table), Big()) == 2_000_000
            first = first or memory
        assert memory < first + 60_000_000, (first, memory)
        assert size() < 1_000_000
    """,
    "two_versions_of_one_class": """
        class Point:
            def name(self): return "old"
        old, OldPoint = Point(), Point
        class Point:
            def name(self): return "new"
        names = lambda points: [point.name() for point in points]
        assert caller.ask(Caller.call, names, [old, Point(), old]) == ["old", "new", "old"]
        back = caller.ask(Caller.call, lambda points: points, [old, Point()])
        assert [type(point) for point in back] == [OldPoint, Point]
    """,
    "a_cell_that_is_run_again": """
        cell = '''
        class Point:
            scale = 2
            def __init__(self, x): self.x = x * self.scale
        '''
        cell = textwrap.dedent(cell)
        exec(cell)
        class Judge(Actor):
            def knows(self, point): return type(point) is Point
        judge = system.spawn(Judge)
        assert judge.ask(Judge.knows, Point(1))
        exec(chr(10) * 7 + cell)
        assert judge.ask(Judge.knows, Point(1)), "other lines, but the same text"
        assert type(caller.ask(Caller.call, lambda x: x, Point(1))) is Point
    """,
    "classes_that_count": """
        import dataclasses, itertools
        ids = itertools.count()
        @dataclasses.dataclass
        class Job:
            number: int = dataclasses.field(default_factory=lambda: next(ids))
        class Counted:
            count = 0
            def __init__(self): type(self).count += 1
        class Judge(Actor):
            def knows(self, thing): return type(thing) in (Job, Counted)
        judge = system.spawn(Judge)
        assert all(judge.ask(Judge.knows, Job()) for _ in range(5))
        assert all(judge.ask(Judge.knows, Counted()) for _ in range(5))
        assert Counted.count == 5 and next(ids) == 5
    """,
    "state_that_a_function_keeps": """
        MODEL = None
        def lazily(x):
            global MODEL
            if MODEL is None:
                MODEL = []
            MODEL.append(x)
            return len(MODEL)
        counts = [*pool.map(lazily, range(3)), *pool.map(lazily, range(3)), *pool.map(lazily, "a")]
        assert counts == list(range(1, 8)), counts
        MODEL = ["mine"]
        assert list(pool.map(lazily, "a")) == [2]
    """,
    "an_actor_that_edits_and_spawns": """
        RATE = 1
        class Worker(Actor):
            def work(self, x): return x * RATE
        class Manager(Actor):
            def set(self, rate):
                global RATE
                RATE = rate
            def manage(self, x): return self.context.spawn(Worker).ask(Worker.work, x)
        manager = system.spawn(Manager)
        assert manager.ask(Manager.manage, 1) == 1
        manager.ask(Manager.set, 5)
        assert manager.ask(Manager.manage, 1) == 5
        assert system.spawn(Worker).ask(Worker.work, 1) == 1
    """,
    "a_respawned_actor_is_what_was_spawned": """
        from procactors import Restart
        RATE = 1
        class Clerk(Actor):
            def tax(self, x): return x * RATE
            def die(self): import os; os._exit(3)
        clerk = system.options(restart=Restart.PERMANENT).spawn(Clerk)
        RATE = 2
        clerk.submit(Clerk.die).exception()
        assert clerk.ask(Clerk.tax, 1) == 1
        assert system.spawn(Clerk).ask(Clerk.tax, 1) == 2
    """,
    "cached_functions": """
        import functools, typing
        @functools.lru_cache(maxsize=None)
        def fib(n): return n if n < 2 else fib(n - 1) + fib(n - 2)
        def calls_fib(n): return fib(n)
        class Cached(Actor):
            @functools.lru_cache
            def square(self, x): return x * x
            def f(self, x): return self.square(x), self.cube(x)
            @staticmethod
            @functools.cache
            def cube(x): return x ** 3
        assert list(pool.map(fib, [200])) == [fib(200)], "each once, or it takes for ever"
        assert list(pool.map(calls_fib, [10])) == [55]
        assert pool.ask(lambda: fib.cache_parameters()) == {"maxsize": None, "typed": False}
        assert system.spawn(Cached).ask(Cached.f, 3) == (9, 27)
        assert system.spawn(Cached).ask(Cached.square, 3) == 9
    """,
    "single_dispatch": """
        import functools
        class Item: pass
        @functools.singledispatch
        def show(x): return "any"
        @show.register
        def _(x: int): return "int"
        @show.register
        def _(x: Item): return "item " + show(1)
        class Shower(Actor):
            @functools.singledispatchmethod
            def show(self, x): return "any"
            @show.register
            def _(self, x: int): return "int"
            def run(self, x): return self.show(x), show(x)
        assert list(pool.map(show, [1, "x", Item()])) == ["int", "any", "item int"]
        assert system.spawn(Shower).ask(Shower.run, 1) == ("int", "int")
    """,
    "what_pickles_by_its_name": """
        import typing
        UserId = typing.NewType("UserId", int)
        class Missing:
            def __reduce__(self): return "MISSING"
        MISSING = Missing()
        MISSING.text = "it"
        class Keeper(Actor):
            def is_missing(self, x): return x is MISSING, MISSING.text
        assert pool.ask(lambda x: UserId(x), 3) == 3
        assert pool.ask(lambda x: x is MISSING, MISSING)
        keeper = system.spawn(Keeper)
        assert keeper.ask(Keeper.is_missing, MISSING) == (True, "it")
        assert keeper.ask(Keeper.is_missing, None) == (False, "it")
        assert pool.ask(lambda: MISSING) is MISSING
    """,
    "classes_that_are_made_in_their_own_way": """
        import dataclasses
        class Plugin:
            registry = {}
            def __init_subclass__(cls, *, tag, **more):
                super().__init_subclass__(**more)
                cls.tag = tag
                Plugin.registry[tag] = cls
        class Csv(Plugin, tag="csv"): pass
        class Private:
            __slots__ = ("__x", "y")
            def __init__(self): self.__x, self.y = 1, 2
            def both(self): return self.__x, self.y, hasattr(self, "__dict__")
        class Meta(type):
            def __new__(meta, name, bases, space, *, extra="default"):
                cls = super().__new__(meta, name, bases, space)
                cls.extra = extra
                return cls
        class WithMeta(metaclass=Meta, extra="given"): pass
        @dataclasses.dataclass(frozen=True, slots=True)
        class Frozen:
            a: int
            b: str = "x"
        assert pool.ask(lambda: (Csv().tag, list(Plugin.registry))) == ("csv", ["csv"])
        assert type(pool.ask(lambda x: x, Csv())) is Csv
        assert pool.ask(lambda x: x.both(), Private()) == (1, 2, False)
        assert pool.ask(lambda x: x, Private()).both() == (1, 2, False)
        assert pool.ask(lambda x: x.extra, WithMeta()) == "given"
        assert pool.ask(lambda f: dataclasses.replace(f, a=2), Frozen(1)) == Frozen(2)
    """,
    "what_cannot_travel": """
        import sqlite3, threading
        lock, connection = threading.Lock(), sqlite3.connect(":memory:")
        class C(Actor):
            guard = threading.Lock()
        class D(Actor):
            def f(self): return connection
        class E(Actor):
            def f(self): return D
        def function(x): return lock
        def with_default(x, lock=lock): return x
        holder = {"inner": [1, lock]}
        def deep(x): return holder
        assert ": C.guard = <unlocked" in refused(lambda: system.spawn(C))
        assert ": D.f uses connection = <sqlite3.Connection" in refused(lambda: system.spawn(D))
        text = refused(lambda: system.spawn(E))
        assert ": E.f uses D: D.f uses connection = <sqlite3.Connection" in text, text
        assert "function uses lock = <unlocked" in refused(lambda: pool.map(function, [1]))
        assert "with_default's default 0 = <unlocked" in refused(lambda: pool.ask(with_default, 1))
        assert "deep uses holder['inner'][1] = <unlocked" in refused(lambda: pool.ask(deep, 1))
        with open(sys.executable, "rb") as file, open("/etc/hostname") as text:
            assert "an open file cannot travel" in refused(lambda: pool.ask(len, text))
            assert "or feed(...) of it" in refused(lambda: pool.ask(len, (x for x in "ab")))
            assert "BufferedReader" in refused(lambda: pool.ask(len, file))
    """,
    "what_does_not_load": """
        class Fragile:
            def __init__(self): self.x = 1
            def __setstate__(self, state): raise RuntimeError("not here")
        class Needs(Exception):
            def __init__(self, a, b): super().__init__(a)
        text = refused(lambda: caller.ask(Caller.call, id, Fragile()))
        assert "__main__.Fragile: RuntimeError: not here" in text, text
        text = refused(lambda: pool.ask(id, Fragile()))
        assert "__main__.Fragile: RuntimeError: not here" in text, text
        text = refused(lambda: caller.ask(Caller.call, lambda: Fragile()))
        assert "__main__.Fragile: RuntimeError: not here" in text, text
        assert caller.ask(Caller.call, abs, -1) == 1
        assert list(pool.map(abs, [-1, -2])) == [1, 2]
    """,
    "a_redefined_class_asked_through_an_old_ref": """
        class Worker(Actor):
            def work(self): return "old"
            def same(self): return "same"
        ref = system.spawn(Worker)
        Old = Worker
        class Worker(Actor):
            def work(self): return "new"
            def same(self): return "same"
            def more(self): return "more"
        earlier = "spawned from an earlier definition of Worker"
        assert earlier in refused(lambda: ref.ask(Worker.work))
        assert earlier in refused(lambda: system.find(ref.name).ask(Worker.work))
        assert "when the actor was spawned" in refused(lambda: ref.ask(Worker.more))
        assert ref.ask(Old.work) == "old" and ref.ask(Worker.same) == "same"
        assert system.spawn(Worker).ask(Worker.work) == "new"
    """,
    "modules_that_only_the_program_has": """
        import types
        made = types.ModuleType("made_at_run_time")
        exec(textwrap.dedent('''
        FACTOR = 2
        def double(x): return x * FACTOR
        class Thing:
            def name(self): return __name__
        '''), made.__dict__)
        sys.modules["made_at_run_time"] = made
        nameless = types.ModuleType("nameless")
        nameless.value = 7
        def use(x): return made.double(x), nameless.value
        assert list(pool.map(made.double, [1])) == [2]
        made.FACTOR = 3
        assert list(pool.map(made.double, [1])) == [3]
        assert pool.ask(use, 1) == (3, 7)
        thing = pool.ask(lambda thing: (thing.name(), thing), made.Thing())
        assert thing[0] == "made_at_run_time" and type(thing[1]) is made.Thing
        assert pool.ask(lambda: "made_at_run_time" in sys.modules) is False
    """,
    "nothing_of_a_module_that_can_be_imported_changes": """
        import collections, functools, textwrap
        def look():
            return type(textwrap.dedent), textwrap.dedent.__name__, hasattr(collections, "Row")
        Row = collections.namedtuple("Row", "a b", module="collections")
        def traced(function):
            @functools.wraps(function)
            def traced(*args): return function(*args)
            return traced
        before = look()
        assert pool.ask(look) == before
        assert list(pool.map(lambda row: row.a, [Row(1, 2)])) == [1]
        assert list(pool.map(lambda row: row, [Row(1, 2)])) == [(1, 2)]
        assert type(pool.ask(lambda row: row, Row(1, 2))) is Row
        assert pool.ask(traced(textwrap.dedent), " x") == "x"
        assert pool.ask(look) == before and look() == before
    """,
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_code_of_a_script(start_method, name):
    source = OPENING + textwrap.dedent(SCRIPTS[name]) + "\nsystem.stop()\nprint('done')\n"
    assert run_source(source, start_method) == "done\n"


@pytest.mark.parametrize("flags", ["-bb", "-O", "-OO", "-I", "-W error::BytesWarning"])
def test_code_travels_whatever_the_interpreters_flags(flags, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        f"import sys; sys.path.insert(0, {str(Path(edits.__file__).parents[2])!r})\n"
        + OPENING
        + "class Item:\n    def __init__(self): self.x = 1\n"
        + "assert caller.ask(Caller.call, lambda item: item.x, Item()) == 1\n"
        + "assert type(pool.ask(lambda item: item, Item())) is Item\nsystem.stop()\nprint('done')\n"
    )
    run = subprocess.run(
        [sys.executable, *flags.split(), script, "forkserver"],
        capture_output=True,
        text=True,
        timeout=LONG_S,
        check=False,
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, "done\n", "")


def run_edits(seed: int, steps: int, start_method: str) -> str:
    """Run the program of random edits; return what it printed last."""
    run = subprocess.run(
        [sys.executable, edits.__file__, str(seed), str(steps), start_method],
        capture_output=True,
        text=True,
        timeout=10 * LONG_S,
        env=environment(),
        check=False,
    )
    assert run.returncode == 0, run.stderr[-2_000:]
    return run.stdout


def test_a_program_that_edits_itself_at_random_agrees_with_its_actors(start_method, seed):
    assert run_edits(seed, 25, start_method) == "100 calls agreed\n"


@pytest.mark.stress
@pytest.mark.parametrize("count", range(5))
def test_many_edits_at_random(start_method, seed, count):
    assert run_edits(seed + count, 300, start_method) == "1200 calls agreed\n"


# -- without a script ---------------------------------------------------------------------------


def run_files(files: dict[str, str], folder: Path, *arguments: str) -> str:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
    run = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=LONG_S,
        env=environment(),
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def test_relative_imports_in_functions_of_a_module_that_is_run(tmp_path):
    files = {
        "pkg/__init__.py": "",
        "pkg/helpers.py": "def double(x): return 2 * x",
        "pkg/cli.py": """
            from procactors import Actor, ActorSystem
            def lazily(x):
                from .helpers import double
                return double(x), __package__, __spec__.name
            class Worker(Actor):
                def f(self, x):
                    from .helpers import double
                    return double(x)
            if __name__ == "__main__":
                with ActorSystem() as system, system.options(size=1).pool() as pool:
                    print(list(pool.map(lazily, [1])), system.spawn(Worker).ask(Worker.f, 2))
        """,
    }
    out = run_files(files, tmp_path, "-W", "error", "-m", "pkg.cli")
    assert out == "[(2, 'pkg', 'pkg.cli')] 4\n"


@pytest.mark.parametrize("mode", ["prepend", "importlib"])
def test_tests_under_each_import_mode(tmp_path, mode):
    files = {
        "tests/sub/test_it.py": """
            from procactors import Actor, ActorSystem
            RATE = 2
            def double(x): return RATE * x
            class Keeper(Actor):
                def get(self): return double(3), Keeper
            def test_both():
                with ActorSystem() as system, system.options(size=1).pool() as pool:
                    assert list(pool.map(double, [1])) == [2]
                    assert system.spawn(Keeper).ask(Keeper.get) == (6, Keeper)
        """
    }
    options = ("-q", "-p", "no:cacheprovider", f"--import-mode={mode}", "tests")
    assert "1 passed" in run_files(files, tmp_path, "-m", "pytest", *options)


def test_a_module_run_by_runpy_and_one_of_a_loader_of_the_programs_own(tmp_path):
    files = {
        "job.py": """
            RATE = 3
            def tax(x): return x * RATE
        """,
        "main.py": """
            import importlib.abc, importlib.util, runpy, sys
            from procactors import ActorSystem
            class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
                def find_spec(self, name, path, target=None):
                    if name == "conjured":
                        return importlib.util.spec_from_loader(name, self)
                def exec_module(self, module):
                    exec("def triple(x): return 3 * x", module.__dict__)
            sys.meta_path.append(Finder())
            import conjured
            job = runpy.run_path("job.py", run_name="renamed")
            spec = importlib.util.spec_from_file_location("under_another_name", "job.py")
            other = sys.modules["under_another_name"] = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(other)
            with ActorSystem() as system, system.options(size=1).pool() as pool:
                print([list(pool.map(f, [2])) for f in (conjured.triple, job["tax"], other.tax)])
        """,
    }
    assert run_files(files, tmp_path, "main.py") == "[[6], [6], [6]]\n"


def test_a_class_of_a_function_keeps_its_identity(system):
    """Of a module that can be imported, but not under its name."""
    row = namedtuple("row", "a b")  # noqa: PYI024 - made at run time, as DataFrame.itertuples does
    row.__module__ = "collections"
    with system.options(size=1).pool() as pool:
        for _ in range(3):
            (back,) = pool.map(same, [row(1, 2)])
            assert type(back) is row


def test_rows_of_classes_that_are_made_anew_each_time_come_back(system):
    def rows() -> list[tuple[int, int]]:
        made = namedtuple("Pandas", "a b", module="pandas.core.frame")  # noqa: PYI024
        return [made(count, 1) for count in range(3)]

    with system.options(size=1).pool() as pool:
        for _ in range(3):
            assert list(pool.map(same, rows(), on_error="raise")) == rows()


def same(value: object) -> object:
    return value


class Guarded(Actor):
    guard = threading.Lock()


def test_a_class_attribute_of_a_module_that_is_imported_may_be_anything(system):
    assert system.spawn(Guarded).is_alive()


def test_a_partial_of_what_cannot_travel_is_named(system):
    with system.options(size=1).pool() as pool:
        with pytest.raises(errors.EncodeError, match=r"function.args\[0\] = <unlocked"):
            pool.map(functools.partial(same, threading.Lock()), [1])
