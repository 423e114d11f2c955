"""Streams between two processes: channels, and the ends that write to and read from them.

Layer: wire. Runs in: parent and actor.
What is in it: `channel` (names, pipes, and the sweep of what the dead left), `items` (items as
bytes), `writer`, `reader`, `flusher`. What is not: who makes the items (`runner.streams`,
`runtime.feed`) and what a user holds (`runtime.stream`).
"""
