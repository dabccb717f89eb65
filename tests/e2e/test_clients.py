"""The whole story, as each kind of client lives it, through the Service."""

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.e2e.following import Wait, asleep
from tests.e2e.installation import Installation
from tests.mcp.replica import ROOT, Reply, agent
from tests.patience import PATIENCE

PYTHON = ROOT / ".venv-strands" / "bin" / "python"
TOOLS = {"e2e_python", "start_task", "check_task_status", "get_task_results", "wait_for_task", "list_tasks"}

Told = dict[str, Any]
"""`tools`, the number of `notifications`, and of start, status, wait and result the `text` and the `envelope`."""


async def strands(url: str, token: str, code: str, key: str) -> Told:
    """Strands with mcp 1.30, in the environment and process of its own that such an agent has."""
    if not PYTHON.exists():
        pytest.fail(f"{PYTHON} is not there: `make test` makes it, or `make .venv-strands/ready`")
    process = await asyncio.create_subprocess_exec(
        PYTHON,
        ROOT / "tests" / "e2e" / "strands_client.py",
        *(code, key),
        env=os.environ | {"MCP_URL": url, "MCP_TOKEN": token},
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await asyncio.wait_for(process.communicate(), PATIENCE)
    assert process.returncode == 0
    story: Told = json.loads(output)
    return story


def current(mode: str, protocol: str) -> Callable[[str, str, str, str], Awaitable[Told]]:
    """mcp 2.3, in the mode of that name, which must come to speak that protocol."""

    async def live(url: str, token: str, code: str, key: str) -> Told:
        wait = Wait()
        async with agent(url, token, mode) as session:
            assert session.client.protocol_version == protocol
            tools = await session.tool_names()
            start = await session.call("e2e_python", code=code, idempotency_key=key)
            status = await session.call("check_task_status", task_id=start.task_id)
            waited = await wait.call(session, start.task_id)
            result = await session.call("get_task_results", task_id=start.task_id)
        replies = {"start": start, "status": status, "wait": waited, "result": result}
        return {"tools": tools, "notifications": len(wait.heard)} | {key: told(each) for key, each in replies.items()}

    return live


def told(reply: Reply) -> dict[str, Any]:
    assert not reply.error, reply.text
    return {"text": reply.text, "envelope": reply.envelope}


CLIENTS = {
    "modern": current("auto", "2026-07-28"),
    "legacy": current("legacy", "2025-11-25"),
    "strands": strands,
}


@pytest.mark.parametrize("client", CLIENTS)
async def test_a_client_lists_starts_waits_and_reads(
    installation: Installation, new_key: Callable[[], str], client: str
) -> None:
    url, token = await installation.url("service/longtask-mcp"), installation.tokens["alice"]
    story = await CLIENTS[client](url, token, asleep(10, '{"from": "the work"}'), new_key())
    assert set(story["tools"]) >= TOOLS
    assert story["notifications"] >= 1
    task_id = story["start"]["envelope"]["task_id"]
    assert story["start"]["text"].startswith(f"Python Code task has been initiated with task ID: {task_id}.")
    assert story["status"]["envelope"]["status"] in ("started", "running")
    for answer in (story["wait"], story["result"]):
        assert answer["envelope"]["task_id"] == task_id
        assert answer["envelope"]["result"] == {"from": "the work"}
        assert 'Result:\n{"from": "the work"}' in answer["text"]
    assert await installation.ran_once(task_id)
