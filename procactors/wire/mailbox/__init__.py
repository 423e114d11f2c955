"""An actor's mailbox: a named pipe of whole records that survives its readers and writers.

Here: the black box that the reader keeps its progress in, reader and writer, the tokens of a
bounded mailbox, closing for good, and the `multiprocessing.Queue` that stands on all of it.
Not here: what is in a record beyond its frame (`wire.record`, `wire.envelope`).
"""
