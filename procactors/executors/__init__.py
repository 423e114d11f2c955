"""What runs behind an executor: its pool, and maps that may never be read.

Layer: api. Runs in: the process that made the executor.
Owns: nothing itself; each module names what it opens.
Never: knows how a pool shares its work.
"""
