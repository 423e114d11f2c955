"""A FastAPI application as users write it, for a server in a process of its own.

Its environment names a folder, WEB_SERVICE: of a gate, and of a file in which it notes at its end
how many requests it has taken, and how many it has answered.
"""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from fastapi import FastAPI, HTTPException

from procactors import AsyncActorSystem
from procactors.errors import ActorDied, ActorStopped
from tests.support.clocks import note
from tests.support.web_model import Model

FOLDER = Path(os.environ["WEB_SERVICE"])
counts: Counter[str] = Counter()


@contextlib.asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with AsyncActorSystem(stop_timeout=10.0) as system:
        options = system.options(name="model", max_restarts=1000, within=60.0)
        app.state.model = await options.spawn(Model, FOLDER / "begun")
        yield
    note(FOLDER / "counts", f"{counts['taken']} {counts['answered']}")


app = FastAPI(lifespan=lifespan)


async def ask(method: Any, *args: Any) -> Any:
    counts["taken"] += 1
    try:
        return await app.state.model.ask(method, *args)
    except ActorDied as error:
        raise HTTPException(503, f"the model died: {error.report.handler}") from error
    except ActorStopped as error:
        raise HTTPException(503, "the service ends") from error
    finally:
        counts["answered"] += 1


@app.get("/square/{x}")
async def square(x: float) -> float:
    return await ask(Model.square, x)


@app.get("/hold")
async def hold() -> float:
    return await ask(Model.hold, FOLDER / "gate")


@app.get("/die")
async def die() -> None:
    return await ask(Model.die)


@app.get("/status")
async def status() -> list[Any]:
    found = await app.state.model.status()
    return [os.getpid(), found.pid, found.incarnation]
