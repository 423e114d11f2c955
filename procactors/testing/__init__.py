"""What tests of programs with actors need: all orders of a run, waiting, probes.

Here: `explore`, `eventually`, `probe`.
Not here: what runs the actors (`local`, `process`).
"""

from procactors.testing.explorer import Counterexample, explore
from procactors.testing.probes import Probe, probe
from procactors.testing.waiting import eventually

__all__ = ["Counterexample", "Probe", "eventually", "explore", "probe"]
