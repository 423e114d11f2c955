"""A FastAPI application: actors made in its lifespan, an endpoint that awaits them.

`uvicorn fastapi_app:app` serves it; here a client in the same process takes the server's place. The
system starts and stops with the application, without blocking its loop. A model that crashes costs
one request: the next one is answered by its next life.

Run it: procactors examples fastapi_app   (needs FastAPI: pip install fastapi httpx)

Expected on stderr, where the runtime reports the death:

    actor model (incarnation 1, pid ...) ended by signal SIGKILL...

Expected output:

    /predict/3 -> 200 {'result': 9.0}
    /predict/-1 -> 503 {'detail': 'the model died; try again'}
    /predict/4 -> 200 {'result': 16.0}
"""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator

from procactors import Actor, AsyncActorSystem
from procactors.errors import ActorDied

try:
    from fastapi import FastAPI, HTTPException
    from httpx import ASGITransport, AsyncClient
except ImportError:
    sys.exit("this example needs FastAPI: pip install fastapi httpx")


class Model(Actor):
    def predict(self, x: float) -> float:
        if x < 0:
            os.kill(os.getpid(), signal.SIGKILL)  # as a library in C might
        return x * x


@contextlib.asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with AsyncActorSystem(ask_timeout=30.0) as system:
        app.state.model = await system.options(name="model").spawn(Model)
        yield


app = FastAPI(lifespan=lifespan)


@app.get("/predict/{x}")
async def predict(x: float) -> dict[str, float]:
    try:
        return {"result": await app.state.model.ask(Model.predict, x)}
    except ActorDied as error:
        raise HTTPException(503, "the model died; try again") from error


async def serve(*paths: str) -> None:
    client = AsyncClient(transport=ASGITransport(app), base_url="http://application")
    async with app.router.lifespan_context(app), client:
        for path in paths:
            answer = await client.get(path)
            print(path, "->", answer.status_code, answer.json())


if __name__ == "__main__":
    asyncio.run(serve("/predict/3", "/predict/-1", "/predict/4"))
