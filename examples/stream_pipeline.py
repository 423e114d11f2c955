"""A pipeline of three stages in three processes, held back by its slowest.

Each stage is an actor that reads a stream and yields another one. Nobody makes more than a few
items ahead of who reads them, so the pipeline runs in the memory of some dozen items, however many
flow through it. Whoever leaves early closes all stages behind.

Run it: procactors examples stream_pipeline

Expected output:

    100 means, the last of them 99.75
    the sensor was held back: True, and is closed: True
"""

from __future__ import annotations

from collections.abc import Iterator

from procactors import Actor, ActorSystem


class Sensor(Actor):
    made = 0
    is_closed = False

    def readings(self) -> Iterator[float]:
        try:
            while True:
                self.made += 1
                yield self.made * 0.5
        finally:
            self.is_closed = True

    def state(self) -> tuple[int, bool]:
        return self.made, self.is_closed


class Stage(Actor):
    def pairs(self, readings: Iterator[float]) -> Iterator[tuple[float, float]]:
        for reading in readings:
            yield reading, next(readings)

    def means(self, pairs: Iterator[tuple[float, float]]) -> Iterator[float]:
        for one, other in pairs:
            yield (one + other) / 2


with ActorSystem() as system:
    sensor = system.spawn(Sensor).options(buffer=10)
    first, second = (system.spawn(Stage).options(buffer=5) for _ in range(2))
    pairs = first.stream(Stage.pairs, sensor.stream(Sensor.readings))
    means = []
    for mean in second.stream(Stage.means, pairs):
        means.append(mean)
        if len(means) == 100:
            break
    print(f"{len(means)} means, the last of them {means[-1]}")
    made, is_closed = sensor.ask(Sensor.state)  # in its turn: behind the generator's end
    print(f"the sensor was held back: {made < 300}, and is closed: {is_closed}")
