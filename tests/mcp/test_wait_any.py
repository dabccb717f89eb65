"""wait_any over HTTP: on any replica, with and without news, beside other callers."""

import asyncio
import json
import uuid
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from longtask_api.base import rfc3339
from longtask_runtime import clock
from tests.mcp.replica import ERAS, Agent, Replica, agent, running
from tests.mcp.world import World, eventually

QUESTION = {"id": "deploy", "message": "Deploy?"}
Agents = Callable[..., AbstractAsyncContextManager[Agent]]


async def started(session: Agent) -> str:
    reply = await session.call("model_training", model_name="m", idempotency_key=uuid.uuid4().hex)
    return reply.task_id


async def ends(world: World, uid: str) -> None:
    now = rfc3339(clock.now())
    condition = {"type": "Succeeded", "status": "True", "reason": "Done", "message": "", "lastTransitionTime": now}
    await world.set_status(uid, phase="Succeeded", startTime=now, completionTime=now, conditions=[condition])


async def asks(world: World, uid: str, question: str = "deploy") -> None:
    asked = QUESTION | {"id": question, "createdTime": rfc3339(clock.now())}
    await world.set_status(uid, phase="WaitingForInput", inputRequests=[asked])


async def now_on(session: Agent, **arguments: Any) -> str:
    """A cursor after everything that is news by now."""
    reply = await session.call("wait_any", timeout_seconds=0, **arguments)
    while reply.envelope["more"]:
        reply = await session.call("wait_any", timeout_seconds=0, cursor=reply.envelope["cursor"], **arguments)
    return str(reply.envelope["cursor"])


@pytest.mark.parametrize("era", ERAS)
async def test_the_first_news_of_several_tasks_ends_the_wait(as_alice: Agents, world: World, era: str) -> None:
    async with as_alice(era) as session:
        cursor = await now_on(session)
        tasks = [await started(session) for _ in range(3)]
        waiting = asyncio.create_task(session.call("wait_any", cursor=cursor))
        await asyncio.sleep(0.5)
        assert not waiting.done()
        await ends(world, tasks[1])
        reply = await waiting
        assert [(each["kind"], each["task_id"]) for each in reply.envelope["news"]] == [("ended", tasks[1])]
        assert f"{tasks[1]} model-training: completed" in reply.text
        await asks(world, tasks[2])
        reply = await session.call("wait_any", cursor=reply.envelope["cursor"])
        assert [(each["kind"], each["task_id"]) for each in reply.envelope["news"]] == [("question", tasks[2])]
        nothing = await session.call("wait_any", cursor=reply.envelope["cursor"], timeout_seconds=1)
        assert nothing.envelope["news"] == []
        assert nothing.envelope["cursor"] == reply.envelope["cursor"]


async def test_any_replica_goes_on_from_a_cursor(
    replica: Replica, other_replica: Replica, alice: str, world: World
) -> None:
    async with agent(replica.url, alice) as one, agent(other_replica.url, alice) as other:
        cursor = await now_on(one)
        heard: list[str] = []
        tasks = [await started(one) for _ in range(6)]
        for number, task_id in enumerate(tasks):
            await ends(world, task_id)
            reply = await (one, other)[number % 2].call("wait_any", cursor=cursor)
            heard += [each["task_id"] for each in reply.envelope["news"]]
            cursor = reply.envelope["cursor"]
    assert heard == tasks


async def test_who_was_away_hears_of_everything(as_alice: Agents, world: World) -> None:
    async with as_alice() as session:
        cursor = await now_on(session)
        tasks = [await started(session) for _ in range(3)]
    for task_id in tasks:
        await ends(world, task_id)
    async with as_alice() as later:

        async def all_heard() -> bool:
            reply = await later.call("wait_any", cursor=cursor)
            return {each["task_id"] for each in reply.envelope["news"]} == set(tasks)

        await eventually(all_heard, "all ends are news")


async def test_chosen_tasks_only(as_alice: Agents, world: World) -> None:
    async with as_alice() as session:
        chosen, other = [await started(session) for _ in range(2)]
        waiting = asyncio.create_task(session.call("wait_any", task_ids=[chosen]))
        await ends(world, other)
        await asyncio.sleep(0.5)
        assert not waiting.done()
        await ends(world, chosen)
        reply = await waiting
        assert [each["task_id"] for each in reply.envelope["news"]] == [chosen]
        assert reply.text.endswith("None of these tasks goes on.")
        for spelt in (json.dumps([chosen, other]), f"{chosen}, {other}"):
            reply = await session.call("wait_any", task_ids=spelt)
            assert {each["task_id"] for each in reply.envelope["news"]} == {chosen, other}
        again = await session.call("wait_any", **reply.envelope.get("next", {}).get("arguments", {}), timeout_seconds=0)
        assert not again.error


async def test_a_chosen_task_that_is_deleted_meanwhile_ends_the_wait(as_alice: Agents, world: World) -> None:
    async with as_alice() as session:
        task_id = await started(session)
        waiting = asyncio.create_task(session.call("wait_any", task_ids=[task_id]))
        await asyncio.sleep(0.5)
        await world.delete(f"{world.tasks_path}/{(await world.task(task_id)).metadata.name}")
        reply = await waiting
        assert reply.envelope["error_code"] == "task_not_found"


async def test_nothing_is_waited_for_if_nothing_goes_on(as_alice: Agents, world: World) -> None:
    async with as_alice() as session:
        task_id = await started(session)
        await ends(world, task_id)
        reply = await session.call("wait_any", task_ids=[task_id])
        async with asyncio.timeout(20):
            reply = await session.call("wait_any", task_ids=[task_id], cursor=reply.envelope["cursor"])
        assert reply.text == "No news.\nNone of these tasks goes on."


async def test_a_stopping_server_answers_its_waits_with_the_same_cursor(
    world: World, kubeconfig: Path, alice: str, tmp_path: Path
) -> None:
    async with running(kubeconfig, world.namespace, tmp_path) as own, agent(own.url, alice) as session:
        await started(session)
        cursor = await now_on(session)
        waiting = asyncio.create_task(session.call("wait_any", cursor=cursor))
        await asyncio.sleep(0.5)
        own.terminate()
        reply = await waiting
        assert reply.envelope["interrupted"]
        assert reply.envelope["cursor"] == cursor


async def test_what_is_wrong_is_an_error(as_alice: Agents, replica: Replica, bob: str) -> None:
    async with as_alice() as session, agent(replica.url, bob) as stranger:
        task_id = await started(session)
        for reply, code in (
            (await session.call("wait_any", cursor="yesterday"), "invalid_arguments"),
            (await session.call("wait_any", task_ids=7), "invalid_arguments"),
            (await session.call("wait_any", task_ids=[task_id], cursor=await now_on(session)), "invalid_arguments"),
            (await session.call("wait_any", task_ids=[task_id, str(uuid.uuid4())]), "task_not_found"),
            (await stranger.call("wait_any", task_ids=[task_id]), "task_not_found"),
        ):
            assert reply.error
            assert reply.envelope["error_code"] == code


async def test_the_news_of_others_are_not_told(as_alice: Agents, replica: Replica, bob: str, world: World) -> None:
    async with as_alice() as session, agent(replica.url, bob) as stranger:
        cursor = await now_on(stranger)
        await ends(world, await started(session))
        reply = await stranger.call("wait_any", cursor=cursor, timeout_seconds=2)
        assert reply.envelope["news"] == []


async def test_a_question_is_news_until_somebody_answers_it(as_alice: Agents, world: World) -> None:
    async with as_alice() as session:
        task_id = await started(session)
        await asks(world, task_id)

        async def asked() -> bool:
            reply = await session.call("wait_any", task_ids=[task_id], timeout_seconds=1)
            return [each["kind"] for each in reply.envelope["news"]] == ["question"]

        await eventually(asked, "the question is news")
        await session.call("answer_task", task_id=task_id, answer="yes")
        reply = await session.call("wait_any", task_ids=[task_id], timeout_seconds=0)
        assert reply.envelope["news"] == []
        assert reply.envelope["unfinished"] == 1


async def test_a_wait_reports_that_it_goes_on(as_alice: Agents) -> None:
    told: list[str | None] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        told.append(message)

    async with as_alice() as session:
        cursor = await now_on(session)
        arguments = {"cursor": cursor, "timeout_seconds": 1}
        await session.client.call_tool("wait_any", arguments, progress_callback=hear)
    assert told == ["waiting for news of your tasks"]
