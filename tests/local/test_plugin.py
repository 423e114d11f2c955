"""The pytest plugin, as users' test runs have it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from procactors.testing.plugin import _backend_of

pytest_plugins = "pytester"

ACTORS = """
    import os
    import threading

    import pytest

    from procactors import Terminated, current_context


    class Echo:
        def say(self, to, what):
            to.tell(what)

        def fail(self):
            raise KeyError("a lost key")
"""

RUN = (
    ACTORS
    + """
    def test_the_chosen_backend(actor_system, probe):
        assert hasattr(actor_system, "clock")
        assert probe.ref in [probe.ref]
        actor_system.spawn(Echo).tell(Echo.say, probe.ref, "here")
        assert probe.expect(str) == "here"


    def test_inline(inline_system, probe):
        echo = inline_system.spawn(Echo)
        echo.tell(Echo.say, probe.ref, 7)
        probe.expect(7)
        echo.stop()
        assert isinstance(probe.expect_terminated(echo), Terminated)


    def test_that_fails(actor_system):
        echo = actor_system.options(name="frail").spawn(Echo)
        echo.tell(Echo.fail)
        echo.tell(Echo.say, None, 1)
        actor_system.run_until_idle()
        assert False, "as planned"


    def test_that_passes_though_an_actor_crashes(actor_system):
        actor_system.options(name="quiet").spawn(Echo).tell(Echo.fail)
        actor_system.run_until_idle()


    @pytest.mark.no_leaks
    def test_tidy(actor_system, tmp_path):
        with open(tmp_path / "file", "w"):
            actor_system.spawn(Echo)


    @pytest.mark.no_leaks(settle=0.05)
    def test_untidy(tmp_path):
        os.open(tmp_path, os.O_RDONLY)


    @pytest.mark.no_leaks("soon")
    def test_marked_wrongly():
        pass
    """
)


def test_a_run_in_several_processes(pytester):
    pytester.makepyfile(RUN)
    ran = pytester.runpytest_subprocess("-n2", "--procactors-backend=inline", "--strict-markers")
    ran.assert_outcomes(passed=5, failed=1, errors=2)
    text = ran.stdout.str()
    failure = text.partition("test_that_fails")[2].partition("short test summary")[0]
    assert "crashed actors of inline:" in failure
    assert "actor frail" in failure
    assert "a lost key" in failure
    assert "fail of frail (given up at" in failure
    assert "actor quiet" not in failure
    ran.stdout.fnmatch_lines(
        [
            "*::test_untidy has left behind:",
            "*descriptor * *test_untidy*",
        ]
    )
    ran.stdout.fnmatch_lines(["*the marker of *::test_marked_wrongly is no_leaks or*'soon'*"])


def test_a_backend_is_named_by_the_configuration_before_the_environment(pytester, monkeypatch):
    monkeypatch.setenv("PROCACTORS_BACKEND", "nowhere")
    pytester.makeini("[pytest]\nprocactors_backend = threads\n")
    pytester.makepyfile(
        """
        def test_it(actor_system):
            assert actor_system.name.startswith("threads:")
        """
    )
    pytester.runpytest_subprocess().assert_outcomes(passed=1)


def test_a_backend_that_is_none_is_refused(pytestconfig, monkeypatch):
    monkeypatch.setenv("PROCACTORS_BACKEND", "nowhere")
    with pytest.raises(pytest.UsageError, match="says 'nowhere'; expected one of processes, thre"):
        _backend_of(pytestconfig)


def test_a_run_that_does_not_use_it_loads_nothing_of_it():
    code = (
        "import sys; import pytest; before = set(sys.modules)\n"
        "import procactors.testing.plugin\n"
        "print(sorted(n for n in set(sys.modules) - before if n.startswith('procactors')))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == str(
        ["procactors", "procactors.stored", "procactors.testing", "procactors.testing.plugin"]
    )
