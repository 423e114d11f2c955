"""Systems whose actors all run in this process: deterministic ones (inline), and one thread each.

Here: what stands in the place of pipes, files and processes: mailboxes and black boxes in lists,
the transport, the hosts of supervision, and the two engines that say who runs next, and how one
waits.
Not here: what an actor's life is made of (`api.local_life`), and what follows from its end
(`supervision`, the same as over processes).
"""
