"""Handlers that await may forward, stash, answer later and become another, too."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from procactors import Actor
from procactors.errors import ActorDied, ReplyError
from tests.support.conversations import Backend
from tests.support.waiting import SHORT_S, eventually


class Middle(Actor):
    """Does all of it behind an await."""

    def __init__(self, back):
        self.back = back
        self.is_open = False
        self.aside = 0
        self.kept = []

    async def work(self, value):
        await asyncio.sleep(0)
        self.context.forward(self.back)

    async def stashed(self, value):
        await asyncio.sleep(0)
        if not self.is_open:
            self.context.stash()
            self.aside += 1
        return value

    async def how_many_aside(self):
        return self.aside

    async def open(self):
        self.is_open = True
        return self.context.unstash_all()

    async def later(self, value):
        await asyncio.sleep(0)
        self.kept.append(self.context.reply_later())

    async def by_task(self, value):
        later = self.context.reply_later()

        async def answer():
            await asyncio.sleep(0.01)
            later.send(value)

        self.task = asyncio.ensure_future(answer())

    async def raises(self):
        with self.context.reply_later():
            await asyncio.sleep(0)
            raise ValueError("behind an await")

    async def forget(self):
        self.context.reply_later()
        await asyncio.sleep(0)

    def answer_all(self, value):
        while self.kept:
            self.kept.pop().send(value)

    async def too_late(self):
        async def forward():
            await self.gone.wait()
            try:
                self.context.forward(self.back)
            except RuntimeError as error:
                self.kept.append(str(error))

        self.gone = asyncio.Event()
        self.task = asyncio.ensure_future(forward())

    async def look(self):
        self.gone.set()
        await self.task
        return self.kept

    async def receive(self, message):
        self.context.become(self.other)
        return "first", message

    async def other(self, message):
        await asyncio.sleep(0)
        self.context.unbecome()
        return "second", message

    async def die(self):
        os.kill(os.getpid(), signal.SIGKILL)


@pytest.fixture
def middle(system, request):
    back = system.options(name="back").spawn(Backend)
    return system.options(name="m", max_concurrency=request.param).spawn(Middle, back)


both = pytest.mark.parametrize("middle", [1, 8], indirect=True)


@both
def test_another_answers(middle):
    replies = [middle.submit(Middle.work, number) for number in range(30)]
    assert [reply.result(SHORT_S) for reply in replies] == [("backend", n) for n in range(30)]
    big = b"x" * 200_000
    assert middle.ask(Middle.work, big) == ("backend", big)


@both
def test_put_aside_and_begun_again(middle):
    replies = [middle.submit(Middle.stashed, number) for number in range(20)]
    all_aside(middle)
    with pytest.raises(ActorDied):
        middle.ask(Middle.die)
    all_aside(middle)
    middle.ask(Middle.open)
    assert [reply.result(SHORT_S) for reply in replies] == list(range(20))
    assert middle.status().mailbox == 0


def all_aside(middle):
    """Not before each handler has ended: one that is in hand is lost with its actor."""
    eventually(lambda: middle.ask(Middle.how_many_aside) == 20, "all to be put aside")
    eventually(lambda: middle.status().mailbox == 20, "all to be in the mailbox")


@both
def test_answered_later(middle):
    replies = [middle.submit(Middle.later, number) for number in range(10)]
    tasks = [middle.submit(Middle.by_task, number) for number in range(10)]
    assert [reply.result(SHORT_S) for reply in tasks] == list(range(10))
    assert not any(reply.done() for reply in replies)
    middle.ask(Middle.answer_all, "now")
    assert [reply.result(SHORT_S) for reply in replies] == ["now"] * 10
    with pytest.raises(ValueError, match="behind an await"):
        middle.ask(Middle.raises)
    with pytest.raises(ReplyError, match="dropped it"):
        middle.ask(Middle.forget)
    assert middle.status().restarts == 0
    reply = middle.submit(Middle.later, 1)
    with pytest.raises(ActorDied):
        middle.ask(Middle.die)
    with pytest.raises(ActorDied):
        reply.result(SHORT_S)


@both
def test_a_task_that_outlives_its_handler_has_no_message(middle):
    middle.ask(Middle.too_late)
    assert "no message in hand" in middle.ask(Middle.look)[0]


@both
def test_it_becomes_another(middle):
    assert [middle.ask(n) for n in range(3)] == [("first", 0), ("second", 1), ("first", 2)]
