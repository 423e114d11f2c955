"""Where no system can be started, it is said in one line, and before anything is."""

from __future__ import annotations

import importlib.util

import pytest

from tests.support.programs import running, running_python

MAKE = """
import procactors
try:
    procactors.ActorSystem()
except procactors.errors.SpawnError as error:
    print(error)
"""


def said(code, *options):
    """Return the one line that a program prints; it must leave nothing, as nothing was started."""
    with running_python(*options, "-W", "ignore", "-c", code) as program:
        exit_code, out, errors = program.end()
        program.await_nothing_left()
    assert (exit_code, errors) == (0, ""), errors
    (line,) = out.splitlines()
    return line


@pytest.mark.parametrize("order", ["before", "after"])
def test_gevents_patches_are_refused(order):
    pytest.importorskip("gevent")
    patch = "from gevent import monkey; monkey.patch_all()"
    first = patch if order == "before" else f"import procactors; {patch}"
    line = said(first + MAKE)
    assert "in which gevent has patched" in line
    assert all(name in line for name in ("select", "socket", "threading"))
    assert "leave monkey.patch_all() out" in line


@pytest.mark.parametrize("name", ["select", "thread", "socket", "subprocess", "os"])
def test_each_patch_of_gevents_that_matters_is_refused_by_itself(name):
    pytest.importorskip("gevent")
    assert "gevent has patched" in said(f"from gevent import monkey; monkey.patch_{name}()" + MAKE)


@pytest.mark.parametrize("patch", ["", "monkey.patch_ssl()", "monkey.patch_time()"])
def test_gevent_without_these_patches_is_welcome(patch):
    pytest.importorskip("gevent")
    code = f"""
        from gevent import monkey
        {patch}
        from procactors import Actor, ActorSystem
        class Model(Actor):
            def predict(self, x):
                return 2 * x
        with ActorSystem() as system:
            print(system.spawn(Model).ask(Model.predict, 4))
    """
    with running(code) as program:
        code, out, errors = program.end()
        program.await_nothing_left()
    assert (code, out) == (0, "8\n"), errors


def test_eventlets_patches_are_refused():
    # Its import takes a second, and warns: so only where it is there.
    if importlib.util.find_spec("eventlet") is None:
        pytest.skip("eventlet is not installed")
    line = said("import eventlet; eventlet.monkey_patch()" + MAKE)
    assert "in which eventlet has patched" in line
    assert "leave monkey_patch() out" in line


@pytest.mark.parametrize("name", ["select.epoll", "os.pidfd_open", "os.eventfd"])
def test_what_is_missing_is_named(name):
    line = said(f"import os, select; del {name}" + MAKE)
    assert line.startswith(f"no actor system can run without {name}: ")
    assert "gevent" in line
