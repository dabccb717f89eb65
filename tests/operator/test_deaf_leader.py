"""The watches of the leader stand and deliver nothing: another replica takes over, and tasks go on."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from tests.faults.proxy import open_door
from tests.kube import Kube, eventually
from tests.operator.process import OperatorProcess
from tests.operator.tasks import Tasks, template_spec


async def test_a_leader_that_hears_nothing_gives_the_lease_to_one_that_does(
    new_namespace: Callable[[], Kube], tmp_path: Path
) -> None:
    kube = await asyncio.to_thread(new_namespace)
    tasks = Tasks(kube)
    async with open_door() as dull, open_door() as clear:
        deaf, heir = (
            OperatorProcess(
                kube.namespace,
                tmp_path / f"{name}.log",
                name,
                kubeconfig=door.kubeconfig(tmp_path / f"{name}.kubeconfig"),
            )
            for name, door in (("deaf", dull), ("heir", clear))
        )
        try:
            await asyncio.to_thread(deaf.start)
            await asyncio.to_thread(tasks.template, "job", template_spec())
            await asyncio.to_thread(heir.start)
            assert [each.metric("longtask_leader") for each in (deaf, heir)] == [1, 0]
            dull.hush()
            uid = await asyncio.to_thread(tasks.run, "work", "job", "pass")
            await asyncio.to_thread(tasks.wait, "work", "Succeeded")
            assert len(await asyncio.to_thread(tasks.pods, uid)) == 1
            await asyncio.to_thread(
                eventually, deaf.log.read_text, lambda log: "gives the lease back: nothing was" in log
            )
            assert [each.metric("longtask_leader") for each in (deaf, heir)] == [0, 1]
        finally:
            for each in (deaf, heir):
                if each.process is not None:
                    each.kill()
