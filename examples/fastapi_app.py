"""A FastAPI application: actors made in its lifespan, an endpoint that awaits them.

`uvicorn fastapi_app:app` serves it; here a client takes the server's place.

Run it: procactors examples fastapi_app   (needs FastAPI: pip install fastapi httpx)

Expected on stderr, where the runtime reports the death:
    actor model (incarnation 1, pid ...) exited with code 3...

Expected output:
    /predict/3 -> 200 {'result': 9.0}
    /predict/-1 -> 503 {'detail': 'the model died; try again'}
    /predict/4 -> 200 {'result': 16.0}
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator

from fastapi import FastAPI, HTTPException
from httpx import ASGITransport, AsyncClient

from procactors import Actor, AsyncActorSystem
from procactors.errors import ActorDied


class Model(Actor):
    def predict(self, x: float) -> float:
        return x * x if x >= 0 else os._exit(3)  # as a library in C might


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
