"""What the cache believes when lists, watches and answers to writes come in any order."""

import asyncio

import pytest

from longtask_api.longtask import LongTask
from longtask_mcp.cache import Cache
from tests.mcp.objects import task, uid


def made(number: int, version: int, name: str = "", principal: str = "alice") -> LongTask:
    spec = {"requester": {"principal": principal}}
    return task(spec, uid=uid(number), resourceVersion=str(version), name=name or f"task-{number}")


@pytest.fixture
def cache() -> Cache[LongTask]:
    return Cache()


def version_of(cache: Cache[LongTask], number: int) -> str | None:
    found = cache.get(uid(number))
    return found.metadata.resource_version if found else None


def test_an_object_is_found_by_uid_and_by_name(cache: Cache[LongTask]) -> None:
    cache.put(made(1, 10))
    cache.put(made(2, 11, principal="bob"))
    assert cache.named("task-1") == cache.get(uid(1)) == made(1, 10)
    assert len(cache) == len(cache.all()) == 2


def test_older_news_does_not_undo_newer(cache: Cache[LongTask]) -> None:
    cache.put(made(1, 99))
    cache.put(made(1, 100))
    cache.put(made(1, 98))
    assert version_of(cache, 1) == "100"


def test_the_answer_to_a_create_that_comes_after_the_deletion_does_not_bring_it_back(cache: Cache[LongTask]) -> None:
    cache.put(made(1, 10))
    cache.remove(uid(1))
    cache.put(made(1, 10))
    assert cache.get(uid(1)) is None
    assert cache.named("task-1") is None


def test_the_deletion_of_an_object_that_was_never_seen_is_remembered(cache: Cache[LongTask]) -> None:
    cache.remove(uid(1))
    cache.put(made(1, 10))
    assert len(cache) == 0


def test_a_name_is_one_object_the_newest(cache: Cache[LongTask]) -> None:
    cache.put(made(1, 10, "same"))
    cache.put(made(2, 20, "same"))
    cache.remove(uid(1))
    cache.put(made(1, 11, "same"))
    found = cache.named("same")
    assert found is not None
    assert found.metadata.uid == uid(2)
    assert cache.get(uid(1)) is None


def test_a_list_removes_what_it_does_not_have(cache: Cache[LongTask]) -> None:
    cache.put(made(1, 10))
    cache.put(made(2, 11))
    cache.keep({uid(2)}, 15)
    assert version_of(cache, 1) is None
    assert version_of(cache, 2) == "11"


def test_a_list_keeps_what_was_created_after_it_was_made(cache: Cache[LongTask]) -> None:
    cache.put(made(1, 16))
    cache.keep(set(), 15)
    assert version_of(cache, 1) == "16"


async def test_a_change_ends_the_wait(cache: Cache[LongTask]) -> None:
    cache.put(made(1, 10))
    waiting = asyncio.create_task(cache.changed(uid(1), 10, 30))
    await asyncio.sleep(0)
    cache.put(made(1, 11))
    await asyncio.wait_for(waiting, 60)


async def test_a_deletion_ends_the_wait(cache: Cache[LongTask]) -> None:
    cache.put(made(1, 10))
    waiting = asyncio.create_task(cache.changed(uid(1), 10, 30))
    await asyncio.sleep(0)
    cache.remove(uid(1))
    await asyncio.wait_for(waiting, 60)


async def test_a_change_that_came_before_the_wait_is_not_missed(cache: Cache[LongTask]) -> None:
    cache.put(made(1, 11))
    await asyncio.wait_for(cache.changed(uid(1), 10, 30), 60)
    await asyncio.wait_for(cache.changed(uid(2), 10, 30), 60)


async def test_waking_ends_every_wait(cache: Cache[LongTask]) -> None:
    cache.put(made(1, 10))
    cache.put(made(2, 10))
    waiting = [asyncio.create_task(cache.changed(uid(number), 10, 30)) for number in (1, 2)]
    await asyncio.sleep(0)
    cache.wake()
    await asyncio.wait_for(asyncio.gather(*waiting), 60)


async def test_a_wait_ends_when_its_time_is_up(cache: Cache[LongTask]) -> None:
    cache.put(made(1, 10))
    await asyncio.wait_for(cache.changed(uid(1), 10, 0.01), 60)


async def test_an_object_that_appears_ends_the_wait_for_it(cache: Cache[LongTask]) -> None:
    waiting = asyncio.create_task(cache.appears(uid(1), 30))
    await asyncio.sleep(0)
    cache.put(made(1, 10))
    await asyncio.wait_for(waiting, 60)
    await asyncio.wait_for(cache.appears(uid(1), 30), 60)


async def test_waiting_for_guessed_ids_leaves_nothing_behind(cache: Cache[LongTask]) -> None:
    await asyncio.wait_for(cache.appears(uid(1), 0.01), 60)
    await asyncio.wait_for(cache.appears(uid(1), -1), 60)
    assert not cache._signals
