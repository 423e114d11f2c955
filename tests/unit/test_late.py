"""What is imported late: at the first look, once, and as what it is."""

from __future__ import annotations

import importlib
import subprocess
import sys
import textwrap

import pytest

import procactors
from procactors import errors
from procactors.late import late
from tests.support.programs import environment


def run(code):
    """Run a program in a fresh interpreter; return what it prints, line by line."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        check=True,
        env=environment(),
    )
    return done.stdout.splitlines()


LOADED = "import sys; print(*sorted(sys.modules), sep='\\n')"


def test_a_late_module_is_loaded_by_the_first_look(tmp_path, monkeypatch):
    (tmp_path / "looked_at.py").write_text("value = []\n")
    monkeypatch.syspath_prepend(tmp_path)
    module = late("looked_at")
    assert "looked_at" not in sys.modules
    assert module.value is module.value is importlib.import_module("looked_at").value
    with pytest.raises(AttributeError, match="'looked_at' has no attribute 'other'"):
        _ = module.other


def test_one_that_fails_is_tried_again(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    module = late("not_there_yet")
    with pytest.raises(ModuleNotFoundError):
        _ = module.value
    (tmp_path / "not_there_yet.py").write_text("value = 1\n")
    importlib.invalidate_caches()
    assert module.value == 1


def test_each_public_name_is_there_and_is_found_where_it_is_said_to_be():
    for name in procactors.__all__:
        value = getattr(procactors, name)
        assert name in dir(procactors)
        if name != "errors":
            assert value is getattr(importlib.import_module(procactors._LATE[name]), name)
    assert set(procactors.__all__) == {"errors", *procactors._LATE}


def test_the_package_itself_loads_none_of_its_parts():
    loaded = set(run(f"import procactors; {LOADED}"))
    ours = {name for name in loaded if name.startswith("procactors")}
    assert ours == {"procactors", "procactors.stored"}
    assert loaded.isdisjoint({"logging", "socket", "pickle", "threading", "multiprocessing"})


def test_what_a_program_begins_with_loads_what_starts_the_zygote_and_no_more():
    loaded = set(run(f"from procactors import Actor, ActorSystem; {LOADED}"))
    assert "procactors.process.launcher" in loaded
    assert not {name for name in loaded if name.startswith("procactors.supervision")}
    assert loaded.isdisjoint(
        {"logging", "inspect", "dataclasses", "multiprocessing", "pickle", "cloudpickle", "ctypes"}
    )


def test_what_the_zygote_waits_for_before_its_first_fork_is_an_actors_core():
    loaded = set(
        run(f"""
            from procactors.process import zygote
            import importlib
            importlib.import_module(zygote._INCARNATION)
            {LOADED}
        """)
    )
    assert not {name for name in loaded if name.startswith(("procactors.supervision", "asyncio"))}
    assert loaded.isdisjoint(
        {"inspect", "dataclasses", "cloudpickle", "concurrent.futures", "hashlib", "tempfile"}
    )


def test_what_the_zygote_loads_in_the_end_is_all_that_programs_name():
    """So that no actor has to load it for itself, for the module that its class is in."""
    code = f"""
        from procactors.process import zygote
        import importlib, procactors
        for name in (zygote._INCARNATION, *zygote._THEN):
            importlib.import_module(name)
        import sys
        before = set(sys.modules)
        for name in procactors.__all__:
            if not procactors._LATE.get(name, "").startswith({LATE_IN_ACTORS}):
                getattr(procactors, name)
        print(*sorted(set(sys.modules) - before), sep="\\n")
    """
    assert run(code) == [""]


def test_no_name_but_those_of_the_asyncio_half_brings_asyncio():
    """Modules of actors name what they use, if only as a type; asyncio and ssl take 50 ms."""
    code = """
        import procactors, sys
        for name in procactors.__all__:
            if not name.startswith("Async"):
                getattr(procactors, name)
                if "asyncio" in sys.modules:
                    sys.exit(print(name))
    """
    assert run(code) == []


#: What only a parent needs, or an actor with a pool or an event loop, timers, topics, streams or
#: answers that come later: 0.6 to 3 ms each, which an actor with none of them does not pay for.
LATE_IN_ACTORS = (
    "procactors.api.async_system",
    "procactors.api.tree_toml",
    "procactors.deadletters",
    "procactors.model.events",
    "procactors.model.life_events",
    "procactors.pool",
    "procactors.runner.schedule",
    "procactors.runtime.async_ref",
    "procactors.runtime.async_supervisor_ref",
    "procactors.runtime.async_topic",
    "procactors.runtime.feed",
    "procactors.runtime.later_reply",
    "procactors.runtime.stream",
    "procactors.runtime.topic",
    "procactors.supervision",
)


def test_the_error_of_pools_is_one_class_whoever_asks():
    broken = errors.PoolBroken
    assert broken is errors.PoolBroken
    assert (broken.__module__, broken.__qualname__) == ("procactors.errors", "PoolBroken")
    assert "PoolBroken" in errors.__all__
    with pytest.raises(AttributeError, match="Nothing"):
        _ = errors.Nothing


def test_the_error_of_pools_is_one_of_concurrent_futures_and_loads_it_when_it_is_asked_for():
    assert run("""
        import sys
        from procactors import errors
        print("concurrent.futures" in sys.modules)
        import concurrent.futures
        print(issubclass(errors.PoolBroken, concurrent.futures.BrokenExecutor))
        print(issubclass(errors.PoolBroken, errors.DeliveryError))
    """) == ["False", "True", "True"]
