"""MCP calls of one caller, by how many tasks he has, beside a trivial server of the same SDK.

The API server is one that only remembers (tests/many.py): what a create costs a real one is not in these figures.
"""

import asyncio
import contextlib
import itertools
import json
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from bench.processes import cpu_seconds
from tests.many import NAMESPACE, many
from tests.operator.process import REPOSITORY
from tests.ports import free_port

TASKS = (10, 1_000, 10_000)
TEMPLATES = 200
SECONDS = 5.0
"""How long each kind of call is made."""
VERSION = "2025-11-25"
HEADERS = {
    "Content-Type": "application/json",
    "Accept": "application/json, text/event-stream",
    "MCP-Protocol-Version": VERSION,
}
Calls = Iterator[tuple[str, dict[str, Any]]]
"""Methods of MCP and their parameters."""


async def measure() -> dict[str, Any]:
    """Calls a second and milliseconds of the server's CPU a call, for 1 and 16 connections."""
    figures: dict[str, Any] = {"trivial": await _trivial()}
    for count in TASKS:
        figures[f"{count} tasks"] = await _ours(count)
    return figures


async def _trivial() -> dict[str, Any]:
    port = free_port()
    command = [sys.executable, "-m", "bench.trivial_mcp", str(port), str(TEMPLATES)]
    async with _server(command, {}, port) as pid:
        call = itertools.repeat(("tools/call", {"name": "any", "arguments": {}}))
        tools: Calls = itertools.repeat(("tools/list", {}))
        return {"call": await _rates(port, pid, lambda: call), "tools/list": await _rates(port, pid, lambda: tools)}


async def _ours(count: int) -> dict[str, Any]:
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        async with many(count, templates=TEMPLATES) as api:
            settings = {
                "KUBECONFIG": api.kubeconfig(Path(folder, "kubeconfig")),
                "LONGTASK_MCP_NAMESPACE": NAMESPACE,
                "LONGTASK_MCP_HOST": "127.0.0.1",
                "LONGTASK_MCP_PORT": str(port),
                "LONGTASK_MCP_METRICS_PORT": str(free_port()),
                "LONGTASK_MCP_AUTH": "none",
            }
            async with _server([sys.executable, "-m", "longtask_mcp"], settings, port) as pid:
                return {name: await _rates(port, pid, calls) for name, calls in _kinds(await _known(port)).items()}


def _kinds(task_id: str) -> dict[str, Callable[[], Calls]]:
    def tool(name: str, **arguments: Any) -> Callable[[], Calls]:
        return lambda: itertools.repeat(("tools/call", {"name": name, "arguments": arguments}))

    def starts() -> Calls:
        while True:
            key = {"field_1": 5, "idempotency_key": os.urandom(8).hex()}
            yield "tools/call", {"name": "model_training_1", "arguments": key}

    return {
        "check_task_status": tool("check_task_status", task_id=task_id),
        "get_task_results": tool("get_task_results", task_id=task_id),
        "list_tasks": tool("list_tasks"),
        "resume_brief": tool("resume_brief", all_sessions=True),
        "tools/list": lambda: itertools.repeat(("tools/list", {})),
        "start": starts,
    }


async def _known(port: int) -> str:
    """The id of a task that the caller has."""
    async with aiohttp.ClientSession() as session:
        answer = await _call(session, port, "tools/call", {"name": "list_tasks", "arguments": {}})
    return str(answer["result"]["structuredContent"]["tasks"][0]["task_id"])


async def _rates(port: int, pid: int, calls: Callable[[], Calls]) -> dict[str, Any]:
    return {f"c={connections}": await _rate(port, pid, calls(), connections) for connections in (1, 16)}


async def _rate(port: int, pid: int, calls: Calls, connections: int) -> dict[str, float]:
    done = 0

    async def caller(session: aiohttp.ClientSession) -> None:
        nonlocal done
        while time.monotonic() < ends:
            await _call(session, port, *next(calls))
            done += 1

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=connections)) as session:
        ends = time.monotonic()
        await caller(session)
        ends, begun, cpu, done = time.monotonic() + SECONDS, time.monotonic(), cpu_seconds(pid), 0
        await asyncio.gather(*(caller(session) for _ in range(connections)))
        passed = time.monotonic() - begun
    return {"calls_per_second": round(done / passed, 1), "cpu_ms": round((cpu_seconds(pid) - cpu) / done * 1000, 2)}


async def _call(session: aiohttp.ClientSession, port: int, method: str, parameters: dict[str, Any]) -> Any:
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters})
    async with session.post(f"http://127.0.0.1:{port}/mcp", data=body, headers=HEADERS) as response:
        text = await response.text()
    data = text if text.startswith("{") else text[text.index("{") :]
    answer = json.loads(data)
    assert "result" in answer, answer
    assert not answer["result"].get("isError"), answer
    return answer


@asynccontextmanager
async def _server(command: list[str], settings: dict[str, str], port: int) -> AsyncIterator[int]:
    """The pid of a server that answers on the port."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(REPOSITORY), *sys.path]), **settings}
    process = await asyncio.create_subprocess_exec(*command, env=environment, stderr=asyncio.subprocess.DEVNULL)
    try:
        async with aiohttp.ClientSession() as session:
            while True:
                assert process.returncode is None, f"{command} has ended"
                with contextlib.suppress(aiohttp.ClientError, AssertionError, ValueError):
                    await _call(session, port, "tools/list", {})
                    break
                await asyncio.sleep(0.1)
        yield process.pid
    finally:
        process.terminate()
        await process.wait()


if __name__ == "__main__":
    print(json.dumps(asyncio.run(measure()), indent=2))
