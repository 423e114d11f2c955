"""A profile as files: speedscope's JSON, and a flame graph as SVG.

Layer: outside. Runs in: another process of the same user.
Owns: nothing.
Never: names anything from outside: the SVG needs no script, font or style of others.
"""

from __future__ import annotations

import html
import json
import re
import zlib
from typing import Any

from procactors import __version__
from procactors.light_tuple import NamedTuple
from procactors.model.plain_text import plain
from procactors.outside.profile import Profile

__all__ = ["as_speedscope", "as_svg"]

_SCHEMA = "https://www.speedscope.app/file-format-schema.json"
_FRAME = re.compile(r"(.*) \((.*):(\d+)\)")

#: Pixels: the picture's width, a row's height, above and below it, of a letter; least of a frame.
_WIDTH, _ROW, _TOP, _LETTER, _LEAST = 1200.0, 17, 44, 6.6, 0.3


def as_speedscope(profile: Profile, name: str) -> str:
    """Return a profile as the JSON that speedscope opens: one part for each thread."""
    numbers: dict[str, int] = {}
    threads: dict[str, list[tuple[list[int], float]]] = {}
    for (thread, *stack), seconds in sorted(profile.stacks.items()):
        sample = [numbers.setdefault(frame, len(numbers)) for frame in stack]
        threads.setdefault(thread, []).append((sample, seconds))
    # The busiest first: it is what a viewer opens with.
    ranked = sorted(threads, key=lambda thread: -sum(part[1] for part in threads[thread]))
    profiles = [
        {
            "type": "sampled",
            "name": thread,
            "unit": "seconds",
            "startValue": 0,
            "endValue": sum(seconds for _, seconds in threads[thread]),
            "samples": [sample for sample, _ in threads[thread]],
            "weights": [seconds for _, seconds in threads[thread]],
        }
        for thread in ranked
    ]
    whole = {
        "$schema": _SCHEMA,
        "shared": {"frames": [_frame(text) for text in numbers]},
        "profiles": profiles,
        "name": name,
        "activeProfileIndex": 0,
        "exporter": f"procactors {__version__}",
    }
    return json.dumps(whole)


def _frame(text: str) -> dict[str, Any]:
    match = _FRAME.fullmatch(text)
    if match is None:
        return {"name": text}
    return {"name": match[1], "file": match[2], "line": int(match[3])}


class _Node:
    """A frame of the graph: its seconds, and the frames that were called from it."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.inner: dict[str, _Node] = {}


class _Box(NamedTuple):
    """Where a frame is drawn: left edge and width in pixels, rows above the lowest one."""

    text: str
    seconds: float
    left: float
    width: float
    row: int


def as_svg(profile: Profile, name: str) -> str:
    """Return a profile as a flame graph: width is time, what is called stands above its caller.

    Each frame has a tooltip, and its text is text: a browser searches it.
    """
    root = _Node()
    for stack, seconds in profile.stacks.items():
        node = root
        node.seconds += seconds
        for frame in stack:
            node = node.inner.setdefault(frame, _Node())
            node.seconds += seconds
    boxes: list[_Box] = []
    _place("all", root, 0.0, _WIDTH / root.seconds if root.seconds else 0.0, 0, boxes)
    height = _TOP + (max(box.row for box in boxes) + 1) * _ROW + 8
    title = f"{name}, {profile.seconds:.1f} s at {profile.rate} samples a second"
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH:g} {height}"',
        f'width="{_WIDTH:g}" height="{height}" font-family="monospace" font-size="11">',
        "<style>g:hover rect { stroke: #000 } text { pointer-events: none }</style>",
        '<rect width="100%" height="100%" fill="#fff"/>',
        f'<text x="6" y="18" font-size="14">{_text(title)}</text>',
        f'<text x="6" y="34" fill="#555">{_text(profile.note[:180])}</text>',
    ]
    lines += [_drawn(box, height, root.seconds) for box in boxes]
    return "\n".join([*lines, "</svg>", ""])


def _place(text: str, node: _Node, left: float, scale: float, row: int, boxes: list[_Box]) -> None:
    """Place a frame and, above it, those that were called from it."""
    # Not by recursion: stacks are deeper than Python's own may be.
    waiting = [(text, node, left, row)]
    while waiting:
        text, node, left, row = waiting.pop()
        boxes.append(_Box(text, node.seconds, left, node.seconds * scale, row))
        for inner_text, inner in sorted(node.inner.items()):
            if inner.seconds * scale >= _LEAST:
                waiting.append((inner_text, inner, left, row + 1))
            left += inner.seconds * scale


def _drawn(box: _Box, height: int, whole: float) -> str:
    top = height - 8 - (box.row + 1) * _ROW
    share = 100 * box.seconds / whole if whole else 0.0
    tip = _text(f"{box.text}: {box.seconds:.3f} s, {share:.1f} %")
    match = _FRAME.fullmatch(box.text)
    label = match[1] if match is not None else box.text
    room = int((box.width - 4) / _LETTER)
    if len(label) > room:
        label = label[: room - 2] + ".." if room > 3 else ""
    text = f'<text x="{box.left + 2:.1f}" y="{top + 12}">{_text(label)}</text>' if label else ""
    return (
        f'<g><title>{tip}</title><rect x="{box.left:.2f}" y="{top}" width="{box.width:.2f}" '
        f'height="{_ROW - 1}" rx="2" fill="{_colour(box.text)}"/>{text}</g>'
    )


def _colour(text: str) -> str:
    """Return a warm colour, the same for the same function each time."""
    number = zlib.crc32(text.encode(errors="replace"))
    return f"rgb({225 + number % 30},{120 + number // 30 % 100},{70 + number // 3000 % 60})"


def _text(text: str) -> str:
    """Return a text as it stands in the SVG: XML has no control characters, not even as escapes."""
    return html.escape(plain(text))
