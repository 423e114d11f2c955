"""How a process starts, lives and ends.

Layer: process. Runs in: parent, zygote and actor; each module says where.
Owns: nothing itself; each module names what it opens.
Never: decides whether something is restarted: that is supervision.
"""
