"""What actors print, on either stream and by whatever means, goes where it is wanted."""

from __future__ import annotations

import sys

import pytest

from procactors import ActorSystem
from procactors.errors import ActorDied
from procactors.process.output import file_stem
from tests.support.loggers import Talker
from tests.support.programs import running
from tests.support.terminals import Terminal, screen

pytestmark = pytest.mark.methods

PROGRAM = """
    from procactors import ActorSystem
    from tests.support.loggers import Talker
    with ActorSystem({words}, start_method={method!r}) as system:
        talker = system.options(name="tom").spawn(Talker)
        {then}
"""


def result_of(then, words, method="forkserver", **options):
    source = PROGRAM.format(then=then, words=words, method=method)
    with running(source, **options) as one:
        code, out, err = one.end()
    assert code == 0, err
    return out.splitlines(), err.splitlines()


def test_with_prefix_each_line_has_the_actors_name(start_method):
    then = """talker.ask(Talker.say, "one\\ntwo")
        talker.ask(Talker.say_natively, "three")
        talker.ask(Talker.complain, "four")"""
    out, err = result_of(then, "stdout='prefix'", start_method)
    assert out == [
        f"[tom] {line}" for line in ("one", "two", "by write three", "by C three", "by shell three")
    ]
    assert err == ["[tom] four"]


def test_lines_of_many_actors_stay_whole():
    then = """
        many = [system.options(name=f"a{n}").spawn(Talker) for n in range(8)]
        replies = [ref.submit(Talker.say, "\\n".join([ref.name * 50] * 500)) for ref in many]
        [reply.result() for reply in replies]"""
    out, err = result_of(then.strip(), "stdout='prefix'")
    assert sorted(out) == sorted([f"[a{n}] " + f"a{n}" * 50 for n in range(8)] * 500)
    assert err == []


def test_what_is_printed_before_a_kill_is_shown_with_its_last_line(start_method):
    then = """talker.ask(Talker.say_rest, "no end")
        talker.submit(Talker.die, "x").exception()
        talker.ask(Talker.say, "again")"""
    out, _ = result_of(then, "stdout='prefix'", start_method)
    assert out == ["[tom] no end", "[tom] again"]


def test_of_a_bar_that_is_written_over_the_last_state_is_shown():
    then = """for n in range(101):
            talker.ask(Talker.say_rest, f"\\r{n} %")
        talker.ask(Talker.say, "")"""
    assert result_of(then, "stdout='prefix'") == (["[tom] 100 %"], [])


def test_what_a_stream_has_no_characters_for_is_shown_as_an_escape():
    then = """import sys
        sys.stdout.reconfigure(encoding="ascii")
        system.options(name="\\udc80").spawn(Talker).ask(Talker.say, "caf\\xe9")"""
    out, _ = result_of(then, "stdout='prefix'")
    assert out == ["[\\udc80] caf\\xe9"]


def test_lines_go_to_what_the_program_has_put_there(capsys):
    with ActorSystem(stdout="prefix") as system:
        talker = system.options(name="tom").spawn(Talker)
        talker.ask(Talker.say, "to a notebook")
    assert capsys.readouterr().out == "[tom] to a notebook\n"


def test_with_none_nothing_is_printed(start_method):
    then = """talker.ask(Talker.say, "one")
        talker.ask(Talker.say_natively, "two")
        talker.ask(Talker.complain, "three")"""
    assert result_of(then, "stdout='none'", start_method) == ([], [])


def test_with_files_each_actor_has_its_own(start_method, tmp_path):
    then = """talker.ask(Talker.say, "one")
        talker.ask(Talker.say_natively, "two")
        talker.ask(Talker.complain, "three")
        system.options(name="a/b").spawn(Talker).ask(Talker.say, "four")
        talker.submit(Talker.die, "x").exception()
        talker.ask(Talker.say, "five")"""
    words = "'shop', stdout='files', logs='none'"
    out, _ = result_of(then, words, start_method, cwd=tmp_path)
    assert out == []
    folder = tmp_path / "procactors-logs" / "shop"
    lines = (folder / "tom.out").read_text().splitlines()
    assert lines == ["one", "by write two", "by C two", "by shell two", "five"]
    assert (folder / "tom.err").read_text() == "three\n"
    assert (folder / "a%2Fb.out").read_text() == "four\n"


@pytest.mark.parametrize("name", ["..", ".", "a/../..", "long" * 100, "\udc80\ud800"])
def test_whatever_a_name_is_it_is_one_file_in_its_folder(name, tmp_path):
    stem = file_stem(name)
    path = tmp_path / "within" / f"{stem}.out"
    path.parent.mkdir()
    path.write_text("")
    assert [found.name for found in path.parent.iterdir()] == [path.name]
    assert file_stem(name + "x") != stem
    (tmp_path / "within" / stem).mkdir()  # of a system, a folder
    assert sorted(found.name for found in tmp_path.iterdir()) == ["within"]


def test_a_folder_that_cannot_be_made_is_an_error_at_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "procactors-logs").write_text("")
    with pytest.raises(OSError):
        ActorSystem(stdout="files")


def test_a_program_whose_stream_is_closed_goes_on():
    then = """import sys
        sys.stdout.close()
        talker.ask(Talker.say, "nowhere")
        talker.ask(Talker.complain, "there")"""
    assert result_of(then, "stdout='prefix'") == ([], ["[tom] there"])


@pytest.mark.parametrize("plain", [True, False])
def test_on_a_terminal_the_name_has_a_colour(monkeypatch, plain):
    if plain:
        monkeypatch.setenv("NO_COLOR", "1")
    else:
        monkeypatch.delenv("NO_COLOR", raising=False)
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal.stream)
    with ActorSystem(stdout="prefix") as system:
        system.options(name="tom").spawn(Talker).ask(Talker.say, "a line")
    shown = terminal.shown()
    terminal.close()
    assert ("\x1b" in shown) is not plain
    assert screen(shown) == ["[tom] a line", ""]


def test_the_death_of_an_actor_with_pipes_leaves_none():
    with ActorSystem(stdout="prefix") as system:
        for _ in range(3):
            talker = system.spawn(Talker)
            with pytest.raises(ActorDied):
                talker.ask(Talker.die, "x")
            talker.stop()
