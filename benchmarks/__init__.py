"""The measurements of procactors: one room a subject, run by ``python -m benchmarks``.

Measures: calls, messages, starts, restarts, payloads, memory and a whole job, each beside bare
primitives.
How: ours and its floors take turns, round by round, so that a machine that drifts drifts for all of
them.
Never: asserts. A figure that misses its target is printed as missed, and the run goes on.
"""
