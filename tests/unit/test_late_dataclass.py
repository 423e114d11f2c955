"""A late dataclass is what the standard library makes of it, whichever part is looked at first."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
import sys
import threading

import pytest

from procactors import late_dataclass
from procactors.late_dataclass import dataclass

#: From Python 3.13 on.
replace = getattr(copy, "replace", dataclasses.replace)

BODY = """
class Point:
    '''A point.'''
    x: int
    y: int = 2
    tags: list = field(default_factory=list, repr=False)
"""


def made(decorate):
    """Return a class, decorated, that can be pickled."""
    names = {"field": dataclasses.field, "__name__": __name__}
    exec(BODY, names)
    cls = globals()["Point"] = decorate(frozen=True)(names["Point"])
    return cls


LOOKS = {
    "shown": lambda cls: repr(cls(1)),
    "compared": lambda cls: (cls(1) == cls(1), cls(1) == cls(1, 3), cls(1) == 1),
    "hashed": lambda cls: [type(hash(cls(1, tags=())))],
    "fields": lambda cls: [field.name for field in dataclasses.fields(cls)],
    "is one": dataclasses.is_dataclass,
    "parameters": lambda cls: repr(cls.__dataclass_params__),
    "matched": lambda cls: cls.__match_args__,
    "signature": lambda cls: str(inspect.signature(cls)),
    "constructor": lambda cls: str(inspect.signature(cls.__init__)),
    "replaced": lambda cls: repr(dataclasses.replace(cls(1), y=5)),
    "replaced by copy": lambda cls: repr(
        getattr(copy, "replace", dataclasses.replace)(cls(1), y=5)
    ),
    "as a dict": lambda cls: dataclasses.asdict(cls(1)),
    "copied": lambda cls: copy.deepcopy(cls(1, tags=[1])) == cls(1, tags=[1]),
    "pickled": lambda cls: pickle.loads(pickle.dumps(cls(1))) == cls(1),
    "unknown word": lambda cls: raised(lambda: cls(1, z=1)),
    "missing word": lambda cls: raised(lambda: cls(y=1)),
    "set to what is no field": lambda cls: raised(lambda: setattr(cls(1), "z", 2)),
    "set": lambda cls: raised(lambda: setattr(cls(1), "x", 2)),
    "deleted": lambda cls: raised(lambda: delattr(cls(1), "x")),
    "set past the constructor": lambda cls: raised(lambda: setattr(cls.__new__(cls), "x", 2)),
    "what is in it": lambda cls: (cls(1), sorted(vars(cls)))[1],
}


def raised(action):
    with pytest.raises(Exception) as caught:
        action()
    return type(caught.value), str(caught.value)


@pytest.mark.parametrize("look", LOOKS)
def test_each_look_finds_what_the_standard_library_makes(look):
    assert LOOKS[look](made(dataclass)) == LOOKS[look](made(dataclasses.dataclass))


def test_an_instance_that_comes_out_of_a_pickle_before_all_else_is_a_whole_one():
    data = pickle.dumps(made(dataclasses.dataclass)(1, 4))
    made(dataclass)
    point = pickle.loads(data)
    assert raised(lambda: setattr(point, "x", 2))[0] is dataclasses.FrozenInstanceError
    assert repr(point) == "Point(x=1, y=4)"


def test_classes_below_one_are_whole_as_well():
    base = made(dataclass)

    class Plain(base):
        pass

    assert repr(Plain(3)).endswith("Plain(x=3, y=2)")

    @dataclass(frozen=True, kw_only=True)
    class Named(made(dataclass)):
        """One more."""

        name: str

    assert [field.name for field in dataclasses.fields(Named)] == ["x", "y", "tags", "name"]
    assert Named(1, name="n") == Named(1, name="n") != Named(1, name="m")


def test_a_class_that_is_broken_off_while_it_is_finished_is_finished_by_the_next_look(monkeypatch):
    cls = made(dataclass)
    real = dataclasses.dataclass

    def broken(**options):
        def decorate(cls):
            raise KeyboardInterrupt

        return decorate

    monkeypatch.setattr(dataclasses, "dataclass", broken)
    with pytest.raises(KeyboardInterrupt):
        cls(1)
    monkeypatch.setattr(dataclasses, "dataclass", real)
    assert repr(cls(1)) == "Point(x=1, y=2)"


def test_a_class_that_is_broken_off_at_any_line_is_whole_by_the_next_look(monkeypatch):
    line, is_over = 0, False
    while not is_over:
        line += 1
        cls, left = made(dataclass), line
        # A trace may raise behind the body of a `with` statement, where no signal handler runs.
        monkeypatch.setattr(late_dataclass, "_lock", threading.RLock())

        def watch(frame, event, _):
            nonlocal left
            left -= event == "line"
            if event == "line" and not left:
                raise KeyboardInterrupt
            return watch

        def enter(frame, _event, _, watch=watch):
            return watch if frame.f_code.co_filename == late_dataclass.__file__ else None

        before = sys.gettrace()
        sys.settrace(enter)
        try:
            cls(1)
            is_over = True
        except KeyboardInterrupt:
            pass
        finally:
            sys.settrace(before)
        assert repr(cls(1)) == "Point(x=1, y=2)", line
        assert cls(1).tags == [], line
        assert "tags" not in vars(cls), line
        assert raised(lambda cls=cls: delattr(cls(1), "x"))[0] is dataclasses.FrozenInstanceError


def test_a_class_below_one_that_is_not_finished_calls_its_constructor_once():
    calls = []

    class Below(made(dataclass)):
        def __init__(self, x):
            calls.append(x)
            super().__init__(x)

    assert (Below(1).x, calls) == (1, [1])


def test_threads_that_come_at_once_find_one_whole_class():
    for _ in range(20):
        cls = made(dataclass)
        ready, found = threading.Barrier(4), []

        def look(cls=cls, ready=ready, found=found):
            ready.wait()
            found.append((cls(1) == cls(1), repr(cls(1))))

        threads = [threading.Thread(target=look) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found == [(True, "Point(x=1, y=2)")] * 4


def test_a_class_is_finished_once(monkeypatch):
    times = []
    real = dataclasses.dataclass
    monkeypatch.setattr(
        dataclasses, "dataclass", lambda **options: times.append(options) or real(**options)
    )
    cls = made(dataclass)
    assert times == []
    assert cls(1) != cls(2)
    assert dataclasses.fields(cls)
    assert times == [{"frozen": True}]
    assert not any(type(value) is late_dataclass._Unmade for value in vars(cls).values())
