"""Tests of a program with actors, to be copied: what they answer, when, in any order, after a kill.

Needs pytest, which finds the fixtures by itself where procactors is installed. The file at hand:
`pytest test_shop.py`, or `pytest --procactors-backend inline test_shop.py`.

Run it: procactors examples test_shop

Expected output:
    ...
    6 passed in ...
"""

import sys
from pathlib import Path
from typing import Any

import pytest

from procactors import Actor, ActorRef, ActorSystem, Delivery
from procactors.testing import Faults, Probe, explore, record, replay

# The program; as a rule in modules of its own. -------------------------------------------------


class Stock(Actor):
    """Keeps what is reserved for 15 minutes."""

    def __init__(self, pieces: int) -> None:
        self.pieces = pieces

    def reserve(self) -> bool:
        if self.pieces == 0:
            return False
        self.pieces -= 1
        self.context.after(900, Stock.release)
        return True

    def release(self) -> None:
        self.pieces += 1

    def count(self) -> int:
        return self.pieces


class Shop(Actor):
    def __init__(self, stock: ActorRef[Stock], mailer: ActorRef[Any]) -> None:
        self.stock = stock
        self.mailer = mailer

    def order(self, customer: str) -> bool:
        has_it = self.stock.ask(Stock.reserve)
        self.mailer.tell((customer, "reserved" if has_it else "sold out"))
        return has_it


# Its tests. ------------------------------------------------------------------------------------


def test_each_customer_gets_a_mail(actor_system: ActorSystem, probe: Probe) -> None:
    """On the backend that the option --procactors-backend says; a probe stands for the mailer."""
    shop = actor_system.spawn(Shop, actor_system.spawn(Stock, 1), probe.ref)
    assert shop.ask(Shop.order, "Ada")
    assert not shop.ask(Shop.order, "Bo")
    probe.expect(("Ada", "reserved"))
    probe.expect(tuple, where=lambda mail: mail[1] == "sold out")
    probe.expect_nothing()


def test_what_is_reserved_is_free_again_in_time(inline_system: Any) -> None:
    """A quarter of an hour takes no time: the system has a clock of its own."""
    stock = inline_system.spawn(Stock, 1)
    assert stock.ask(Stock.reserve)
    inline_system.clock.advance(899)
    assert stock.ask(Stock.count) == 0
    inline_system.clock.advance(1)
    assert stock.ask(Stock.count) == 1


def test_the_last_piece_is_sold_once_in_whatever_order() -> None:
    def program(system: Any) -> None:
        stock, mailer = system.spawn(Stock, 1), system.inbox()
        shops = [system.spawn(Shop, stock, mailer.ref) for _ in range(3)]
        orders = [shop.submit(Shop.order, "Ada") for shop in shops]
        assert sum(order.result() for order in orders) == 1

    assert explore(program, seeds=50) == 50


def test_an_order_is_answered_though_the_stock_dies_with_it(
    actor_system: ActorSystem, probe: Probe
) -> None:
    """With processes it is a real SIGKILL, at the worst moment: done, and nobody knows."""
    stock = actor_system.options(delivery=Delivery.AT_LEAST_ONCE).spawn(Stock, 5)
    shop = actor_system.spawn(Shop, stock, probe.ref)
    with Faults(actor_system) as faults:
        faults.kill_on(stock, method=Stock.reserve, when="handled")
        assert shop.ask(Shop.order, "Ada")
        assert [done.what for done in faults.done] == ["kill"]
    assert stock.status().incarnation == 2


@pytest.mark.no_leaks
def test_nothing_is_left_of_a_shop(actor_system: ActorSystem, probe: Probe) -> None:
    shop = actor_system.spawn(Shop, actor_system.spawn(Stock, 1), probe.ref)
    shop.ask(Shop.order, "Ada")


def test_a_run_can_be_played_again(actor_system: ActorSystem, probe: Probe, tmp_path: Path) -> None:
    """Kept in a file, such a run is a test of the next version, too."""
    with record(actor_system, tmp_path / "shop.run"):
        shop = actor_system.spawn(Shop, actor_system.spawn(Stock, 1), probe.ref)
        shop.ask(Shop.order, "Ada")
    assert replay(tmp_path / "shop.run").messages == 2


if __name__ == "__main__":
    sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", *sys.argv[1:], __file__]))
