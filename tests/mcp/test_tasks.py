"""Looking again at the API server before a task is called unknown."""

import asyncio
import time

import pytest

from longtask_api.longtask import LongTask
from longtask_api.mcp_names import LABEL_REQUESTER, requester_label
from longtask_mcp import task_client as tasks_module
from longtask_mcp.contract.callers import Caller, Owner
from longtask_mcp.contract.errors import KubernetesRefused
from longtask_mcp.contract.idempotency import Start
from longtask_mcp.start_task import document
from longtask_mcp.task_client import AlreadyExists, TaskClient
from longtask_runtime import reflector
from tests.mcp.objects import uid
from tests.mcp.world import World


@pytest.fixture
def blind(world: World) -> TaskClient:
    """Tasks whose cache no watch fills."""
    return TaskClient(world.client, world.namespace)


@pytest.fixture
def lists(blind: TaskClient, monkeypatch: pytest.MonkeyPatch) -> list[Owner]:
    """The callers whose tasks were listed."""
    listed: list[Owner] = []
    really = blind._list

    async def counted(whose: Owner) -> None:
        listed.append(whose)
        await really(whose)

    monkeypatch.setattr(blind, "_list", counted)
    return listed


async def started(world: World, key: str, principal: str = "carol", actor_id: str | None = None) -> LongTask:
    start = Start(Caller(principal, actor_id), "model-training", {"model_name": "digits"}, key)
    return LongTask.from_api(await world.post(world.tasks_path, document(start, start.task_name(0), {})))


async def test_a_task_that_the_cache_does_not_have_is_found_at_the_api_server(world: World, blind: TaskClient) -> None:
    task = await started(world, "find")
    found = await blind.find(Owner("carol"), task.metadata.uid)
    assert found is not None
    assert found.metadata.uid == task.metadata.uid
    assert blind.cache.get(task.metadata.uid) is found
    assert await blind.whole(found) == found


async def test_an_actor_s_task_is_found_for_this_actor_alone(world: World, blind: TaskClient) -> None:
    task = await started(world, "actor", "carol", "user-1")
    assert await blind.find(Owner("carol"), task.metadata.uid) is None
    assert await blind.find(Owner("carol", "user-2"), task.metadata.uid) is None
    found = await blind.find(Owner("carol", "user-1"), task.metadata.uid)
    assert found is not None
    assert found.metadata.uid == task.metadata.uid


async def test_what_is_known_to_be_gone_costs_no_list(world: World, blind: TaskClient, lists: list[Owner]) -> None:
    blind.cache.remove(uid(7))
    assert await blind.find(Owner("carol"), uid(7)) is None
    assert lists == []


async def test_callers_that_asked_long_ago_are_forgotten(
    blind: TaskClient, lists: list[Owner], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks_module, "REMEMBERED_LOOKS", 3)
    monkeypatch.setattr(tasks_module, "LOOK_AGAIN_SECONDS", 0.0)
    for number in range(10):
        await blind.find(Owner("carol", f"user-{number}"), uid(1))
    assert len(lists) == 10
    assert len(blind._looks) <= 3


async def test_the_tasks_of_others_are_not_found_and_not_even_read(world: World, blind: TaskClient) -> None:
    task = await started(world, "foreign")
    assert await blind.find(Owner("dave"), task.metadata.uid) is None
    assert blind.cache.get(task.metadata.uid) is None


async def test_a_long_list_is_read_to_its_end(world: World, blind: TaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reflector, "FIRST_PAGE", 2)
    monkeypatch.setattr(reflector, "LARGEST_PAGE", 2)
    made = [await started(world, f"many-{number}", "erin") for number in range(5)]
    await blind.find(Owner("erin"), made[0].metadata.uid)
    assert {task.metadata.uid for task in blind.own(Owner("erin"))} == {task.metadata.uid for task in made}


async def test_guessing_ids_costs_one_list_a_second(world: World, blind: TaskClient, lists: list[Owner]) -> None:
    began = time.monotonic()
    found = await asyncio.gather(*(blind.find(Owner("carol"), uid(number)) for number in range(50)))
    found += [await blind.find(Owner("carol"), uid(99))]
    assert set(found) == {None}
    assert len(lists) <= 1 + (time.monotonic() - began) / tasks_module.LOOK_AGAIN_SECONDS


async def test_what_is_no_id_costs_nothing(blind: TaskClient, lists: list[Owner]) -> None:
    for guess in ("model-training-7x2k9", "../longtasks", "", "8F3C0000-0000-4000-8000-000000000001"):
        assert await blind.find(Owner("carol"), guess) is None
    assert lists == []


async def test_one_caller_s_guesses_do_not_delay_another(world: World, blind: TaskClient) -> None:
    task = await started(world, "undelayed", "frank")
    await blind.find(Owner("carol"), uid(1))
    guessing = asyncio.create_task(blind.find(Owner("carol"), uid(2)))
    found = await asyncio.wait_for(blind.find(Owner("frank"), task.metadata.uid), tasks_module.LOOK_AGAIN_SECONDS / 2)
    assert found is not None
    assert found.metadata.uid == task.metadata.uid
    assert not guessing.done()
    await guessing


async def test_a_second_create_of_a_name_is_told_apart(world: World, blind: TaskClient) -> None:
    task = await started(world, "twice")
    start = Start(Caller("carol"), "model-training", {"model_name": "digits"}, "twice")
    with pytest.raises(AlreadyExists):
        await blind.create(document(start, task.metadata.name, {}))
    assert await blind.read(task.metadata.name) == task
    assert await blind.read("nobody-has-this-name") is None


async def test_a_cancel_never_reaches_another_task_of_the_same_name(world: World, blind: TaskClient) -> None:
    old = await started(world, "reborn")
    blind.cache.put(old)
    await world.delete(f"{world.tasks_path}/{old.metadata.name}")
    reborn = await started(world, "reborn")
    assert reborn.metadata.name == old.metadata.name
    assert await blind.cancel(old) is None
    assert not (await world.task(reborn.metadata.uid)).spec.cancel_requested
    await world.delete(f"{world.tasks_path}/{old.metadata.name}")
    assert await blind.cancel(reborn) is None


async def test_a_task_carries_the_label_by_which_it_is_found(world: World) -> None:
    task = await started(world, "labelled")
    assert task.metadata.labels[LABEL_REQUESTER] == requester_label("carol")


def test_a_quota_that_is_used_up_is_told_with_when_to_call_again() -> None:
    said = 'longtasks.longtask.dev "a" is forbidden: exceeded quota: tasks, requested: count/longtasks.longtask.dev=1'
    full = KubernetesRefused(said).envelope
    assert full["retry_after_seconds"] == 60
    assert "Make the same call again when other tasks" in full["message"]
    assert "retry_after_seconds" not in KubernetesRefused("the schema does not fit").envelope
