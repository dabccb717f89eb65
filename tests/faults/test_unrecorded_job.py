"""A Job is deleted without its pod, before an operator has recorded that the task has it."""

import asyncio
from collections.abc import Callable

import pytest

from tests.faults.proxy import Door
from tests.faults.runs import Runs
from tests.kube import eventually
from tests.operator.process import OperatorProcess
from tests.operator.tasks import Tasks
from tests.patience import PATIENCE

pytestmark = pytest.mark.cluster

WRITES_A_RESULT = "import time; time.sleep({seconds}); open('/dev/termination-log', 'w').write('42')"


@pytest.mark.parametrize("seconds", [15, 0], ids=["the work goes on", "the work has ended"])
async def test_work_that_has_begun_is_not_begun_again(
    tasks: Tasks, door: Door, runs: Runs, replicas: Callable[[str], OperatorProcess], seconds: int
) -> None:
    victim = replicas("victim")

    async def kill() -> None:
        await asyncio.to_thread(victim.kill)

    trap = door.trap("PATCH", r"/longtasks/[^/]+/status", "instead", kill)
    await asyncio.to_thread(victim.start)
    uid = await asyncio.to_thread(tasks.run, "work", "job", WRITES_A_RESULT.format(seconds=seconds))
    await asyncio.wait_for(trap.sprung.wait(), PATIENCE)

    def pod_is(phase: str) -> None:
        eventually(lambda: [pod["status"]["phase"] for pod in tasks.pods(uid)], lambda phases: phases == [phase])

    await asyncio.to_thread(pod_is, "Running" if seconds else "Succeeded")
    assert "jobRef" not in tasks.status("work")
    await asyncio.to_thread(tasks.delete_job, "work", "Orphan")
    await asyncio.to_thread(eventually, lambda: tasks.jobs(uid), lambda jobs: jobs == [])
    await asyncio.to_thread(replicas("heir").start)
    status = await asyncio.to_thread(tasks.wait, "work", "Succeeded")
    assert status["result"]["value"] == 42
    assert (runs.of(uid), tasks.jobs(uid)) == (1, [])
