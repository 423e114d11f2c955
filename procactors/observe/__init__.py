"""Seeing what happens: events as values, who hears of them, and how far a job is on a screen.

Layer: observe. Runs in: parent and actor.
Owns: nothing.
Never: knows an actor, a process or a mailbox: whoever does publishes here.
"""

__all__: list[str] = []
