"""Publish and subscribe: a topic tells each subscriber, who need not know who publishes.

What is published goes to those that subscribe at that moment, by a call of the method that each
has named. A restart keeps a subscription; an end removes it.

Run it: procactors examples publish_subscribe

Expected on stderr, where the runtime reports the death:

    actor ada (incarnation 1, pid ...) ended by signal SIGKILL...

Expected output:

    told: 1
    told: 2
    told: 2
    ada heard since: ['rain again']
    told: 1
    bob heard: ['sun', 'rain', 'rain again', 'snow']
"""

import os
from contextlib import suppress
from signal import SIGKILL

from procactors import Actor, ActorSystem
from procactors.errors import ActorDied


class Reader(Actor):
    def __init__(self) -> None:
        self.heard: list[str] = []

    def read(self, news: str = "") -> list[str]:
        self.heard += [news] if news else []
        return self.heard

    def crash(self) -> None:
        os.kill(os.getpid(), SIGKILL)


class Station(Actor):
    def report(self, news: str) -> int:
        return self.context.system.topic("weather").publish(news)


with ActorSystem() as system:
    weather, station = system.topic("weather"), system.spawn(Station)
    ada, bob = (system.options(name=name).spawn(Reader) for name in ("ada", "bob"))
    weather.subscribe(bob, Reader.read)
    print("told:", weather.publish("sun"))
    weather.subscribe(ada, Reader.read)
    print("told:", station.ask(Station.report, "rain"))
    with suppress(ActorDied):
        ada.ask(Reader.crash)
    print("told:", station.ask(Station.report, "rain again"))
    print("ada heard since:", ada.ask(Reader.read))
    ada.stop()
    print("told:", weather.publish("snow"))
    print("bob heard:", bob.ask(Reader.read))
