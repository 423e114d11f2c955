"""A running system as another process of the same user sees it.

In: what reads the files of a runtime directory, and asks its processes without sending a message.
Not in: how it is shown (cli).
"""
