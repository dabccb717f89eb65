"""A server is killed in the middle of a start, and the agent asks another one again: one task, not lost, not two."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from longtask_api import constants
from tests.faults.proxy import Door, Moment, open_door
from tests.mcp.conftest import TRAINING
from tests.mcp.replica import Replica, Reply, agent, running
from tests.mcp.world import World, new_world

CREATE = ("POST", rf"/{constants.TASK_PLURAL}(\?|$)")
TAKE_BACK = ("PATCH", rf"/{constants.TASK_PLURAL}/")


@dataclass
class Pair:
    """A server that will be killed, whose requests pass a door, and the one that is left."""

    world: World
    door: Door
    victim: Replica
    heir: Replica
    token: str

    def kill(self, request: tuple[str, str], moment: Moment) -> None:
        """Kill it when such a request is there."""

        async def now() -> None:
            self.victim.process.kill()
            await self.victim.stopped()

        self.door.trap(*request, moment, now)

    async def start(self, replica: Replica, model_name: str) -> Reply:
        async with agent(replica.url, self.token, "legacy") as caller:
            return await caller.call("model_training", model_name=model_name)

    async def start_in_vain(self, model_name: str) -> None:
        """A start whose caller never hears of it."""
        asking = asyncio.create_task(self.start(self.victim, model_name))
        await self.victim.stopped()
        asking.cancel()
        await asyncio.wait([asking])


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[Pair]:
    """Two servers on which a caller may have one task."""
    async with new_world() as world, open_door() as door:
        await world.template("model-training", **TRAINING)
        kubeconfig = Path(door.kubeconfig(tmp_path / "kubeconfig"))
        limit = {"max_active_tasks_per_caller": "1"}
        async with (
            running(kubeconfig, world.namespace, tmp_path, **limit) as victim,
            running(kubeconfig, world.namespace, tmp_path, **limit) as heir,
        ):
            yield Pair(world, door, victim, heir, await world.token("alice"))


@pytest.mark.cluster
@pytest.mark.parametrize(("moment", "repeated"), [("instead", False), ("during", True), ("after", True)])
async def test_a_start_that_is_sent_again_after_its_server_was_killed_is_one_task(
    pair: Pair, moment: Moment, repeated: bool
) -> None:
    pair.kill(CREATE, moment)
    await pair.start_in_vain("digits")
    again = await pair.start(pair.heir, "digits")
    assert not again.error, again.text
    assert ("was already started" in again.text) is repeated
    [task] = await pair.world.tasks()
    assert task.metadata.uid == again.task_id
    assert not task.spec.cancel_requested


@pytest.mark.cluster
@pytest.mark.parametrize("moment", ["instead", "during"])
async def test_a_task_too_many_whose_server_was_killed_before_it_took_it_back_is_not_lost(
    pair: Pair, moment: Moment
) -> None:
    async def another_first() -> None:
        assert not (await pair.start(pair.heir, "faces")).error

    pair.door.trap(*CREATE, "before", another_first)
    pair.kill(TAKE_BACK, moment)
    await pair.start_in_vain("digits")
    again = await pair.start(pair.heir, "digits")
    tasks = {task.spec.parameters["model_name"]: task for task in await pair.world.tasks()}
    if moment == "during":
        assert again.envelope["error_code"] == "too_many_tasks"
        assert tasks["digits"].is_taken_back
    else:
        assert again.task_id == tasks["digits"].metadata.uid
        assert not tasks["digits"].spec.cancel_requested
    assert not tasks["faces"].spec.cancel_requested
