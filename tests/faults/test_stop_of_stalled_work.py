"""The operator is killed while it ends work that has stalled. What was decided is carried out by the next one."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from longtask_api import constants
from longtask_api.base import rfc3339
from tests.faults.proxy import Door, Moment
from tests.faults.runs import Runs
from tests.operator.process import OperatorProcess
from tests.operator.tasks import Tasks, template_spec
from tests.patience import PATIENCE

pytestmark = pytest.mark.cluster

HANGS = "import time; print('in a loop', flush=True); time.sleep(600)"
STALL = {"timeoutSeconds": 10, "action": "Fail", "expectReports": True}

KILL_POINTS: dict[str, tuple[str, Moment]] = {
    "before the retries are stopped": (r"/jobs/", "instead"),
    "when the retries are stopped but that is not answered": (r"/jobs/", "during"),
    "before the pod is stopped": (r"/pods/", "instead"),
    "when the pod is stopped but that is not answered": (r"/pods/", "during"),
    "when the pod is stopped": (r"/pods/", "after"),
}


@pytest.mark.parametrize("point", KILL_POINTS)
async def test_a_stop_that_was_decided_is_carried_out_even_if_the_work_tells_something_then(
    tasks: Tasks, door: Door, runs: Runs, replicas: Callable[[str], OperatorProcess], point: str
) -> None:
    path, moment = KILL_POINTS[point]
    victim = replicas("victim")

    async def kill() -> None:
        await asyncio.to_thread(victim.kill)

    await asyncio.to_thread(victim.start)
    template = template_spec({"terminationGracePeriodSeconds": 1}, stall=STALL, retry={"limit": 2})
    await asyncio.to_thread(tasks.template, "stalls", template)
    trap = door.trap("PATCH", path, moment, kill)
    uid = await asyncio.to_thread(tasks.run, "work", "stalls", HANGS)
    await asyncio.wait_for(trap.sprung.wait(), PATIENCE)
    tell(tasks, "work")
    await asyncio.to_thread(replicas("heir").start)
    status = await asyncio.to_thread(tasks.wait, "work", "Failed")
    assert status["failure"]["reason"] == "Stalled"
    assert status["failure"]["logTail"] == "in a loop"
    assert [attempt["reason"] for attempt in status["attempts"]] == ["Stalled"]
    assert runs.of(uid) == 1


def tell(tasks: Tasks, name: str) -> None:
    """Store a heartbeat, as the task API does."""
    patch = [{"op": "add", "path": "/status/lastReportTime", "value": rfc3339(datetime.now(UTC))}]
    path = f"{tasks.kube.path(constants.TASK_PLURAL, name)}/status"
    tasks.kube.request("PATCH", path, patch, content="application/json-patch+json").done()
