"""Following work that goes on: its log, its progress, its place in the list."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from tests.e2e.conftest import Session
from tests.e2e.following import WRITE, Wait, answered, asleep, ended
from tests.e2e.installation import Installation
from tests.mcp.replica import Reply
from tests.operator.tasks import WHEN_TOLD

CODE = f"""
for line in range(300): print('line', line, flush=True)
{WHEN_TOLD.replace("print", "# ")}
print('the end', flush=True)
{WRITE}('{{"lines": 301}}')
"""


@pytest.fixture(scope="module")
async def task_id(as_alice: Session, new_key: Callable[[], str]) -> str:
    """A task that works until it is told to go on."""
    async with as_alice() as agent:
        task: Reply = await agent.call("e2e_python", code=CODE, idempotency_key=new_key())
    return task.task_id


async def test_the_log_can_be_read_while_the_work_goes_on(as_alice: Session, task_id: str) -> None:
    async with as_alice() as agent:
        last = {"task_id": task_id, "tail_lines": 2}
        reply = await answered(agent, "get_task_logs", lambda log: "line 299" in log.text, **last)
    assert reply.envelope["source"] == "live"
    assert reply.envelope["text"].split("\n")[:2] == ["line 298", "line 299"]
    assert reply.text.startswith("Log of the running attempt (attempt 1, pod ")


async def test_a_result_that_is_not_there_yet_is_no_error(as_alice: Session, task_id: str) -> None:
    async with as_alice() as agent:
        expected = "task not completed. Current status: running"
        reply = await answered(agent, "get_task_results", lambda told: told.text.startswith(expected), task_id=task_id)
    assert not reply.error


async def test_a_wait_brings_progress_notifications_and_then_the_result(
    installation: Installation, as_alice: Session, task_id: str
) -> None:
    wait = Wait()
    async with as_alice() as agent, asyncio.TaskGroup() as group:
        call = group.create_task(wait.call(agent, task_id))
        await wait.second.wait()  # one comes at once, and one every 5 s
        await installation.go(task_id)
    reply = call.result()
    assert reply.envelope["result"] == {"lines": 301}
    values = [value for value, _, _ in wait.heard]
    assert values == sorted(set(values))
    assert wait.heard[0][2].startswith(f"task ID {task_id}: ")
    assert "running" in wait.heard[-1][2]


async def test_a_start_that_waits_answers_with_the_handle_and_the_result(
    as_alice: Session, new_key: Callable[[], str]
) -> None:
    async with as_alice() as agent:
        reply = await agent.call("e2e_python", code=asleep(0, "at once"), idempotency_key=new_key(), wait_seconds=50)
    assert f"initiated with task ID: {reply.task_id}." in reply.text
    assert reply.text.endswith("Result:\nat once")
    assert reply.envelope["result"] == "at once"


async def test_the_log_can_be_read_after_the_end(as_alice: Session, task_id: str) -> None:
    async with as_alice() as agent:
        await ended(agent, task_id)
        reply = await agent.call("get_task_logs", task_id=task_id, tail_lines=1)
    assert reply.envelope["source"] == "pod"
    assert reply.envelope["text"].rstrip() == "the end"


async def test_a_page_that_the_result_does_not_have_is_refused(as_alice: Session, task_id: str) -> None:
    async with as_alice() as agent:
        await ended(agent, task_id)
        first = await agent.call("get_task_results", task_id=task_id, page=1)
        second = await agent.call("get_task_results", task_id=task_id, page=2)
    assert first.envelope["result"] == {"lines": 301}
    assert second.error
    assert second.text == "page: 2 is out of range; there is 1 page."


async def test_a_list_comes_in_pages_that_miss_and_repeat_nothing(
    as_alice: Session, task_id: str, new_key: Callable[[], str]
) -> None:
    async with as_alice() as agent:
        await agent.call("e2e_number", number=1, idempotency_key=new_key())
        await ended(agent, task_id)
        whole = await agent.call("list_tasks", status="completed", template="e2e-python", limit=100)
        seen: list[dict[str, Any]] = []
        cursor = None
        while cursor is not None or not seen:
            page = await agent.call("list_tasks", status="completed", template="e2e-python", limit=3, cursor=cursor)
            seen += page.envelope["tasks"]
            cursor = page.envelope.get("cursor")
    assert task_id in {each["task_id"] for each in seen}
    assert {each["template"] for each in seen} == {"e2e-python"}
    assert [each["task_id"] for each in seen] == [each["task_id"] for each in whole.envelope["tasks"]]
