"""Serves an ASGI app inside a process that handles signals itself."""

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Literal

import uvicorn
from starlette.types import ASGIApp

KEEP_ALIVE_SECONDS = 75
"""Longer than agents pause between calls: a connection that is closed while a call is on its way fails the call."""


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals belong to the process, which cancels the servers when it is time."""
        yield


async def serve(
    app: ASGIApp, port: int, host: str = "0.0.0.0", grace: float = 5, lifespan: Literal["on", "off"] = "off"
) -> None:
    """Serve until cancelled; then calls in flight have `grace` seconds to end."""
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        lifespan=lifespan,
        log_config=None,
        access_log=False,
        server_header=False,
        ws="none",
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=max(1, int(grace)),
    )
    server = _Server(config)
    serving = asyncio.create_task(server.serve())
    try:
        await asyncio.shield(serving)
    except asyncio.CancelledError:
        server.should_exit = True
        await serving
        raise
