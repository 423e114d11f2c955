"""Messages that no actor will handle: kept, shown to subscribers and, on request, sent again.

Here: the letter, the store that tells subscribers, the file, and the thread that writes it.
Not here: the decision that a message is dead (`supervision.recovery`), and running one again
(`api.replay`).
"""
