"""Pods that report once a second, as clients that cost little: a connection each, kept alive, and HTTP by hand."""

import asyncio
import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

PATH = "/v1/report/progress"
ANSWER_SECONDS = 30.0
TRIES, PAUSE = 10, 1.0
"""Of the last report, and seconds between two: it is repeated where the contract says that it may pass later."""
BROKEN = 0
"""In place of a status: the connection broke, or nothing came for ANSWER_SECONDS."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call as its client saw it; times are of time.monotonic()."""

    task: str
    sequence: int
    due: float
    answered: float
    status: int

    @property
    def taken(self) -> bool:
        """Held, or stored."""
        return self.status in (200, 202)

    @property
    def milliseconds(self) -> float:
        """From the moment at which it was due, so that a client that is late counts against itself."""
        return (self.answered - self.due) * 1000


async def report(tokens: Mapping[str, str], port: int, seconds: int) -> list[Call]:
    """Report once a second for so many seconds, for each task with its pod's token, spread over the second.

    A pod that still waits for an answer when two more reports are due leaves the first of them out. The last report is
    final.
    """
    calls: list[Call] = []
    start = time.monotonic() + 0.5
    async with asyncio.TaskGroup() as group:
        for number, (task, token) in enumerate(tokens.items()):
            pod = _Pod(task, token, port, calls)
            group.create_task(pod.run(start + number / len(tokens), seconds))
    return calls


class _Pod:
    def __init__(self, task: str, token: str, port: int, calls: list[Call]) -> None:
        self._task = task
        self._port = port
        self._calls = calls
        self._head = (
            f"POST {PATH} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {token}\r\n"
            "Content-Type: application/json\r\nContent-Length: "
        ).encode()
        self._connection: _Connection | None = None

    async def run(self, start: float, seconds: int) -> None:
        for sequence in range(1, seconds):
            due = start + sequence - 1
            now = time.monotonic()
            if now < due + 1:
                await asyncio.sleep(due - now)
                await self._tell(sequence, seconds, due)
        due = start + seconds - 1
        for _ in range(TRIES):
            await asyncio.sleep(due - time.monotonic())
            status = await self._tell(seconds, seconds, due)
            if status != BROKEN and status != 429 and status < 500:
                break
            due = time.monotonic() + PAUSE
        if self._connection is not None:
            self._connection.close()

    async def _tell(self, sequence: int, last: int, due: float) -> int:
        body = json.dumps(_progress(sequence, last)).encode()
        status = await self._send(self._head + b"%d\r\n\r\n" % len(body) + body)
        self._calls.append(Call(self._task, sequence, due, time.monotonic(), status))
        return status

    async def _send(self, request: bytes) -> int:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                if self._connection is None:
                    loop = asyncio.get_running_loop()
                    _, self._connection = await loop.create_connection(_Connection, "127.0.0.1", self._port)
                return await self._connection.ask(request)
        except (OSError, TimeoutError):
            if self._connection is not None:
                self._connection.close()
            self._connection = None
            return BROKEN


class _Connection(asyncio.Protocol):
    """One request at a time; answers have a Content-Length."""

    def __init__(self) -> None:
        self._received = bytearray()
        self._answer: asyncio.Future[int] | None = None
        self._transport: asyncio.Transport | None = None

    async def ask(self, request: bytes) -> int:
        """The status of the answer. Raises ConnectionError."""
        if self._transport is None or self._transport.is_closing():
            raise ConnectionResetError("the server has closed the connection")
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answer

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, _, body = self._received.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        if length is not None and len(body) >= int(length[1]):
            self._received.clear()
            if self._answer is not None and not self._answer.done():
                self._answer.set_result(int(head[9:12]))

    def connection_lost(self, error: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error or ConnectionResetError("the server has closed the connection"))


def _progress(sequence: int, last: int) -> Mapping[str, object]:
    """What a training tells."""
    return {
        "sequence": sequence,
        "current": sequence,
        "total": last,
        "unit": "epoch",
        "message": "training",
        "metrics": {"loss": 1 / sequence, "accuracy": 1 - 1 / (sequence + 1)},
        "memoryBytes": 2**30,
        "final": sequence == last,
    }
