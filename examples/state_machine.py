"""A state machine: an actor that takes the same messages in another way in each state.

A turnstile is locked until a coin comes: `become` says who takes the messages from then on, and
`unbecome` goes back. While it is out of order it puts what comes aside, with the callers, and takes
it up again when it is repaired.

Run it: procactors examples state_machine

Expected output:

    push -> locked: put a coin in
    coin -> thank you
    push -> go through
    push -> locked: put a coin in
    break -> out of order
    repair -> 2 waited
    they got: thank you, go through
"""

from typing import Any

from procactors import Actor, ActorSystem


class Turnstile(Actor):
    def receive(self, message: str) -> Any:
        if message == "coin":
            self.context.become(self.unlocked)
            return "thank you"
        return self.broken_or(message, "locked: put a coin in")

    def unlocked(self, message: str) -> Any:
        if message == "push":
            self.context.unbecome()
            return "go through"
        return self.broken_or(message, "it is open")

    def out_of_order(self, message: str) -> Any:
        if message == "repair":
            self.context.unbecome()
            return f"{self.context.unstash_all()} waited"
        return self.context.stash()

    def broken_or(self, message: str, answer: str) -> str:
        if message == "break":
            self.context.become(self.out_of_order)
            return "out of order"
        return answer


with ActorSystem() as system:
    turnstile = system.spawn(Turnstile)
    for message in ["push", "coin", "push", "push", "break"]:
        print(message, "->", turnstile.ask(message))
    waiting = [turnstile.submit("coin"), turnstile.submit("push")]
    print("repair ->", turnstile.ask("repair"))
    print("they got:", ", ".join(reply.result() for reply in waiting))
