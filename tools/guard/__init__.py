"""The guard: what a message, a start and an import cost, in counts that need no clock.

`python -m tools.guard` counts and compares with the baseline of this Python; `--record` writes that
anew. Counted are calls of Python and of C functions, system calls, allocated bytes, page faults and
imported modules: all that grows when something is made slower, and that a busy machine leaves as it
is. What does depend on timing is driven so that it does not (see `calls`, `messages`, `starts`).
"""
