"""A cluster's address, before Ray is asked to connect to it."""

from __future__ import annotations

import socket

import pytest

from procactors.cluster.ground import check_address
from procactors.errors import SpawnError


def test_an_address_at_which_nothing_listens_is_refused_at_once(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        check_address(address)
    with pytest.raises(SpawnError, match=f"no cluster at '{address}'.*refused"):
        check_address(address)
    monkeypatch.setenv("RAY_ADDRESS", address)
    with pytest.raises(SpawnError, match="refused"):
        check_address(None)


@pytest.mark.parametrize("address", ["auto", "local", "ray://head:10001", "head", None])
def test_what_is_no_address_of_a_socket_is_left_to_ray(monkeypatch, address):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    check_address(address)
