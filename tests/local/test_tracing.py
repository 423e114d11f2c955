"""Tracing where all actors are in this process: the program's own tracer makes their spans."""

from __future__ import annotations

import pytest

pytest.importorskip("opentelemetry.sdk")

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from procactors import ActorSystem
from procactors.tracing import instrument, uninstrument


class Doubler:
    def double(self, number):
        return 2 * number


class Front:
    def __init__(self, other):
        self.other = other

    def ask_on(self, number):
        return self.other.ask(Doubler.double, number)

    def fail(self):
        raise ValueError("on purpose")


@pytest.fixture
def exporter():
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    instrument(tracer_provider=provider)
    yield exporter
    uninstrument()
    provider.shutdown()


@pytest.mark.parametrize("backend", ["inline", "threads"])
def test_a_trace_goes_on_from_actor_to_actor(backend, exporter):
    with ActorSystem(backend=backend) as system:
        front = system.options(name="front").spawn(
            Front, system.options(name="doubler").spawn(Doubler)
        )
        assert front.ask(Front.ask_on, 21) == 42
        with pytest.raises(ValueError, match="on purpose"):
            front.submit(Front.fail).result()
        front.tell(Front.ask_on, 1)
    spans = {span.context.span_id: span for span in exporter.get_finished_spans()}

    def path(span):
        above = spans.get(span.parent.span_id) if span.parent is not None else None
        return [span.name] if above is None else [*path(above), span.name]

    deepest = max(map(path, spans.values()), key=len)
    assert deepest == ["ask front", "process front", "ask doubler", "process doubler"]
    names = [span.name for span in spans.values()]
    assert names.count("process front") == 3
    assert names.count("process doubler") == 2
    failed = [span.name for span in spans.values() if not span.status.is_ok]
    assert sorted(failed) == ["ask front", "process front"]


@pytest.mark.parametrize("backend", ["inline", "threads"])
def test_a_program_that_traces_no_more_sends_as_before(backend, exporter):
    uninstrument()
    with ActorSystem(backend=backend) as system:
        assert system.spawn(Doubler).ask(Doubler.double, 4) == 8
        with system.options(size=2).pool(Doubler) as pool:
            assert list(pool.map(Doubler.double, range(3))) == [0, 2, 4]
    assert exporter.get_finished_spans() == ()
