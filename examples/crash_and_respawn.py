"""A crash and what comes after: what the caller gets, what is kept, what is lost.

An exception in a handler is the caller's, and the actor lives on. A process that dies is
replaced: the new incarnation starts from the constructor's arguments, under the same ref, with
the same mailbox. Only the message in hand is lost, and its caller gets an error that says why.

Run it: procactors examples crash_and_respawn

Expected on stderr, where the runtime reports each death:

    actor account-1 (incarnation 1, pid ...) ended by signal SIGKILL...
    actor account-1 (incarnation 2, pid ...) ended by signal SIGKILL...

Expected output:

    raised here: ZeroDivisionError
    still incarnation 1 with 3 deposits
    lost with the process: actor account-1 (incarnation 1, ...) ... Account.crash...
    kept in the mailbox: 1 deposits
    incarnation 2 in another process: True
    killed from outside, and back: incarnation 3 with 0 deposits
"""

import os
import signal

from procactors import Actor, ActorSystem
from procactors.errors import ActorDied


class Account(Actor):
    def __init__(self) -> None:
        self.deposits = 0

    def deposit(self) -> int:
        self.deposits += 1
        return self.deposits

    def divide(self, by: int) -> float:
        return self.deposits / by

    def crash(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def process_id(self) -> int:
        return os.getpid()

    def look(self) -> tuple[int, int]:
        return self.context.incarnation, self.deposits


with ActorSystem() as system:
    account = system.spawn(Account)
    for _ in range(3):
        account.tell(Account.deposit)

    try:
        account.ask(Account.divide, 0)
    except ZeroDivisionError as error:
        print("raised here:", type(error).__name__)
    incarnation, deposits = account.ask(Account.look)
    print(f"still incarnation {incarnation} with {deposits} deposits")

    first_pid = account.ask(Account.process_id)
    in_hand = account.submit(Account.crash)
    behind = account.submit(Account.deposit)
    try:
        in_hand.result()
    except ActorDied as death:
        print("lost with the process:", death)
    print("kept in the mailbox:", behind.result(), "deposits")
    second_pid = account.ask(Account.process_id)
    print("incarnation 2 in another process:", second_pid != first_pid)

    os.kill(second_pid, signal.SIGKILL)
    incarnation, deposits = account.ask(Account.look)
    print(f"killed from outside, and back: incarnation {incarnation} with {deposits} deposits")
