"""What another process of the same user sees of a running system, and what it can order there.

Here: finding systems, who is in one and what each actor does, orders to its supervisor from a
    process that is none of the system's, what happens while one looks on.
Not here: what of it is shown in a terminal, or on a page (`cli`).
"""
