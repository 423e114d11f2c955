"""A batch job: a function called for each item of an input, with results that survive any kill.

Here: reading items, the journal, the worker's function, results and errors in their files, the
console.
Not here: the pool that does the work, and the command line's options (`cli.map`).
"""
