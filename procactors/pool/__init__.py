"""Many actors as one: pools, their work, and which worker gets what.

Here: the pool and its workers, dispatch and the policy of batches, one map with its chunks,
calls, sizing, scaling, routing, the monitor of stragglers.
Not here: what a worker does with a batch (`runner.batches`), and the executor on top
(`executors`).
"""
