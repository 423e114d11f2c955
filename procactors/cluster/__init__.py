"""Actors on a Ray cluster: each life is one Ray actor, supervised from the program.

Layer: cluster. Runs in: the program, and the processes that Ray starts for actors.
Owns: nothing.
Never: is imported before a system with `backend="ray"` is made: Ray is an extra.

The mailboxes are the program's, as are the decisions (`procactors.supervision`); what a handler
does runs in a process of Ray's, to which one message at a time is handed by one Ray call.
"""
