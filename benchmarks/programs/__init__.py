"""Programs that `benchmarks.program` runs, each in a fresh interpreter.

Measures: what it takes from the first line of a program on.
How: each prints one line of JSON: wall-clock and processor time.
Never: imports anything before the clock runs but the clock.
"""
