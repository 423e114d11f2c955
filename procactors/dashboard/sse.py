"""Server-sent events: how one is written.

Layer: dashboard. Runs in: the dashboard's process.
Owns: nothing.
Never: writes a line break into an event's data: JSON has none.
"""

from __future__ import annotations

import json
from typing import Any

__all__ = ["TYPE", "event"]

#: The media type of a stream of events.
TYPE = "text/event-stream"


def event(name: str, data: Any) -> bytes:
    """Return an event of that name, whose data is JSON, as it goes over the wire."""
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=True)
    return f"event: {name}\ndata: {text}\n\n".encode("ascii")
