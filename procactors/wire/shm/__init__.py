"""Shared memory: segments for large payloads, and values that many processes read in place.

Here: the files in /dev/shm, their names, headers and locks, and when each is removed.
Not here: the table of a batch's results (`wire.result_table`), which stands on replies too.
"""
