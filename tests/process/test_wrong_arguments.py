"""Each wrong argument of each public function is refused: what was expected, and what came."""

from __future__ import annotations

import functools
import pathlib

import numpy as np
import pytest

from procactors import (
    Actor,
    ActorSystem,
    Backoff,
    ChildSpec,
    Limits,
    Options,
    Recycle,
    Strategy,
    Supervisor,
    errors,
    run,
    spec,
)
from procactors.futures import ActorPoolExecutor
from tests.support.actors import Counter, Echo

NAN = float("nan")
SECONDS = ["1", True, -1, NAN, b"", [1], 1j, np.bool_(True), np.nan, np.array([1.0])]


class World:
    """Something of everything, for all the cases: they start nothing."""

    def __init__(self, system):
        self.system = system
        self.ref = system.spawn(Counter)
        self.pool = system.options(size=1).pool(Counter)
        self.inbox = system.inbox()
        self.root = system.supervise(Supervisor(spec(Echo)))
        self.letters = system.dead_letters
        self.executor = ActorPoolExecutor(1, system=system)
        # What is started with the first use is no leak of a case's.
        self.ref.submit(Counter.get_value).result()
        self.pool.ask(abs, 1)


@pytest.fixture(scope="module")
def world(start_method):
    with ActorSystem(start_method=start_method) as system:
        yield World(system)


def system_words(**words):
    return [
        (
            f"ActorSystem({word}={value!r})",
            lambda w, word=word, value=value: ActorSystem(**{word: value}),
            word,
        )
        for word, values in words.items()
        for value in values
    ]


def timeouts(**calls):
    return [
        (f"{name}({value!r})", functools.partial(_call, call, value), "timeout is a number of sec")
        for name, call in calls.items()
        for value in SECONDS
    ]


def _call(call, value, world):
    return call(world, value)


async def async_function(_):
    return 1


def generator_function(_):
    yield 1


async def async_generator(_):
    yield 1


CASES = [
    *system_words(
        name=["", 3, b"n", "a\0b"],
        backend=["fibers", "", 3],
        start_method=["forkserv", None, [], 3],
        preload=["numpy", 3, [3], [""], None],
        spares=[-1, 1.5, "2", True, None, np.bool_(True)],
        stop_timeout=[*SECONDS, None],
        ask_timeout=SECONDS,
        runtime_dir=["", 3, ["x"], "a\0b"],
        dead_letter_file=["", 3, "a\0b"],
        crash_dir=["", 3.5, "a\0b"],
    ),
    *timeouts(
        ref_options=lambda w, v: w.ref.options(timeout=v),
        ref_stop=lambda w, v: w.ref.stop(v),
        ref_wait=lambda w, v: w.ref.wait(v),
        pool_stop=lambda w, v: w.pool.stop(v),
        root_stop=lambda w, v: w.root.stop(v),
        root_wait=lambda w, v: w.root.wait(v),
        inbox_receive=lambda w, v: w.inbox.receive(v),
        system_stop=lambda w, v: w.system.stop(v),
        system_wait=lambda w, v: w.system.wait(v),
        map=lambda w, v: w.pool.map(abs, [1], timeout=v),
        requeue_all=lambda w, v: w.letters.requeue_all(timeout=v),
        executor_map=lambda w, v: w.executor.map(abs, [1], timeout=v),
    ),
    ("spawn(object)", lambda w: w.system.spawn(Counter(1)), r"no class; say spawn\(Counter, ..."),
    ("spawn(function)", lambda w: w.system.spawn(abs), "a function is given to the pool's map"),
    ("spawn(spec)", lambda w: w.system.spawn(spec(Counter)), "spawn takes a class"),
    ("spawn(text)", lambda w: w.system.spawn("Counter"), "spawn takes a class"),
    ("spawn(None)", lambda w: w.system.spawn(None), "spawn takes a class"),
    ("size", lambda w: w.system.options(size=2).spawn(Counter), r"use options\(size=...\).pool"),
    ("unknown option", lambda w: w.system.options(nam="x"), "did you mean 'name'"),
    ("timeout", lambda w: w.system.options(timeout=3), r"of a call it is ref.options\(timeout="),
    ("workers", lambda w: w.system.options(workers=3), "workers of a pool are its size"),
    ("pool(4)", lambda w: w.system.pool(4), r"say options\(size=4\).pool\(\)"),
    ("pool(function)", lambda w: w.system.pool(len), "a function is given to the pool's map"),
    ("size=0", lambda w: w.system.options(size=0), "size .* not 0"),
    ("size=(2, 1)", lambda w: w.system.options(size=(2, 1)), "at least 2, not 1"),
    ("size=(1, 2, 3)", lambda w: w.system.options(size=(1, 2, 3)), r"\(least, most\)"),
    ("restart=text", lambda w: w.system.options(restart="permanent"), "; say Restart.PERMANENT"),
    ("overflow=text", lambda w: w.system.options(overflow="loud"), "Overflow.BLOCK, .*not 'loud'"),
    ("routing=text", lambda w: w.system.options(routing="random"), "; say Routing.RANDOM"),
    ("env", lambda w: w.system.options(env={"A": 1}), "env maps names to strings, not 'A' to 1"),
    ("env NUL", lambda w: w.system.options(env={"A": "\0"}), "env maps names to strings"),
    ("env path", lambda w: w.system.options(env={"A": pathlib.Path("\0")}), "is a path"),
    ("limits", lambda w: w.system.options(limits={"nice": 1}), r"limits is a Limits\(...\)"),
    ("nice", lambda _: Limits(nice=20), "whole number up to 19, not 20"),
    ("memory", lambda _: Limits(memory="1G"), r"memory \(bytes\) is a whole number"),
    ("cpus", lambda _: Limits(cpu_affinity=3), "list of CPU numbers, or None, not 3"),
    ("cpus of text", lambda _: Limits(cpu_affinity="01"), "whole number of at least 0, not '0'"),
    ("no cpus", lambda _: Limits(cpu_affinity=[]), "at least one CPU"),
    ("backoff", lambda _: Backoff(jitter=2), "jitter is a number from 0.0 to 1.0, not 2"),
    ("recycle", lambda _: Recycle(seconds=0), "more than 0"),
    ("recycle nothing", lambda _: Recycle(), "at least one of"),
    ("find(3)", lambda w: w.system.find(3), "an actor's name is a string .* not 3"),
    ("find('')", lambda w: w.system.find(""), "not empty"),
    ("[3]", lambda w: w.system[3], "an actor's name is a string .* not 3"),
    ("inbox(3)", lambda w: w.system.inbox(3), "an inbox's name is a string .* not 3"),
    (
        "supervise([C])",
        lambda w: w.system.supervise([Counter]),
        r"takes a tree, as in Supervisor\(",
    ),
    ("supervise(C)", lambda w: w.system.supervise(Counter), r"takes a tree, as in Supervisor\("),
    (
        "supervise(spec)",
        lambda w: w.system.supervise(spec(Echo)),
        r"takes a tree, as in Supervisor",
    ),
    ("supervise(None)", lambda w: w.system.supervise(None), "takes a tree, .* not None"),
    ("Supervisor([...])", lambda _: Supervisor([spec(Echo)]), r"Supervisor\(\*children\)"),
    ("Supervisor(C)", lambda _: Supervisor(Echo), r"; say spec\(Echo, ...\)"),
    ("Supervisor(ref)", lambda w: Supervisor(w.ref), "a supervisor's child is spec"),
    ("strategy", lambda _: Supervisor(strategy="one_for_all"), "; say Strategy.ONE_FOR_ALL"),
    ("dynamic", lambda _: Supervisor(strategy=Strategy.DYNAMIC), "one spec .* found 0"),
    ("max_restarts", lambda _: Supervisor(max_restarts=-1), "max_restarts is a whole number"),
    ("significant", lambda _: spec(Echo).options(significant="yes"), "significant is True or Fal"),
    (
        "significant alone",
        lambda _: Supervisor(spec(Echo).options(significant=True)),
        r"spec\(Echo\) is significant, but its supervisor has no auto_shutdown: give it",
    ),
    (
        "significant child",
        lambda w: w.root.start_child(spec(Echo).options(significant=True)),
        "is significant, but its supervisor has no auto_shutdown: give it",
    ),
    ("spec(object)", lambda _: spec(Counter(1)), r"no class; say spec\(Counter, ..."),
    ("ChildSpec(args)", lambda _: ChildSpec(Counter, [1]), r"args is a tuple .* \[1\]"),
    (
        "ChildSpec(settings)",
        lambda _: ChildSpec(Counter, settings={}),
        r"settings is a Options\(..",
    ),
    ("start_child(C)", lambda w: w.root.start_child(Echo), r"start_child takes spec\(Class, ...\)"),
    ("start_child()", lambda w: w.root.start_child(), r"start_child takes spec\(Class, ...\)"),
    ("terminate_child", lambda w: w.root.terminate_child(3), "its name or its ref, not by 3"),
    ("watch", lambda w: w.inbox.watch("counter"), "watch takes the ref of an actor"),
    ("watch restarts", lambda w: w.inbox.watch(w.ref, restarts="x"), "restarts is True or False"),
    ("ask(text, 1)", lambda w: w.ref.ask("increment", 1), r"ask\(Counter.increment, ...\)"),
    ("ask(text)", lambda w: w.ref.ask("increment"), r"as in tell\(Counter.increment\)"),
    ("ask(bound)", lambda w: w.ref.ask(Counter(1).increment), r"ask\(Counter.increment, ...\)"),
    ("ask(bound, 1)", lambda w: w.ref.ask(Counter(1).increment, 1), r"ask\(Counter.increment, .."),
    ("ask(other)", lambda w: w.ref.ask(Echo.echo), "Echo.echo is not a method of Counter"),
    ("ask(few)", lambda w: w.ref.ask(Counter.increment, 1, 2), "too many positional"),
    ("resize", lambda w: w.pool.resize("2"), "size .* not '2'"),
    ("resize pair", lambda w: w.pool.resize((1, 2)), "resize takes one number"),
    ("autoscale", lambda w: w.pool.autoscale(2, 1), "at least 2, not 1"),
    ("pool.ask(text)", lambda w: w.pool.ask("increment"), "a method of Counter or a function"),
    ("pool.ask(async)", lambda w: w.pool.ask(async_function, 1), "async_function is async def"),
    ("pool.tell(gen)", lambda w: w.pool.tell(generator_function, 1), r"return list\(...\) of it"),
    ("pool.submit(agen)", lambda w: w.pool.submit(async_generator, 1), "is an async generator"),
    ("pool.gather(async)", lambda w: w.pool.gather(async_function, 1), "is async def"),
    ("map(async)", lambda w: w.pool.map(async_function, [1]), "is async def"),
    ("map(generator)", lambda w: w.pool.map(generator_function, [1]), "is a generator"),
    (
        "map(partial)",
        lambda w: w.pool.map(functools.partial(async_function), [1]),
        "is async def: a pool calls plain functions",
    ),
    ("executor.map(async)", lambda w: w.executor.map(async_function, [1]), "is async def"),
    ("map(f, 5)", lambda w: w.pool.map(abs, 5), "an iterable of its arguments, not 5"),
    ("map(items, f)", lambda w: w.pool.map([1], abs), "an iterable of its arguments"),
    (
        "map(f, agen)",
        lambda w: w.pool.map(abs, async_generator(1)),
        "an async one: await its items",
    ),
    ("map(f, a, b)", lambda w: w.pool.map(max, [1], [2]), r"say starmap\(max, zip\(...\)\)"),
    ("map(f, a, 4)", lambda w: w.pool.map(abs, [1], 4), r"say map\(abs, items, chunk=4\)"),
    ("starmap", lambda w: w.pool.starmap(max, [1], [2]), "starmap takes a function and one input"),
    ("chunksize", lambda w: w.pool.map(abs, [1], chunksize=4), "; say chunk="),
    ("retrys", lambda w: w.pool.map(abs, [1], retrys=4), "did you mean 'retries'"),
    ("chunk", lambda w: w.pool.map(abs, [1], chunk=0), r"chunk .* at least 1, not 0"),
    ("in_flight", lambda w: w.pool.map(abs, [1], in_flight=2.5), "in_flight is a whole number"),
    ("on_error", lambda w: w.pool.map(abs, [1], on_error="skp"), "did you mean 'skip'"),
    ("retry_on", lambda w: w.pool.map(abs, [1], retry_on="x"), "names exception classes"),
    ("ordered", lambda w: w.pool.map(abs, [1], ordered="no"), "ordered is True or False"),
    ("progress", lambda w: w.pool.map(abs, [1], progress="no"), "progress is True or False"),
    ("events", lambda w: w.system.events.subscribe(3), "callback is a function, not 3"),
    ("events async", lambda w: w.system.events.subscribe(async_function), "nobody would await"),
    ("events kinds", lambda w: w.system.events.subscribe(print, int), "a tuple of classes"),
    ("letters", lambda w: w.letters.subscribe(3), "callback is a function, not 3"),
    ("letters.list", lambda w: w.letters.list(3), "an actor's name is a string"),
    ("letters.count", lambda w: w.letters.count(reason=3), "reason is a string, not 3"),
    ("letters killed", lambda w: w.letters.list(killed="no"), "killed is True or False"),
    ("requeue", lambda w: w.letters.requeue("letter"), "requeue takes a letter of this list"),
    ("requeue_all", lambda w: w.letters.requeue_all(3), "an actor's name is a string"),
    ("run(class)", lambda _: run(Counter), "run takes a Supervisor, or a function"),
    ("run([C])", lambda _: run([Counter]), "run takes a Supervisor, or a function"),
    ("run(async)", lambda _: run(async_function), "is an async function"),
    ("run(generator)", lambda _: run(generator_function), "is a generator"),
    ("run(grace)", lambda _: run(print, grace="1"), "grace is a number of seconds"),
    ("executor size", lambda _: ActorPoolExecutor(0), "greater than 0"),
    ("executor size text", lambda _: ActorPoolExecutor("2"), "not supported between|whole number"),
    ("executor size 2.5", lambda _: ActorPoolExecutor(2.5), "whole number of at least 1, not 2.5"),
    ("executor timeout", lambda _: ActorPoolExecutor(timeout="1"), "number of seconds"),
    ("executor limits", lambda _: ActorPoolExecutor(limits=3), r"limits is a Limits\("),
    ("executor env", lambda _: ActorPoolExecutor(env=3), "env is a mapping"),
    ("executor name", lambda _: ActorPoolExecutor(name=3), "name is a string"),
    ("executor retries", lambda _: ActorPoolExecutor(retries=1.5), "retries is a whole number"),
    ("executor system", lambda _: ActorPoolExecutor(system="s"), "system is an ActorSystem"),
    ("executor method", lambda _: ActorPoolExecutor(start_method="x"), "start_method is one of"),
    ("executor preload", lambda _: ActorPoolExecutor(preload="numpy"), "list of modules' names"),
    ("executor context", lambda _: ActorPoolExecutor(mp_context="x"), "a context of multiproc"),
    (
        "executor init",
        lambda _: ActorPoolExecutor(initializer=async_function),
        "nobody would await",
    ),
    ("executor tasks", lambda _: ActorPoolExecutor(max_tasks_per_child=True), "must be an integer"),
    ("chunksize 0", lambda w: w.executor.map(abs, [1], chunksize=0), "must be >= 1"),
    ("buffersize", lambda w: w.executor.map(abs, [1], buffersize="2"), "must be an integer"),
]


@pytest.mark.parametrize(
    ("call", "text"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_a_wrong_argument_is_refused_with_what_was_expected(world, call, text):
    with pytest.raises((errors.InvalidSpec, TypeError, ValueError), match=text):
        call(world)


def test_after_all_of_them_everything_is_still_there(world):
    assert world.ref.ask(Counter.get_value) == 0
    assert world.pool.ask(abs, -1) == 1
    assert world.root.count_children().active == 1


class Words(Actor):
    """What the context refuses, seen from inside."""

    def refusals(self):
        ref, context = self.context.ref, self.context
        return [
            _text(lambda: context.options(mailbox=0)),
            _text(lambda: context.options(nme="x")),
            _text(lambda: context.spawn(3)),
            _text(lambda: context.watch("other")),
            _text(lambda: context.watch(ref)),
            _text(lambda: context.link(None)),
            _text(lambda: context.progress("half")),
            _text(lambda: context.system.supervise([Words])),
            _text(lambda: context.system.find(None)),
        ]


def _text(call):
    try:
        return f"nothing, but {call()!r}"
    except (errors.InvalidSpec, TypeError, ValueError) as error:
        return str(error)


def test_an_actors_context_refuses_the_same(system):
    texts = system.spawn(Words).ask(Words.refusals)
    expected = ["mailbox", "'name'", "takes a class", "takes the ref", "cannot watch itself"]
    expected += ["takes the ref", "progress", "takes a tree", "name is a string"]
    for text, part in zip(texts, expected, strict=True):
        assert part in text


# -- what is plain by its meaning ---------------------------------------------------------------


class Text(str):
    """A string of somebody's own class."""

    __slots__ = ()

    def __str__(self):
        return "changed"


def test_numbers_of_numpy_and_texts_of_others_work_everywhere(start_method, tmp_path):
    with ActorSystem(
        Text("plain"),
        start_method=Text(start_method),
        preload=[Text("json")],
        spares=np.int64(0),
        stop_timeout=np.float64(10),
        ask_timeout=np.float32(60),
        crash_dir=tmp_path,
    ) as system:
        assert type(system.name) is str
        options = Options(
            name=Text("one"),
            mailbox=np.int32(5),
            max_restarts=np.int8(2),
            within=np.float64(3),
            seed=np.uint64(7),
            env={Text("A"): Text("1"), "B": tmp_path},
            start_timeout=np.float64(60),
            limits=Limits(threads=np.int64(1), cpu_affinity=np.array([0])),
        )
        assert {type(value) for value in (options.name, options.env["A"], options.env["B"])} == {
            str
        }
        assert {type(value) for value in (options.mailbox, options.max_restarts, options.seed)} == {
            int
        }
        ref = system.options(
            name=Text("one"), mailbox=np.int32(5), env={"B": tmp_path}, within=np.float64(3)
        ).spawn(Counter)
        assert ref.options(timeout=np.float64(60)).ask(Counter.increment) == 1
        assert system.find(Text("one")) == ref
        with system.options(size=np.int64(1)).pool() as pool:
            assert list(pool.map(abs, [-1], chunk=np.int64(1), timeout=np.float64(60))) == [1]
            assert pool.size == 1
        tree = Supervisor(spec(Echo), max_restarts=np.int64(1), within=np.float32(2))
        assert (type(tree.max_restarts), type(tree.within)) == (int, float)
        system.supervise(tree).stop(np.float64(10))
        assert ref.stop(np.float64(10)).kind.value == "stopped"


@pytest.mark.parametrize("forever", [float("inf"), 1e300, 1e10, 10**400], ids=repr)
def test_a_wait_longer_than_clocks_can_say_waits_on(start_method, forever):
    with ActorSystem(start_method=start_method, stop_timeout=forever) as system:
        options = system.options(start_timeout=forever, stop_timeout=forever, mailbox=1)
        ref = options.spawn(Counter).options(timeout=forever)
        assert ref.ask(Counter.increment) == 1
        inbox = system.inbox()
        inbox.ref.tell("here")
        assert inbox.receive(forever) == "here"
        ref.stop(forever)
        assert ref.wait(forever).kind.value == "stopped"
    assert system.wait(forever)
