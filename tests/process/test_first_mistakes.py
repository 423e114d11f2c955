"""A first mistake finds its cure in the message."""

from __future__ import annotations

import asyncio
import copy
import os
import pickle
import signal

import pytest

from procactors import Actor, ActorRef, ActorSystem, Supervisor, errors, spec
from procactors.futures import ActorPoolExecutor
from tests.support import poolwork
from tests.support.actors import Counter, Echo
from tests.support.waiting import eventually


class Named(Actor):
    def __init__(self, name, timeout=None):
        self.name = name

    def get(self, *, timeout=0):
        return self.name, timeout

    def anything(self, **words):
        return words


class Bare(Actor):
    def slow(self, seconds=0.0):
        return seconds

    def call(self, ref, **words):
        """From here the class of the ref is not known."""
        return ref.ask(Bare.slow, **words)

    def tell(self, ref):
        return ref.ask(Hidden._later)


class Hidden(Actor):
    async def _later(self):
        """Private: nobody need call it."""


# -- attributes of a ref ------------------------------------------------------------------------


def test_a_method_called_on_a_ref_says_ask_and_proxy(system):
    ref = system.spawn(Counter)
    with pytest.raises(AttributeError, match=r"say ref.ask\(Counter.increment, ...\) .*proxy\(\)"):
        ref.increment(1)
    with pytest.raises(AttributeError, match="did you mean 'increment'"):
        ref.incremnt(1)
    with pytest.raises(AttributeError, match="is in its own process"):
        print(ref.value)
    assert ref.ask(Counter.get_value) == 0


def test_a_ref_without_its_class_says_it_too(system):
    ref = pickle.loads(pickle.dumps(system.spawn(Counter)))
    with pytest.raises(AttributeError, match=r"by ask\(Class.increment, ...\), tell or submit"):
        ref.increment(1)


def test_a_ref_is_still_a_value_like_any_other(system):
    ref = system.spawn(Counter)
    assert not hasattr(ref, "increment")
    assert getattr(ref, "increment", None) is None
    assert copy.copy(ref) == copy.deepcopy(ref) == pickle.loads(pickle.dumps(ref)) == ref
    assert hash(copy.copy(ref)) == hash(ref)
    assert not asyncio.iscoroutine(ref)
    assert not callable(ref)
    assert ActorRef[Counter] is not None
    with pytest.raises(AttributeError):
        print(ActorRef.__new__(ActorRef).name)
    assert repr(ref) == "<ActorRef counter-1>"


def test_other_handles_say_what_they_have_instead(system):
    root = system.supervise(Supervisor(spec(Echo)))
    with pytest.raises(AttributeError, match=r"refs are in children\(\)"):
        root.ask(Echo.echo)
    assert copy.copy(root) == pickle.loads(pickle.dumps(root)) == root
    with system.share([1]) as shared:
        with pytest.raises(AttributeError, match=r"the value itself is get\(\)"):
            shared.append(2)
        assert pickle.loads(pickle.dumps(shared)).get() == [1]


# -- options among the arguments ----------------------------------------------------------------


def test_an_option_among_the_constructors_arguments_says_options(system):
    with pytest.raises(TypeError, match=r"say options\(name=...\).spawn\(Counter, ...\)"):
        system.spawn(Counter, name="x")
    with pytest.raises(TypeError, match=r"say options\(start_timeout=...\).spawn\(Counter"):
        system.spawn(Counter, timeout=1)
    with pytest.raises(TypeError, match=r"say options\(size=...\).pool\(Counter, ...\)"):
        system.pool(Counter, size=2)
    with pytest.raises(TypeError, match=r"say options\(size=...\).pool\(Worker, ...\)"):
        system.pool(size=2)
    with pytest.raises(TypeError, match=r"say spec\(Counter, ...\).options\(restart=...\)"):
        spec(Counter, restart="permanent")
    with pytest.raises(TypeError, match=r"unexpected keyword argument 'nothing'$"):
        system.spawn(Counter, nothing=1)


def test_a_class_that_takes_such_a_word_gets_it(system):
    ref = system.spawn(Named, name="x", timeout=3)
    assert ref.ask(Named.get, timeout=2) == ("x", 2)
    assert ref.ask(Named.anything, timeout=2, name="y") == {"timeout": 2, "name": "y"}
    assert spec(Named, name="x").kwargs == {"name": "x"}
    with system.options(size=1).pool(Named, name="y") as pool:
        assert pool.ask(Named.get, timeout=1) == ("y", 1)


@pytest.mark.parametrize("verb", ["tell", "ask", "submit"])
def test_an_option_among_a_calls_arguments_says_options(system, verb):
    call = getattr(system.spawn(Bare), verb)
    with pytest.raises(TypeError, match=r"option of the call: say ref.options\(timeout=...\).ask"):
        call(Bare.slow, timeout=1)
    with pytest.raises(TypeError, match=r"say options\(restart=...\).spawn"):
        call(Bare.slow, restart=1)


def test_it_says_so_too_where_the_class_is_not_known(system):
    ref, caller = system.spawn(Bare), system.spawn(Bare)
    with pytest.raises(TypeError, match=r"option of the call: say ref.options\(timeout=...\).ask"):
        caller.ask(Bare.call, ref, timeout=1)
    assert caller.ask(Bare.call, ref, seconds=1) == 1


@pytest.mark.parametrize("verb", ["tell", "ask", "submit", "gather", "first", "broadcast"])
def test_a_pools_calls_say_where_a_limit_belongs(system, verb):
    with system.options(size=1).pool(Bare) as pool:
        call = getattr(pool, verb)
        for what in (Bare.slow, poolwork.square):
            with pytest.raises(TypeError, match=r"say submit\(f, ...\).result\(timeout=...\)"):
                call(what, timeout=1)
            with pytest.raises(TypeError, match="argument of the pool's map and starmap"):
                call(what, retries=1)
            with pytest.raises(TypeError, match=r"say options\(size=...\).pool"):
                call(what, size=1)


def test_an_executors_future_says_it(system):
    with ActorPoolExecutor(1, system=system) as executor:
        future = executor.submit(poolwork.square, timeout=1)
        with pytest.raises(TypeError, match=r"say submit\(f, ...\).result\(timeout=...\)"):
            future.result()


def test_the_words_of_other_pools_say_ours(system):
    with system.options(size=1).pool(Counter) as pool:
        with pytest.raises(AttributeError, match=r"map\(f, items, ordered=False\)"):
            pool.imap_unordered(abs, [1])
        with pytest.raises(AttributeError, match=r"say submit\(f, ...\)"):
            pool.apply_async(abs, [1])
        with pytest.raises(AttributeError, match=r"say stop\(\)"):
            pool.shutdown()
        with pytest.raises(AttributeError, match=r"say pool.ask\(Counter.increment, ...\)"):
            pool.increment()
        with pytest.raises(AttributeError, match=r"nor has Counter; a call is pool.ask"):
            pool.nothing()
        assert not hasattr(pool, "imap")


# -- systems and pools that are over, or elsewhere -----------------------------------------------


def test_a_stopped_system_is_not_entered_again(start_method):
    with ActorSystem(start_method=start_method) as system:
        pass
    with pytest.raises(errors.ActorStopped, match=r"the system was stopped: .* make a new one"):
        system.__enter__()
    with pytest.raises(errors.ActorStopped, match="the system was stopped"):
        asyncio.run(system.__aenter__())
    with ActorSystem(start_method=start_method) as system:
        with pytest.raises(RuntimeError, match="is entered already"), system:
            raise AssertionError("entered twice")
        assert system.spawn(Echo).ask(Echo.echo, 1) == 1  # the inner block has not stopped it


def test_a_stopped_pool_is_not_entered_again(system):
    with system.options(size=1).pool() as pool:
        pass
    with pytest.raises(errors.ActorStopped, match=r"takes no more work|stopped"), pool:
        raise AssertionError("entered")


#: Each is done by a worker with what its program holds: copied by a fork, or by value.
NESTED = {
    "map": lambda pool: list(pool.map(abs, [1])),
    "ask": lambda pool: pool.ask(abs, 1),
    "gather": lambda pool: pool.gather(abs, 1),
    "workers": lambda pool: pool.workers(),
    "by_key": lambda pool: pool.by_key(1),
    "resize": lambda pool: pool.resize(2),
    "stop": lambda pool: pool.stop(),
    "kill": lambda pool: pool.kill(),
    "with": lambda pool: pool.__enter__(),
}

HELD = {}


def in_the_pool(name):
    return NESTED[name](HELD["pool"])


def in_the_executor(verb):
    if verb == "map":
        return list(HELD["executor"].map(abs, [1]))
    return HELD["executor"].submit(abs, 1).result()


@pytest.mark.parametrize("name", NESTED)
def test_a_pool_inside_its_own_function_says_what_to_do(name):
    """Under fork its copy is at hand in each worker."""
    with ActorSystem(start_method="fork") as system:
        with system.options(size=1).pool() as pool:
            HELD["pool"] = pool
            worker = pool.workers()[0]
            os.kill(worker.status().pid, signal.SIGKILL)  # the next one is forked with the pool
            eventually(lambda: worker.status().incarnation == 2, "the next worker")
            with pytest.raises(errors.ForeignProcess, match="call the function itself there"):
                pool.ask(in_the_pool, name)
        HELD.clear()


@pytest.mark.parametrize("verb", ["map", "submit"])
def test_an_executor_inside_its_own_function_does_not_hang(verb):
    with ActorSystem(start_method="fork") as system:
        with ActorPoolExecutor(1, system=system) as executor:
            HELD["executor"] = executor
            future = executor.submit(in_the_executor, verb)
            with pytest.raises(errors.ForeignProcess, match="call the function itself there"):
                future.result(timeout=30)
        HELD.clear()


def test_what_belongs_to_one_process_says_so_when_it_is_sent(system):
    pool = system.options(size=1).pool()
    with pytest.raises(TypeError, match=r"current_context\(\).system"):
        pickle.dumps(system)
    with pytest.raises(TypeError, match=r"pool.workers\(\)"):
        pickle.dumps(pool)
    with ActorPoolExecutor(1, system=system) as executor:
        with pytest.raises(TypeError, match="make another executor"):
            pickle.dumps(executor)
    with pytest.raises(errors.EncodeError, match=r"uses pool = .*pool.workers\(\)"):
        pool.ask(lambda: pool.ask(abs, 1))
    with pytest.raises(errors.EncodeError, match=r"uses system = .*current_context\(\).system"):
        pool.ask(lambda: system.find("x"))


# -- async and generators -----------------------------------------------------------------------


class AsyncHandler(Actor):
    def fine(self):
        return 1

    async def later(self):
        return 1


class GeneratingHook(Actor):
    def on_stop(self, reason):
        yield 1


class GeneratingReceive(Actor):
    async def receive(self, message):
        yield 1


UNSUPPORTED = [
    (GeneratingHook, "GeneratingHook.on_stop is a generator"),
    (GeneratingReceive, "GeneratingReceive.receive is an async generator"),
]


@pytest.mark.parametrize(("cls", "text"), UNSUPPORTED, ids=[case[1] for case in UNSUPPORTED])
def test_a_class_with_such_a_handler_is_refused_before_it_starts(system, cls, text):
    for start in (system.spawn, system.pool, spec, system.options(size=1).pool):
        with pytest.raises(errors.InvalidSpec, match=f"{text}, and nobody reads its items"):
            start(cls)
    assert system.actors() == []


class Overridden(AsyncHandler):
    def later(self):
        return 2

    def _private(self):
        yield 1

    def total(self):
        return sum(self._private())


def test_what_is_overridden_or_private_is_no_handler(system):
    ref = system.spawn(Overridden)
    assert ref.ask(AsyncHandler.later) == 2
    assert ref.ask(Overridden.total) == 1


def test_a_private_one_is_refused_also_where_the_class_is_not_known(system):
    """Its class has no event loop: its own handlers may call `asyncio.run`."""
    hidden, caller = system.spawn(Hidden), system.spawn(Bare)
    with pytest.raises(errors.UnknownMethod, match="_later is async def: no handler here, since"):
        hidden.ask(Hidden._later)
    with pytest.raises(errors.UnknownMethod, match="_later is async def: no handler here, since"):
        caller.ask(Bare.tell, hidden)
