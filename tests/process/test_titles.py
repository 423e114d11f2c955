"""What `ps` shows of actors, spares and zygotes."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from procactors import Actor, ActorSystem
from procactors.process.title import plain
from tests.support.waiting import eventually


class Named(Actor):
    def shown(self):
        return Path("/proc/self/comm").read_text().rstrip("\n"), psutil.Process().cmdline()


def names_below():
    """Return the short names of all processes that this one has started."""
    return sorted(one.name() for one in _below())


def lines_below():
    """Return the command lines of all processes that this one has started."""
    return [" ".join(filter(None, one.cmdline())) for one in _below()]


def _below():
    return psutil.Process().children(recursive=True)


def test_an_actor_shows_its_name(start_method):
    with ActorSystem(start_method=start_method) as system:
        short, _ = system.spawn(Named).ask(Named.shown)
        assert short == "named-1"
        short, _ = system.options(name="a name of many letters").spawn(Named).ask(Named.shown)
        assert short == "a name of many "


def test_a_name_of_any_characters_harms_no_start(start_method):
    with ActorSystem("two\nlines", start_method=start_method) as system:
        odd = system.options(name="naïve\n\udc80").spawn(Named)
        short, _ = odd.ask(Named.shown)
        assert short == "naïve???"[: len(short)]
        assert len(short) > 5


def test_zygote_and_spares_show_what_they_are():
    with ActorSystem(spares=1) as system:
        eventually(lambda: "actor-spare" in names_below(), "a spare by its name")
        assert "actor-zygote" in names_below()
        # The one that was a spare has the name of its actor now.
        assert system.spawn(Named).ask(Named.shown)[0] == "named-1"


def test_the_whole_line_tells_system_actor_and_class(start_method):
    pytest.importorskip("setproctitle")
    with ActorSystem("shop", start_method=start_method, spares=1) as system:
        short, line = system.options(name="till").spawn(Named).ask(Named.shown)
        # Behind the text the kernel shows what is left of the arguments' place: nothing.
        line = [word for word in line if word]
        assert short == "till"
        # Under `fork` there is as much room as the program's own arguments take.
        assert "procactors shop: till (Named)".startswith(line[0])
        assert len(line) == 1
        assert len(line[0]) > 10
        eventually(lambda: "procactors shop: zygote" in lines_below(), "the zygote by its line")


def test_a_plain_text_can_be_written_anywhere():
    assert plain("a\nb\0c\udc80d\u2028é") == "a?b?c?d?é"
