"""Draws a curve as SVG.

Measures: nothing.
How: matplotlib, both axes logarithmic but for per cent, the spread of the rounds as a band. The
file is the same for the same figures: no date, no random names in it.
Never: needed: without matplotlib there are tables alone.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

#: Drawn in blue, lines of other libraries in orange, all others in grey: they are the floor.
OURS = ("ask", "tell", "procactors", "pool.map")
PEERS = ("multiprocessing.Pool.map",)


def drawn(curve: dict[str, Any], path: Path) -> bool:
    """Draw a curve into a file; say whether that was possible."""
    try:
        import matplotlib as mpl
    except ImportError:
        return False
    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = curve["name"]
    mpl.rcParams["svg.fonttype"] = "none"  # letters stay letters: a fifth of the size
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    for number, (name, points) in enumerate(curve["lines"].items()):
        xs, medians, lows, highs = (list(column) for column in zip(*points, strict=True))
        grey = str(0.35 + 0.2 * number)
        color = "C0" if name in OURS else "C1" if name in PEERS else grey
        dashes = "--" if color == grey else "-"
        axes.plot(xs, medians, dashes, marker="o", markersize=3, label=name, color=color)
        axes.fill_between(xs, lows, highs, alpha=0.15, color=color, linewidth=0)
    axes.set_xscale("log")
    if "%" in curve["y"]:
        axes.set_ylim(bottom=0)
    else:
        axes.set_yscale("log")
    axes.set(title=curve["title"], xlabel=curve["x"], ylabel=curve["y"])
    axes.grid(visible=True, which="major", alpha=0.3)
    axes.legend(frameon=False)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
    return True
