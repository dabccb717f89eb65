"""The cache follows the real API server: lists in pages, watches that end, history that has expired."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest

from longtask_api.longtask import LongTask
from longtask_mcp import reflector
from longtask_mcp.cache import Cache
from longtask_mcp.contract.callers import owner
from longtask_mcp.reflector import Expired, Reflector
from tests.mcp.world import World, eventually


@pytest.fixture
def cache() -> Cache[LongTask]:
    return Cache(owner)


@pytest.fixture
async def following(world: World, cache: Cache[LongTask]) -> AsyncIterator[Reflector[LongTask]]:
    """A reflector of the namespace's tasks that has made its first list."""
    running_reflector = Reflector(world.client, world.tasks_path, LongTask.from_api, cache)
    run = asyncio.create_task(running_reflector.run())
    await asyncio.wait_for(running_reflector.synced.wait(), 10)
    yield running_reflector
    run.cancel()
    with suppress(asyncio.CancelledError):
        await run


async def test_a_list_in_pages_is_complete(
    world: World, cache: Cache[LongTask], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reflector, "PAGE_SIZE", 2)
    made = {await world.make_task(f"paged-{number}") for number in range(5)}
    paging = Reflector(world.client, world.tasks_path, LongTask.from_api, cache)
    run = asyncio.create_task(paging.run())
    await asyncio.wait_for(paging.synced.wait(), 10)
    run.cancel()
    assert made <= {task.metadata.uid for task in cache.all()}


@pytest.mark.usefixtures("following")
async def test_what_is_made_and_deleted_is_followed(world: World, cache: Cache[LongTask]) -> None:
    uid = await world.make_task("followed")
    await asyncio.wait_for(cache.appears(uid, 10), 11)
    assert cache.get(uid) is not None
    await world.delete(f"{world.tasks_path}/followed")

    async def gone() -> bool:
        return cache.get(uid) is None

    await eventually(gone, "the deletion")


async def test_a_watch_that_ended_is_taken_up_where_it_was(
    world: World, cache: Cache[LongTask], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reflector, "WATCH_SECONDS", 2)
    lists = 0
    replace = cache.replace

    def counted(*arguments: Any) -> None:
        nonlocal lists
        lists += 1
        replace(*arguments)

    monkeypatch.setattr(cache, "replace", counted)
    short = Reflector(world.client, world.tasks_path, LongTask.from_api, cache)
    run = asyncio.create_task(short.run())
    watches = 0
    events = short._events

    def watched(version: str) -> Any:
        nonlocal watches
        watches += 1
        return events(version)

    monkeypatch.setattr(short, "_events", watched)

    async def third() -> bool:
        return watches >= 3

    await eventually(third, "the third watch")
    uid = await world.make_task("after-two-watches")
    await asyncio.wait_for(cache.appears(uid, 10), 11)
    run.cancel()
    assert cache.get(uid) is not None
    assert lists == 1


async def test_history_that_has_expired_is_told_apart(world: World, cache: Cache[LongTask]) -> None:
    late = Reflector(world.client, world.tasks_path, LongTask.from_api, cache)
    with pytest.raises(Expired):
        await late._watch("1")
