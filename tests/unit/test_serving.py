"""Connections that only hold a place are ended; those that are used are not."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import pytest
import uvicorn
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from longtask_runtime import serving
from tests.ports import free_port

SOON = 0.2
"""The limits, in seconds, of these tests."""
PATIENCE = 20.0
HEAD = b"GET /ok HTTP/1.1\r\nHost: here\r\n"


class App:
    """Answers /ok at once, /late when told, /endless for ever, and reads no body unless the path is /read."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()
        self.waiting = False
        self.received = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        if scope["path"] == "/late":
            self.waiting = True
            await self.go_on.wait()
        if scope["path"] == "/read":
            async for chunk in request.stream():
                self.received += len(chunk)
        answer: Response = PlainTextResponse("ok")
        if scope["path"] == "/endless":
            answer = StreamingResponse(self._endless())
        await answer(scope, receive, send)

    async def _endless(self) -> AsyncIterator[bytes]:
        while True:
            yield bytes(64 * 1024)
            await asyncio.sleep(0)


@pytest.fixture
async def port(app: App, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[int]:
    monkeypatch.setattr(serving, "HEAD_SECONDS", SOON)
    monkeypatch.setattr(serving, "SEND_SECONDS", SOON)
    async with served(app) as (found, _):
        yield found


@contextlib.asynccontextmanager
async def served(app: App) -> AsyncIterator[tuple[int, asyncio.Task[None]]]:
    """Serve it; the port, and the task that serves. Stopped when the block ends."""
    found = free_port()
    task = asyncio.create_task(serving.serve(app, found, "127.0.0.1"))
    while True:
        with contextlib.suppress(ConnectionRefusedError):
            _, writer = await asyncio.open_connection("127.0.0.1", found)
            writer.close()
            break
        await asyncio.sleep(0.01)
    yield found, task
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


@pytest.fixture
def app() -> App:
    return App()


async def _rest(reader: asyncio.StreamReader) -> bytes:
    """What comes until the server ends the connection."""
    with contextlib.suppress(ConnectionResetError):
        return await asyncio.wait_for(reader.read(), PATIENCE)
    return b""


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(HEAD, id="half-of-the-headers"),
        pytest.param(HEAD + b"Content-Length: 100\r\n\r\nhalf", id="a-body-that-nobody-reads"),
        pytest.param(HEAD + b"\r\n" + HEAD, id="one-request-and-half-of-another"),
    ],
)
async def test_a_connection_without_a_whole_request_is_ended(
    port: int, sent: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "KEEP_ALIVE_SECONDS", 3600)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent)
    if b"half" in sent or sent.count(b"GET") == 2:
        await asyncio.wait_for(reader.readuntil(b"ok"), PATIENCE)
        writer.write(b" ")
    await _rest(reader)
    writer.close()


async def test_one_that_sends_its_headers_by_the_byte_is_ended(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)

    async def drip() -> None:
        with contextlib.suppress(ConnectionError):
            while True:
                writer.write(b"X")
                await writer.drain()
                await asyncio.sleep(SOON / 10)

    dripping = asyncio.create_task(drip())
    await _rest(reader)
    dripping.cancel()
    writer.close()


async def test_a_caller_that_waits_for_its_answer_is_not(port: int, app: App) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(HEAD.replace(b"/ok", b"/late") + b"\r\n")
    await asyncio.sleep(3 * SOON)
    app.go_on.set()
    assert b"200 OK" in await asyncio.wait_for(reader.readuntil(b"ok"), PATIENCE)
    await asyncio.sleep(3 * SOON)
    writer.write(HEAD + b"\r\n")
    assert b"200 OK" in await asyncio.wait_for(reader.readuntil(b"ok"), PATIENCE)
    writer.close()


async def test_a_caller_that_takes_nothing_of_its_answer_is_ended(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    reader._transport.pause_reading()  # type: ignore[attr-defined]
    writer.write(HEAD.replace(b"/ok", b"/endless") + b"\r\n")
    await asyncio.sleep(3 * SOON)
    reader._transport.resume_reading()  # type: ignore[attr-defined]
    await _rest(reader)
    writer.close()


async def test_a_body_arrives_whole_although_it_is_read_only_when_the_app_asks(port: int, app: App) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    size = 4 * 1024 * 1024
    writer.write(f"PUT /read HTTP/1.1\r\nHost: here\r\nContent-Length: {size}\r\n\r\n".encode())
    for _ in range(16):
        writer.write(bytes(size // 16))
        await writer.drain()
    assert b"200 OK" in await asyncio.wait_for(reader.readuntil(b"ok"), PATIENCE)
    assert app.received == size
    writer.close()


async def test_a_connection_that_is_accepted_while_the_server_stops_does_not_hold_it_up(
    app: App, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    stop = uvicorn.Server.shutdown

    async def stop_before_they_are_known(server: uvicorn.Server, sockets: list[socket.socket] | None = None) -> None:
        """What is accepted in this turn of the loop is made a connection in the next one."""
        known = set(server.server_state.connections)
        assert known
        server.server_state.connections.clear()
        asyncio.get_running_loop().call_soon(server.server_state.connections.update, known)
        await stop(server, sockets)

    monkeypatch.setattr(uvicorn.Server, "shutdown", stop_before_they_are_known)
    async with served(app) as (port, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(HEAD + b"\r\n")
        await asyncio.wait_for(reader.readuntil(b"ok"), PATIENCE)
    assert await _rest(reader) == b""
    writer.close()
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []


async def test_calls_have_their_time_though_the_server_is_stopped_twice(app: App) -> None:
    async with served(app) as (port, task):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(HEAD.replace(b"/ok", b"/late") + b"\r\n")
        while not app.waiting:  # noqa: ASYNC110 - the app is in this loop
            await asyncio.sleep(0.01)
        for _ in range(2):
            task.cancel()
            await asyncio.sleep(SOON)
        assert not task.done()
        app.go_on.set()
        answer = await asyncio.wait_for(reader.read(), PATIENCE)
        writer.close()
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert task.cancelled()
