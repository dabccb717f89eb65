"""What strangers may send to the MCP server, byte for byte, and what each gets: words, soon, and never a crash."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.mcp.replica import Replica, agent, running
from tests.mcp.test_starting_once import raw_start
from tests.mcp.world import World, eventually

ERAS = ("legacy", "modern")
LIMIT = 512 * 1024


@pytest.fixture(scope="module")
async def door(world: World, kubeconfig: Path) -> AsyncIterator[Replica]:
    """A replica of this module's own: its log is looked at."""
    async with running(kubeconfig, world.namespace, kubeconfig.parent) as process:
        yield process
        lines = [json.loads(line) for line in process.log().splitlines()]
        assert [line for line in lines if line["level"] in ("ERROR", "CRITICAL")] == []
        assert "Traceback" not in process.log()


def sent(era: str, token: str, **changed: str) -> tuple[dict[str, str], bytes]:
    """Headers and body of a good request."""
    headers, body = raw_start(era, "doors")
    body["params"]["name"], body["params"]["arguments"] = "list_templates", {}
    if "Mcp-Name" in headers:
        headers["Mcp-Name"] = "list_templates"
    return {**headers, "Authorization": f"Bearer {token}", **changed}, json.dumps(body).encode()


async def posted(url: str, headers: dict[str, str], content: Any) -> httpx2.Response:
    async with httpx2.AsyncClient(trust_env=False, timeout=60) as http:
        return await http.post(url, headers=headers, content=content)


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize(
    ("changed", "status", "told"),
    [
        ({}, 200, "templates"),
        ({"Origin": "https://attacker.example"}, 403, "web pages of that Origin may not call"),
        ({"Origin": "null"}, 403, "web pages of that Origin may not call"),
        ({"Origin": "http://[::1"}, 403, "web pages of that Origin may not call"),
        ({"Origin": "http://localhost:6274"}, 200, "templates"),
        ({"Host": "anything.example"}, 200, "templates"),
        ({"Content-Encoding": "gzip"}, 415, "the body is compressed"),
        ({"Content-Type": "text/plain"}, 415, "the body must be JSON"),
        ({"Accept": "text/html"}, 406, "answers are JSON or an event stream"),
        ({"Content-Type": "application/json; charset=utf-8"}, 200, "templates"),
    ],
)
async def test_headers_that_do_not_fit_are_refused_in_json(
    door: Replica, alice: str, era: str, changed: dict[str, str], status: int, told: str
) -> None:
    headers, body = sent(era, alice, **changed)
    response = await posted(door.url, headers, body)
    assert (response.status_code, told in response.text) == (status, True), response.text
    if status != 200:
        assert response.json()["error"]["message"].startswith(told[:20])


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("path", ["/mcp/", "/mcp"])
async def test_the_path_may_end_with_a_slash(door: Replica, alice: str, era: str, path: str) -> None:
    headers, body = sent(era, alice)
    response = await posted(door.url.removesuffix("/mcp") + path, headers, body)
    assert response.status_code == 200


async def test_another_path_says_where_the_endpoint_is(door: Replica, alice: str) -> None:
    headers, body = sent("legacy", alice)
    response = await posted(door.url.removesuffix("/mcp") + "/sse", headers, body)
    assert (response.status_code, response.json()["error"]["message"]) == (
        404,
        "there is nothing here; the MCP endpoint is /mcp",
    )


def message(**parts: str) -> bytes:
    """A JSON-RPC message of JSON texts."""
    known = {"jsonrpc": '"2.0"', "id": "1", "method": '"ping"'} | parts
    return ("{" + ", ".join(f'"{key}": {text}' for key, text in known.items()) + "}").encode("utf-8", "surrogatepass")


BODIES = {
    "nothing": b"",
    "no JSON": b"{",
    "NUL": message(method='"ping\0"'),
    "an escaped NUL": message(method='"tools/call"', params=r'{"name": "\u0000"}'),
    "half a pair of surrogates": message(id=r'"\ud800"', method='"tools/call"', params=r'{"name": "\udfff"}'),
    "surrogates as they are": message(method='"\ud800"'),
    "no UTF-8": b'{"jsonrpc": "2.0", "id": 1, "method": "\xff"}',
    "UTF-16": message().decode().encode("utf-16"),
    "a byte order mark": b"\xef\xbb\xbf{}",
    "deep": b"[" * 100_000,
    "deep and whole": message(params='{"a":' * 30_000 + "1" + "}" * 30_000),
    "deep arguments": message(
        method='"tools/call"', params='{"name": "x", "arguments": ' + '{"a":' * 190 + "1" + "}" * 191
    ),
    "many": b"[" + b"[]," * 170_000 + b"[]]",
    "a long number": message(id="9" * 5000),
    "an endless number": message(id="1e999"),
    "no number": message(id="NaN"),
    "a batch": b"[" + message() + b"]",
    "text": b'"ping"',
    "a method that is not served": message(method='"prompts/get"', params='{"name": "x"}'),
    "arguments that are no object": message(method='"tools/call"', params='{"name": "x", "arguments": [1]}'),
    "the same key twice": b'{"jsonrpc": "2.0", "id": 1, "id": 2, "method": "ping"}',
}


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
async def test_an_odd_body_is_answered_in_json_and_harms_nobody(
    door: Replica, alice: str, era: str, body: bytes
) -> None:
    headers, good = sent(era, alice)
    response = await posted(door.url, headers, body)
    assert response.status_code in (200, 202, 400, 404), response.text
    assert "Traceback" not in response.text
    if response.content and response.headers["content-type"] == "application/json":
        assert response.json()["jsonrpc"] == "2.0"
    assert (await posted(door.url, headers, good)).status_code == 200


@pytest.mark.parametrize("era", ERAS)
async def test_a_body_in_chunks_is_refused_in_json_beyond_the_limit(door: Replica, alice: str, era: str) -> None:
    headers, _ = sent(era, alice)

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(9):
            yield b" " * (LIMIT // 8)

    response = await posted(door.url, headers, chunks())
    assert response.status_code == 413
    assert response.json()["error"]["message"].startswith(f"the request is too large: at most {LIMIT} bytes are read")


def head(headers: dict[str, str], length: int) -> bytes:
    lines = [f"{name}: {value}" for name, value in {**headers, "Content-Length": str(length)}.items()]
    return "\r\n".join(["POST /mcp HTTP/1.1", "Host: 127.0.0.1", *lines, "", ""]).encode()


async def test_bodies_that_are_held_back_take_no_more_than_a_callers_share(door: Replica, alice: str, bob: str) -> None:
    headers, _ = sent("legacy", alice)
    held = [await asyncio.open_connection("127.0.0.1", door.port) for _ in range(40)]
    try:
        for _, writer in held:
            writer.write(head(headers, LIMIT) + b" " * (LIMIT // 2))
            await writer.drain()
        answered = [asyncio.ensure_future(reader.readline()) for reader, _ in held]
        done, still = await asyncio.wait(answered, timeout=5)
        assert {each.result() for each in done} == {b"HTTP/1.1 429 Too Many Requests\r\n"}
        assert len(still) == 4
        async with agent(door.url, bob) as other:
            assert not (await other.call("list_templates")).error
        for each in still:
            assert await asyncio.wait_for(each, 90) == b"HTTP/1.1 408 Request Timeout\r\n"
    finally:
        for _, writer in held:
            writer.transport.abort()
    async with agent(door.url, alice) as again:
        assert not (await again.call("list_templates")).error


@pytest.mark.parametrize("begin", [b"", b"POST /mcp HTTP/1.1\r\nHost: x\r\n", b"GET"], ids=["idle", "half", "begun"])
async def test_a_connection_without_a_request_is_ended(door: Replica, begin: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
    writer.write(begin)
    await writer.drain()
    with suppress(ConnectionResetError):
        assert await asyncio.wait_for(reader.read(), 60) == b""
    writer.close()


async def test_a_second_request_that_is_half_sent_is_ended_too(door: Replica, alice: str) -> None:
    headers, body = sent("legacy", alice)
    reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
    writer.write(head(headers, len(body)) + body)
    await writer.drain()
    assert await asyncio.wait_for(reader.readline(), 60) == b"HTTP/1.1 200 OK\r\n"
    await asyncio.wait_for(reader.readuntil(b"\r\n0\r\n\r\n"), 60)
    writer.write(b"POST /mcp HTTP/1.1\r\n")
    await writer.drain()
    with suppress(ConnectionResetError):
        await asyncio.wait_for(reader.read(), 60)
    writer.close()


@pytest.mark.parametrize("era", ERAS)
async def test_a_client_that_leaves_in_mid_body_is_no_crash(door: Replica, alice: str, era: str) -> None:
    headers, _ = sent(era, alice)
    _, writer = await asyncio.open_connection("127.0.0.1", door.port)
    writer.write(head(headers, 1000) + b"{")
    await writer.drain()
    writer.transport.abort()

    async def noticed() -> bool:
        return "a client went away before its request was complete" in door.log()

    await eventually(noticed, "the line about a client that left")


@pytest.mark.parametrize("era", ERAS)
async def test_a_wait_whose_client_has_left_ends(world: World, door: Replica, alice: str, era: str) -> None:
    async with agent(door.url, alice) as session:
        started = await session.call("model_training", model_name="left", idempotency_key=f"left-{era}")
    headers, body = raw_start(era, "left")
    body["params"] |= {"name": "wait_for_task", "arguments": {"task_id": started.task_id}}
    if "Mcp-Name" in headers:
        headers["Mcp-Name"] = "wait_for_task"
    async with httpx2.AsyncClient(trust_env=False, timeout=2) as hasty:
        with pytest.raises(httpx2.ReadTimeout):
            async with hasty.stream(
                "POST", door.url, headers={**headers, "Authorization": f"Bearer {alice}"}, content=json.dumps(body)
            ) as response:
                await response.aread()

    async def ended() -> list[dict[str, Any]]:
        return _logged(door, "wait_for_task", started.task_id)

    [line] = await eventually(ended, "the end of the wait")
    assert line["seconds"] < 15


async def test_a_wait_that_an_older_client_cancels_ends_although_its_connection_stays(
    door: Replica, alice: str
) -> None:
    async with agent(door.url, alice) as session:
        started = await session.call("model_training", model_name="given-up", idempotency_key="given-up")
    headers, body = raw_start("legacy", "given-up")
    headers["Authorization"] = f"Bearer {alice}"
    arguments = {"task_id": started.task_id, "timeout_seconds": 50}
    params = {"name": "wait_for_task", "arguments": arguments, "_meta": {"progressToken": "given-up"}}
    body |= {"id": 4711, "params": params}
    cancelled = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 4711}}
    async with (
        httpx2.AsyncClient(trust_env=False, timeout=60, headers=headers) as client,
        client.stream("POST", door.url, content=json.dumps(body)) as response,
    ):
        lines = response.aiter_lines()
        async for line in lines:
            if "notifications/progress" in line:  # it waits
                break
        assert (await client.post(door.url, content=json.dumps(cancelled))).status_code == 202
        rest = [line async for line in lines]
    assert any("Call wait_for_task again to wait on" in line for line in rest)
    [logged] = _logged(door, "wait_for_task", started.task_id)
    assert logged["seconds"] < 40


def _logged(door: Replica, tool: str, task_id: str) -> list[dict[str, Any]]:
    """The lines about calls of the tool that are over."""
    lines = [json.loads(line) for line in door.log().splitlines()]
    return [each for each in lines if each.get("tool") == tool and each["task_id"] == task_id]


@pytest.mark.parametrize("era", ERAS)
async def test_prompts_are_neither_advertised_nor_served(door: Replica, alice: str, era: str) -> None:
    async with agent(door.url, alice, "auto" if era == "modern" else era) as session:
        capabilities = session.client.server_capabilities
    assert capabilities is not None
    assert capabilities.prompts is None
    assert capabilities.tools is not None
