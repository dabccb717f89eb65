"""Serves an ASGI app inside a process that handles signals itself, and ends connections that only hold a place."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Literal

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

KEEP_ALIVE_SECONDS = 75
"""Longer than agents pause between calls: a connection that is closed while a call is on its way fails the call."""
HEAD_SECONDS = 15.0
"""How long the line and headers of a request may take, from the connection or from their first byte on."""
TICK_SECONDS = 1.0
"""How often the Date header changes."""
TELL_SECONDS = 0.1
"""How often connections are told that the server stops."""
SEND_SECONDS = 60.0
"""How long a caller may take nothing of an answer that waits for it."""


class Connection(H11Protocol):
    """uvicorn's connection, with what it lacks: it waits for ever for a request to begin, for the rest of its headers,
    for a body that nobody reads, and for a caller that does not take its answer; and it reads ahead of the app.
    """

    _ending: asyncio.TimerHandle | None = None
    _stuck: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A request is due."""
        super().connection_made(transport)
        self._end_after_a_while()

    def data_received(self, data: bytes) -> None:
        """Between two requests whatever comes has to become a request in time; a body is read when the app asks."""
        super().data_received(data)
        if self.cycle is None or self.cycle.response_complete:
            self._end_after_a_while()
            return
        self._go_on()
        if self.cycle.more_body and self.cycle.body:
            self.flow.pause_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is due any more."""
        self._go_on()
        self.resume_writing()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """The caller has to take something."""
        super().pause_writing()
        if self._stuck is None:
            self._stuck = self.loop.call_later(SEND_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """It has."""
        super().resume_writing()
        if self._stuck is not None:
            self._stuck.cancel()
            self._stuck = None

    def _end_after_a_while(self) -> None:
        if self._ending is None:
            self._ending = self.loop.call_later(HEAD_SECONDS, self.transport.abort)

    def _go_on(self) -> None:
        if self._ending is not None:
            self._ending.cancel()
            self._ending = None


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Take no more connections, and return from `serve` when the calls have ended."""
        self.should_exit = True
        self._stopping.set()

    async def main_loop(self) -> None:
        """As uvicorn's, which looks ten times a second whether it is to stop: this one is woken."""
        while not await self.on_tick(0):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), TICK_SECONDS)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals belong to the process, which cancels the servers when it is time."""
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn's, which tells the connections that it has: one that was accepted right then would hold up the
        stop, without a call, for all the time that calls have.
        """
        telling = asyncio.create_task(self._tell_connections())
        try:
            await super().shutdown(sockets)
        finally:
            telling.cancel()

    async def _tell_connections(self) -> None:
        while True:
            await asyncio.sleep(TELL_SECONDS)
            for connection in list(self.server_state.connections):
                if not connection.transport.is_closing():
                    connection.shutdown()


async def serve(
    app: ASGIApp, port: int, host: str = "0.0.0.0", grace: float = 5, lifespan: Literal["on", "off"] = "off"
) -> None:
    """Serve until cancelled; then calls in flight have `grace` seconds to end."""
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        http=Connection,
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
        server.stop()
        while not serving.done():  # to be cancelled again takes nobody's time from the calls
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.shield(serving)
        await serving
        raise
