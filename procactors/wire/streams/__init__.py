"""Streams between two processes: channels, and the ends that write to and read from them.

Here: the channel (two pipes, and the sweep of what the dead left), items as bytes, the end that
writes, the end that reads, and what sends an item that waits for others.
Not here: who makes the items (`runner.streams`, `runtime.feed`), what a user holds
(`runtime.stream`).
"""
