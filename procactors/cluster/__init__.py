"""Actors on a Ray cluster: each life is one Ray actor, supervised from the program.

Layer: cluster. Runs in: the program, and the processes that Ray starts for actors.
Owns: nothing.
Never: is imported before a system with `backend="ray"` is made: Ray is an extra.

Here: the program's side (the connection, the transport, the hosts of actors, what is heard of their
processes), and the side of an actor's process (its mailbox, how it sends, how its life is run).
Not here: what an actor's life is made of (`api.ray_life`), mailboxes and loops (`local`), and what
follows from an end (`supervision`): these are the same as elsewhere. The mailboxes are the
program's; a process is handed one message at a time, by one Ray call.
"""
