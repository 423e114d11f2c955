"""Seeing what happens: the hub of events, who hears of them, and how far a job is on a screen.

Here: subscriptions, the progress bar, the status line, and the throttle before them.
Not here: the events as values (`model.events`).
"""
