"""What a user holds: the system, an actor's base class and context, the inbox, a program.

Here: also the entry point of an actor's process, trees from TOML, the systems that an import must
not start, and the replay of a dead letter.
Not here: pools and executors, which stand beside it.
"""
