"""Seeing what happens: events as values, the hub that passes them on, a job's progress on a screen.

Layer: observe. Runs in: parent and actor.
Owns: nothing.
Never: knows an actor, a process or a mailbox: the rooms that do publish here.
"""

__all__: list[str] = []
