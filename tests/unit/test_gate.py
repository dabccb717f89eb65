"""What one caller's requests hold of the memory for requests."""

import asyncio
from types import SimpleNamespace

from starlette.types import Message, Receive, Scope, Send

from longtask_mcp.gate import Budget, Gate

LIMIT = 1000
BODY = b'{"a": 1}'


async def test_a_request_of_unknown_length_holds_what_it_has_once_it_is_read() -> None:
    within, leave = 0, asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal within
        within += 1
        await leave.wait()

    gate, statuses = Gate(app, LIMIT, Budget(10 * LIMIT, LIMIT + 100), "who"), list[int]()
    scope = {"type": "http", "method": "POST", "path": "/", "headers": [], "who": SimpleNamespace(owner="alice")}

    async def receive() -> Message:
        return {"type": "http.request", "body": BODY, "more_body": False}

    async def send(message: Message) -> None:
        statuses.append(message.get("status", 0))

    calls = list[asyncio.Task[None]]()
    for _ in range(20):
        calls.append(asyncio.create_task(gate(dict(scope), receive, send)))
        for _ in range(20):
            await asyncio.sleep(0)
    assert (within, statuses) == (100 // len(BODY) + 1, [429, 0] * (20 - 100 // len(BODY) - 1))
    leave.set()
    await asyncio.gather(*calls)
    await gate(dict(scope), receive, send)
    assert within == 100 // len(BODY) + 2
