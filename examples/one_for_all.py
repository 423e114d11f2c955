"""One for all: children that cannot do without each other are restarted together.

The reader and the writer of a protocol share a state: when one of them starts afresh, the other
must too. The survivor is stopped behind its message in hand, its mailbox is kept, and both are
started again in order.

Run it: procactors examples one_for_all

Expected on stderr, where the runtime reports each death:

    actor reader (incarnation 1, pid ...) ended by signal SIGKILL...

Expected output:

    before: reader 1, writer 1
    after: reader 2, writer 2
"""

import os
import signal

from procactors import Actor, ActorRef, ActorSystem, Strategy, Supervisor, spec


class Side(Actor):
    def process_id(self) -> int:
        return os.getpid()

    def incarnation(self) -> int:
        return self.context.incarnation


with ActorSystem() as system:
    system.supervise(
        Supervisor(
            spec(Side).options(name="reader"),
            spec(Side).options(name="writer"),
            strategy=Strategy.ONE_FOR_ALL,
        )
    )
    reader: ActorRef[Side] = system["reader"]
    writer: ActorRef[Side] = system["writer"]
    lives = reader.ask(Side.incarnation), writer.ask(Side.incarnation)
    print("before: reader {}, writer {}".format(*lives))

    os.kill(reader.ask(Side.process_id), signal.SIGKILL)
    # The reader answers in its new life, and the writer was stopped before that one began.
    lives = reader.ask(Side.incarnation), writer.ask(Side.incarnation)
    print("after: reader {}, writer {}".format(*lives))
