"""What actors log reaches the program's loggers, whole, in order, and as these want it."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Iterator

import pytest

from procactors import ActorSystem, AsyncActorSystem
from procactors.errors import ActorDied, InvalidSpec
from tests.support.loggers import NAME, AsyncTalker, Gathered, Starter, Talker
from tests.support.programs import running
from tests.support.waiting import eventually

pytestmark = pytest.mark.methods


@pytest.fixture
def gathered() -> Iterator[Gathered]:
    """What comes to the logger of `Talker`; what the runtime says of it, in `told`."""
    handler, told = Gathered(), Gathered()
    logger, ours = logging.getLogger(NAME), logging.getLogger("procactors")
    logger.addHandler(handler)
    ours.addHandler(told)
    handler.told = told
    yield handler
    logger.removeHandler(handler)
    ours.removeHandler(told)
    logger.setLevel(logging.NOTSET)


def test_a_record_comes_with_all_that_it_says_and_who_says_it(start_method, gathered):
    with ActorSystem(start_method=start_method) as system:
        talker = system.options(name="tom").spawn(Talker)
        before = time.time()
        pid = talker.ask(Talker.log, logging.INFO, "three %s", 3)
        after = time.time()
    record = gathered.of("three 3")
    assert (record.name, record.levelno, record.levelname) == (NAME, logging.INFO, "INFO")
    assert (record.actor, record.incarnation, record.handler) == ("tom", 1, "Talker.log")
    assert (record.process, record.processName) == (pid, "tom")
    # A process that was forked from the parent keeps the name of the thread that forked it.
    assert record.threadName in ("MainThread", "procactors-supervisor")
    assert record.funcName == "log"
    assert (record.filename, record.module) == ("loggers.py", "loggers")
    assert before <= record.created <= after
    assert abs(record.msecs - record.created % 1 * 1000) <= 1
    assert record.args == ()
    assert pid != os.getpid()


def test_records_of_one_actor_keep_their_order(start_method, gathered):
    with ActorSystem(start_method=start_method) as system:
        system.spawn(Talker).ask(Talker.count, 0, 3000)
    assert gathered.texts[:3000] == [f"number {number}" for number in range(3000)]


def test_what_is_logged_outside_of_handlers_comes_too(start_method, gathered):
    with ActorSystem(start_method=start_method) as system:
        system.spawn(Starter)
        system.spawn(Talker).ask(Talker.in_thread, "by a thread")
    assert gathered.texts[:2] == ["in the constructor", "in on_start"]
    assert gathered.of("in on_start").handler == ""
    assert gathered.of("by a thread").threadName == "helper"
    assert gathered.texts[-1] == "on_stop stopped"


def test_a_handler_that_awaits_is_named(gathered):
    with ActorSystem() as system:
        system.options(max_concurrency=4).spawn(AsyncTalker).ask(AsyncTalker.log, "awaited")
    assert gathered.of("awaited").handler == "AsyncTalker.log"


def test_a_traceback_comes_as_text(gathered):
    with ActorSystem() as system:
        system.spawn(Talker).ask(Talker.fail)
    record = gathered.of("it failed")
    assert record.exc_info is None
    assert "in fail" in record.exc_text
    assert record.exc_text.endswith("LookupError: on purpose")
    assert logging.Formatter().format(record).endswith("LookupError: on purpose")


def test_what_is_odd_comes_as_far_as_it_goes(gathered):
    with ActorSystem(stdout="none") as system:
        system.spawn(Talker).ask(Talker.odd)
    texts = [text for text in gathered.texts if text != "inside"]
    assert texts[:-1] == ["odd shown", "extra"]
    assert len(texts) < len(gathered.texts), "what was logged while a text was made"
    record = gathered.of("extra")
    assert record.plain == [1, {"a": "b"}]
    assert "LookupError" in record.odd


def test_a_record_of_any_size_comes(gathered):
    with ActorSystem() as system:
        talker = system.spawn(Talker)
        for size in (4000, 4096, 10_000, 500_000):
            talker.ask(Talker.log, logging.INFO, "%s", "x" * size)
        talker.ask(Talker.log, logging.INFO, "%s", "y" * 3_000_000)
        talker.ask(Talker.log, logging.INFO, "last")
    *sizes, huge, last, _ = map(len, gathered.texts)
    assert sizes == [4000, 4096, 10_000, 500_000]
    assert huge < 100_000
    assert "characters left out" in gathered.texts[4]
    assert last == len("last")


def test_the_programs_levels_hold_in_actors_that_run(start_method, gathered):
    logger = logging.getLogger(NAME)
    with ActorSystem(start_method=start_method) as system:
        logger.setLevel(logging.WARNING)
        talker = system.spawn(Talker)
        assert not talker.ask(Talker.is_enabled, logging.INFO)
        logger.setLevel(logging.INFO)
        assert talker.ask(Talker.is_enabled, logging.INFO)
        logging.disable(logging.INFO)
        try:
            assert not talker.ask(Talker.is_enabled, logging.INFO)
        finally:
            logging.disable(logging.NOTSET)
        assert talker.ask(Talker.is_enabled, logging.INFO)
        logger.setLevel(logging.NOTSET)
        logging.getLogger("tests.logs").setLevel(logging.ERROR)  # a logger above
        try:
            assert not talker.ask(Talker.is_enabled, logging.WARNING)
        finally:
            logging.getLogger("tests.logs").setLevel(logging.NOTSET)
        assert talker.ask(Talker.is_enabled, logging.WARNING)


def test_a_level_that_changes_holds_in_a_handler_that_runs(start_method, gate, gathered):
    logger = logging.getLogger(NAME)
    logger.setLevel(logging.WARNING)
    with ActorSystem(start_method=start_method) as system:
        reply = system.spawn(Talker).submit(Talker.wait_enabled, logging.DEBUG, gate)
        gate.arrival()
        logger.setLevel(logging.DEBUG)
        gate.open()
        assert reply.result()


def test_a_level_that_an_actor_sets_holds_until_the_programs_changes(gathered):
    logger = logging.getLogger(NAME)
    logger.setLevel(logging.WARNING)
    with ActorSystem() as system:
        talker = system.spawn(Talker)
        talker.ask(Talker.set_level, logging.DEBUG)
        logging.getLogger("tests.other").setLevel(logging.ERROR)
        talker.ask(Talker.log, logging.DEBUG, "as the actor wants it")
        logger.setLevel(logging.ERROR)
        talker.ask(Talker.log, logging.DEBUG, "as the program wants it")
    logging.getLogger("tests.other").setLevel(logging.NOTSET)
    assert gathered.texts == ["as the actor wants it"]


def test_a_program_that_ends_its_systems_has_its_logging_as_it_was():
    before = dict(vars(logging.root.manager))
    with ActorSystem(), ActorSystem():
        pass
    assert vars(logging.root.manager).keys() == before.keys()


def test_caplog_sees_them(caplog):
    with caplog.at_level(logging.DEBUG, NAME), ActorSystem() as system:
        system.spawn(Talker).ask(Talker.log, logging.DEBUG, "seen")
    assert (NAME, logging.DEBUG, "seen") in caplog.record_tuples


def test_they_come_while_the_program_waits_for_an_answer(gate, gathered):
    with ActorSystem() as system:
        talker = system.spawn(Talker)
        waiting = threading.Thread(target=talker.ask, args=(Talker.log_and_wait, ["now"], gate))
        waiting.start()
        eventually(lambda: gathered.texts == ["now"], "the record of a handler that waits")
        gate.open()
        waiting.join()


def test_what_a_killed_actor_has_handed_over_is_shown(start_method, gathered):
    with ActorSystem(start_method=start_method) as system:
        talker = system.spawn(Talker)
        with pytest.raises(ActorDied) as caught:
            talker.ask(Talker.die, "its last")
        assert "its last" in caught.value.report.log
        talker.ask(Talker.log, logging.INFO, "its next")
    assert gathered.texts[:2] == ["its last", "its next"]
    assert [gathered.of(text).incarnation for text in ("its last", "its next")] == [1, 2]


def test_a_forked_copy_of_an_actor_does_not_pass_for_it():
    out, err = run_program(
        """
        talker = system.spawn(Talker)
        talker.ask(Talker.in_copy, "by the copy")
        talker.ask(Talker.log, logging.WARNING, "by the actor")
        """
    )
    assert "parent got by the actor" in out
    assert "parent got by the copy" not in out
    assert "by the copy" in err


def test_the_functions_of_the_module_set_nothing_up(gathered):
    handler = Gathered()
    logging.getLogger("elsewhere").addHandler(handler)
    root = Gathered()
    logging.getLogger().addHandler(root)
    try:
        with ActorSystem(stdout="none") as system:
            system.spawn(Talker).ask(Talker.by_root, "by the root")
    finally:
        logging.getLogger().removeHandler(root)
        logging.getLogger("elsewhere").removeHandler(handler)
    assert handler.texts == ["by the root"]
    assert root.texts.count("by the root") == 2


def test_what_an_actor_sets_up_itself_gets_its_records_once(tmp_path, gathered):
    path = tmp_path / "own.log"
    with ActorSystem() as system:
        talker = system.spawn(Talker)
        talker.ask(Talker.configure, str(path))
        talker.ask(Talker.log, logging.INFO, "for the file")
        eventually(lambda: path.read_text() == "own for the file\n", "the actor's own handler")
    assert "for the file" not in gathered.texts


def test_the_contexts_logger_is_named_after_the_class(caplog):
    with caplog.at_level(logging.INFO), ActorSystem() as system:
        system.spawn(Talker).ask(Talker.by_context, "by the context")
    assert ("tests.support.loggers.Talker", logging.INFO, "by the context") in caplog.record_tuples


def test_a_line_that_repeats_is_counted(gathered):
    with ActorSystem() as system:
        talker = system.spawn(Talker)
        talker.ask(Talker.repeat, "again", 1000)
    shown = [record for record in gathered.records if record.getMessage() == "again"]
    more = [record for record in gathered.records if hasattr(record, "repeated")]
    assert len(shown) + sum(record.repeated for record in more) == 1000
    assert all(
        text == f"again (repeated {record.repeated} times)"
        for record in more
        for text in [record.getMessage()]
    )
    assert len(shown) < 500


def test_repeats_are_told_while_the_actor_lives(gathered):
    with ActorSystem(log_repeats=2) as system:
        system.spawn(Talker).ask(Talker.repeat, "again", 5)
        eventually(
            lambda: "again (repeated 3 times)" in gathered.texts, "a line for those left out"
        )
    assert gathered.texts.count("again") == 2


def test_repeats_are_shown_if_wanted(gathered):
    with ActorSystem(log_repeats=None) as system:
        system.spawn(Talker).ask(Talker.repeat, "again", 1000)
    assert gathered.texts.count("again") == 1000


def test_none_keeps_records_for_the_crash_report_alone(gathered, capfd):
    with ActorSystem(logs="none") as system:
        talker = system.spawn(Talker)
        talker.ask(Talker.log, logging.ERROR, "an error")
        with pytest.raises(ActorDied) as caught:
            talker.ask(Talker.die, "its last")
        assert "an error" in caught.value.report.log
    assert gathered.texts == []
    assert "an error" not in capfd.readouterr().err


def test_inherit_leaves_logging_to_the_actor(tmp_path, gathered):
    path = tmp_path / "own.log"
    with ActorSystem(logs="inherit") as system:
        talker = system.spawn(Talker)
        talker.ask(Talker.configure, str(path))
        talker.ask(Talker.log, logging.INFO, "for the file")
    assert gathered.texts == []
    assert path.read_text().startswith("own for the file\n")


@pytest.mark.parametrize("words", [{"logs": "all"}, {"stdout": "all"}, {"log_repeats": 0}])
def test_what_makes_no_sense_is_refused(words):
    with pytest.raises(InvalidSpec):
        ActorSystem(**words)


def test_a_handler_that_raises_holds_nobody_up(gathered, capsys):
    class Broken(logging.Filter):
        def filter(self, record):
            raise LookupError("on purpose")

    broken = logging.getLogger("tests.logs.broken")
    filter_ = Broken()
    broken.addFilter(filter_)
    with ActorSystem() as system:
        system.spawn(Talker, "tests.logs.broken").ask(Talker.count, 0, 3)
        system.spawn(Talker).ask(Talker.log, logging.INFO, "another's")
    broken.removeFilter(filter_)
    assert "another's" in gathered.texts
    assert capsys.readouterr().err.count("LookupError: on purpose") == 1


def test_while_a_handler_blocks_actors_go_on_and_what_is_dropped_is_counted(tmp_path, gathered):
    """The pipe holds a megabyte: what comes behind it waits for a second, once."""
    held, free = threading.Event(), threading.Event()

    class Blocking(logging.Filter):
        def filter(self, record):
            if record.getMessage() == "number 0":
                held.set()
                free.wait()
            return True

    logger, blocking = logging.getLogger(NAME), Blocking()
    logger.addFilter(blocking)
    try:
        with ActorSystem(stop_timeout=60) as system:
            talker = system.spawn(Talker)
            talker.ask(Talker.count, 0, 1)
            held.wait()
            talker.ask(Talker.count, 1, 30_000)
            assert talker.ask(Talker.is_enabled, logging.ERROR)  # it lives and answers
            free.set()
            eventually(lambda: len(gathered.records) > 1000, "the records behind it")
            talker.ask(Talker.log, logging.INFO, "once more")
    finally:
        free.set()
        logger.removeFilter(blocking)
    numbers = [int(text.split()[1]) for text in gathered.texts if text.startswith("number")]
    assert numbers == sorted(numbers)
    told = [text for text in gathered.told.texts if "dropped" in text]
    lost = sum(int(text.split()[0]) for text in told)
    assert lost > 0
    assert len(numbers) + lost == 30_000
    assert "once more" in gathered.texts


def test_a_system_whose_handlers_block_ends_all_the_same():
    out, _ = run_program(
        """
        class Stuck(logging.Filter):
            def filter(self, record):
                threading.Event().wait()
        logging.getLogger("tests.logs.worker").addFilter(Stuck())
        system.spawn(Talker).ask(Talker.log, logging.WARNING, "stuck")
        system.stop(1)
        print("over")
        """
    )
    assert "over" in out


def test_without_any_set_up_warnings_are_printed_once():
    source = """
    import logging
    from procactors import ActorSystem
    from tests.support.loggers import Talker
    with ActorSystem() as system:
        talker = system.spawn(Talker)
        talker.ask(Talker.log, logging.INFO, "an info")
        talker.ask(Talker.log, logging.WARNING, "a warning")
    """
    with running(source) as one:
        code, out, err = one.end()
    assert (code, out, err) == (0, "", "a warning\n")


@pytest.mark.parametrize("first", [True, False])
def test_a_script_may_configure_before_or_after(first):
    configure = "logging.basicConfig(level=logging.INFO, format='%(actor)s: %(message)s')"
    source = f"""
    import logging
    from procactors import ActorSystem
    from tests.support.loggers import Talker
    {configure if first else ""}
    with ActorSystem() as system:
        talker = system.options(name="tom").spawn(Talker)
        {"" if first else configure}
        talker.ask(Talker.log, logging.INFO, "an info")
        talker.ask(Talker.log, logging.DEBUG, "a detail")
        logging.root.handlers[0].setFormatter(None)
    """
    with running(source) as one:
        code, out, err = one.end()
    assert (code, out) == (0, ""), err
    assert "an info" in err
    assert "a detail" not in err


async def in_loop():
    async with AsyncActorSystem(log_repeats=1) as system:
        talker = await system.spawn(Talker)
        await talker.ask(Talker.log, logging.INFO, "from a loop's")
        assert await system.flush_logs()


def test_the_asyncio_half_does_the_same(gathered):
    import asyncio

    asyncio.run(in_loop())
    assert "from a loop's" in gathered.texts


def test_a_system_inside_an_actor_says_whose_they_are(gathered):
    with ActorSystem() as system:
        system.options(name="outer").spawn(Outer).ask(Outer.run)
    record = gathered.of("from the inner one")
    assert (record.actor, record.processName) == ("inner", "inner")


class Outer:
    def run(self):
        with ActorSystem() as system:
            talker = system.options(name="inner").spawn(Talker)
            talker.ask(Talker.log, logging.INFO, "from the inner one")


def run_program(body: str) -> tuple[str, str]:
    """Run lines inside a system, in a program whose root logger prints what it gets."""
    lines = "\n".join("    " + line.strip("\n")[8:] for line in body.splitlines())
    source = f"""
import logging, sys, threading
from procactors import ActorSystem
from tests.support.loggers import Talker
class Shown(logging.Handler):
    def emit(self, record):
        print("parent got", record.getMessage(), flush=True)
logging.getLogger().addHandler(Shown())
with ActorSystem(stop_timeout=60) as system:
{lines}
"""
    with running(source) as one:
        code, out, err = one.end()
    assert code == 0, err
    return out, err


def test_a_flush_brings_what_was_logged_before_an_answer(gathered):
    with ActorSystem() as system:
        assert system.flush_logs()
        talker = system.spawn(Talker)
        for number in range(50):
            talker.ask(Talker.log, logging.INFO, f"line {number}")
            assert system.flush_logs()
            assert gathered.texts[-1] == f"line {number}"
    assert system.flush_logs()
