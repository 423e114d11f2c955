"""What tests of programs with actors need: all orders of a run, waiting, probes, faults, records.

Layer: testing. Runs in: parent.
Owns: nothing.
Never: is imported by a program that tests nothing; loads more than a test uses.
"""

from importlib import import_module as _import_module
from typing import TYPE_CHECKING as _TYPE_CHECKING, Any as _Any

if _TYPE_CHECKING:
    from procactors.testing import leaks
    from procactors.testing.difference import Difference
    from procactors.testing.explorer import Counterexample, explore
    from procactors.testing.faults import Done, Faults
    from procactors.testing.probes import Probe, probe
    from procactors.testing.recording import Recording, record
    from procactors.testing.replayed_values import NotReplayable
    from procactors.testing.replaying import Replayed, replay
    from procactors.testing.waiting import eventually

__all__ = [
    "Counterexample",
    "Difference",
    "Done",
    "Faults",
    "NotReplayable",
    "Probe",
    "Recording",
    "Replayed",
    "eventually",
    "explore",
    "leaks",
    "probe",
    "record",
    "replay",
]

# Imported where they are first asked for: the pytest plugin is loaded in every run of pytest.
_LATE = {
    "Counterexample": "explorer",
    "Difference": "difference",
    "Done": "faults",
    "Faults": "faults",
    "NotReplayable": "replayed_values",
    "Probe": "probes",
    "Recording": "recording",
    "Replayed": "replaying",
    "eventually": "waiting",
    "explore": "explorer",
    "probe": "probes",
    "record": "recording",
    "replay": "replaying",
}


def __getattr__(name: str) -> _Any:
    if name == "leaks":
        return _import_module("procactors.testing.leaks")
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(_import_module(f"{__name__}.{_LATE[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
