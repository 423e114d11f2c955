"""What tests of programs with actors need: all orders of a run, waiting, probes.

Layer: testing. Runs in: parent.
Owns: nothing.
Never: is imported by a program that tests nothing.
"""

from procactors.testing.explorer import Counterexample, explore
from procactors.testing.probes import Probe, probe
from procactors.testing.waiting import eventually

__all__ = ["Counterexample", "Probe", "eventually", "explore", "probe"]
