"""How an answer finds its caller: ports, senders, the reader of submitted calls.

Here: the reply port on which a caller waits, the sender that never blocks, the thread that reads
the answers to submits, exceptions on their way back, and cycles of askers.
Not here: the future that a user holds (`runtime.reply`).
"""
