"""Values that cross every boundary: what a user says, what happened, commands to the supervisor.

Here: options, trees and specs, messages, events, the commands to the supervisor, and the checks of
arguments by which bad values are refused where they are made.
Not here: exit reasons and crash reports (`procactors.crash`), and anything that opens a file,
process, pipe or thread.
"""
