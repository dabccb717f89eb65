"""Progress while a call waits."""

import asyncio
from typing import cast

import pytest
from kubernetes.aio.client import ApiClient

from longtask_api.longtask import LongTask
from longtask_mcp.cache import Cache
from longtask_mcp.task_client import TaskClient
from longtask_mcp.wait_task import Series, TaskWaiter
from tests.mcp.objects import UID, ago, task

Told = list[tuple[float, float | None, str]]


def at(version: int, phase: str = "Running", fraction: float | None = None) -> LongTask:
    progress = {"progress": {"attempt": 1, "sequence": version, "fraction": fraction}} if fraction is not None else {}
    return task(status={"phase": phase, **progress}, resourceVersion=str(version))


def asked(version: int, *questions: str) -> LongTask:
    requests = [{"id": each, "message": "?", "createdTime": ago(minutes=1)} for each in questions]
    return task(status={"phase": "WaitingForInput", "inputRequests": requests}, resourceVersion=str(version))


def test_progress_is_the_real_one_and_rises_with_every_notification() -> None:
    series = Series()
    shares = [0.0, 0.6, 0.6, 0.2, *[1.0] * 2000]
    steps = [at(1), at(2), *(at(number, fraction=share) for number, share in enumerate(shares, 3)), at(9000)]
    told = [series.following(step) for step in steps]
    values = [value for value, _ in told]
    assert values == sorted(set(values))
    assert told[3] == (60.0, 100.0)
    assert told[0][1] is None
    assert all(value < total for value, total in told if total is not None)


@pytest.fixture
def tasks() -> TaskClient:
    return TaskClient(cast(ApiClient, None), "tasks")


@pytest.fixture
def cache(tasks: TaskClient) -> Cache[LongTask]:
    return tasks.cache


async def test_a_wait_tells_every_change_and_ends_with_the_task(tasks: TaskClient, cache: Cache[LongTask]) -> None:
    told: Told = []
    cache.put(at(1))
    updates = iter([at(2, fraction=0.5), at(3, "Succeeded")])

    async def report(value: float, total: float | None, message: str) -> None:
        told.append((value, total, message))
        cache.put(next(updates))

    waited = await TaskWaiter(tasks, asyncio.Event()).until_news("call", at(1), 30, report)
    assert waited.task == at(3, "Succeeded")
    assert not waited.interrupted
    assert [message for _, _, message in told] == [f"task ID {UID}: running", "running 50%"]


async def test_a_wait_that_is_over_gives_the_task_as_it_is(tasks: TaskClient, cache: Cache[LongTask]) -> None:
    cache.put(at(1))
    waited = await TaskWaiter(tasks, asyncio.Event()).until_news("call", at(1), 0, _silent)
    assert waited.task == at(1)
    assert not waited.interrupted


@pytest.mark.parametrize(
    ("before", "updates", "end"),
    [
        (at(1), [asked(2, "a"), at(3, "Succeeded")], asked(2, "a")),
        (asked(1, "a"), [asked(2, "a"), asked(3, "a", "b"), at(4, "Succeeded")], asked(3, "a", "b")),
        (asked(1, "a"), [asked(2, "a"), at(3), at(4, "Succeeded")], at(4, "Succeeded")),
    ],
    ids=["the first", "another", "none but the one that is open"],
)
async def test_a_question_ends_the_wait_when_it_is_asked(
    tasks: TaskClient, cache: Cache[LongTask], before: LongTask, updates: list[LongTask], end: LongTask
) -> None:
    cache.put(before)
    coming = iter(updates)

    async def report(*_: object) -> None:
        cache.put(next(coming))

    assert (await TaskWaiter(tasks, asyncio.Event()).until_news("call", before, 30, report)).task == end


async def test_a_stopping_server_ends_its_waits(tasks: TaskClient, cache: Cache[LongTask]) -> None:
    cache.put(at(1))
    stopping = asyncio.Event()

    async def stop(*_: object) -> None:
        stopping.set()
        asyncio.get_running_loop().call_soon(cache.wake)

    waited = await asyncio.wait_for(TaskWaiter(tasks, stopping).until_news("call", at(1), 30, stop), 60)
    assert waited.interrupted
    assert waited.task == at(1)


async def test_a_task_that_is_deleted_ends_the_wait(tasks: TaskClient, cache: Cache[LongTask]) -> None:
    cache.put(at(1))

    async def delete(*_: object) -> None:
        cache.remove(UID)

    waited = await asyncio.wait_for(TaskWaiter(tasks, asyncio.Event()).until_news("call", at(1), 30, delete), 60)
    assert waited.task is None


async def _silent(*_: object) -> None:
    pass


async def test_a_wait_that_is_given_up_ends_and_no_other_one(tasks: TaskClient, cache: Cache[LongTask]) -> None:
    cache.put(at(1))
    waiting = TaskWaiter(tasks, asyncio.Event())
    given_up, other = (asyncio.create_task(waiting.until_news(call, at(1), 30, _silent)) for call in ("one", "two"))
    await asyncio.sleep(0)
    waiting.give_up("three")
    waiting.give_up("one")
    waited = await asyncio.wait_for(given_up, 60)
    assert (waited.task, waited.interrupted) == (at(1), False)
    assert not other.done()
    cache.put(at(2, "Succeeded"))
    assert (await asyncio.wait_for(other, 60)).task == at(2, "Succeeded")
    waiting.give_up("two")
