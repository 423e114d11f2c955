"""A stuck handler: it is named, its stacks are shown, it is killed, and its actor comes back.

`handle_timeout` is how long one message may take. It holds for code in C as well, which no
exception can reach: here a pattern that backtracks for ever, with Python's own lock held. Its
caller gets an error within a moment; what waits in the mailbox is for the next incarnation.

Run it: procactors examples hang

Expected on stderr, where the runtime reports the death, with the stacks of all threads:

    actor finder-1 (incarnation 1, pid ...) was killed as hung (handle_timeout=1.0 s is over) ...
    ...in find...

Expected output:

    cause: hang, in handler Finder.find
    stuck in a line of find: True
    the next one: 2 matches, by incarnation 2
"""

import re

from procactors import Actor, ActorSystem
from procactors.errors import ActorDied


class Finder(Actor):
    def find(self, pattern: str, text: str) -> tuple[int, int]:
        return len(re.findall(pattern, text)), self.context.incarnation


with ActorSystem() as system:
    finder = system.options(handle_timeout=1.0).spawn(Finder)
    stuck = finder.submit(Finder.find, r"(a+)+$", "a" * 64 + "b")
    behind = finder.submit(Finder.find, r"a+", "aa b aaa")
    try:
        stuck.result()
    except ActorDied as death:
        report = death.report
        assert report is not None
        print(f"cause: {report.reason.kind.value}, in handler {report.handler}")
        print("stuck in a line of find:", "in find" in report.native_stack)
    matches, incarnation = behind.result()
    print(f"the next one: {matches} matches, by incarnation {incarnation}")
