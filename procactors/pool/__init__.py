"""Many actors as one: pools, their work, and which worker gets which of it.

Layer: api. Runs in: the pool's process.
Owns: nothing itself; each module names what it opens.
Never: runs in a worker: what does is `process.batch`.
"""
