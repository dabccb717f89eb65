"""A leader stands still before a write; another one takes over, the world changes, and then the write goes on."""

import asyncio
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.faults.proxy import Door
from tests.faults.runs import Runs
from tests.kube import Kube, eventually
from tests.operator.process import OperatorProcess
from tests.operator.tasks import Tasks
from tests.patience import PATIENCE
from tests.policies import leader_policy

pytestmark = pytest.mark.cluster

LONG = "import time; time.sleep(600)"


Seen = tuple[Any, Any]
"""What is so, and what should be."""


@dataclass(frozen=True)
class Case:
    """The stale leader's write, what makes it want it, what happens meanwhile, and what must be so in the end."""

    method: str
    path: str
    provoke: Callable[[Tasks], None]
    meanwhile: Callable[[Tasks], None]
    right: Callable[[Tasks, str, Runs], Seen]


def begin(tasks: Tasks) -> None:
    """Nothing has to happen: the Job of a new task is created."""


def cancel(tasks: Tasks) -> None:
    tasks.patch("work", cancelRequested=True)


def hold(tasks: Tasks) -> None:
    tasks.wait("work", "Running")
    tasks.patch("work", suspend=True)


def resume(tasks: Tasks) -> None:
    tasks.patch("work", suspend=False)


def end(tasks: Tasks) -> None:
    tasks.wait("work", "Running")
    tasks.patch("work", cancelRequested=True, ttlSecondsAfterFinished=1)


def keep(tasks: Tasks) -> None:
    tasks.patch("work", ttlSecondsAfterFinished=3600)


def never_ran(tasks: Tasks, uid: str, runs: Runs) -> Seen:
    phase = tasks.status("work").get("phase")
    return (phase, tasks.jobs(uid), runs.of(uid)), ("Cancelled", [], 0)


def runs_on(tasks: Tasks, uid: str, runs: Runs) -> Seen:
    stopped = ["deletionTimestamp" in pod["metadata"] for pod in tasks.pods(uid)]
    suspended = [job["spec"]["suspend"] for job in tasks.jobs(uid)]
    phase = tasks.status("work").get("phase")
    return (phase, stopped, suspended, runs.of(uid)), ("Running", [False], [False], 1)


def is_there(tasks: Tasks, uid: str, runs: Runs) -> Seen:
    return "deletionTimestamp" in tasks.get("work")["metadata"], False


CASES = {
    "the Job of a task that was cancelled": Case("POST", r"/jobs(\?|$)", begin, cancel, never_ran),
    "the suspension of a task that was resumed": Case("PATCH", r"/jobs/", hold, resume, runs_on),
    "the deletion of a record that is to be kept": Case("DELETE", r"/longtasks/work", end, keep, is_there),
}


@pytest.fixture
def policy(namespace: Kube) -> Iterator[None]:
    with leader_policy(namespace):
        yield


@pytest.mark.usefixtures("policy")
@pytest.mark.parametrize("case", CASES)
async def test_a_write_that_another_leader_has_overtaken_does_nothing(
    tasks: Tasks, door: Door, runs: Runs, replicas: Callable[[str], OperatorProcess], case: str
) -> None:
    given, stale, heir = CASES[case], replicas("stale"), replicas("heir")
    let_go = asyncio.Event()

    async def hold_back() -> None:
        assert stale.process is not None
        stale.process.send_signal(signal.SIGSTOP)
        held.sprung.set()
        await let_go.wait()

    held = door.trap(given.method, given.path, "before", hold_back)
    await asyncio.to_thread(stale.start)
    uid = await asyncio.to_thread(tasks.run, "work", "job", LONG)
    await asyncio.to_thread(given.provoke, tasks)
    await asyncio.wait_for(held.sprung.wait(), PATIENCE)
    await asyncio.to_thread(given.meanwhile, tasks)
    await asyncio.to_thread(heir.start)
    await asyncio.to_thread(eventually, lambda: heir.metric("longtask_leader"), lambda leads: leads == 1)
    await asyncio.to_thread(eventually, lambda: given.right(tasks, uid, runs), _is_right)
    arrived = door.trap(given.method, given.path, "during", _nothing)
    let_go.set()
    await asyncio.wait_for(arrived.sprung.wait(), PATIENCE)
    assert stale.process is not None
    stale.process.send_signal(signal.SIGCONT)
    await asyncio.to_thread(eventually, lambda: stale.metric("longtask_leader"), lambda leads: leads == 0)
    seen, right = await asyncio.to_thread(given.right, tasks, uid, runs)
    assert seen == right
    # Another task goes its way, so that whatever the Job controller or the heir would have made of it has been made.
    await asyncio.to_thread(tasks.run, "after", "job", "pass")
    await asyncio.to_thread(tasks.wait, "after", "Succeeded")
    seen, right = await asyncio.to_thread(given.right, tasks, uid, runs)
    assert seen == right


def _is_right(seen: Seen) -> bool:
    return bool(seen[0] == seen[1])


async def _nothing() -> None:
    pass
