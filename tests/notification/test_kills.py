"""The leader is killed, or stands still, at each step of a notification: it arrives, always with the same id."""

import asyncio
import signal
from collections.abc import Callable

import pytest

from tests.faults.proxy import Door, Moment
from tests.kube import Kube, eventually
from tests.notification import receiver as receivers
from tests.notification.notified import end, made
from tests.notification.receiver import Receiver, Request
from tests.operator.process import OperatorProcess

pytestmark = pytest.mark.cluster

RECORD = r"/longtasks/task/status\?.*longtask-notification"
POINTS: dict[str, tuple[str, str, Moment, int]] = {
    "before it is sent": ("GET", r"/longtasks/task$", "instead", 1),
    "when it is sent and that is not recorded": ("PATCH", RECORD, "instead", 2),
    "when it is recorded and not answered": ("PATCH", RECORD, "during", 1),
    "when all is done": ("PATCH", RECORD, "after", 1),
}
"""Where the leader is killed, and how often the event arrives."""


@pytest.mark.parametrize("point", POINTS)
async def test_an_event_survives_the_leader(
    namespace: Kube, replicas: Callable[[str], OperatorProcess], receiver: Receiver, door: Door, point: str
) -> None:
    method, path, moment, times = POINTS[point]
    victim, heir = replicas("victim"), replicas("heir")
    task = await asyncio.to_thread(end, namespace, "task", "one")

    async def kill() -> None:
        await asyncio.to_thread(victim.kill)

    trap = door.trap(method, path, moment, kill)
    starting = asyncio.create_task(asyncio.to_thread(victim.start))
    await trap.sprung.wait()
    await asyncio.gather(starting, return_exceptions=True)
    await asyncio.to_thread(heir.start)
    await asyncio.to_thread(task.wait, "True", "Notified")
    await asyncio.to_thread(heir.settle)

    found = receiver.of(task.uid)
    assert len(found) == times
    assert {(each.headers["webhook-id"], each.body) for each in found} == {(f"{task.uid}-succeeded", found[0].body)}


async def test_an_event_survives_a_leader_that_is_killed_during_the_call(
    namespace: Kube, replicas: Callable[[str], OperatorProcess], receiver: Receiver
) -> None:
    victim, heir = replicas("victim"), replicas("heir")
    receiver.answer("/one", receivers.NEVER)
    task = await asyncio.to_thread(end, namespace, "task", "one")
    await asyncio.to_thread(victim.start)
    await asyncio.to_thread(eventually, lambda: receiver.of(task.uid), bool)
    victim.kill()
    await asyncio.to_thread(heir.start)
    await asyncio.to_thread(task.wait, "True", "Notified")
    assert {each.headers["webhook-id"] for each in receiver.of(task.uid)} == {f"{task.uid}-succeeded"}


async def test_a_backoff_survives_the_leader(
    namespace: Kube, replicas: Callable[[str], OperatorProcess], receiver: Receiver
) -> None:
    victim, heir = replicas("victim"), replicas("heir")
    receiver.answer("/one", receivers.status(503, "Retry-After: 12"))
    task = await asyncio.to_thread(end, namespace, "task", "one")
    await asyncio.to_thread(victim.start)
    await asyncio.to_thread(task.wait, "Unknown", "ServerError")
    victim.kill()
    await asyncio.to_thread(heir.start)
    await asyncio.to_thread(task.wait, "True", "Notified")
    first, second = receiver.of(task.uid)
    assert second.at - first.at >= 11  # times in status have whole seconds


async def test_a_write_that_is_refused_does_not_send_again(
    namespace: Kube, replicas: Callable[[str], OperatorProcess], receiver: Receiver
) -> None:
    """The task changes between the call and the record of it."""
    task = await asyncio.to_thread(made, namespace, "task", "one")
    changed = asyncio.Event()
    loop = asyncio.get_running_loop()

    def change(request: Request) -> None:
        task.write(lastReportTime="2026-01-31T12:00:00Z")
        loop.call_soon_threadsafe(changed.set)

    receiver.received = change
    await asyncio.to_thread(replicas("only").start)
    await asyncio.to_thread(task.ends)
    await changed.wait()
    await asyncio.to_thread(task.wait, "True", "Notified")
    assert len(receiver.of(task.uid)) == 1


async def test_a_leader_that_stood_still_sends_nothing_when_another_leads(
    namespace: Kube, replicas: Callable[[str], OperatorProcess], receiver: Receiver, door: Door
) -> None:
    stale, heir = replicas("stale"), replicas("heir")
    go = asyncio.Event()

    async def stand_still() -> None:
        assert stale.process is not None
        stale.process.send_signal(signal.SIGSTOP)
        held.sprung.set()
        await go.wait()

    held = door.trap("GET", r"/longtasks/task$", "during", stand_still)
    await asyncio.to_thread(stale.start)
    task = await asyncio.to_thread(end, namespace, "task", "one")
    await held.sprung.wait()
    await asyncio.to_thread(heir.start)
    await asyncio.to_thread(task.wait, "True", "Notified")
    go.set()
    assert stale.process is not None
    stale.process.send_signal(signal.SIGCONT)
    await asyncio.to_thread(eventually, lambda: stale.metric("longtask_leader"), lambda leads: leads == 0)
    after = await asyncio.to_thread(end, namespace, "after", "one")
    await asyncio.to_thread(after.wait, "True")
    assert len(receiver.of(task.uid)) == 1
