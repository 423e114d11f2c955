"""The asyncio half of the system takes what the system takes."""

from __future__ import annotations

import inspect

from procactors import ActorSystem, AsyncActorSystem


def test_an_asyncio_system_is_made_with_the_same_arguments():
    ours, theirs = (inspect.signature(cls.__init__) for cls in (AsyncActorSystem, ActorSystem))
    assert ours == theirs
