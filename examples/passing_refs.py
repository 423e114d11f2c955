"""Actors that pass refs to each other, and so find each other.

A ref is a value. It may be given to a constructor, sent in a message and returned in a reply,
and it stays good when the actor behind it is respawned.

Run it: procactors examples passing_refs

Expected output:

    ada says: hello bob, this is ada
    bob says: hello ada, this is bob
    ada was greeted by ['bob'], bob by ['ada']
"""

from __future__ import annotations

from procactors import Actor, ActorRef, ActorSystem


class PhoneBook(Actor):
    def __init__(self) -> None:
        self.entries: dict[str, ActorRef[Person]] = {}

    def enter(self, name: str, person: ActorRef[Person]) -> None:
        self.entries[name] = person

    def look_up(self, name: str) -> ActorRef[Person]:
        return self.entries[name]


class Person(Actor):
    def __init__(self, name: str, book: ActorRef[PhoneBook]) -> None:
        self.name = name
        self.book = book
        self.greeted_by: list[str] = []

    def on_start(self) -> None:
        # An actor knows itself as `self.context.ref`, and may give that to any other.
        self.book.tell(PhoneBook.enter, self.name, self.context.ref)

    def greet(self, name: str) -> str:
        friend = self.book.ask(PhoneBook.look_up, name)
        return friend.ask(Person.hear, self.name)

    def hear(self, caller: str) -> str:
        self.greeted_by.append(caller)
        return f"hello {self.name}, this is {caller}"

    def callers(self) -> list[str]:
        return self.greeted_by


with ActorSystem() as system:
    book = system.spawn(PhoneBook)
    ada = system.spawn(Person, "ada", book)
    bob = system.spawn(Person, "bob", book)

    print("ada says:", ada.ask(Person.greet, "bob"))
    print("bob says:", bob.ask(Person.greet, "ada"))
    print(f"ada was greeted by {ada.ask(Person.callers)}, bob by {bob.ask(Person.callers)}")
