"""What one caller's requests hold of the memory for requests."""

import asyncio
import json
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from longtask_mcp.request_limits import ENDS, RESOURCE_BYTES, Budget, RequestLimits

LIMIT = 1000
BODY = b'{"a": 1}'


async def test_a_request_of_unknown_length_holds_what_it_has_once_it_is_read() -> None:
    within, leave = 0, asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal within
        within += 1
        await leave.wait()

    request_limits, statuses = RequestLimits(app, LIMIT, Budget(10 * LIMIT, LIMIT + 100), "who"), list[int]()
    scope = {"type": "http", "method": "POST", "path": "/", "headers": [], "who": SimpleNamespace(owner="alice")}

    async def receive() -> Message:
        return {"type": "http.request", "body": BODY, "more_body": False}

    async def send(message: Message) -> None:
        statuses.append(message.get("status", 0))

    calls = list[asyncio.Task[None]]()
    for _ in range(20):
        calls.append(asyncio.create_task(request_limits(dict(scope), receive, send)))
        for _ in range(20):
            await asyncio.sleep(0)
    assert (within, statuses) == (100 // len(BODY) + 1, [429, 0] * (20 - 100 // len(BODY) - 1))
    leave.set()
    await asyncio.gather(*calls)
    await request_limits(dict(scope), receive, send)
    assert within == 100 // len(BODY) + 2


TOO_LARGE = "the request is too large: at most 1000 bytes are read"
LARGE = "x" * 2 * ENDS
VERSION, CALL = {"jsonrpc": "2.0"}, {"method": "tools/call"}
ARGUMENTS = {"params": {"name": "train", "arguments": {"data": LARGE}}}


async def refused(parts: list[bytes], *headers: tuple[bytes, bytes], listed: bool = True) -> tuple[int, dict[str, Any]]:
    """Status and body of the answer to a request that comes in these parts."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise AssertionError("it was handed on")

    sent, unread = list[Message](), list(parts)

    async def receive() -> Message:
        return {"type": "http.request", "body": unread.pop(0), "more_body": bool(unread)}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/", "headers": list(headers), "who": SimpleNamespace(owner="a")}
    await RequestLimits(app, LIMIT, Budget(10 * LIMIT, LIMIT), "who", lambda: listed)(scope, receive, send)
    assert unread == []
    return sent[0]["status"], json.loads(b"".join(message.get("body", b"") for message in sent))


@pytest.mark.parametrize("length", [(), ((b"content-length", b"9000"),)], ids=["unknown", "declared"])
@pytest.mark.parametrize(
    "body",
    [
        pytest.param({**VERSION, "id": 7, **CALL, **ARGUMENTS}, id="first"),
        pytest.param({"id": 7, **VERSION, **CALL, **ARGUMENTS}, id="before-the-version"),
        pytest.param({**CALL, **ARGUMENTS, **VERSION, "id": 7}, id="last"),
        pytest.param({**ARGUMENTS, **CALL, "id": 7, **VERSION}, id="before-the-version-at-the-end"),
        pytest.param({**CALL, **ARGUMENTS, **VERSION, "id": "c-7"}, id="text"),
    ],
)
async def test_a_call_of_an_older_client_that_is_too_large_is_answered_as_a_tool_answers(
    body: dict[str, Any], length: tuple[tuple[bytes, bytes], ...]
) -> None:
    content = json.dumps(body).encode()
    status, answer = await refused([content[:900], content[900:2000], content[2000:]], *length)
    assert (status, answer["id"], answer["result"]["isError"]) == (200, body["id"], True)
    assert answer["result"]["content"][0]["text"].startswith(TOO_LARGE)
    assert "pass where it is" in answer["result"]["content"][0]["text"]
    assert answer["result"]["structuredContent"]["error_code"] == "request_refused"


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        pytest.param({**VERSION, "id": 7, **CALL, **ARGUMENTS}, ((b"mcp-method", b"tools/call"),), id="newer-client"),
        pytest.param({**VERSION, "id": 7, "method": "resources/read", **ARGUMENTS}, (), id="no-tool-call"),
        pytest.param({**VERSION, **CALL, **ARGUMENTS}, (), id="no-id"),
        pytest.param({**VERSION, **CALL, "params": {"data": LARGE, "id": 7}}, (), id="an-id-of-something-else"),
        pytest.param({**VERSION, "id": "\ud800", **CALL, **ARGUMENTS}, (), id="an-id-that-is-no-text"),
        pytest.param({**VERSION, "id": None, **CALL, **ARGUMENTS}, (), id="no-id-of-a-call"),
    ],
)
async def test_others_get_the_status_and_a_json_rpc_error(
    body: dict[str, Any], headers: tuple[tuple[bytes, bytes], ...]
) -> None:
    status, answer = await refused([json.dumps(body).encode()], *headers)
    assert (status, answer["id"]) == (413, None)
    assert answer["error"]["message"].startswith(TOO_LARGE)


async def test_a_server_that_has_not_listed_yet_tells_nothing() -> None:
    status, body = await refused([json.dumps({**VERSION, "id": 7, "method": "tools/list"}).encode()], listed=False)
    assert (status, "has only just started" in body["error"]["message"]) == (503, True)
    status, body = await refused([json.dumps({**VERSION, "id": 7, **CALL}).encode()], listed=False)
    assert (status, body["id"], body["result"]["isError"]) == (200, 7, True)
    assert body["result"]["structuredContent"]["retry_after_seconds"] == 2


@pytest.mark.parametrize(
    ("method", "within"), [('"resources/read"', 2), ('"resources\\/\\u0072ead"', 2), ('"resources/list"', 4)]
)
async def test_a_read_of_a_resource_holds_the_room_for_its_answer(method: str, within: int) -> None:
    """However it is written, until its reader has taken it."""
    entered, leave, statuses = 0, asyncio.Event(), list[int]()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal entered
        entered += 1
        await leave.wait()

    body = f'{{"jsonrpc":"2.0","id":1,"method":{method}}}'.encode()

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        statuses.append(message.get("status", 0))

    budget = Budget(10 * RESOURCE_BYTES, 2 * RESOURCE_BYTES + 4 * len(body))
    request_limits = RequestLimits(app, LIMIT, budget, "who")
    headers = [(b"content-length", str(len(body)).encode())]
    scope = {"type": "http", "method": "POST", "path": "/", "headers": headers, "who": SimpleNamespace(owner="alice")}
    calls = [asyncio.create_task(request_limits(dict(scope), receive, send)) for _ in range(4)]
    for _ in range(100):
        await asyncio.sleep(0)
    assert (entered, statuses.count(429)) == (within, 4 - within)
    leave.set()
    await asyncio.gather(*calls)


async def test_a_call_that_is_resumed_holds_its_id() -> None:
    within, leave = 0, asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal within
        within += 1
        await leave.wait()

    request_limits, statuses = RequestLimits(app, LIMIT, Budget(10 * LIMIT, LIMIT), "who"), list[int]()
    headers = [(b"last-event-id", b"x" * 400)]
    scope = {"type": "http", "method": "GET", "path": "/", "headers": headers, "who": SimpleNamespace(owner="alice")}

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        statuses.append(message.get("status", 0))

    calls = [asyncio.create_task(request_limits(dict(scope), receive, send)) for _ in range(3)]
    for _ in range(100):
        await asyncio.sleep(0)
    assert (within, statuses) == (2, [429, 0])
    leave.set()
    await asyncio.gather(*calls)
