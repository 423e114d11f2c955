"""What this machine gives to actors: versions, limits, memory, leftovers, and what a start costs.

Here: one module a subject, each of which returns findings.
Not here: how they are shown (`procactors.cli.doctor`).
"""
