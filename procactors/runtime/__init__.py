"""What the main program and actors share on top of the wire.

Here: the client that asks the supervisor, refs of actors and of supervisors, the reply as a
future, shared values, blueprints, watches, what an actor learns of others; refs and calls as an
event loop uses them (`async_*`, with what they are made of).
Not here: the system itself, and the context of an actor (`api`).
"""
