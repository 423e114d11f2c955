"""Values that cross every boundary: what a user says, what ended, what is asked of the supervisor.

Here: options, trees and specs, messages, exit reasons and crash reports, events, the commands to
the supervisor, and the checks of arguments by which bad values are refused where they are made.
Not here: anything that does something. No file, process, pipe or thread is opened below this
package.
"""
