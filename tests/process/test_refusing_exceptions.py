"""Whatever an exception refuses, its caller gets it as itself, and no other call suffers."""

from __future__ import annotations

import asyncio
import logging

import pytest

import procactors.joblib
from procactors import errors
from procactors.futures import ActorPoolExecutor
from tests.support.refusers import MAKE, Frozen, NeverUp, Refuser, kind_of, refuse
from tests.support.waiting import SHORT_S, eventually


@pytest.fixture(scope="module")
def served():
    """An actor, a pool and an executor for all of these tests."""
    from procactors import ActorSystem

    with (
        ActorSystem() as system,
        system.options(size=1).pool() as pool,
        ActorPoolExecutor(1, system=system) as executor,
    ):
        yield system.options(max_restarts=1000).spawn(Refuser), pool, executor


@pytest.fixture(autouse=True)
def nothing_left():
    """The system outlives each of these tests: so what is left is not looked for behind each."""


async def awaited(reply):
    try:
        return await asyncio.wait_for(reply, SHORT_S)
    except BaseException as error:
        return error


@pytest.mark.parametrize("name", MAKE)
def test_the_caller_gets_the_handlers_own_exception(served, name):
    actor, _, _ = served
    with pytest.raises(kind_of(name)) as raised:
        actor.ask(Refuser.refuse, name)
    assert type(raised.value) is kind_of(name)
    reply = actor.submit(Refuser.refuse, name)
    assert type(reply.exception(SHORT_S)) is kind_of(name)
    with pytest.raises(kind_of(name)):
        reply.result()
    assert type(asyncio.run(awaited(actor.submit(Refuser.refuse, name)))) is kind_of(name)
    assert actor.ask(Refuser.number) == 1
    assert actor.status().incarnation == 1


@pytest.mark.parametrize("name", MAKE)
def test_the_caller_of_a_pool_gets_the_functions_own_exception(served, name):
    _, pool, executor = served
    kind = kind_of(name)
    for call in (
        lambda: pool.ask(refuse, name),
        lambda: pool.submit(refuse, name).result(SHORT_S),
        lambda: list(pool.map(refuse, [name])),
        lambda: executor.submit(refuse, name).result(SHORT_S),
        lambda: list(executor.map(refuse, [name])),
    ):
        with pytest.raises(kind) as raised:
            call()
        assert type(raised.value) is kind
    assert [*map(type, pool.map(refuse, [name], on_error="collect"))] == [kind]
    assert list(pool.map(refuse, [name], on_error="skip")) == []
    assert list(pool.map(refuse, [name], on_error="skip", retries=1, retry_on=kind)) == []
    assert pool.ask(abs, -1) == 1


def test_what_it_has_comes_along(served):
    actor, _, _ = served

    def raised(name):
        return actor.submit(Refuser.refuse, name).exception(SHORT_S)

    assert (raised("frozen").key, raised("frozen by name").count) == ("k", 4)
    assert raised("frozen slots").key == "k"
    assert (str(raised("coded")), raised("coded").code) == ("code 7", 7)
    assert raised("slotted").code == 9
    assert raised("unrestored").told == "k"
    assert str(raised("missing")) == "[Errno 2] no such thing: '/k'"
    assert (raised("import").name, raised("import").path) == ("n", "p")
    assert "in refuse" in str(raised("frozen").__cause__)


@pytest.mark.skipif("group" not in MAKE, reason="groups are of Python 3.11")
def test_members_of_a_group_come_as_themselves_too(served):
    actor, _, _ = served
    group = actor.submit(Refuser.refuse, "group").exception(SHORT_S)
    names = [type(member).__name__ for member in group.exceptions]
    assert names == ["Frozen", "Unspeakable", "RemoteError", "ExceptionGroup"]
    assert group.exceptions[3].exceptions[0].key == "d"


def test_what_cannot_be_rebuilt_says_why(served):
    actor, _, _ = served
    with pytest.raises(errors.RemoteError, match="could not be rebuilt here") as raised:
        actor.ask(Refuser.refuse, "holding")
    assert raised.value.type_name == "tests.support.refusers.Holding"
    assert raised.value.text == "k"
    assert "in refuse" in raised.value.traceback


def test_an_exception_that_asyncio_refuses_ends_the_wait(served):
    _, pool, _ = served

    async def wait():
        with pytest.raises(RuntimeError) as raised:
            await asyncio.wait_for(pool.submit(next, iter(())), SHORT_S)
        return raised.value

    assert type(asyncio.run(wait()).__cause__) is StopIteration


@pytest.mark.parametrize("name", MAKE)
def test_a_tell_that_raises_it_crashes_the_actor_as_any_other(served, name):
    actor, _, _ = served
    before = actor.status().restarts
    actor.tell(Refuser.refuse, name)
    assert actor.ask(Refuser.number) == 1
    assert actor.status().restarts == before + 1


@pytest.mark.parametrize("name", ["frozen", "unspeakable", "unreadable", "masked"])
def test_a_start_that_raises_it_fails_with_its_name(system, name):
    with pytest.raises(errors.SpawnError, match=rf"did not start.*{kind_of(name).__name__}") as it:
        system.spawn(NeverUp, name)
    cause = str(it.value.__cause__)
    assert "in on_start" in cause
    assert cause.count("in refuse") == 1
    assert "/procactors/incarnation.py" not in cause


@pytest.mark.parametrize("name", ["frozen", "unwritable", "unspeakable", "falsy"])
def test_joblib_raises_it(name):
    joblib = pytest.importorskip("joblib")
    procactors.joblib.register()
    with joblib.parallel_config(backend="procactors", n_jobs=2), pytest.raises(kind_of(name)):
        joblib.Parallel()(joblib.delayed(refuse)(name) for _ in range(4))


def test_a_remote_traceback_has_the_users_frames_alone(served):
    actor, pool, _ = served
    text = str(actor.submit(Refuser.refuse, "frozen").exception(SHORT_S).__cause__)
    assert text.count("Traceback (most recent call last)") == 1
    assert "tests/support/refusers.py" in text
    assert "procactors/process/" not in text
    text = str(pool.submit(int, "x").exception(SHORT_S).__cause__)
    assert text == (
        "in the actor's process:\nValueError: invalid literal for int() with base 10: 'x'"
    )


def test_nothing_is_written_to_the_exception_in_the_actor(served):
    actor, _, _ = served
    error = actor.submit(Refuser.refuse, "frozen").exception(SHORT_S)
    assert vars(error) == {"key": "k", "count": 3}
    assert error == Frozen("k")


def test_a_reply_that_nobody_looked_at_is_told_of_whatever_its_text_does(served, caplog):
    actor, _, _ = served
    with caplog.at_level(logging.ERROR, "procactors"):
        reply = actor.submit(Refuser.refuse, "unspeakable")
        eventually(reply.done, "the reply")
        del reply
        eventually(lambda: "never looked at: Unspeakable" in caplog.text, "the word on it")
