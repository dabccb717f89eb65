"""However often a start is sent, through however many replicas, and whatever becomes of the caller: one task."""

import asyncio
import json
import re
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from longtask_api.constants import ANNOTATION_TAKEN_BACK
from longtask_runtime import kube
from tests.mcp.line import Line
from tests.mcp.replica import ERAS, Agent, Replica, Reply, agent, running
from tests.mcp.world import AGENT_RULES, NOW, World, eventually

Session = Callable[..., AbstractAsyncContextManager[Agent]]
eras = pytest.mark.parametrize("era", ERAS)
TRAINING = {"model_name": "digits"}


@eras
async def test_twenty_starts_with_one_key_over_two_replicas_are_one_task(
    world: World, replica: Replica, other_replica: Replica, alice: str, new_key: Callable[[], str], era: str
) -> None:
    key = new_key()
    async with agent(replica.url, alice, era) as here, agent(other_replica.url, alice, era) as there:
        calls = [each.call("model_training", **TRAINING, idempotency_key=key) for each in [here, there] * 10]
        replies = await asyncio.gather(*calls)
    assert [reply.text for reply in replies if reply.error] == []
    assert len({reply.task_id for reply in replies}) == 1
    assert len(await world.tasks(key)) == 1
    assert len([reply for reply in replies if "has been initiated" in reply.text]) == 1


async def test_twenty_starts_without_a_key_are_one_task_too(
    world: World, replica: Replica, other_replica: Replica, alice: str
) -> None:
    async with agent(replica.url, alice) as here, agent(other_replica.url, alice) as there:
        calls = [each.call("model_training", model_name="unkeyed") for each in [here, there] * 10]
        replies = await asyncio.gather(*calls)
    assert len({reply.task_id for reply in replies}) == 1
    assert len([task for task in await world.tasks() if task.spec.parameters.get("model_name") == "unkeyed"]) == 1


async def test_a_repeated_start_is_told_and_how_to_force_a_second(
    as_alice: Session, new_key: Callable[[], str]
) -> None:
    async with as_alice() as session:
        first = await session.call("model_training", model_name="again")
        second = await session.call("model_training", model_name="again", epochs=10)
        assert second.task_id == first.task_id
        assert "was already started" in second.text
        assert "To run it a second time on purpose, pass an idempotency_key of your choice." in second.text
        forced = await session.call("model_training", model_name="again", idempotency_key=new_key())
        assert forced.task_id != first.task_id


async def test_other_parameters_under_a_used_key_are_an_error_that_shows_both(
    world: World, as_alice: Session, new_key: Callable[[], str]
) -> None:
    key = new_key()
    async with as_alice() as session:
        first = await session.call("model_training", model_name="digits", epochs=3, idempotency_key=key)
        other = await session.call("model_training", model_name="digits", epochs=4, idempotency_key=key)
    assert other.error
    assert f"task ID {first.task_id}" in other.text
    assert '"epochs": 3' in other.text
    assert '"epochs": 4' in other.text
    assert len(await world.tasks(key)) == 1


async def test_a_key_is_the_callers_own(
    as_alice: Session, replica: Replica, bob: str, new_key: Callable[[], str]
) -> None:
    key = new_key()
    async with as_alice() as session, agent(replica.url, bob) as other:
        mine = await session.call("model_training", **TRAINING, idempotency_key=key)
        his = await other.call("model_training", model_name="other", idempotency_key=key)
    assert not his.error
    assert his.task_id != mine.task_id


async def test_start_task_and_the_template_s_own_tool_are_one_start(
    as_alice: Session, new_key: Callable[[], str]
) -> None:
    key = new_key()
    async with as_alice() as session:
        first = await session.call("model_training", **TRAINING, idempotency_key=key)
        second = await session.call("start_task", template="model-training", parameters=TRAINING, idempotency_key=key)
    assert second.task_id == first.task_id


async def test_a_name_that_something_else_has_is_passed_over(
    world: World, as_alice: Session, new_key: Callable[[], str]
) -> None:
    key = new_key()
    async with as_alice() as session:
        first = await session.call("model_training", **TRAINING, idempotency_key=key)
        task = await world.task(first.task_id)
        await world.delete(f"{world.tasks_path}/{task.metadata.name}")
        await world.make_task(task.metadata.name, parameters={"model_name": "alien"})
        second = await session.call("model_training", **TRAINING, idempotency_key=key)
    assert not second.error
    assert second.envelope["name"] != task.metadata.name
    assert len(await world.tasks(key)) == 1


def raw_start(era: str, key: str) -> tuple[dict[str, str], dict[str, Any]]:
    """Headers and body of a tools/call as the clients of each era send it."""
    version = "2025-11-25" if era == "legacy" else "2026-07-28"
    params: dict[str, Any] = {"name": "model_training", "arguments": {**TRAINING, "idempotency_key": key}}
    headers = {
        "Content-Type": "application/json",
        "Accept": "application/json, text/event-stream",
        "MCP-Protocol-Version": version,
    }
    if era != "legacy":
        headers |= {"Mcp-Method": "tools/call", "Mcp-Name": "model_training"}
        params["_meta"] = {
            "io.modelcontextprotocol/protocolVersion": version,
            "io.modelcontextprotocol/clientCapabilities": {},
            "io.modelcontextprotocol/clientInfo": {"name": "tests", "version": "1"},
        }
    return headers, {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}


@eras
async def test_a_caller_that_vanishes_in_the_middle_of_a_start_leaves_one_task(
    world: World, kubeconfig: Path, line: Line, alice: str, new_key: Callable[[], str], era: str, tmp_path: Path
) -> None:
    key = new_key()
    headers, body = raw_start(era, key)
    headers["Authorization"] = f"Bearer {alice}"
    async with (
        running(line.kubeconfig(kubeconfig, tmp_path), world.namespace, tmp_path) as replica,
        agent(replica.url, alice, era) as session,
        httpx2.AsyncClient(trust_env=False, timeout=0.5) as hasty,
    ):
        assert "model_training" in await session.tool_names()
        line.hold()
        with pytest.raises(httpx2.ReadTimeout):
            async with hasty.stream("POST", replica.url, headers=headers, content=json.dumps(body)) as response:
                await response.aread()
        await hasty.aclose()
        assert await world.tasks(key) == []
        line.release()
        await eventually(lambda: world.tasks(key), "the task of a caller that has gone")
        again = await session.call("model_training", **TRAINING, idempotency_key=key)
    assert "was already started" in again.text
    assert [task.metadata.uid for task in await world.tasks(key)] == [again.task_id]


async def test_of_forty_starts_at_once_over_two_replicas_as_many_are_made_as_are_allowed(
    world: World, kubeconfig: Path
) -> None:
    await world.account("carol")
    await world.allow("agent-carol", AGENT_RULES, "carol")
    carol = await world.token("carol")
    limit = {"max_active_tasks_per_caller": "5"}
    async with (
        running(kubeconfig, world.namespace, kubeconfig.parent, **limit) as here,
        running(kubeconfig, world.namespace, kubeconfig.parent, **limit) as there,
        agent(here.url, carol) as one,
        agent(there.url, carol) as other,
    ):
        calls = [
            session.call("model_training", **TRAINING, idempotency_key=f"forty-{n}-{where}")
            for n in range(20)
            for where, session in enumerate((one, other))
        ]
        replies = await asyncio.gather(*calls)
        refused = [reply for reply in replies if reply.error]
        assert {reply.envelope["error_code"] for reply in refused} == {"too_many_tasks"}
        assert len(replies) - len(refused) == 5
        mine = [task for task in await world.tasks() if (task.spec.idempotency_key or "").startswith("forty-")]
        assert {task.metadata.uid for task in mine if not task.spec.cancel_requested} == {
            reply.task_id for reply in replies if not reply.error
        }


async def test_the_key_of_a_start_that_was_taken_back_starts_again(world: World, limited_replica: Replica) -> None:
    await world.account("dave")
    await world.allow("agent-dave", AGENT_RULES, "dave")
    token = await world.token("dave")
    async with agent(limited_replica.url, token) as session:
        first = await session.call("model_training", **TRAINING, idempotency_key="taken")
        task = await world.task(first.task_id)
        patch = {"metadata": {"annotations": {ANNOTATION_TAKEN_BACK: ""}}, "spec": {"cancelRequested": True}}
        path = f"{world.tasks_path}/{task.metadata.name}"
        await kube.request(world.client, "PATCH", path, body=patch, content_type=kube.MERGE_PATCH)
        await world.set_status(first.task_id, phase="Cancelled", completionTime=NOW)

        async def allowed() -> Reply | None:
            reply = await session.call("model_training", **TRAINING, idempotency_key="taken")
            return None if reply.error or reply.task_id == first.task_id else reply

        made = await eventually(allowed, "room for another task")
        assert made is not None
        assert "has been initiated" in made.text


async def test_a_caller_has_a_limit_of_tasks_that_have_not_ended(
    replica: Replica, limited_replica: Replica, bob: str, new_key: Callable[[], str]
) -> None:
    async with agent(replica.url, bob) as session:
        held = await session.call("model_training", **TRAINING, idempotency_key=new_key())
    async with agent(limited_replica.url, bob) as session:
        assert not (await session.call("check_task_status", task_id=held.task_id)).error
        refused = await session.call("model_training", **TRAINING, idempotency_key=new_key())
    assert refused.error
    assert re.match(r"You have \d+ tasks that have not ended; 1 are allowed\. Nothing was started\.", refused.text)
