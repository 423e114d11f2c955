"""Deferred replies: an actor answers when it has what was asked for, and serves others meanwhile.

A matchmaker cannot answer before somebody else comes. `reply_later` keeps the caller's place: it is
answered by a later handler, by a thread, or by another actor, to which it is sent as a value. A
front desk forwards what others know better: they answer the caller themselves.

Run it: procactors examples deferred_reply

Expected output:

    ada meets bob
    bob meets ada
    eve: nobody came
    by the clerk: 42 is a fine number
"""

from procactors import Actor, ActorRef, ActorSystem, LaterReply


class Matchmaker(Actor):
    def __init__(self) -> None:
        self.waiting: dict[str, LaterReply] = {}

    def meet(self, name: str) -> str | None:
        if not self.waiting:
            self.waiting[name] = self.context.reply_later()
            return None  # is not sent
        other, reply = self.waiting.popitem()
        reply.send(f"{other} meets {name}")
        return f"{name} meets {other}"

    def close(self) -> None:
        for name, reply in self.waiting.items():
            reply.fail(LookupError(f"{name}: nobody came"))


class Clerk(Actor):
    def judge(self, number: int) -> str:
        return f"by the clerk: {number} is a fine number"


class Desk(Actor):
    def __init__(self, clerk: ActorRef[Clerk]) -> None:
        self.clerk = clerk

    def judge(self, number: int) -> None:
        self.context.forward(self.clerk)


with ActorSystem() as system:
    matchmaker = system.spawn(Matchmaker)
    ada = matchmaker.submit(Matchmaker.meet, "ada")
    bob = matchmaker.submit(Matchmaker.meet, "bob")
    print(ada.result(), bob.result(), sep="\n")
    eve = matchmaker.submit(Matchmaker.meet, "eve")
    matchmaker.tell(Matchmaker.close)
    print(eve.exception())
    desk = system.spawn(Desk, system.spawn(Clerk))
    print(desk.ask(Desk.judge, 42))
