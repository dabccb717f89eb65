"""The watches of the leader stand and deliver nothing: another replica takes over, and tasks go on."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.proxy import Door, open_door
from tests.kube import Kube, eventually
from tests.operator.process import OperatorProcess
from tests.operator.tasks import Tasks

pytestmark = pytest.mark.cluster


async def test_a_leader_that_hears_nothing_gives_the_lease_to_one_that_does(
    tasks: Tasks, door: Door, replicas: Callable[[str], OperatorProcess], namespace: Kube, tmp_path: Path
) -> None:
    deaf = replicas("deaf")
    await asyncio.to_thread(deaf.start)
    await asyncio.to_thread(eventually, lambda: deaf.metric("longtask_leader"), lambda leads: leads == 1)
    async with open_door() as other:
        heir = OperatorProcess(
            namespace.namespace,
            tmp_path / "heir.log",
            "heir",
            kubeconfig=other.kubeconfig(tmp_path / "heir.kubeconfig"),
        )
        try:
            await asyncio.to_thread(heir.start)
            door.hush()
            uid = await asyncio.to_thread(tasks.run, "work", "job", "pass")
            await asyncio.to_thread(eventually, lambda: heir.metric("longtask_leader"), lambda leads: leads == 1)
            assert deaf.metric("longtask_leader") == 0
            await asyncio.to_thread(tasks.wait, "work", "Succeeded")
            assert len(await asyncio.to_thread(tasks.pods, uid)) == 1
            assert "gives the lease back: nothing was heard of" in deaf.log.read_text()
        finally:
            if heir.process is not None and heir.process.poll() is None:
                heir.kill()
