"""Dynamic children: copies of one spec, started when they are needed.

The supervisor has one spec and no child to begin with. Each `start_child` starts a copy, with
further arguments for its constructor; a copy that dies comes back with the same ones.

Run it: procactors examples dynamic_children

Expected on stderr, where the runtime reports each death:

    actor session-... (incarnation 1, pid ...) ended by signal SIGKILL...

Expected output:

    ann, bob, cid
    after the kill: bob
    after bob has left: ann, cid
"""

import os
import signal

from procactors import Actor, ActorRef, ActorSystem, ChildSpec, Restart, Strategy, Supervisor


class Session(Actor):
    def __init__(self, user: str) -> None:
        self.user = user

    def who(self) -> str:
        return self.user

    def process_id(self) -> int:
        return os.getpid()


def users(sessions: list[ActorRef[Session]]) -> str:
    return ", ".join(session.ask(Session.who) for session in sessions)


with ActorSystem() as system:
    # No user yet: each copy brings its own.
    template = ChildSpec(Session).options(name="session", restart=Restart.TRANSIENT)
    tree = system.supervise(Supervisor(template, strategy=Strategy.DYNAMIC))
    sessions = [tree.start_child(user) for user in ("ann", "bob", "cid")]
    print(users(sessions))

    os.kill(sessions[1].ask(Session.process_id), signal.SIGKILL)
    print("after the kill:", users([sessions[1]]))

    tree.terminate_child(sessions[1])
    print("after bob has left:", users([child.ref for child in tree.children()]))
