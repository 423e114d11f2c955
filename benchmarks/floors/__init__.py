"""The floors: what bare primitives reach with the same message and the same handler.

Measures: a request and its reply, one-way messages, a process's start, payloads, items given to
workers; each module says what it has.
How: every floor serves the classes of `benchmarks.actors` from a child process that is forked
before any thread runs. Nothing is checked, framed or supervised: no runtime can leave more out.
Never: touches the runtime, leaves a process behind.
"""

from __future__ import annotations

from benchmarks.floors.child import child
from benchmarks.floors.items import batched_items, counted_items, forked_work, single_items
from benchmarks.floors.payloads import kept_segment, memory_copies, piped_payload
from benchmarks.floors.pipes import (
    blocking,
    pipe_calls,
    pipe_one_way,
    pipe_senders,
    pipelined_pipe_calls,
    rested,
    spinning,
)
from benchmarks.floors.queues import (
    queue_calls_fresh_pipe,
    queue_calls_reused_pipe,
    queue_child,
    queue_one_way,
)
from benchmarks.floors.starts import fork_crowds, fork_starts, idle_child

__all__ = [
    "batched_items",
    "blocking",
    "child",
    "counted_items",
    "fork_crowds",
    "fork_starts",
    "forked_work",
    "idle_child",
    "kept_segment",
    "memory_copies",
    "pipe_calls",
    "pipe_one_way",
    "pipe_senders",
    "piped_payload",
    "pipelined_pipe_calls",
    "queue_calls_fresh_pipe",
    "queue_calls_reused_pipe",
    "queue_child",
    "queue_one_way",
    "rested",
    "single_items",
    "spinning",
]
