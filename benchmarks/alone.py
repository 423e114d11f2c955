"""Runs one subject in this process and writes its findings to a file.

Measures: what the named room measures.
How: each subject has a process of its own, so that its floors fork from a process without threads,
and so that a subject that hangs or dies takes no other with it.
Never: prints: what appears is from the runtime itself.
"""

from __future__ import annotations

import argparse
import json
import logging
from dataclasses import replace
from importlib import import_module
from pathlib import Path

from benchmarks.places import FREE, PLACES
from benchmarks.rounds import FULL, QUICK


def main() -> None:
    """Read the subject, the effort and the file from the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.alone")
    parser.add_argument("subject")
    parser.add_argument("path", type=Path)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--place", choices=PLACES, help="the cores; else the subject's own choice")
    chosen = parser.parse_args()
    logging.getLogger("procactors").setLevel(logging.CRITICAL)  # crashes are made here on purpose
    place = PLACES[chosen.place] if chosen.place else FREE
    place.begin()
    room = import_module(f"benchmarks.{chosen.subject}")
    findings = room.measure(replace(QUICK if chosen.quick else FULL, place=place))
    findings.place = place.name if chosen.place else ""
    chosen.path.write_text(json.dumps(findings.as_json()), encoding="utf-8")


if __name__ == "__main__":
    main()
