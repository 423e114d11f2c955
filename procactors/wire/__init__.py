"""What crosses the process boundary: mailboxes, replies, payloads and their encoding.

Layer: wire. Runs in: parent and actor.
Owns: nothing itself; each module names what it opens.
Never: knows of supervision or of user classes.
"""
