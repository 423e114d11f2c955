"""Tracing: one trace across a program and its actors, and nothing where nobody asked for it."""

from __future__ import annotations

import asyncio
import functools
import os
import signal
import subprocess
import sys
import textwrap

import pytest

pytest.importorskip("opentelemetry.sdk")

from opentelemetry import baggage, context as contexts, trace

from procactors import ActorSystem, AsyncActorSystem, Delivery, Restart
from procactors.errors import ActorDied, AskTimeout
from procactors.metrics import snapshot
from procactors.tracing import instrument, uninstrument
from procactors.wire.endpoint import Endpoint
from tests.support.spans import (
    PRELOAD,
    Middle,
    Server,
    Slow,
    Spans,
    Tracing,
    inside,
    make_provider,
)
from tests.support.waiting import LONG_S, SHORT_S, eventually


@pytest.fixture
def spans(tmp_path):
    """What is exported; this process is instrumented, and exports too."""
    path = str(tmp_path / "spans")
    provider = make_provider(path)
    # The global one, whom user code asks, can be set once in a process: it hands on to this one.
    _current.provider = provider
    instrument(functools.partial(make_provider, path), tracer_provider=provider)
    yield Spans(tmp_path / "spans")
    uninstrument()
    provider.shutdown()


class _Current(trace.TracerProvider):
    """The provider of the test in turn."""

    provider: trace.TracerProvider = trace.NoOpTracerProvider()

    def get_tracer(self, *args, **kwargs):
        return self.provider.get_tracer(*args, **kwargs)


_current = _Current()
trace.set_tracer_provider(_current)


@pytest.fixture
def system(start_method, spans):
    preload = PRELOAD if start_method == "forkserver" else ()
    with ActorSystem(start_method=start_method, preload=preload) as system:
        yield system


@pytest.fixture
def server(system):
    return system.options(name="server").spawn(Server)


@pytest.mark.methods
def test_one_trace_goes_from_the_program_through_two_actors_and_back(system, server, spans):
    middle = system.options(name="middle").spawn(Middle, server)
    with inside("root"):
        assert middle.ask(Middle.ask_on, 4) == 8
    root, asked = spans.one("root"), spans.one("ask middle")
    handled, asked_on = spans.one("process middle"), spans.one("ask server")
    ended, own = spans.one("process server"), spans.one("doubling")
    chain = [root, asked, handled, asked_on, ended, own]
    assert {span.trace for span in chain} == {root.trace}
    assert [span.parent for span in chain] == [None, *(span.id for span in chain[:-1])]
    kinds = ["INTERNAL", "CLIENT", "CONSUMER", "CLIENT", "CONSUMER", "INTERNAL"]
    assert [span.kind for span in chain] == kinds
    pids = [os.getpid()] * 2 + [middle.status().pid] * 2 + [server.status().pid] * 2
    assert [span.pid for span in chain] == pids
    assert {span.status for span in chain} == {"UNSET"}
    assert asked.took_ns >= handled.took_ns >= asked_on.took_ns >= ended.took_ns


def test_a_span_says_what_the_conventions_want(server, spans):
    assert server.ask(Server.double, 1) == 2
    asked, handled = spans.one("ask server"), spans.one("process server")
    assert asked.attributes == {
        "messaging.system": "procactors",
        "messaging.operation.name": "ask",
        "messaging.operation.type": "send",
        "messaging.destination.name": "server",
        "messaging.message.id": f"{asked.id:016x}",
        "procactors.handler": "Server.double",
    }
    assert handled.attributes == {
        **asked.attributes,
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "procactors.actor.incarnation": 1,
        "procactors.message.deliveries": 1,
    }
    assert asked.parent is None, "a trace begins where there is none"


def test_tells_submits_and_messages_as_values_are_traced(server, spans):
    with inside("root"):
        server.tell(Server.note_span)
        server.tell_many(Server.double, [(number,) for number in range(3)])
        assert server.submit(Server.double, 2).result(SHORT_S) == 4
        assert server.ask({"a": 1}) == ("received", {"a": 1})
        assert server.ask(Server.size, b"x" * 5_000_000) == 5_000_000
    root = spans.one("root")
    told, many = spans.named("send server", 2)
    assert told.kind == "PRODUCER"
    assert many.attributes["messaging.batch.message_count"] == 3
    asks = spans.named("ask server", 3)
    assert {span.parent for span in (told, many, *asks)} == {root.id}
    handled = spans.named("process server", 7)
    assert [span.handler for span in handled] == [
        "Server.note_span", *["Server.double"] * 4, "receive", "Server.size",
    ]  # fmt: skip
    parents = [told.id, *[many.id] * 3, *(span.id for span in asks)]
    assert [span.parent for span in handled] == parents
    assert server.ask(Server.get_left) == [handled[0].id]
    assert server.status().restarts == 0


def test_what_travels_beside_the_span_comes_along(server):
    token = contexts.attach(baggage.set_baggage("tenant", "a: b@c"))
    try:
        assert server.ask(Server.baggage) == "a: b@c"
    finally:
        contexts.detach(token)


def test_exceptions_are_recorded_at_both_ends(server, spans):
    with pytest.raises(ValueError, match="no 1"):
        server.ask(Server.fail, "no 1")
    reply = server.submit(Server.fail, "no 2")
    assert isinstance(reply.exception(SHORT_S), ValueError)
    for span in (*spans.named("ask server", 2), *spans.named("process server", 2)):
        assert (span.status, span.error) == ("ERROR", "ValueError")
    assert [span.said for span in spans.named("ask server", 2)] == ["no 1", "no 2"]
    assert spans.named("process server", 2)[0].events == ["exception"]


def test_a_killed_actor_has_no_span_and_its_callers_say_that_it_died(server, spans):
    with pytest.raises(ActorDied):
        server.ask(Server.die)
    with pytest.raises(ActorDied):
        server.submit(Server.die).result(SHORT_S)
    for span in spans.named("ask server", 2):
        assert (span.status, span.error) == ("ERROR", "procactors.errors.ActorDied")
        assert "SIGKILL" in span.said
    assert server.ask(Server.double, 1) == 2, "the next life is instrumented as well"
    assert spans.one("process server").attributes["procactors.actor.incarnation"] == 3


def test_a_crash_by_what_a_tell_raises_is_exported(server, spans):
    server.tell(Server.fail, "no")
    span = spans.one("process server")
    assert (span.status, span.error) == ("ERROR", "ValueError")
    assert server.ask(Server.double, 1) == 2


def test_wrong_arguments_of_a_traced_tell_are_a_dead_letter_and_no_crash(system, server, spans):
    system.spawn(Middle, server).ask(Middle.ask_on, 1)  # its ref of the server knows no class
    from procactors.runtime.ref import ActorRef

    unknowing = ActorRef(server._runtime_dir, server._actor, "server", server._overflow)
    unknowing.tell(Server.double, 1, 2, 3)
    eventually(lambda: len(system.dead_letters), "a dead letter")
    assert server.status().restarts == 0
    assert next(iter(system.dead_letters)).handler == "Server.double"


def test_a_message_that_is_begun_again_is_linked_and_no_child_twice(system, spans):
    options = system.options(name="server", delivery=Delivery.AT_LEAST_ONCE)
    server = options.spawn(Server)
    assert server.ask(Server.die_once) == 2
    asked, handled = spans.one("ask server"), spans.one("process server")
    assert handled.links == [asked.id]
    assert handled.parent is None
    assert handled.attributes["procactors.message.deliveries"] == 2


@pytest.mark.parametrize("size", [0, 5000, 3_000_000])
def test_a_forwarded_message_is_handled_under_who_forwarded_it(system, server, spans, size):
    middle = system.options(name="middle").spawn(Middle, server)
    assert middle.ask(Middle.size, b"x" * size) == size
    asked, handled = spans.one("ask middle"), spans.one("process middle")
    sent, ended = spans.one("send server"), spans.one("process server")
    chain = [asked, handled, sent, ended]
    assert [span.parent for span in chain] == [None, *(span.id for span in chain[:-1])]
    assert ended.handler == "size"


def test_a_dead_letter_that_is_sent_again_goes_on_with_its_trace(system, spans):
    old = system.options(name="server", restart=Restart.TEMPORARY).spawn(Server)
    with inside("root"):
        old.tell(Server.die)
        old.tell(Server.double, 21)
    [letter] = eventually(
        lambda: [one for one in system.dead_letters if one.handler == "Server.double"], "a letter"
    )
    assert letter.message == ((21,), {})
    new = system.options(name="server").spawn(Server)
    system.dead_letters.requeue(letter)
    assert new.ask(Server.double, 1) == 2
    again = next(span for span in spans.named("process server", 2) if span.parent)
    sent = next(span for span in spans.all() if span.id == again.parent)
    assert (sent.name, sent.handler) == ("send server", "Server.double")
    assert sent.trace == again.trace == spans.one("root").trace


def test_calls_are_cancelled_and_given_up_as_without_a_trace(server, spans, gate):
    held = server.submit(Server.hold, gate)
    gate.arrival()
    waiting = server.submit(Server.double, 1)
    assert waiting.cancel()
    assert not held.cancel()
    with pytest.raises(AskTimeout):
        server.options(timeout=0.05).ask(Server.double, 2)
    gate.open()
    assert held.result(SHORT_S) == "cancelled"
    assert server.ask(Server.get_left) == []
    handled = spans.named("process server", 2)
    assert [span.handler for span in handled] == ["Server.hold", "Server.get_left"]
    late = [span for span in spans.all() if span.error == "procactors.errors.AskTimeout"]
    assert [span.name for span in late] == ["ask server"]


def test_metrics_count_traced_messages_by_their_methods(system, server, spans):
    for number in range(50):
        server.ask(Server.double, number)
        server.tell(Server.note_span)
    assert list(server.stream(Server.items, 2)) == [0, 1]
    assert server.ask("value") == ("received", "value")
    wanted = {"Server.double": 50, "Server.note_span": 50, "Server.items": 1, "receive": 1}

    def handled():
        [group] = [one for one in snapshot(system).groups() if one.name == "server"]
        return {method.name: method.handled for method in group.methods}

    # The last one is counted behind its reply.
    eventually(lambda: handled() == wanted, "the count of each method")


def test_an_actor_may_instrument_itself(tmp_path, start_method):
    spans = Spans(tmp_path / "spans")
    with ActorSystem(start_method=start_method) as system:
        server = system.options(name="server").spawn(Server)
        tracing = system.options(name="tracing").spawn(Tracing, str(spans.path), server)
        assert server.ask(Server.double, 1) == 2
        assert tracing.ask(Tracing.ask_on, 2) == 4
        assert spans.one("ask server").pid == tracing.status().pid
        assert {span.name for span in spans.all()} == {"ask server"}


def test_a_stream_is_one_span_at_each_end(server, spans):
    with inside("root"):
        assert list(server.stream(Server.items, 3)) == [0, 1, 2]
    asked, handled = spans.one("ask server"), spans.one("process server")
    assert asked.parent == spans.one("root").id
    assert handled.parent == asked.id
    assert {span.parent for span in spans.named("item", 3)} == {handled.id}


def square(number):
    with inside("squaring"):
        return number * number


def test_a_pools_work_is_under_the_span_in_which_it_was_given(system, spans):
    with system.options(size=2).pool() as pool:
        with inside("first"):
            assert list(pool.map(square, range(20))) == [n * n for n in range(20)]
        with inside("second"):
            assert pool.submit(square, 5).result(SHORT_S) == 25
    roots = {span.id: span.name for span in (spans.one("first"), spans.one("second"))}
    by_id = {span.id: span for span in spans.all()}
    own = spans.named("squaring", 21)
    counts = dict.fromkeys(roots.values(), 0)
    for span in own:
        handled = by_id[span.parent]
        asked = by_id[handled.parent]
        assert (handled.kind, asked.kind, handled.handler) == ("CONSUMER", "CLIENT", "square")
        counts[roots[asked.parent]] += 1
    assert counts == {"first": 20, "second": 1}


@pytest.mark.methods
def test_handlers_that_await_keep_their_spans_apart(system, spans):
    slow = system.options(name="slow", max_concurrency=5).spawn(Slow)
    with inside("root"):
        replies = [slow.submit(Slow.meet, 5) for _ in range(5)]
        seen = [reply.result(SHORT_S) for reply in replies]
    handled = spans.named("process slow", 5)
    asked = spans.named("ask slow", 5)
    assert {span.parent for span in handled} == {span.id for span in asked}
    assert sorted(seen) == sorted([span.id, span.id] for span in handled)
    assert {span.parent for span in spans.named("met", 5)} == {span.id for span in handled}
    with pytest.raises(ValueError, match="no"):
        slow.ask(Slow.fail, "no")
    failed = eventually(
        lambda: [one for one in spans.all() if one.handler == "Slow.fail" and one.error], "it"
    )
    assert {span.error for span in failed} == {"ValueError"}


@pytest.mark.parametrize("cls", [Server, Slow])
def test_a_timer_is_in_no_span_though_a_handler_has_set_it(system, spans, cls):
    actor = system.options(name="actor").spawn(cls)
    actor.ask(cls.after)
    left = eventually(lambda: actor.ask(cls.get_left), "the timer's run")
    assert left == [0]


def test_the_tasks_of_an_event_loop_keep_their_spans_apart(spans, start_method):
    async def one(ref, number):
        with inside(f"root {number}"):
            assert await ref.ask(Server.double, number) == 2 * number
            await ref.tell(Server.note_span)

    async def main():
        preload = PRELOAD if start_method == "forkserver" else ()
        async with AsyncActorSystem(start_method=start_method, preload=preload) as system:
            server = await system.options(name="server").spawn(Server)
            await asyncio.gather(*(one(server, number) for number in range(40)))
            await server.ask(Server.get_left)

    asyncio.run(main())
    for number in range(40):
        root = spans.one(f"root {number}")
        trace_spans = [span for span in spans.all() if span.trace == root.trace]
        names = sorted(span.name for span in trace_spans)
        assert names == [
            "ask server", "doubling", "process server", "process server", f"root {number}",
            "send server",
        ]  # fmt: skip


def test_what_waits_in_an_actor_is_exported_at_its_orderly_end(tmp_path, start_method, spans):
    instrument(functools.partial(make_provider, str(spans.path), batched=True))
    preload = PRELOAD if start_method == "forkserver" else ()
    with ActorSystem(start_method=start_method, preload=preload) as system:
        server = system.options(name="server").spawn(Server)
        assert server.ask(Server.double, 1) == 2
        assert "process server" not in {span.name for span in spans.all()}
        server.stop()
        assert spans.one("process server").handler == "Server.double"
        other = system.options(name="other").spawn(Server)
        other.tell(Server.fail, "a crash")
        assert spans.one("process other").error == "ValueError"


def test_an_actor_that_runs_already_is_instrumented_by_its_first_traced_message(
    tmp_path, start_method
):
    spans = Spans(tmp_path / "spans")
    with ActorSystem(start_method=start_method) as system:
        server = system.options(name="server").spawn(Server)
        assert server.ask(Server.double, 1) == 2
        assert spans.all() == []
        provider = make_provider(str(spans.path))
        instrument(functools.partial(make_provider, str(spans.path)), tracer_provider=provider)
        try:
            assert server.ask(Server.double, 1) == 2
            assert spans.one("process server").parent == spans.one("ask server").id
        finally:
            uninstrument()
        assert server.ask(Server.double, 1) == 2
        with ActorSystem(start_method=start_method) as second:
            assert second.spawn(Server).ask(Server.double, 2) == 4
        assert len(spans.named("process server")) == len(spans.named("ask server")) == 1
    assert Endpoint.ask.__module__ == "procactors.wire.endpoint"
    provider.shutdown()


def test_a_set_up_that_fails_keeps_nobody_from_working(tmp_path, start_method):
    script = tmp_path / "broken.py"
    script.write_text(
        textwrap.dedent(
            f"""
            from procactors import Actor, ActorSystem
            from procactors.tracing import instrument

            class Server(Actor):
                def receive(self, message):
                    return message
                def double(self, number):
                    return 2 * number

            def setup():
                raise RuntimeError("no collector")

            if __name__ == "__main__":
                instrument(setup)
                with ActorSystem(start_method={start_method!r}) as system:
                    server = system.spawn(Server)
                    print(server.ask(Server.double, 4), server.ask("value"))
            """
        )
    )
    done = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, timeout=LONG_S, check=False
    )
    assert done.stdout == "8 value\n", done.stderr
    assert done.stderr.count("RuntimeError: no collector") == 1
    assert "this actor exports no spans" in done.stderr


def test_a_set_up_that_cannot_travel_instruments_nothing(tmp_path):
    uninstrument()
    lock = open(os.devnull)  # noqa: SIM115 - it cannot be pickled
    with lock, ActorSystem() as system:
        server = system.spawn(Server)
        with pytest.raises(Exception, match="set-up of tracing"):
            instrument(functools.partial(print, lock))
        assert server.ask(Server.double, 1) == 2
    assert Endpoint.ask.__module__ == "procactors.wire.endpoint"
    with pytest.raises(TypeError, match="function that makes a tracer provider"):
        instrument("collector")


def test_nobody_who_does_not_ask_for_it_imports_opentelemetry(tmp_path):
    script = tmp_path / "plain.py"
    script.write_text(
        textwrap.dedent(
            """
            import sys
            from procactors import Actor, ActorSystem

            class Plain(Actor):
                def loaded(self):
                    return [name for name in sys.modules if "opentelemetry" in name]

            with ActorSystem() as system:
                loaded = system.spawn(Plain).ask(Plain.loaded)
            print(loaded, [name for name in sys.modules if "opentelemetry" in name])
            """
        )
    )
    done = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, timeout=LONG_S, check=True
    )
    assert done.stdout == "[] []\n"


def test_without_the_extra_it_says_which_one_is_missing(tmp_path):
    code = "import sys; sys.modules['opentelemetry'] = None; import procactors.tracing"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=LONG_S, check=False
    )
    assert done.returncode == 1
    assert "pip install 'procactors[otel]'" in done.stderr


@pytest.mark.parametrize("when", range(3))
def test_a_kill_in_the_midst_of_traced_messages_loses_as_little_as_ever(system, spans, when):
    server = system.options(name="server").spawn(Server)
    replies = [server.submit(Server.double, number) for number in range(30 * when + 1)]
    os.kill(server.ask(Server.process_id), signal.SIGKILL)
    assert [reply.result(SHORT_S) for reply in replies] == [2 * n for n in range(30 * when + 1)]
    assert server.ask(Server.double, 4) == 8
