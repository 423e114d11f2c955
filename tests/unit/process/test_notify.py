"""What a service manager receives: datagrams in systemd's form, and never an error."""

from __future__ import annotations

import logging
import os
import secrets
import socket
from contextlib import closing

import pytest

from procactors.process.notify import notifier


@pytest.fixture(params=["path", "abstract"])
def manager(request, tmp_path, monkeypatch):
    """A socket that listens as systemd does, its name in the environment."""
    address = str(tmp_path / "notify")
    if request.param == "abstract":
        address = f"@procactors-test-{secrets.token_hex(8)}"
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as listener:
        listener.bind("\0" + address[1:] if address[0] == "@" else address)
        listener.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", address)
        yield listener


def told(listener):
    messages = []
    while True:
        try:
            messages.append(listener.recv(4096).decode())
        except BlockingIOError:
            return messages


def test_ready_stopping_and_status_are_told_in_order(manager):
    with notifier() as tell:
        tell.ready()
        tell.status("half way")
        tell.stopping("stopped by SIGTERM")
    assert told(manager) == [
        "READY=1\nSTATUS=running",
        "STATUS=half way",
        "STOPPING=1\nSTATUS=stopping: stopped by SIGTERM",
    ]


def test_stopping_is_told_once(manager):
    with notifier() as tell:
        tell.stopping("first")
        tell.stopping("second")
    assert told(manager) == ["STOPPING=1\nSTATUS=stopping: first"]


def test_a_text_of_several_lines_says_nothing_else(manager):
    with notifier() as tell:
        tell.status("an error\nREADY=1\n")
    assert told(manager) == ["STATUS=an error READY=1"]


def test_the_variable_is_not_there_inside_and_is_again_behind(manager):
    address = os.environ["NOTIFY_SOCKET"]
    with notifier():
        assert "NOTIFY_SOCKET" not in os.environ
    assert os.environ["NOTIFY_SOCKET"] == address


def test_without_a_manager_nothing_is_told_and_nothing_set(monkeypatch):
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    with notifier() as tell:
        tell.ready()
        tell.stopping("end")
    assert "NOTIFY_SOCKET" not in os.environ


@pytest.mark.parametrize("address", ["/nowhere/at/all", "@" + "x" * 200, "vsock:2:1234"])
def test_a_manager_that_is_not_there_is_a_debug_line(address, monkeypatch, caplog):
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    with caplog.at_level(logging.DEBUG, "procactors"), notifier() as tell:
        tell.ready()
    (record,) = caplog.records
    assert record.levelno == logging.DEBUG
    assert record.getMessage().startswith(f"could not tell {address} ")
