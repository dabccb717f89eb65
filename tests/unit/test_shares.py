"""Each requester has so many tasks at work, and nobody's tasks are in another one's way."""

from typing import Any

import pytest

from longtask_api.conditions import find
from longtask_api.longtask import ConditionType, LongTask, LongTaskStatus, Phase, Requester
from longtask_operator.cache import Cache
from longtask_operator.planning.plan import plan
from longtask_operator.shares import COUNT_AGAIN, Shares
from tests.unit.given import job, state, status, step, task, template

LIMIT = 3
ANN = Requester(principal="ann")


def of(requester: Requester | None, number: int, state: LongTaskStatus | None = None) -> LongTask:
    made = task(state, requester=requester)
    uid = f"00000000-0000-4000-8000-{number:012}"
    return made.model_copy(update={"metadata": made.metadata.model_copy(update={"uid": uid})})


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def cache() -> Cache:
    return Cache()


def test_so_many_begin_and_no_more_also_before_anything_is_known_of_them(cache: Cache) -> None:
    shares = Shares(cache, LIMIT, Clock())
    assert [shares.has_room(of(ANN, number)) for number in range(5)] == [True] * 3 + [False] * 2


def test_what_has_room_keeps_it(cache: Cache) -> None:
    shares = Shares(cache, 1, Clock())
    assert [shares.has_room(of(ANN, 1)) for _ in range(3)] == [True] * 3


@pytest.mark.parametrize(
    "other", [Requester(principal="bob"), Requester(principal="ann", actor_id="ada"), None], ids=str
)
def test_others_have_their_own_share(cache: Cache, other: Requester | None) -> None:
    shares = Shares(cache, 1, Clock())
    assert shares.has_room(of(ANN, 1))
    assert shares.has_room(of(other, 2))
    assert not shares.has_room(of(other, 3))


@pytest.mark.parametrize(
    ("known", "room"),
    [
        ({"state": status(Phase.RUNNING)}, False),
        ({"state": status(Phase.SUCCEEDED)}, True),
        ({"state": None}, True),
    ],
    ids=["at work", "ended", "not begun"],
)
def test_those_at_work_are_counted_after_a_takeover(cache: Cache, known: dict[str, Any], room: bool) -> None:
    cache.put_task(of(ANN, 1, **known))
    assert Shares(cache, 1, Clock()).has_room(of(ANN, 2)) is room


def test_a_job_counts_before_the_status_says_so(cache: Cache) -> None:
    begun = of(ANN, 1)
    cache.put_task(begun)
    cache.put_job(job(owner_uid=begun.metadata.uid))
    assert not Shares(cache, 1, Clock()).has_room(of(ANN, 2))


def test_there_is_room_again_when_one_has_ended(cache: Cache) -> None:
    clock = Clock()
    shares = Shares(cache, 1, clock)
    cache.put_task(of(ANN, 1))
    assert shares.has_room(of(ANN, 1))
    cache.put_task(of(ANN, 1, status(Phase.SUCCEEDED)))
    assert not shares.has_room(of(ANN, 2))
    clock.now += COUNT_AGAIN
    assert shares.has_room(of(ANN, 2))


def test_a_task_without_room_waits_and_says_for_what() -> None:
    after = plan(state(task(), 5, template=template(), crowded=True))
    told = step(after)
    assert (told.phase, told.actions, told.again) == ("Queued", (), 35)
    assert "2000 tasks of this requester are at work" in str(after.status.message)
    waits = find(after.status.conditions, ConditionType.SUCCEEDED)
    assert waits is not None
    assert waits.reason == "TooManyTasks"
    assert "It starts when one of them has ended" in waits.message
    assert "operator.maxActiveTasksPerRequester" in waits.message
    assert plan(state(task(cancel_requested=True), 5, template=template(), crowded=True)).status.phase is (
        Phase.CANCELLED
    )
