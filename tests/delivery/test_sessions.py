"""Which sessions are told, in which order, and what waits for it."""

import asyncio
import itertools
from collections.abc import Callable

import pytest

from tests.agentcore import AgentCoreMemory
from tests.delivery.ended import ACTOR, SNAPSHOT, Ended, at_work, condition, end, told
from tests.kube import Kube, eventually
from tests.operator.process import OperatorProcess

pytestmark = pytest.mark.cluster


async def test_tasks_are_told_in_the_order_in_which_they_ended(
    namespace: Kube, replicas: Callable[[str], OperatorProcess], memory: AgentCoreMemory
) -> None:
    def made() -> list[Ended]:
        """The last one to have ended is made first."""
        return [end(namespace, f"task-{n}", namespace.namespace, seconds_ago=60 + 30 * n) for n in range(8)]

    tasks = await asyncio.to_thread(made)
    await asyncio.to_thread(replicas("only").start)
    for task in tasks:
        await asyncio.to_thread(task.delivered)

    events = memory.events(ACTOR, namespace.namespace)
    times = [event["eventTimestamp"] for event in events]
    assert [event["metadata"]["longtaskUid"]["stringValue"] for event in events] == [t.uid for t in reversed(tasks)]
    assert len(set(times)) == len(tasks)
    written = [call["at"] for call in memory.calls("CreateEvent") if call["sessionId"] == namespace.namespace]
    gaps = [after - before for before, after in itertools.pairwise(written)]
    assert min(gaps) > 0.45, "2 events a second at most: the agent's own need the rest of the 5 that the service takes"


async def test_a_memory_that_is_not_listed_is_never_called(
    namespace: Kube, replicas: Callable[[str], OperatorProcess], memory: AgentCoreMemory
) -> None:
    other = "others-a1b2c3d4e5"
    await asyncio.to_thread(replicas("only").start)
    task = await asyncio.to_thread(end, namespace, "task", namespace.namespace, memory_id=other)
    status = await asyncio.to_thread(
        eventually, lambda: task.status, lambda s: condition(s)["reason"] == "MemoryNotAllowed"
    )

    assert condition(status)["status"] == "False"
    assert "memory.memoryIds" in condition(status)["message"]
    assert all(call.get("memoryId") != other for call in memory.calls())


async def test_an_object_whose_time_is_over_waits_until_its_session_knows_and_its_record_is_kept(
    namespace: Kube, replicas: Callable[[str], OperatorProcess], memory: AgentCoreMemory
) -> None:
    memory.fault("CreateEvent", "throttle", times=3, match={"sessionId": namespace.namespace})
    task = await asyncio.to_thread(end, namespace, "task", namespace.namespace, ttl_seconds=0)
    await asyncio.to_thread(replicas("only").start)

    await asyncio.to_thread(eventually, lambda: task.exists, lambda there: not there)

    assert len(told(memory, task)) == 1
    assert memory.events(ACTOR, f"longtask-{task.uid}") != []
    calls = [call for call in memory.calls("CreateEvent") if call["sessionId"] == namespace.namespace]
    assert [call["status"] for call in calls] == [429, 429, 429, 201]


@pytest.mark.parametrize("fault", ["invalid", "denied", "resetAfter"])
async def test_what_becomes_of_a_milestone_settles_nothing(
    namespace: Kube, replicas: Callable[[str], OperatorProcess], memory: AgentCoreMemory, fault: str
) -> None:
    session = namespace.namespace
    memory.fault("CreateEvent", fault, match={"sessionId": session})
    await asyncio.to_thread(replicas("only").start)
    task = await asyncio.to_thread(at_work, namespace, "task", session, fraction=0.6, milestones=[50])
    await asyncio.to_thread(eventually, lambda: task.status, lambda s: "failures" in s.get("delivery", {}))
    await asyncio.to_thread(task.ends)
    status = await asyncio.to_thread(task.delivered)

    events = memory.events(ACTOR, session)
    names = [event["metadata"]["longtaskEvent"]["stringValue"] for event in events]
    assert names == (["progress-50", "result"] if fault == "resetAfter" else ["result"])
    assert condition(status)["reason"] == "Delivered"


async def test_a_long_term_record_that_is_refused_keeps_nobody_from_knowing(
    namespace: Kube, replicas: Callable[[str], OperatorProcess], memory: AgentCoreMemory
) -> None:
    memory.fault("BatchCreateMemoryRecords", "invalid", times=100)  # a conflict makes the call be repeated
    policy = {"longTermRecord": True}
    await asyncio.to_thread(replicas("only").start)
    task = await asyncio.to_thread(
        end, namespace, "task", namespace.namespace, templateSnapshot=SNAPSHOT | {"delivery": policy}
    )
    status = await asyncio.to_thread(task.delivered)

    assert len(told(memory, task)) == 1
    assert "the long-term record is refused" in condition(status)["message"]
    assert "recordId" not in status["delivery"]
