"""What crosses a process boundary, as bytes: records, mailboxes, replies, payloads, definitions.

Here: the record and its envelope, the endpoint (a process's end of all its messaging), the store
of large payloads, the runtime directory; in `mailbox`, `replies`, `pickling` and `shm` what they
are made of.
Not here: which actor lives, dies or is restarted; what a handler does. This package knows ids, not
actors.
"""
