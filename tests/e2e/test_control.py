"""What people and agents can do to a task while it lives: cancel, hold, delete."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from tests.e2e.conftest import Session
from tests.e2e.following import FOR_LONG, answered, asleep, ended, in_phase, told, when_told
from tests.e2e.installation import TASKS, Installation
from tests.e2e.programs import kubectl
from tests.mcp.replica import Reply
from tests.mcp.world import eventually

DEADLINE = 30


@pytest.fixture(scope="module")
async def held(installation: Installation, as_alice: Session, new_key: Callable[[], str]) -> Reply:
    """A task with a deadline of 30 s, suspended in mid-run; what its start answered."""
    async with as_alice() as agent:
        task = await agent.call("e2e_held", code=when_told("after all"), idempotency_key=new_key())
        await in_phase(agent, task.task_id, "Running")
        await installation.patch(task.envelope["name"], suspend=True)
        await told(agent, task.task_id, "suspended until it is resumed (resume_task)")
    return task


async def test_a_task_that_is_held_says_so_and_has_no_pod(
    installation: Installation, as_alice: Session, held: Reply
) -> None:
    async with as_alice() as agent:
        status = await in_phase(agent, held.task_id, "Suspended")
    assert status.envelope["status"] == "running"
    assert await installation.pods(task_uid=held.task_id) == []


async def test_a_pending_task_is_cancelled_and_leaves_nothing(
    installation: Installation, as_alice: Session, new_key: Callable[[], str]
) -> None:
    async with as_alice() as agent:
        task = await agent.call("e2e_no_node", code="pass", idempotency_key=new_key())
        await told(agent, task.task_id, "Unschedulable")
        answer = await agent.call("cancel_task", task_id=task.task_id)
        assert "The task is being cancelled" in answer.text
        reply = await ended(agent, task.task_id)
        again = await agent.call("cancel_task", task_id=task.task_id)
    assert reply.envelope["status"] == "cancelled"
    assert reply.text.startswith("cancelled. It never ran, so there is no log.")
    assert again.text.startswith("Nothing to cancel, the task had already ended: cancelled")
    await eventually(lambda: installation.nothing_left(task.task_id), "Job and pod gone")


@pytest.fixture(scope="module")
async def cancelled(as_alice: Session, new_key: Callable[[], str]) -> Reply:
    """A task that was cancelled when it had written to its log; how it is then."""
    async with as_alice() as agent:
        task = await agent.call("e2e_python", code=FOR_LONG, idempotency_key=new_key())
        await answered(agent, "get_task_logs", lambda log: "working" in log.text, task_id=task.task_id)
        await agent.call("cancel_task", task_id=task.task_id)
        return await ended(agent, task.task_id)


async def test_a_running_task_is_cancelled_and_keeps_its_log(
    installation: Installation, as_alice: Session, cancelled: Reply
) -> None:
    assert cancelled.envelope["status"] == "cancelled"
    assert cancelled.envelope["failure"]["log_tail"] == "working"
    async with as_alice() as agent:
        log = await agent.call("get_task_logs", task_id=cancelled.task_id)
    assert log.envelope["text"].rstrip() == "working"
    [pod] = await installation.pods(task_uid=cancelled.task_id)
    assert pod["status"]["phase"] == "Failed"


async def test_the_text_about_a_cancelled_task_ends_with_its_last_log(cancelled: Reply) -> None:
    assert "Last log:\nworking" in cancelled.text


async def test_a_task_deleted_in_mid_run_is_not_found_and_leaves_nothing(
    installation: Installation, as_alice: Session, new_key: Callable[[], str]
) -> None:
    async with as_alice() as agent:
        task = await agent.call("e2e_python", code=FOR_LONG, idempotency_key=new_key())
        await in_phase(agent, task.task_id, "Running")
        (await kubectl("delete", "-n", TASKS, "longtask", task.envelope["name"])).done()
        nowhere = f"task not found: {task.task_id}. Ids are never guessed: call list_tasks"
        # Before that, a busy archive may not have said in time whether it has the task.
        await answered(agent, "check_task_status", lambda reply: reply.text.startswith(nowhere), task_id=task.task_id)
        listed = await agent.call("list_tasks")
    assert task.task_id not in listed.text
    await eventually(lambda: installation.nothing_left(task.task_id), "Job and pod gone")


async def test_a_name_that_is_deleted_and_used_again_at_once_is_another_task(
    installation: Installation, as_alice: Session, new_key: Callable[[], str]
) -> None:
    key = new_key()  # the name of a task follows from the key of its start
    async with as_alice() as agent:
        first = await agent.call("e2e_python", code=FOR_LONG, idempotency_key=key)
        await in_phase(agent, first.task_id, "Running")
        (await kubectl("delete", "-n", TASKS, "longtask", first.envelope["name"])).done()
        second = await agent.call("e2e_python", code=asleep(0, "the second"), idempotency_key=key)
        assert not second.error, second.text
        reply = await ended(agent, second.task_id)
    assert second.envelope["name"] == first.envelope["name"]
    assert second.task_id != first.task_id
    assert reply.envelope["result"] == "the second"
    assert reply.envelope["attempts"] == 1
    assert await installation.ran_once(second.task_id)
    await eventually(lambda: installation.nothing_left(first.task_id), "Job and pod of the first gone")


async def test_time_that_a_task_was_held_does_not_count_against_its_deadline(
    installation: Installation, as_alice: Session, held: Reply
) -> None:
    async with as_alice() as agent:
        task = await installation.world.task(held.task_id)
        [since] = [each.last_transition_time for each in task.status.conditions if each.type == "Suspended"]

        async def past_the_deadline() -> bool:
            return (datetime.now(UTC) - since).total_seconds() > DEADLINE

        await eventually(past_the_deadline, "held for longer than the deadline", 2 * DEADLINE)
        await installation.patch(held.envelope["name"], suspend=False)
        await installation.go(held.task_id)
        reply = await ended(agent, held.task_id)
    assert reply.envelope["status"] == "completed", reply.text
    assert reply.envelope["result"] == "after all"
    assert reply.envelope["attempts"] == 2
    assert len(await installation.jobs(task_uid=held.task_id)) == 1
