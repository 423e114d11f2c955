"""``python -m benchmarks.curves``: measure all curves, print their tables, keep them with plots.

Measures: nothing itself; each curve runs in a process of its own (`benchmarks.alone`).
How: a complete run is kept in benchmarks/results/; a quick or partial one only where --out says.
Never: asserts.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.checkout import measured
from benchmarks.curves import CURVES
from benchmarks.curves.plots import drawn
from benchmarks.curves.report import as_markdown
from benchmarks.report import RESULTS, stamp


def main() -> None:
    """Read the options, measure, print, keep."""
    chosen = _options()
    result: dict[str, Any] = {"machine": machine.describe(), "subjects": []}
    for name in chosen.only or CURVES:
        print(f"measuring {name} ...", file=sys.stderr, flush=True)
        result["subjects"].append(measured(f"curves.{name}", quick=chosen.quick))
    complete = not (chosen.quick or chosen.only)
    folder = chosen.out or (RESULTS / f"curves-{stamp(result)}" if complete else None)
    if folder is None:
        print(as_markdown(result, {}))
        return
    folder.mkdir(parents=True, exist_ok=True)
    page = as_markdown(result, _plots(result, folder))
    (folder / "README.md").write_text(page, encoding="utf-8")
    text = json.dumps(result, indent=1, ensure_ascii=False)
    (folder / "curves.json").write_text(text + "\n", encoding="utf-8")
    print(page)
    print(f"written: {folder}", file=sys.stderr)


def _plots(result: dict[str, Any], folder: Path) -> dict[str, str]:
    """Draw all curves; answer the names of the files."""
    curves = [curve for subject in result["subjects"] for curve in subject.get("curves", ())]
    return {
        curve["name"]: f"{curve['name']}.svg"
        for curve in curves
        if drawn(curve, folder / f"{curve['name']}.svg")
    }


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.curves", description="Measure what becomes of growth."
    )
    parser.add_argument("--quick", action="store_true", help="fewer points, shorter rounds")
    parser.add_argument("--only", action="append", choices=CURVES, help="one curve (repeatable)")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="keep page and plots there")
    return parser.parse_args()


if __name__ == "__main__":
    main()
