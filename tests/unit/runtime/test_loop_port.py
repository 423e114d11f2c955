"""An event loop as other threads see it."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref

from procactors.runtime.loop_port import LoopPort, port_here
from tests.support.loops import until


class Note:
    def __init__(self, seen, what):
        self.seen, self.what = seen, what

    def release(self):
        self.seen.append(self.what)


def test_one_wake_up_fetches_what_many_posts_have_brought():
    async def main():
        loop, port, seen, wakes = asyncio.get_running_loop(), port_here(), [], []
        wake = loop.call_soon_threadsafe
        loop.call_soon_threadsafe = lambda *args: (wakes.append(1), wake(*args))
        threads = [
            threading.Thread(target=lambda: [port.post(Note(seen, n)) for n in range(500)])
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()  # the loop stands still meanwhile
        await until(lambda: len(seen) == 2000)
        assert len(wakes) == 1

    asyncio.run(main())


def test_each_thing_that_is_posted_comes_once_and_in_the_order_of_its_thread():
    async def main():
        port, seen = port_here(), []

        def bring(number):
            for n in range(3000):
                port.post(Note(seen, (number, n)))

        threads = [threading.Thread(target=bring, args=(number,)) for number in range(3)]
        for thread in threads:
            thread.start()
        await until(lambda: len(seen) == 9000)
        for number in range(3):
            assert [n for one, n in seen if one == number] == list(range(3000))

    asyncio.run(main())


def test_a_closed_loop_takes_nothing():
    loop = asyncio.new_event_loop()
    port = LoopPort(loop)
    assert port.post(Note([], 1))
    loop.close()
    assert not port.post(Note([], 2))
    assert port.is_closed()
    del loop
    gc.collect()
    assert not port.post(Note([], 3))


def test_a_port_goes_with_its_loop():
    async def main():
        return weakref.ref(asyncio.get_running_loop()), port_here() is port_here()

    loop, is_same = asyncio.run(main())
    gc.collect()
    assert is_same
    assert loop() is None


def test_a_loop_goes_round_between_sends_that_need_no_waiting():
    async def main():
        port, rounds = port_here(), 0

        async def count():
            nonlocal rounds
            while True:
                rounds += 1
                await asyncio.sleep(0)

        counting = asyncio.ensure_future(count())
        order = []

        async def send(number):
            if (turn := port.enter()) is not None:
                await turn
            order.append(number)

        for number in range(320):
            await send(number)
        assert rounds >= 9
        await asyncio.gather(*map(send, range(320, 1000)))
        assert order == list(range(1000))
        counting.cancel()

    asyncio.run(main())
