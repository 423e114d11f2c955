"""Seeing what happens: the hub of events, its listeners, and how far a job is, on a screen.

Here: events and subscriptions, the views of progress (bars, plain lines), and the throttle.
Not here: the events as values (`model.events`).
"""
