"""Running systems are found by whoever has made them, and by nobody else."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

import procactors
from procactors import ActorSystem
from procactors.outside.systems import NoSystem, choose, find_systems, is_running
from procactors.wire.runtime_dir import RuntimeDir
from tests.support.programs import running


def ours(systems):
    return [view for view in systems if view.pid == os.getpid()]


def test_a_running_system_says_what_it_is(start_method):
    with ActorSystem("shown", start_method=start_method) as system:
        (view,) = ours(find_systems())
        assert view == choose(find_systems(), "shown")
        assert view == choose(find_systems(), system._dir.path)
        assert view.name == "shown"
        assert view.path == system._dir.path
        assert view.version == procactors.__version__
        assert view.python == "{}.{}.{}".format(*sys.version_info)
        assert view.cwd == os.getcwd()
        assert list(view.argv) == sys.orig_argv
    assert not ours(find_systems())
    assert not is_running(view.path)


def test_one_in_a_directory_of_its_own_is_found_by_the_lock_that_its_parent_holds(tmp_path):
    with running(
        f"""
        import sys
        from procactors import ActorSystem
        with ActorSystem("hidden", runtime_dir={str(tmp_path)!r}):
            print("up", flush=True)
            sys.stdin.read()
        """,
        stdin=subprocess.PIPE,
    ) as program:
        assert program.line() == "up"
        found = choose(find_systems(), "hidden")
        assert found.path.startswith(str(tmp_path))
        assert found.pid == program.process.pid
        stdin, program.process.stdin = program.process.stdin, None
        stdin.close()
        assert program.end()[0] == 0


def test_one_that_is_not_there_is_an_error_that_names_those_that_are():
    with ActorSystem("one"), ActorSystem("two"):
        systems = ours(find_systems())
        with pytest.raises(NoSystem, match=r"no system 'three' runs; there are one \(pid"):
            choose(systems, "three")
        with pytest.raises(NoSystem, match=r"2 systems run; name one by --system: one \(pid"):
            choose(systems, None)
    with pytest.raises(NoSystem, match="no system of this user runs"):
        choose([], None)


@pytest.mark.parametrize("mode", [0o755, 0o777])
def test_a_directory_that_others_may_enter_is_not_believed(tmp_path, mode):
    made = RuntimeDir(tmp_path)
    try:
        assert is_running(made.path)
        os.chmod(made.path, mode)
        assert not is_running(made.path)
    finally:
        os.chmod(made.path, 0o700)
        made.remove()
