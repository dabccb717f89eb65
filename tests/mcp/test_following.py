"""An agent starts work, follows it and reads what came of it, over real HTTP, in both eras of the protocol."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from longtask_api.mcp_names import FIXED_TOOLS, LABEL_REQUESTER, requester_label
from longtask_mcp.contract.tool_definitions import FIXED
from tests.mcp.replica import ERAS, Agent, Replica, agent
from tests.mcp.world import NOW, World, eventually

Session = Callable[..., AbstractAsyncContextManager[Agent]]
eras = pytest.mark.parametrize("era", ERAS)

PROGRESS = {"attempt": 1, "sequence": 1, "fraction": 0.6, "message": "epoch 6/10", "updatedTime": NOW}
RUNNING = {"phase": "Running", "startTime": NOW, "attemptCount": 1}
ENDED = {"startTime": NOW, "completionTime": "2026-11-22T10:12:00Z", "attemptCount": 1}
SUCCEEDED = {"phase": "Succeeded", **ENDED, "result": {"value": {"score": 0.87}}}
FAILURE = {"reason": "OOMKilled", "message": "too much memory", "logTail": "epoch 7\nKilled", "hint": "use less"}


async def start(session: Agent, key: str, **arguments: Any) -> str:
    """Start a training and give its id."""
    reply = await session.call("model_training", model_name="digits", idempotency_key=key, **arguments)
    assert not reply.error, reply.text
    return reply.task_id


@pytest.mark.parametrize(
    ("era", "version"), [("legacy", "2025-11-25"), ("auto", "2026-07-28"), ("2026-07-28", "2026-07-28")]
)
async def test_both_eras_of_the_protocol_are_spoken(as_alice: Session, era: str, version: str) -> None:
    async with as_alice(era) as session:
        assert session.client.protocol_version == version
        assert (await session.tool_names())[: len(FIXED)] == [tool.name for tool in FIXED]
        assert "model_training" in await session.tool_names()


@eras
async def test_a_task_from_start_to_result(
    world: World, as_alice: Session, new_key: Callable[[], str], era: str
) -> None:
    async with as_alice(era) as session:
        reply = await session.call("model_training", model_name="digits", epochs=5, idempotency_key=new_key())
        assert reply.text == (
            f"Model Training task has been initiated with task ID: {reply.task_id}. It runs without you; you may "
            "disconnect. Check with check_task_status in ~60 s."
        )
        assert (await session.call("check_task_status", task_id=reply.task_id)).envelope["status"] == "started"
        assert "task not completed." in (await session.call("get_task_results", task_id=reply.task_id)).text

        await world.set_status(reply.task_id, **RUNNING, progress=PROGRESS)
        await eventually(lambda: _says(session, reply.task_id, "running 60% (epoch 6/10)"), "running")
        early = await session.call("get_task_results", task_id=reply.task_id)
        assert not early.error
        assert early.text.startswith("task not completed. Current status: running 60%")

        await world.set_status(reply.task_id, **SUCCEEDED)
        await eventually(lambda: _says(session, reply.task_id, "completed in 12 min"), "completed")
    async with as_alice(era) as later_session:
        result = await later_session.call("get_task_results", task_id=reply.task_id)
        assert result.envelope["result"] == {"score": 0.87}
        assert result.text == 'completed in 12 min. Result:\n{"score": 0.87}'


async def test_the_record_has_the_caller_the_complete_parameters_and_a_label(
    world: World, as_alice: Session, new_key: Callable[[], str]
) -> None:
    key = new_key()
    async with as_alice() as session:
        task_id = await start(session, key)
    task = await world.task(task_id)
    principal = f"system:serviceaccount:{world.namespace}:alice"
    assert task.spec.requester is not None
    assert task.spec.requester.principal == principal
    assert task.spec.parameters == {"model_name": "digits", "epochs": 10}
    assert task.spec.idempotency_key == key
    assert task.metadata.labels[LABEL_REQUESTER] == requester_label(principal)
    assert task.metadata.name.startswith("model-training-")


@eras
async def test_a_failure_is_told_with_reason_hint_and_log(
    world: World, as_alice: Session, new_key: Callable[[], str], era: str
) -> None:
    async with as_alice(era) as session:
        task_id = await start(session, new_key())
        await world.set_status(task_id, phase="Failed", **ENDED, failure=FAILURE)
        await eventually(lambda: _says(session, task_id, "failed after 1 attempt: OOMKilled"), "failed")
        log = await session.call("get_task_logs", task_id=task_id)
        assert log.envelope["source"] == "record"
        assert log.text.endswith("epoch 7\nKilled")


async def test_templates_come_and_go_as_tools(world: World, as_alice: Session) -> None:
    async with as_alice() as session:
        await world.template("late-comer", ready=False)
        await eventually(lambda: _lists(session, "late-comer: not available: PodSecurityViolation"), "not available")
        assert set(await session.tool_names()) >= FIXED_TOOLS
        assert "late_comer" not in await session.tool_names()
        refused = await session.call("start_task", template="late-comer")
        assert refused.error
        assert "late-comer cannot be started now: PodSecurityViolation: runAsNonRoot is not set" in refused.text

        await world.template("late-comer")
        await eventually(lambda: _lists(session, "late-comer (tool late_comer)"), "a tool")
        assert "late_comer" in await session.tool_names()
        assert not (await session.call("start_task", template="late-comer")).error

        await world.template("late-comer", ready=False)
        await eventually(lambda: _lists(session, "late-comer: not available"), "no tool any more")
        assert "late_comer" not in await session.tool_names()


@eras
async def test_a_wait_tells_progress_and_ends_with_the_result(
    world: World, as_alice: Session, new_key: Callable[[], str], era: str
) -> None:
    told: list[tuple[float, float | None, str | None]] = []
    first = asyncio.Event()

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        told.append((progress, total, message))
        first.set()

    async with as_alice(era) as session:
        arguments = {"model_name": "digits", "idempotency_key": new_key(), "wait_seconds": 50}
        waiting = asyncio.create_task(session.client.call_tool("model_training", arguments, progress_callback=hear))
        await asyncio.wait_for(first.wait(), 60)
        message = told[0][2]
        assert message is not None
        task_id = message.removeprefix("task ID ").partition(":")[0]
        await world.set_status(task_id, **RUNNING, progress=PROGRESS)
        await eventually(lambda: _true(any(total == 100.0 for _, total, _ in told)), "progress of 60%")
        await world.set_status(task_id, **SUCCEEDED)
        result = await asyncio.wait_for(waiting, 60)
    assert result.structured_content is not None
    assert result.structured_content["result"] == {"score": 0.87}
    assert (60.0, 100.0) in [(value, total) for value, total, _ in told]
    values = [value for value, _, _ in told]
    assert values == sorted(set(values))


@eras
async def test_a_progress_token_alone_does_not_wait(as_alice: Session, new_key: Callable[[], str], era: str) -> None:
    async def hear(progress: float, total: float | None, message: str | None) -> None:
        pass

    async with as_alice(era) as session:
        arguments = {"model_name": "digits", "idempotency_key": new_key()}
        call = session.client.call_tool("model_training", arguments, progress_callback=hear)
        result = await asyncio.wait_for(call, 60)
    assert result.structured_content is not None
    assert result.structured_content["status"] == "started"


@eras
async def test_a_wait_that_is_over_answers_how_the_task_is(
    as_alice: Session, new_key: Callable[[], str], era: str
) -> None:
    async with as_alice(era) as session:
        task_id = await start(session, new_key())
        reply = await session.call("wait_for_task", task_id=task_id, timeout_seconds=0.2)
    assert not reply.error
    assert reply.envelope["status"] == "started"
    assert "Call wait_for_task again to wait on, or check again in 60 s; do not start it again." in reply.text
    assert reply.envelope["next"] == {"tool": "wait_for_task", "arguments": {"task_id": task_id}, "after_seconds": 0}


@eras
async def test_cancelling(world: World, as_alice: Session, new_key: Callable[[], str], era: str) -> None:
    async with as_alice(era) as session:
        task_id = await start(session, new_key())
        reply = await session.call("cancel_task", task_id=task_id)
        assert not reply.error
        assert "being cancelled" in reply.text
        assert (await world.task(task_id)).spec.cancel_requested
        assert "being cancelled" in (await session.call("check_task_status", task_id=task_id)).text
        assert "being cancelled" in (await session.call("cancel_task", task_id=task_id)).text

        await world.set_status(task_id, phase="Cancelled", **ENDED)
        await eventually(lambda: _says(session, task_id, "cancelled in 12 min"), "cancelled")
        late = await session.call("cancel_task", task_id=task_id)
        assert not late.error
        assert late.text.startswith("Nothing to cancel, the task had already ended: cancelled")


@eras
async def test_a_large_result_is_read_page_by_page(
    world: World, as_alice: Session, new_key: Callable[[], str], era: str
) -> None:
    async with as_alice(era) as session:
        task_id = await start(session, new_key())
        await world.set_status(task_id, phase="Succeeded", **ENDED, result={"text": "0123456789" * 1500})
        await eventually(lambda: _says(session, task_id, "completed"), "completed")
        first = await session.call("get_task_results", task_id=task_id)
        assert "Part 1 of 2: call get_task_results with page=2." in first.text
        second = await session.call("get_task_results", task_id=task_id, page=2)
        assert first.envelope["result"] + second.envelope["result"] == "0123456789" * 1500
        third = await session.call("get_task_results", task_id=task_id, page=3)
        assert third.error
        assert third.text == "page: 3 is out of range; there are 2 pages."


async def test_another_replica_answers_for_a_task_that_was_just_started(
    replica: Replica, other_replica: Replica, alice: str, new_key: Callable[[], str]
) -> None:
    async with agent(replica.url, alice) as here, agent(other_replica.url, alice) as there:
        for _ in range(10):
            task_id = await start(here, new_key())
            assert (await there.call("check_task_status", task_id=task_id)).envelope["task_id"] == task_id


async def test_callers_do_not_see_each_other(
    replica: Replica, as_alice: Session, bob: str, new_key: Callable[[], str]
) -> None:
    async with as_alice() as session, agent(replica.url, bob) as other:
        task_id = await start(session, new_key())
        name = (await session.call("check_task_status", task_id=task_id)).envelope["name"]
        unknown = "00000000-0000-4000-8000-000000000000"
        for tool in ("check_task_status", "get_task_results", "wait_for_task", "cancel_task", "get_task_logs"):
            foreign = await other.call(tool, task_id=task_id)
            missing = await other.call(tool, task_id=unknown)
            assert foreign.error
            assert foreign.text.replace(task_id, unknown) == missing.text
        assert task_id not in (await other.call("list_tasks")).text
        assert task_id in (await session.call("list_tasks")).text
        assert task_id in (await session.call("check_task_status", task_id=name)).text
        assert task_id not in (await other.call("check_task_status", task_id=name)).text


async def test_list_tasks_filters_by_status(world: World, as_alice: Session, new_key: Callable[[], str]) -> None:
    async with as_alice() as session:
        task_id = await start(session, new_key())
        await world.set_status(task_id, phase="Failed", **ENDED, failure=FAILURE)
        await eventually(lambda: _says(session, task_id, "failed"), "failed")
        failed = (await session.call("list_tasks", status="failed")).envelope["tasks"]
        assert task_id in [entry["task_id"] for entry in failed]
        assert {entry["status"] for entry in failed} == {"failed"}


async def _says(session: Agent, task_id: str, words: str) -> bool:
    return words in (await session.call("check_task_status", task_id=task_id)).text


async def _lists(session: Agent, words: str) -> bool:
    return words in (await session.call("list_templates")).text


async def _true(value: bool) -> bool:
    return value
