"""A call goes on at another replica when its own is killed: the answer comes once, under the id of the call."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.mcp.balancer import Balancer, Seen, balancing
from tests.mcp.replica import Replica, agent, running
from tests.mcp.world import NOW, World, eventually

ENDED: dict[str, Any] = {"startTime": NOW, "completionTime": NOW, "attemptCount": 1}
SUCCEEDED = {"phase": "Succeeded", "result": {"attempt": 1, "value": {"accuracy": 0.97}}, **ENDED}
QUESTION = {"id": "deploy", "message": "Deploy?", "createdTime": NOW}
LEGACY = {
    "Accept": "application/json, text/event-stream",
    "Content-Type": "application/json",
    "MCP-Protocol-Version": "2025-11-25",
}


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of the keys that the replicas share."""
    path = tmp_path_factory.mktemp("keys") / "keys"
    path.write_text(f"{secrets.token_hex(32)}\n")
    return path


@pytest.fixture(scope="module")
async def heir(world: World, kubeconfig: Path, keys: Path) -> AsyncIterator[Replica]:
    """The replica that is left."""
    async with running(kubeconfig, world.namespace, kubeconfig.parent, resume_keys_file=str(keys)) as process:
        yield process


@pytest.fixture
async def victim(world: World, kubeconfig: Path, keys: Path) -> AsyncIterator[Replica]:
    """The replica that is killed."""
    async with running(kubeconfig, world.namespace, kubeconfig.parent, resume_keys_file=str(keys)) as process:
        yield process


@dataclass
class Pair:
    """Two replicas behind a balancer that uses the victim while it lives."""

    balancer: Balancer
    victim: Replica
    world: World

    async def kill(self, ids: int = 1) -> Seen:
        """Kill the victim once its answer has as many event ids; that answer."""

        async def begun() -> Seen | None:
            return next((each for each in self.balancer.seen if each.method == "POST" and len(each.ids) >= ids), None)

        seen = await eventually(begun, "the call has begun")
        assert seen is not None
        self.victim.process.kill()
        await self.victim.stopped()
        return seen

    async def resumed(self) -> Seen:
        """The answer to the GET, once its first event is there."""

        async def resumed() -> Seen | None:
            return next((each for each in self.balancer.seen if each.method == "GET" and each.ids), None)

        seen = await eventually(resumed, "the call is resumed")
        assert seen is not None
        return seen


@pytest.fixture
async def pair(world: World, victim: Replica, heir: Replica) -> AsyncIterator[Pair]:
    def ports() -> list[int]:
        return [victim.port if victim.process.poll() is None else heir.port]

    async with balancing(ports) as balancer:
        yield Pair(balancer, victim, world)


async def started(replica: Replica, token: str, key: str) -> str:
    async with agent(replica.url, token) as session:
        return (await session.call("model_training", model_name="digits", idempotency_key=key)).task_id


async def test_a_wait_goes_on(pair: Pair, heir: Replica, alice: str, new_key: Callable[[], str]) -> None:
    task_id = await started(heir, alice, new_key())
    async with agent(pair.balancer.url, alice, "legacy") as session:
        call = asyncio.create_task(session.call("wait_for_task", task_id=task_id))
        broken = await pair.kill()
        resumed = await pair.resumed()
        assert not call.done()
        await pair.world.set_status(task_id, **SUCCEEDED)
        reply = await call
        assert "0.97" in reply.text
        assert broken.responses == []
        assert len(resumed.responses) == 1
        assert (await session.call("check_task_status", task_id=task_id)).envelope["status"] == "completed"
