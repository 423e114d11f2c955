"""Spans of a program and its actors, each a line of one file, and actors that make some."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from opentelemetry import baggage, trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import (
    BatchSpanProcessor,
    SimpleSpanProcessor,
    SpanExporter,
    SpanExportResult,
)

from procactors import Actor
from tests.support.gates import Gate
from tests.support.waiting import eventually

#: For the zygote: to import the SDK takes longer than all of a start.
PRELOAD = ("tests.support.spans",)


class ToFile(SpanExporter):
    """Appends each span as a line; a line is one write, so processes share the file."""

    def __init__(self, path: str) -> None:
        self._path = path

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        lines = b"".join(json.dumps(_facts(span)).encode() + b"\n" for span in spans)
        fd = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC)
        try:
            os.write(fd, lines)
        finally:
            os.close(fd)
        return SpanExportResult.SUCCESS


def _facts(span: ReadableSpan) -> dict[str, Any]:
    own = span.get_span_context()
    return {
        "name": span.name,
        "kind": span.kind.name,
        "pid": os.getpid(),
        "trace": own.trace_id,
        "id": own.span_id,
        "parent": None if span.parent is None else span.parent.span_id,
        "links": [link.context.span_id for link in span.links],
        "status": span.status.status_code.name,
        "said": span.status.description,
        "events": [event.name for event in span.events],
        "attributes": dict(span.attributes or {}),
        "took_ns": (span.end_time or 0) - (span.start_time or 0),
    }


@dataclass(frozen=True)
class Seen:
    """One exported span."""

    name: str
    kind: str
    pid: int
    trace: int
    id: int
    parent: int | None
    links: list[int]
    status: str
    said: str | None
    events: list[str]
    attributes: dict[str, Any]
    took_ns: int = field(compare=False)

    @property
    def handler(self) -> Any:
        return self.attributes.get("procactors.handler")

    @property
    def error(self) -> Any:
        return self.attributes.get("error.type")


class Spans:
    """What has been exported so far, by all processes."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def all(self) -> list[Seen]:
        if not self.path.exists():
            return []
        return [Seen(**json.loads(line)) for line in self.path.read_text().splitlines()]

    def named(self, name: str, count: int = 1) -> list[Seen]:
        """Wait until so many spans of that name are there, and return them."""

        def found() -> list[Seen]:
            ones = [span for span in self.all() if span.name == name]
            return ones if len(ones) >= count else []

        ones = eventually(found, f"{count} spans {name!r}, of {sorted(s.name for s in self.all())}")
        assert len(ones) == count
        return ones

    def one(self, name: str) -> Seen:
        return self.named(name)[0]


def make_provider(path: str, batched: bool = False) -> TracerProvider:
    """Return a provider that exports to a file: at once, or in batches, as programs do it."""
    provider = TracerProvider()
    exporter = ToFile(path)
    if batched:
        provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=3_600_000))
    else:
        provider.add_span_processor(SimpleSpanProcessor(exporter))
    return provider


def inside(name: str) -> Any:
    """Return a block in a span of the user's own."""
    return trace.get_tracer("user").start_as_current_span(name)


def here() -> int:
    """Return the id of the span that is current."""
    return trace.get_current_span().get_span_context().span_id


class Server(Actor):
    """Is at the end of the chain."""

    def __init__(self) -> None:
        self.left: list[int] = []

    def double(self, number: int) -> int:
        with inside("doubling"):
            return number * 2

    def receive(self, message: Any) -> Any:
        return "received", message

    def size(self, data: bytes) -> int:
        return len(data)

    def fail(self, text: str) -> None:
        raise ValueError(text)

    def die(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def die_once(self) -> int:
        if self.context.incarnation == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return self.context.deliveries

    def items(self, count: int) -> Iterator[int]:
        for number in range(count):
            with inside("item"):
                yield number

    def baggage(self) -> Any:
        return baggage.get_baggage("tenant")

    def note_span(self) -> None:
        self.left.append(here())

    def after(self) -> None:
        self.context.after(0.0, Server.note_span)

    def get_left(self) -> list[int]:
        return self.left

    def hold(self, gate: Gate) -> str:
        gate.wait()
        return "cancelled" if self.context.cancelled else "wanted"

    def process_id(self) -> int:
        return os.getpid()


class Middle(Actor):
    """Asks, tells, streams from and forwards to another."""

    def __init__(self, server: Any) -> None:
        self.server = server

    def ask_on(self, number: int) -> int:
        return self.server.ask(Server.double, number)  # type: ignore[no-any-return]

    def double(self, _: int) -> None:
        self.context.forward(self.server)

    def size(self, _: bytes) -> None:
        self.context.forward(self.server)


class Tracing(Actor):
    """Traces what it sends, in a program that does not."""

    def __init__(self, path: str, server: Any) -> None:
        from procactors.tracing import instrument

        instrument(tracer_provider=make_provider(path))
        self.server = server

    def ask_on(self, number: int) -> int:
        return self.server.ask(Server.double, number)  # type: ignore[no-any-return]


class Slow(Actor):
    """Handles many at once."""

    def __init__(self) -> None:
        self.turn = asyncio.Event()
        self.count = 0
        self.left: list[int] = []

    async def meet(self, count: int) -> list[int]:
        """Wait until so many are here; return the current spans before and after."""
        before = here()
        self.count += 1
        if self.count == count:
            self.turn.set()
        await self.turn.wait()
        await asyncio.sleep(0)
        with inside("met"):
            pass
        return [before, here()]

    async def fail(self, text: str) -> None:
        await asyncio.sleep(0)
        raise ValueError(text)

    async def after(self) -> int:
        self.context.after(0.0, Slow.note_span)
        await asyncio.sleep(0)
        return here()

    def note_span(self) -> None:
        self.left.append(here())

    def get_left(self) -> list[int]:
        return self.left
