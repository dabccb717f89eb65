"""An MCP task with a real pod: polled, asked, answered, and read, as Claude Code does it, through the Service."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from tests.e2e.following import WRITE
from tests.e2e.installation import Installation
from tests.mcp.tasks_client import TasksClient, tasks_client
from tests.mcp.world import eventually


@pytest.fixture
async def claude(installation: Installation) -> AsyncIterator[TasksClient]:
    async with tasks_client(await installation.url("service/longtask-mcp"), installation.tokens["alice"]) as client:
        yield client


async def becomes(client: TasksClient, task_id: str, status: str) -> dict[str, Any]:
    """The task once it has that status; its times never go back on the way."""
    seen: list[str] = []

    async def look() -> dict[str, Any] | None:
        told = await client.get(task_id)
        seen.append(told["lastUpdatedAt"])
        assert seen == sorted(seen)
        return told if told["status"] == status else None

    told = await eventually(look, f"{task_id} is {status}")
    assert told is not None
    return told


async def test_a_question_of_a_real_pod_is_a_form(claude: TasksClient, new_key: Callable[[], str]) -> None:
    created = await claude.call("e2e_asks", question="Deploy?", idempotency_key=new_key())
    task_id = created["taskId"]
    asking = await becomes(claude, task_id, "input_required")
    assert asking["inputRequests"]["sure"]["params"] == {
        "mode": "form",
        "message": "Deploy?",
        "requestedSchema": {
            "type": "object",
            "properties": {"answer": {"type": "boolean"}},
            "required": ["answer"],
        },
    }
    await claude.update(task_id, sure={"action": "accept", "content": {"answer": True}})
    told = await becomes(claude, task_id, "completed")
    assert told["createdAt"] == created["createdAt"]
    assert not told["result"]["isError"]
    assert told["result"]["structuredContent"]["result"] == {"answer": True}
    assert told["ttlMs"] > 0


async def test_work_that_fails_and_work_that_is_cancelled(claude: TasksClient, new_key: Callable[[], str]) -> None:
    failing = await claude.call("e2e_python", code="raise ValueError('row 17 has no price')", idempotency_key=new_key())
    long = await claude.call("e2e_python", code="import time; time.sleep(600)", idempotency_key=new_key())
    told = await becomes(claude, failing["taskId"], "completed")
    assert told["result"]["isError"]
    assert "ValueError: row 17 has no price" in told["result"]["content"][0]["text"]
    await claude.cancel(long["taskId"])
    assert "result" not in await becomes(claude, long["taskId"], "cancelled")


async def test_the_news_of_real_pods(
    claude: TasksClient, installation: Installation, new_key: Callable[[], str]
) -> None:
    code = f"{WRITE}('done')"
    tasks = [(await claude.call("e2e_python", code=code, idempotency_key=new_key()))["taskId"] for _ in range(3)]
    heard: set[str] = set()
    async with installation.session("alice") as session:
        arguments: dict[str, Any] = {"task_ids": tasks}
        while len(heard) < len(tasks):
            reply = await session.call("wait_any", **arguments)
            assert not reply.error, reply.text
            new = {each["task_id"] for each in reply.envelope["news"]}
            assert not new & heard
            heard |= new
            arguments = reply.envelope.get("next", {}).get("arguments", arguments)
    assert heard == set(tasks)
