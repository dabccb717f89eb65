"""The operator is killed at every point where it could lose a task or run one twice. Runs are counted from outside."""

import asyncio
import random
import time
from collections.abc import Callable

import pytest

from tests.faults.proxy import Door, Moment
from tests.faults.runs import Runs
from tests.kube import pause
from tests.operator.process import OperatorProcess
from tests.operator.tasks import WHEN_TOLD, Tasks
from tests.patience import PATIENCE

pytestmark = pytest.mark.cluster

JOBS = r"/jobs(\?|$)"
STATUS = r"/longtasks/[^/]+/status"
SHORT = "import time; time.sleep(1)"
GRACE_SECONDS = 30
"""The chart's terminationGracePeriodSeconds: what has not stopped by then is killed."""

KILL_POINTS: dict[str, tuple[str, str, Moment, int]] = {
    "before the Job is created": ("POST", JOBS, "instead", 1),
    "when the Job is created but not answered": ("POST", JOBS, "during", 1),
    "when the Job is created and answered": ("POST", JOBS, "after", 1),
    "before the first status write": ("PATCH", STATUS, "instead", 1),
    "when the first status write is done but not answered": ("PATCH", STATUS, "during", 1),
    "before the last status write": ("PATCH", STATUS, "instead", 2),
    "when the last status write is done but not answered": ("PATCH", STATUS, "during", 2),
}


@pytest.mark.parametrize("point", KILL_POINTS)
async def test_a_killed_operator_loses_nothing_and_runs_nothing_twice(
    tasks: Tasks, door: Door, runs: Runs, replicas: Callable[[str], OperatorProcess], point: str
) -> None:
    method, path, moment, nth = KILL_POINTS[point]
    victim = replicas("victim")

    async def kill() -> None:
        await asyncio.to_thread(victim.kill)

    traps = [door.trap(method, path, moment, kill if number == nth else let_pass) for number in range(1, nth + 1)]
    await asyncio.to_thread(victim.start)
    uid = await asyncio.to_thread(tasks.run, "work", "job", SHORT)
    await asyncio.wait_for(traps[-1].sprung.wait(), PATIENCE)
    await asyncio.to_thread(replicas("heir").start)
    status = await asyncio.to_thread(tasks.wait, "work", "Succeeded")
    assert status["attemptCount"] == 1
    assert runs.of(uid) == 1
    assert len(tasks.jobs(uid)) == 1


async def test_no_task_is_lost_or_run_twice_while_the_operator_keeps_dying(
    tasks: Tasks, runs: Runs, replicas: Callable[[str], OperatorProcess]
) -> None:
    count, kills = 30, 8
    dice = random.Random(7)
    process = replicas("mortal")
    process.settings["LEASE_DURATION_SECONDS"] = "3"
    uids = {f"work-{n}": await asyncio.to_thread(tasks.run, f"work-{n}", "job", SHORT) for n in range(count)}
    for _ in range(kills):
        await asyncio.to_thread(process.start)
        await asyncio.sleep(dice.uniform(0.2, 2.5))  # not a wait for anything: the moment of death is drawn
        process.kill()
    await asyncio.to_thread(process.start)
    for name in uids:
        await asyncio.to_thread(tasks.wait, name, "Succeeded")
    assert {name: runs.of(uid) for name, uid in uids.items()} == dict.fromkeys(uids, 1)


async def test_a_standby_goes_on_with_a_burst_in_which_the_leader_is_killed(
    tasks: Tasks, door: Door, runs: Runs, replicas: Callable[..., OperatorProcess]
) -> None:
    count, nth = 40, 10
    leader, standby = replicas("leader", LEASE_DURATION_SECONDS="5"), replicas("standby", LEASE_DURATION_SECONDS="5")
    await asyncio.to_thread(leader.start)
    await until(lambda: leader.metric("longtask_leader") == 1)
    await asyncio.to_thread(standby.start)

    async def kill() -> None:
        await asyncio.to_thread(leader.kill)

    traps = [door.trap("POST", JOBS, "during", kill if number == nth else let_pass) for number in range(1, nth + 1)]
    names = [f"work-{n}" for n in range(count)]
    uids = await asyncio.gather(*(asyncio.to_thread(tasks.run, name, "job", SHORT) for name in names))
    await asyncio.wait_for(traps[-1].sprung.wait(), PATIENCE)
    for name in names:
        await asyncio.to_thread(tasks.wait, name, "Succeeded")
    assert {uid: (runs.of(uid), len(tasks.jobs(uid))) for uid in uids} == dict.fromkeys(uids, (1, 1))


async def test_a_standby_takes_over_after_a_crash_and_at_once_after_a_clean_stop(
    tasks: Tasks, replicas: Callable[..., OperatorProcess]
) -> None:
    a, b = replicas("a"), replicas("b", LEASE_DURATION_SECONDS="60")
    await asyncio.to_thread(a.start)
    await until(lambda: a.metric("longtask_leader") == 1)
    await asyncio.to_thread(b.start)
    assert b.metric("longtask_leader") == 0
    a.kill()
    await until(lambda: b.metric("longtask_leader") == 1)
    c = replicas("c", LEASE_DURATION_SECONDS="60")
    await asyncio.to_thread(c.start)
    assert await asyncio.to_thread(b.stop, GRACE_SECONDS) == 0
    await until(lambda: c.metric("longtask_leader") == 1, 40)  # else it would wait for a minute
    await asyncio.to_thread(tasks.run, "after", "job", SHORT)
    await asyncio.to_thread(tasks.wait, "after", "Succeeded")


async def test_work_goes_on_while_the_api_server_cannot_be_reached(
    tasks: Tasks, door: Door, runs: Runs, replicas: Callable[[str], OperatorProcess]
) -> None:
    process = replicas("cut-off")
    await asyncio.to_thread(process.start)
    uid = await asyncio.to_thread(tasks.run, "work", "job", WHEN_TOLD)
    await asyncio.to_thread(tasks.wait, "work", "Running")
    door.shut()
    await asyncio.to_thread(tasks.go, uid)
    await until(lambda: tasks.pods(uid)[0]["status"]["phase"] == "Succeeded")
    assert tasks.status("work")["phase"] == "Running"
    door.reopen()
    await asyncio.to_thread(tasks.wait, "work", "Succeeded")
    assert runs.of(uid) == 1


async def let_pass() -> None:
    """Nothing happens."""


async def until(true: Callable[[], bool], seconds: float = PATIENCE) -> None:
    """Wait for a condition."""
    begin = time.monotonic()
    while not await asyncio.to_thread(true):
        passed = time.monotonic() - begin
        assert passed < seconds, f"still not so after {seconds} s"
        await asyncio.sleep(pause(passed))
