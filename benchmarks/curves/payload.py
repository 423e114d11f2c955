"""From 10 bytes to 1 GB: an ask with a growing argument.

Measures: µs an ask that looks at its argument's size only.
How: beside a stock pipe, a kept shared map, and a copy in memory. Below 1 000 bytes the argument is
`bytes`, above an array.
Never: reads what was sent, but for the stock pipe, which has to.
"""

from __future__ import annotations

from typing import Any

from benchmarks import floors, payload
from benchmarks.actors import Payload
from benchmarks.curves.curve import Curve, Curves, rounds_at
from benchmarks.rounds import Contender, Effort

SIZES = tuple(10**power for power in range(1, 10))


def _made(size: int) -> Any:
    return payload.made(size) if size >= 1_000 else Payload(bytearray(size))


def measure(effort: Effort) -> Curves:
    """Measure the curve."""
    found = Curves("payload", [Curve("payload", "An argument that grows", "bytes", "µs")])
    for size in SIZES[: len(SIZES) if effort.share == 1 else 7]:
        calls = effort.of(max(1, min(300, 100_000_000 // size)))
        content = _made(size)
        sent = content if size >= 1_000 else bytes(size)
        found.measure(
            size,
            [
                Contender("memory copy", "µs", floors.memory_copies(content, calls)),
                Contender(
                    "kept shared map", "µs", floors.kept_segment([content], calls, read=False)
                ),
                Contender("stock Pipe", "µs", floors.piped_payload([content], calls, read=False)),
                Contender("ask", "µs", payload.asks([sent], calls)),
            ],
            rounds_at(effort, size > 100_000_000),
        )
    return found
