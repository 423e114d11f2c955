"""A batch job: a function called for each item of an input, with results that survive any kill.

Layer: batch. Runs in: parent; `worker` in the workers.
Owns: nothing itself; each module names what it opens.
Never: knows of arguments: those are the command line's.
"""
