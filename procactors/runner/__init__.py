"""Inside an actor's process: from its set-up to its last message.

Here: set-up before user code, the loop that takes one message at a time, a pool's batches, the
table of an actor's methods, recycling, the tail of its log.
Not here: the context and the hooks that a user sees, and the entry point (`api`).
"""
