"""Serves an ASGI app in a process that handles signals itself, and closes connections that only occupy a slot."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Iterator
from typing import Literal

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

KEEP_ALIVE_SECONDS = 75
"""Seconds; longer than agents pause between calls, since closing a connection just as a call arrives fails the call."""
HEAD_SECONDS = 15.0
"""Seconds for the request line and headers, counted from the connection or, on a reused one, from the first byte."""
TICK_SECONDS = 1.0
"""Seconds between updates of the Date header."""
TELL_SECONDS = 0.1
"""Seconds between shutdown notices to connections while the server stops."""
SEND_SECONDS = 60.0
"""Seconds for which a client may stop reading a response before its connection is aborted."""


class Connection(H11Protocol):
    """uvicorn's connection with the timeouts and backpressure that it lacks.

    uvicorn waits without a limit for a request to begin, for the rest of its headers, for the rest of a body that the
    app does not read, and for a client that does not read its response; and it reads bodies ahead of the app.
    """

    _ending: asyncio.TimerHandle | None = None
    _stuck: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the timeout for the first request."""
        super().connection_made(transport)
        self._end_after_a_while()

    def data_received(self, data: bytes) -> None:
        """Between requests, start the timeout for the next one; during a request, pause reading until the app reads."""
        super().data_received(data)
        if self.cycle is None or self.cycle.response_complete:
            self._end_after_a_while()
            return
        self._go_on()
        if self.cycle.more_body and self.cycle.body:
            self.flow.pause_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel all timeouts."""
        self._go_on()
        self.resume_writing()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Start the timeout for the client to read."""
        super().pause_writing()
        if self._stuck is None:
            self._stuck = self.loop.call_later(SEND_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """Cancel the timeout for the client to read."""
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
        """Accept no more connections; `serve` returns once the calls in flight have ended."""
        self.should_exit = True
        self._stopping.set()

    async def main_loop(self) -> None:
        """Like uvicorn's loop, but woken by `stop` instead of polling ten times a second."""
        while not await self.on_tick(0):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), TICK_SECONDS)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture no signals: the process handles them and cancels its servers."""
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Like uvicorn's, but repeats the shutdown notices. uvicorn notifies existing connections once, so one that is
        accepted at that moment would delay the stop, without any call, for the whole grace period.
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
    app: ASGIApp,
    port: int,
    host: str = "0.0.0.0",
    grace: float = 5,
    lifespan: Literal["on", "off"] = "off",
    tls: ssl.SSLContext | None = None,
) -> None:
    """Serve until cancelled; then calls in flight have `grace` whole seconds, at least 1, to end. HTTPS with `tls`."""
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
        ssl_context_factory=(lambda *_: tls) if tls is not None else None,
    )
    server = _Server(config)
    serving = asyncio.create_task(server.serve())
    try:
        await asyncio.shield(serving)
    except asyncio.CancelledError:
        server.stop()
        while not serving.done():  # a second cancellation must not shorten the grace period
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.shield(serving)
        await serving
        raise
