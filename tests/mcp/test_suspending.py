"""Agents suspend tasks, and resume them."""

import asyncio
import uuid
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import pytest

from longtask_mcp.contract import answers
from tests.mcp.objects import NOW, ago, task
from tests.mcp.replica import ERAS, Agent, Replica, agent
from tests.mcp.world import World, eventually

Agents = Callable[..., AbstractAsyncContextManager[Agent]]


async def started(session: Agent) -> str:
    return (await session.call("model_training", model_name="m", idempotency_key=uuid.uuid4().hex)).task_id


@pytest.mark.parametrize("era", ERAS)
async def test_a_task_is_suspended_and_resumed(as_alice: Agents, world: World, era: str) -> None:
    async with as_alice(era) as session:
        task_id = await started(session)
        reply = await session.call("suspend_task", task_id=task_id)
        assert reply.text == "The task is being suspended: its pod ends, and nothing runs until resume_task."
        assert reply.envelope["next"] == {"tool": "resume_task", "arguments": {"task_id": task_id}, "after_seconds": 0}
        assert (await world.task(task_id)).spec.suspend
        again = await session.call("suspend_task", task_id=task_id)
        assert again.text.startswith("Nothing has changed: it was suspended already.")
        reply = await session.call("resume_task", task_id=task_id)
        assert reply.text.startswith("The task goes on")
        assert not (await world.task(task_id)).spec.suspend
        again = await session.call("resume_task", task_id=task_id)
        assert again.text.startswith("Nothing has changed: nobody has suspended it")


async def test_what_one_agent_suspends_many_others_resume_once(as_alice: Agents, world: World) -> None:
    async with as_alice() as session:
        task_id = await started(session)
        await asyncio.gather(*(session.call("suspend_task", task_id=task_id) for _ in range(5)))
        assert (await world.task(task_id)).spec.suspend
        replies = await asyncio.gather(*(session.call("resume_task", task_id=task_id) for _ in range(5)))
        assert not any(reply.error for reply in replies)
        assert not (await world.task(task_id)).spec.suspend


@pytest.mark.parametrize("tool", ["suspend_task", "resume_task"])
async def test_other_tasks_are_left_alone(
    as_alice: Agents, replica: Replica, bob: str, world: World, tool: str
) -> None:
    async with as_alice() as session, agent(replica.url, bob) as stranger:
        task_id = await started(session)
        assert (await stranger.call(tool, task_id=task_id)).envelope["error_code"] == "task_not_found"
        await session.call("cancel_task", task_id=task_id)
        cancelled = await session.call(tool, task_id=task_id)
        assert cancelled.text.startswith("Nothing has changed: it is being cancelled.")
        await world.set_status(task_id, phase="Cancelled", completionTime=ago(minutes=1))

        async def ended() -> bool:
            reply = await session.call("check_task_status", task_id=task_id)
            return bool(reply.envelope["status"] == "cancelled")

        await eventually(ended, "the task has ended")
        reply = await session.call(tool, task_id=task_id)
        assert reply.text.startswith(f"Nothing to {tool.partition('_')[0]}, the task had already ended")
        assert not (await world.task(task_id)).spec.suspend


def test_a_task_that_another_controller_holds_is_not_resumed_by_saying_so() -> None:
    queued = task(status={"phase": "Queued", "message": "queued: somebody other than LongTask holds Job x"})
    assert answers.unchanged(queued, NOW, suspend=False).text.startswith(
        "Nothing has changed: nobody has suspended it with suspend_task or spec.suspend. Its status: started (queued"
    )
