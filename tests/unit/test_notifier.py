"""How sinks are called: each at its own pace, a failing one seldom, and nothing by a replica that does not lead."""

import asyncio
import itertools
import uuid
from collections.abc import Callable
from typing import Any, cast

import pytest

from longtask_api.conditions import Condition
from longtask_api.longtask import LongTask, Notification, Phase
from longtask_operator.cache import Cache
from longtask_operator.leader_election import NotLeading, Term
from longtask_operator.notification.notifier import CONCURRENCY, INTERVAL, Notifier
from longtask_operator.notification.outcome import SENT, Outcome, Verdict, failed, of_status
from longtask_operator.planning.notifications import EventKind
from longtask_operator.task_namespace import TaskNamespace
from longtask_runtime import clock
from longtask_runtime.kube import KubeError
from tests.unit import given
from tests.unit.test_notifications import task as task_of
from tests.unit.virtual_time import until_idle

DOWN = failed("Unreachable", "down")
HOUR, DAY = 3600.0, 86400.0


class Server:
    """Has tasks, and stores what is recorded of them."""

    def __init__(self) -> None:
        self.tasks: dict[str, LongTask] = {}
        self.writes = 0
        self.refusals = 0
        """How many writes are refused because the task has changed."""

    async def get_task(self, name: str, uid: str) -> LongTask | None:
        return self.tasks.get(uid)

    async def write_notifications(self, task: LongTask, states: list[Notification], condition: Condition) -> LongTask:
        if self.refusals:
            self.refusals -= 1
            raise KubeError(409, "Conflict", "changed")
        self.writes += 1
        others = [each for each in task.status.conditions if each.type != condition.type]
        status = task.status.model_copy(update={"conditions": [*others, condition], "notifications": states})
        version = str(int(task.metadata.resource_version) + 1)
        metadata = task.metadata.model_copy(update={"resource_version": version})
        self.tasks[task.metadata.uid] = task.model_copy(update={"metadata": metadata, "status": status})
        return self.tasks[task.metadata.uid]

    async def post_event(self, *_: object) -> None:
        pass


class Sink:
    """Answers as `outcome` says; keeps when it was called with which event."""

    def __init__(self, outcome: Callable[[float, str], Outcome] = lambda now, event: SENT, seconds: float = 0) -> None:
        self.calls: list[tuple[float, str]] = []
        self.outcome = outcome
        self.seconds = seconds
        self.at_once = self.most_at_once = 0

    async def send(self, event: str, body: bytes, seconds: float) -> Outcome:
        now = asyncio.get_running_loop().time()
        self.calls.append((now, event))
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(self.seconds)
        self.at_once -= 1
        return self.outcome(now, event)

    @property
    def times(self) -> list[float]:
        return [now for now, _ in self.calls]


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> "World":
    monkeypatch.setattr(clock, "now", lambda: given.at(100 + asyncio.get_running_loop().time()))
    return World()


class World:
    def __init__(self) -> None:
        self.server, self.cache = Server(), Cache()

    def ended(self, *sinks: str) -> str:
        found = task_of(given.status(Phase.SUCCEEDED), *sinks)
        uid = str(uuid.uuid4())
        found = found.model_copy(update={"metadata": found.metadata.model_copy(update={"uid": uid})})
        self.server.tasks[uid] = found
        self.cache.put_task(found)
        return uid

    def notify(self, until: float, term: Callable[[], Term] = lambda: Term(10, given.at(0)), **sinks: Sink) -> None:
        """Lead for so many seconds, with what is in the cache."""
        kinds = dict.fromkeys(sinks, frozenset(EventKind))
        notifier = Notifier(cast(TaskNamespace, self.server), self.cache, cast(Any, sinks), kinds, term)
        self.cache.on_change = notifier.consider

        async def lead() -> None:
            running = asyncio.create_task(notifier.run())
            for _ in range(2):  # the tasks of its lanes start after its own
                await asyncio.sleep(0)
            for uid in list(self.cache.tasks):
                notifier.consider(uid)
            await asyncio.sleep(until)
            lanes = (*notifier._lanes.values(), notifier._rest)
            self.pending = sum(len(lane._pending) for lane in lanes)
            running.cancel()
            await asyncio.wait([running])
            self.left = sum(len(lane._pending) for lane in lanes)

        until_idle(lead)

    def state(self, uid: str) -> list[Notification]:
        return self.server.tasks[uid].status.notifications


def test_many_after_a_restart_are_spread(world: World) -> None:
    sink, count = Sink(seconds=0.1), 500
    for _ in range(count):
        world.ended("ops")
    world.notify(HOUR, ops=sink)
    assert len(sink.calls) == world.server.writes == count
    assert min(after - before for before, after in itertools.pairwise(sink.times)) >= INTERVAL - 1e-6
    assert sink.most_at_once <= CONCURRENCY
    assert world.pending == 0


def test_a_sink_that_does_not_answer_holds_up_no_other(world: World) -> None:
    stuck, other = Sink(lambda now, event: DOWN, seconds=10), Sink()
    for _ in range(50):
        world.ended("stuck", "other")
    world.notify(20, stuck=stuck, other=other)
    assert len(other.calls) == 50
    assert max(other.times) < 5
    assert stuck.most_at_once == CONCURRENCY


def test_a_sink_that_is_down_is_called_seldom_and_gets_all_when_it_is_back(world: World) -> None:
    sink, count = Sink(lambda now, event: SENT if now > 2 * HOUR else DOWN), 1000
    for _ in range(count):
        world.ended("ops")
    world.notify(3 * HOUR, ops=sink)
    down = [now for now in sink.times if now <= 2 * HOUR]
    assert len(down) < 60
    assert world.server.writes == len(down) + count
    assert len({event for now, event in sink.calls if now > 2 * HOUR}) == count


def test_what_a_sink_never_accepts_is_given_up_after_a_day(world: World) -> None:
    sink = Sink(lambda now, event: DOWN)
    uids = [world.ended("ops") for _ in range(100)]
    world.notify(DAY + HOUR, ops=sink)
    assert [(state.reason, state.next_retry_time) for uid in uids for state in world.state(uid)] == [
        ("Unreachable", None)
    ] * 100
    assert len(sink.calls) < 24 * 20
    assert world.pending == 0


def test_an_event_that_is_refused_holds_up_no_other(world: World) -> None:
    bad = world.ended("ops")
    good = [world.ended("ops") for _ in range(20)]
    sink = Sink(lambda now, event: of_status(422, None, given.at(0)) if event.startswith(bad) else SENT)
    world.notify(10, ops=sink)
    assert all(world.state(uid)[0].sent_time for uid in good)
    assert (world.state(bad)[0].reason, world.state(bad)[0].sent_time) == ("Rejected", None)
    assert max(now for now, event in sink.calls if not event.startswith(bad)) < 2


def test_the_wait_that_a_sink_asks_for_counts_for_all_its_events(world: World) -> None:
    for _ in range(2):
        world.ended("ops")
    throttled = Outcome(Verdict.RETRY, "Throttled", "", retry_after=600)
    sink = Sink(lambda now, event: SENT if now else throttled)
    world.notify(HOUR, ops=sink)
    assert sink.times[0] == 0
    assert min(sink.times[1:]) >= 600


@pytest.mark.parametrize(
    "asked", ["Mon, 01 Jan 99999999999999999999 00:00:00 GMT", "Mon, 01 Jan 2026 00:00:00 +99999999", "soon", "", "-1"]
)
def test_a_wait_that_makes_no_sense_is_none(asked: str) -> None:
    assert of_status(503, asked, given.at(0)).retry_after == 0


def test_a_change_meanwhile_sends_nothing_twice(world: World) -> None:
    uid, sink = world.ended("ops"), Sink()
    world.server.refusals = 3
    world.notify(HOUR, ops=sink)
    assert len(sink.calls) == 1
    assert world.state(uid)[0].sent_time is not None


def test_a_replica_that_does_not_lead_sends_nothing(world: World) -> None:
    def over() -> Term:
        raise NotLeading("another one leads")

    world.ended("ops")
    sink = Sink()
    world.notify(60, over, ops=sink)
    assert (sink.calls, world.server.writes) == ([], 0)


def test_a_replica_that_has_led_has_nothing_pending(world: World) -> None:
    """Its metric would tell for ever that the sink is down."""
    world.ended("ops")
    world.notify(10, ops=Sink(lambda now, event: Outcome(Verdict.RETRY, "Throttled", "", retry_after=600)))
    assert (world.pending, world.left) == (1, 0)


def test_an_attempt_ends_with_the_term(world: World) -> None:
    given_seconds: list[float] = []

    class Timed(Sink):
        async def send(self, event: str, body: bytes, seconds: float) -> Outcome:
            given_seconds.append(seconds)
            return SENT

    world.ended("ops")
    world.notify(60, lambda: Term(3.5, given.at(0)), ops=Timed())
    assert given_seconds == [3.5]


def test_a_sink_that_is_not_configured_costs_an_attempt_an_hour(world: World) -> None:
    uid = world.ended("nobody")
    world.notify(DAY + 2 * HOUR)
    [state] = world.state(uid)
    assert (state.reason, state.next_retry_time) == ("SinkNotConfigured", None)
    assert 20 <= world.server.writes <= 30


def test_a_task_that_is_deleted_is_forgotten(world: World) -> None:
    sink = Sink(lambda now, event: DOWN)
    uid = world.ended("ops")

    def outcome(now: float, event: str) -> Outcome:
        del world.server.tasks[uid]
        return DOWN

    sink.outcome = outcome

    world.server.refusals = 1
    world.notify(60, ops=sink)
    assert len(sink.calls) == 1
    assert world.pending == 0
