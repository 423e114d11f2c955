"""Who watches, decides and reports.

Layer: supervision. Runs in: parent.
Owns: nothing itself; each module names what it opens.
Never: runs in an actor, but for the values that travel there.
"""
