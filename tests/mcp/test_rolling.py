"""Replicas behind a plain round-robin proxy come and go, and agents do not notice."""

import asyncio
import secrets
import signal
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import Any

import pytest

from longtask_runtime import kube
from tests.mcp.balancer import Balancer, balancing
from tests.mcp.conftest import TRAINING
from tests.mcp.replica import Replica, Reply, agent, running
from tests.mcp.test_resumption import SUCCEEDED
from tests.mcp.world import World, eventually, new_world

REPLICAS = 3
AGENTS = 6
IDLE_SECONDS = 20
"""Of the proxy; 60 are usual. The server's pings come every 15."""


@dataclass
class Fleet:
    """Replicas, each of which is started again whenever it ends."""

    start: Callable[[], Any]
    slots: dict[int, Any] = field(default_factory=dict)

    def ports(self) -> list[int]:
        return [replica.port for replica in self.slots.values()]

    async def keep(self, slot: int) -> None:
        while True:
            async with self.start() as replica:
                self.slots[slot] = replica
                await eventually(lambda: _ended(replica), "its end", inf)
                del self.slots[slot]

    async def whole(self) -> bool:
        return len(self.slots) == REPLICAS


async def _ended(replica: Replica) -> bool:
    return replica.process.poll() is not None


@asynccontextmanager
async def fleet(world: World, folder: Path) -> AsyncIterator[Fleet]:
    token = await world.token("server", audience="https://kubernetes.default.svc.cluster.local")
    kubeconfig, keys = world.kubeconfig(token, folder), folder / "keys"
    keys.write_text(secrets.token_hex(32))
    made = Fleet(lambda: running(kubeconfig, world.namespace, folder, resume_keys_file=str(keys)))
    async with asyncio.TaskGroup() as group:
        kept = [group.create_task(made.keep(slot)) for slot in range(REPLICAS)]
        await eventually(made.whole, "all replicas are ready")
        try:
            yield made
        finally:
            for each in kept:
                each.cancel()


async def play(world: World) -> None:
    """The work: each task takes a few seconds."""
    first_seen: dict[str, float] = {}
    now = asyncio.get_running_loop().time
    while True:
        with suppress(kube.KubeError):  # CRDs that other tests apply
            for task in await world.tasks():
                uid = task.metadata.uid
                if not task.is_terminal and now() - first_seen.setdefault(uid, now()) > 4:
                    await world.set_status(uid, **SUCCEEDED)
        await asyncio.sleep(0.3)


async def flows(balancer: Balancer, token: str, whose: int, over: asyncio.Event, met: Counter[str]) -> list[str]:
    """An agent starts one task after the other and waits for each; the ids. It repeats a call that failed."""
    done = list[str]()
    async with agent(balancer.url, token, "legacy") as session:

        async def called(tool: str, **arguments: Any) -> Reply:
            while True:
                try:
                    reply = await session.call(tool, **arguments)
                except Exception as error:
                    met[f"{type(error).__name__}: {error}"[:100]] += 1
                    continue
                if not reply.error:
                    met["answers"] += 1
                    return reply
                met[reply.envelope["error_code"]] += 1

        while not over.is_set():
            key = f"agent-{whose}-{len(done)}"
            reply = await called("model_training", model_name="digits", idempotency_key=key, wait_seconds=20)
            while reply.envelope["status"] != "completed":
                reply = await called("wait_for_task", task_id=reply.task_id, timeout_seconds=20)
            assert "0.97" in reply.text
            done.append(reply.task_id)
    return done


@pytest.mark.cluster
@pytest.mark.parametrize(("number", "times"), [(signal.SIGTERM, 6), (signal.SIGKILL, 8)], ids=["stopped", "killed"])
async def test_no_task_and_no_answer_is_lost(tmp_path: Path, number: signal.Signals, times: int) -> None:
    async with new_world() as world:
        await world.template("model-training", **TRAINING)
        token = await world.token("alice")
        over, met = asyncio.Event(), Counter[str]()
        async with fleet(world, tmp_path) as replicas, balancing(replicas.ports, IDLE_SECONDS) as balancer:
            playing = asyncio.create_task(play(world))
            agents = [asyncio.create_task(flows(balancer, token, each, over, met)) for each in range(AGENTS)]
            for turn in range(times):
                await eventually(replicas.whole, "all replicas are there again")
                await asyncio.sleep(2)
                replicas.slots[turn % REPLICAS].process.send_signal(number)
                await asyncio.sleep(0.1)
            over.set()
            done = [task_id for each in await asyncio.gather(*agents) for task_id in each]
            playing.cancel()
            resumed = sum(each.method == "GET" and bool(each.ids) for each in balancer.seen)
        print(f"{number.name} {times} times: {len(done)} tasks, {resumed} calls resumed, {dict(met)}")
        assert len(done) == len(set(done)) == len(await world.tasks())
        if number == signal.SIGTERM:
            # On a busy machine the balancer may learn of a stop only by a request that it has to answer with an error.
            assert met.total() - met["answers"] <= 1, met
        else:
            assert resumed > 0
