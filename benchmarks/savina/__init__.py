"""The Savina actor benchmarks that make sense for processes: ``python -m benchmarks.savina``.

Measures: whole small programs of actors, each beside the same program by hand on `multiprocessing`.
How: one file a benchmark, readable as an example of good use; both sides in turns, in one run.
Never: counts a run with a wrong answer. README.md says which of Savina's thirty are not here.
"""
