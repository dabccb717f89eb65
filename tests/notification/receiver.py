"""A receiver of webhooks on the loopback address, which answers as a test says, and keeps all that it is sent."""

import asyncio
import base64
import contextlib
import hashlib
import hmac
import json
import ssl
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

OK = "HTTP/1.1 204 No Content\r\n\r\n"
CUT = ""
"""Closes the connection without an answer."""
HALF = "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf"
"""Closes the connection in the middle of the body."""
HALF_A_HEAD = "HTTP/1.1 200 OK\r\nContent-Le"
NO_HTTP = "220 mail.example.com ESMTP\r\n"
ENDLESS = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
ENDLESS_HEAD = "HTTP/1.1 200 OK\r\n"
PIECES = {ENDLESS: b"10000\r\n" + b"x" * 65536 + b"\r\n", ENDLESS_HEAD: b"X: " + b"x" * 4000 + b"\r\n"}
NEVER = "never"


def status(code: int, *headers: str) -> str:
    """An answer with an empty body."""
    return "\r\n".join([f"HTTP/1.1 {code} Some", *headers, "Content-Length: 0", "", ""])


@dataclass(frozen=True)
class Request:
    """What was sent."""

    path: str
    headers: dict[str, str]
    body: bytes
    at: float
    """By the receiver's clock, in seconds."""

    @property
    def event(self) -> dict[str, Any]:
        event: dict[str, Any] = json.loads(self.body)
        return event

    @property
    def task_id(self) -> str:
        return str(self.event["data"]["task_id"])

    def is_signed_by(self, secret: str) -> bool:
        """By the formula of Standard Webhooks, which is not that of the code under test."""
        key = base64.b64decode(secret.removeprefix("whsec_"))
        text = f"{self.headers['webhook-id']}.{self.headers['webhook-timestamp']}.".encode() + self.body
        expected = base64.b64encode(hmac.new(key, text, hashlib.sha256).digest()).decode()
        return f"v1,{expected}" in self.headers.get("webhook-signature", "").split()


@dataclass
class Receiver:
    """Answers OK, unless a path has a script."""

    scripts: dict[str, deque[str]] = field(default_factory=lambda: defaultdict(deque))
    always: dict[str, str] = field(default_factory=dict)
    """Answers to everything that a path gets after its script."""
    requests: list[Request] = field(default_factory=list)
    received: Callable[[Request], object] = lambda request: None
    """Called before the answer, in the receiver's thread."""
    delay: float = 0.0
    sent_bytes: int = 0
    """Of endless answers."""
    port: int = 0
    _loop: asyncio.AbstractEventLoop = field(init=False)
    _stop: asyncio.Event = field(init=False)

    def answer(self, path: str, *answers: str) -> None:
        """Answer the next requests of a path so."""
        self.scripts[path].extend(answers)

    def of(self, uid: str) -> list[Request]:
        """What was sent about a task."""
        return [each for each in list(self.requests) if each.task_id == uid]

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with (
            contextlib.closing(writer),
            contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, ssl.SSLError),
        ):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            first, *lines = head.strip().split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
            body = await reader.readexactly(int(headers["content-length"]))
            path = first.split()[1]
            request = Request(path, headers, body, self._loop.time())
            script = self.scripts[path]
            answer = script.popleft() if script else self.always.get(path, OK)
            self.requests.append(request)
            self.received(request)
            await asyncio.sleep(self.delay)
            if answer == NEVER:
                await asyncio.Event().wait()
            writer.write(answer.encode())
            while answer in PIECES:
                writer.write(PIECES[answer])
                self.sent_bytes += len(PIECES[answer])
                await writer.drain()

    async def _serve(self, tls: ssl.SSLContext | None, started: threading.Event) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self.handle, "127.0.0.1", 0, ssl=tls)
        self.port = server.sockets[0].getsockname()[1]
        started.set()
        await self._stop.wait()
        server.close()

    @contextlib.contextmanager
    def listening(self, tls: ssl.SSLContext | None = None) -> Iterator["Receiver"]:
        """Serve in a thread."""
        started = threading.Event()
        thread = threading.Thread(target=lambda: asyncio.run(self._serve(tls, started)), daemon=True)
        thread.start()
        started.wait()
        try:
            yield self
        finally:
            self._loop.call_soon_threadsafe(self._stop.set)
            thread.join()
