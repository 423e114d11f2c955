"""One trace, from the program through two actors: who asked whom, and how long each step took.

`instrument` puts OpenTelemetry's trace context into the messages, and spans around sending and
handling. Each actor is a process of its own, so each has an exporter of its own: `exporting` runs
there, before the actor's constructor. A real one would export to a collector (docs/tracing.md);
here each process appends its spans to one file.

Run it: procactors examples traces (needs opentelemetry-sdk)

Expected output:

    8.10 for 3 of 2.70
    order
      ask shop
        process shop
          ask prices
            process prices
              look up
"""

import functools
import os
import tempfile
from collections.abc import Sequence

from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import (
    BatchSpanProcessor,
    SpanExporter,
    SpanExportResult,
)

from procactors import Actor, ActorRef, ActorSystem
from procactors.tracing import instrument

tracer = trace.get_tracer("shop")


class ToFile(SpanExporter):
    def __init__(self, path: str) -> None:
        self.path = path

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        with open(self.path, "a") as file:
            for span in spans:
                parent = span.parent.span_id if span.parent else 0
                file.write(f"{span.get_span_context().span_id} {parent} {span.name}\n")
        return SpanExportResult.SUCCESS


def exporting(path: str) -> TracerProvider:
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(ToFile(path)))
    return provider


class Prices(Actor):
    def price(self, ware: str) -> float:
        with tracer.start_as_current_span("look up"):  # inside the span of this message
            return {"tea": 2.70, "cake": 3.20}[ware]


class Shop(Actor):
    def __init__(self, prices: ActorRef[Prices]) -> None:
        self.prices = prices

    def total(self, ware: str, count: int) -> float:
        return count * self.prices.ask(Prices.price, ware)


def show(path: str) -> None:
    with open(path) as file:
        spans = [line.split(" ", 2) for line in file.read().splitlines()]

    def below(parent: str, indent: str) -> None:
        for number, _, name in (span for span in spans if span[1] == parent):
            print(indent + name)
            below(number, indent + "  ")

    below("0", "")


with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "spans")
    provider = exporting(path)
    trace.set_tracer_provider(provider)
    instrument(functools.partial(exporting, path))
    with ActorSystem() as system:
        prices = system.options(name="prices").spawn(Prices)
        shop = system.options(name="shop").spawn(Shop, prices)
        with tracer.start_as_current_span("order"):
            print(f"{shop.ask(Shop.total, 'tea', 3):.2f} for 3 of 2.70")
    provider.shutdown()  # as the actors have, at their ends
    show(path)
