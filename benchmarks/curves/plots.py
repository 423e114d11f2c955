"""Draws a curve as SVG.

Measures: nothing.
How: matplotlib, both axes logarithmic but for per cent, the spread of the rounds as a band. The
file is the same for the same figures: no date, no random names in it.
Never: needed: without matplotlib there are tables alone.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

#: What is drawn in grey: the floor, not a contender.
FLOORS = ("bare", "memory copy", "kept shared map", "stock")


def drawn(curve: dict[str, Any], path: Path) -> bool:
    """Draw a curve into a file; say whether that was possible."""
    try:
        import matplotlib as mpl
    except ImportError:
        return False
    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = curve["name"]
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    for number, (name, points) in enumerate(curve["lines"].items()):
        xs, medians, lows, highs = (list(column) for column in zip(*points, strict=True))
        floor = name.startswith(FLOORS)
        style = {"color": str(0.35 + 0.2 * number), "linestyle": "--"} if floor else {"color": "C0"}
        axes.plot(xs, medians, marker="o", markersize=3, label=name, **style)
        axes.fill_between(xs, lows, highs, alpha=0.15, color=style["color"], linewidth=0)
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
