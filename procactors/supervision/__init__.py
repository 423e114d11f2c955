"""The supervisor: one thread in the parent that watches, restarts, stops and reports actors.

Here: the core that all parts share, the records of actors and supervisors, the one restart engine
(pure), starts and ends, stopping, trees, recovery of what the dead left, death watch, watchdog,
reports.
Not here: how a process is started or killed (`process`), and the refs that ask (`runtime`).
"""
