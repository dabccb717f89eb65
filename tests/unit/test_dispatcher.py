"""What many sessions and an absent memory cost: none waits for another's pace, and nothing is asked for in vain."""

import asyncio
import itertools
import uuid
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from longtask_api import longtask
from longtask_api.conditions import Condition
from longtask_api.longtask import ConditionType, Delivery, LongTask, Phase
from longtask_operator.agentcore.client import AgentCore
from longtask_operator.agentcore.models import Event, Session
from longtask_operator.archive.archive import Archive
from longtask_operator.archive.archiver import LOOK_AGAIN, Archiver
from longtask_operator.cache import Cache
from longtask_operator.delivery.dispatcher import CALL_INTERVAL, WORKERS, DeliveryDispatcher
from longtask_operator.task_namespace import TaskNamespace
from tests.archived import MEMORY, MEMORY_ID, ended
from tests.unit.virtual_time import until_idle


class ApiServer:
    """Has tasks, and counts how often one is asked for."""

    def __init__(self) -> None:
        self.tasks: dict[str, LongTask] = {}
        self.reads = 0

    async def get_task(self, name: str, uid: str) -> LongTask | None:
        self.reads += 1
        return self.tasks.get(uid)

    async def write_delivery(self, task: LongTask, delivery: Delivery, condition: Condition) -> LongTask:
        return self._written(task, condition, delivery=delivery)

    async def write_archive(self, task: LongTask, archive: longtask.Archive | None, condition: Condition) -> LongTask:
        return self._written(task, condition, archive=archive)

    def _written(self, task: LongTask, condition: Condition, **fields: Any) -> LongTask:
        others = [each for each in task.status.conditions if each.type != condition.type]
        status = task.status.model_copy(update={"conditions": [*others, condition], **fields})
        version = str(int(task.metadata.resource_version) + 1)
        metadata = task.metadata.model_copy(update={"resource_version": version})
        self.tasks[task.metadata.uid] = task.model_copy(update={"metadata": metadata, "status": status})
        return self.tasks[task.metadata.uid]


class Memory:
    """Takes every event; `told` are their sessions and times."""

    def __init__(self) -> None:
        self.told: list[tuple[str, float]] = []

    async def events(
        self, session: Session, *, metadata: Mapping[str, str] | None = None, page: int = 100
    ) -> AsyncIterator[list[Event]]:
        yield []

    async def create_event(self, session: Session, *_: object, **__: object) -> str:
        self.told.append((session.session_id, asyncio.get_running_loop().time()))
        return f"0#{len(self.told)}"


def untold(session: str, ago: timedelta = timedelta(0)) -> LongTask:
    """A task that has ended, of which its session does not know."""
    task = ended(uid=str(uuid.uuid4()), spec={"memory": MEMORY.model_copy(update={"session_id": session})})
    status = task.status.model_copy(
        update={"conditions": [], "delivery": None, "archive": None, "completion_time": datetime.now(UTC) - ago}
    )
    return task.model_copy(update={"status": status})


def test_sessions_do_not_wait_for_each_others_pace() -> None:
    server, memory, cache = ApiServer(), Memory(), Cache()
    sessions = DeliveryDispatcher(
        cast(TaskNamespace, server), cache, cast(AgentCore, memory), [MEMORY_ID], open_turn_timeout=timedelta(0)
    )
    count, each = 4 * WORKERS, 3

    async def tell() -> None:
        running = asyncio.create_task(sessions.run())
        await asyncio.sleep(0)
        for number in range(count * each):
            task = untold(f"chat-{number % count}")
            server.tasks[task.metadata.uid] = task
            cache.put_task(task)
            sessions.consider(task.metadata.uid)
        await running

    until_idle(tell)

    assert len(memory.told) == count * each
    assert max(at for _, at in memory.told) == pytest.approx((each - 1) * CALL_INTERVAL, abs=0.01)
    for session in {session for session, _ in memory.told}:
        times = [at for told, at in memory.told if told == session]
        assert min(after - before for before, after in itertools.pairwise(times)) >= CALL_INTERVAL


def test_what_ended_first_is_told_first_though_a_new_leader_looks_at_another_before() -> None:
    asked = list[str]()

    class Server(ApiServer):
        async def get_task(self, name: str, uid: str) -> LongTask | None:
            asked.append(uid)
            return await super().get_task(name, uid)

    server, memory, cache = Server(), Memory(), Cache()
    sessions = DeliveryDispatcher(
        cast(TaskNamespace, server), cache, cast(AgentCore, memory), [MEMORY_ID], open_turn_timeout=timedelta(0)
    )
    first, second = untold("chat", ago=timedelta(minutes=1)), untold("chat")
    for task in (second, first):
        server.tasks[task.metadata.uid] = task
        cache.put_task(task)

    async def lead() -> None:
        running = asyncio.create_task(sessions.run())
        await asyncio.sleep(0)
        sessions.consider(second.metadata.uid)
        await running

    until_idle(lead)

    assert list(dict.fromkeys(asked)) == [first.metadata.uid, second.metadata.uid]
    assert len(memory.told) == 2


@pytest.mark.parametrize("phase", [Phase.RUNNING, Phase.SUCCEEDED])
def test_a_session_whose_tasks_are_deleted_is_forgotten(phase: Phase) -> None:
    server, memory, cache = ApiServer(), Memory(), Cache()
    sessions = DeliveryDispatcher(
        cast(TaskNamespace, server), cache, cast(AgentCore, memory), [MEMORY_ID], open_turn_timeout=timedelta(0)
    )

    async def come_and_go() -> None:
        running = asyncio.create_task(sessions.run())
        await asyncio.sleep(0)
        for number in range(20):
            task = untold(f"chat-{number}")
            status = task.status.model_copy(update={"phase": phase})
            cache.put_task(task.model_copy(update={"status": status}))
            sessions.consider(task.metadata.uid)
            cache.drop_task(task.metadata.uid)
            sessions.consider(task.metadata.uid)
        await running

    until_idle(come_and_go)

    kept = (sessions._tasks, sessions._session_of, sessions._newest, sessions._next_call)
    assert [len(each) for each in kept] == [0, 0, 0, 0]


def test_a_record_that_waits_for_its_session_costs_no_request() -> None:
    server, cache, kept = ApiServer(), Cache(), list[str]()
    task = untold("chat")
    uid = task.metadata.uid

    class Place:
        def takes(self, task: LongTask) -> bool:
            return True

        async def put(self, task: LongTask) -> longtask.Archive:
            kept.append(task.metadata.uid)
            return longtask.Archive(uri="s3://a/b", archived_time=datetime.now(UTC))

    archiver = Archiver(cast(TaskNamespace, server), cache, cast(Archive, Place()))

    async def wait() -> None:
        server.tasks[uid] = task
        cache.put_task(task)
        running = asyncio.create_task(archiver.run())
        await asyncio.sleep(0)
        archiver.consider(uid)
        await asyncio.sleep(10 * LOOK_AGAIN)
        assert (server.reads, kept) == (0, [])
        told = Condition(
            type=ConditionType.DELIVERED,
            status="True",
            reason="Delivered",
            message="",
            last_transition_time=datetime.now(UTC),
        )
        cache.put_task(await server.write_delivery(task, Delivery(), told))
        await asyncio.sleep(2 * LOOK_AGAIN)
        running.cancel()

    until_idle(wait)
    assert (server.reads, kept) == (1, [uid])
