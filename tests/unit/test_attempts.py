"""The record of attempts."""

from collections.abc import Sequence
from typing import Any

import pytest

from longtask_api.longtask import Attempt, LongTaskStatus
from longtask_operator.planning.attempts import KEPT, Attempts, record
from longtask_operator.planning.snapshots import PodSnapshot, Termination
from tests.unit.given import at, attempt, ended_pod, pod, running_pod

NONE = LongTaskStatus()
OOM = "the work used more memory than it may have (limit 64Mi)"


def _recorded(
    before: LongTaskStatus, pods: Sequence[PodSnapshot], now: float = 100, *, suspended: bool = False
) -> Attempts:
    return record(before, pods, suspended=suspended, now=at(now))


def _stored(attempts: Attempts) -> LongTaskStatus:
    return LongTaskStatus(
        attempt_count=attempts.count, disruption_count=attempts.disruptions, attempts=list(attempts.newest)
    )


def _evicted(letter: str = "a", created: float = 1, **fields: Any) -> PodSnapshot:
    given: dict[str, Any] = {"exit_code": 143, "disruption": "EvictionByEvictionAPI"}
    return ended_pod(letter, created, **given | fields)


@pytest.mark.parametrize(
    ("pods", "expected"),
    [
        pytest.param([], [], id="no-pods"),
        pytest.param([pod()], [], id="not-started"),
        pytest.param([pod(gone=True)], [], id="gone-without-having-started"),
        pytest.param([running_pod()], [attempt()], id="running"),
        pytest.param([ended_pod()], [attempt(end_time=at(50), reason="Completed", exit_code=0)], id="succeeded"),
        pytest.param([ended_pod(exit_code=3)], [attempt(end_time=at(50), reason="Error", exit_code=3)], id="failed"),
        pytest.param(
            [ended_pod(exit_code=3, phase="Running")],
            [attempt(end_time=at(50), reason="Error", exit_code=3)],
            id="container-ended-before-its-pod",
        ),
        pytest.param([running_pod(gone=True)], [attempt(end_time=at(100), reason="Deleted")], id="gone-while-it-ran"),
        pytest.param(
            [pod(phase="Failed", reason="UnexpectedAdmissionError")],
            [attempt(start=None, end_time=at(100), reason="UnexpectedAdmissionError")],
            id="failed-without-having-started",
        ),
        pytest.param(
            [running_pod("b", 60), ended_pod("a", exit_code=1)],
            [attempt(end_time=at(50), reason="Error", exit_code=1), attempt(2, "b", 61)],
            id="numbered-by-age",
        ),
        pytest.param(
            [running_pod("b"), running_pod("a")], [attempt(1, "a"), attempt(2, "b")], id="numbered-by-name-at-one-age"
        ),
        pytest.param([pod("a"), running_pod("b", 60)], [attempt(1, "b", 61)], id="numbered-without-gaps"),
    ],
)
def test_what_pods_become(pods: list[PodSnapshot], expected: list[Attempt]) -> None:
    after = _recorded(NONE, pods)
    assert after.newest == expected
    assert after.count == len(expected)


@pytest.mark.parametrize(
    ("before", "pods", "suspended", "expected"),
    [
        pytest.param(
            [attempt()], [running_pod(gone=True)], False, attempt(end_time=at(100), reason="Deleted"), id="gone"
        ),
        pytest.param([attempt()], [], False, attempt(end_time=at(100), reason="Deleted"), id="never-seen-again"),
        pytest.param(
            [attempt()], [], True, attempt(end_time=at(100), reason="Suspended"), id="never-seen-again-while-held"
        ),
        pytest.param(
            [attempt()],
            [ended_pod(exit_code=143, deleted=at(80))],
            True,
            attempt(end_time=at(50), reason="Suspended", exit_code=143),
            id="ended-while-held",
        ),
        pytest.param(
            [attempt()],
            [ended_pod(exit_code=1)],
            True,
            attempt(end_time=at(50), reason="Error", exit_code=1),
            id="ended-by-itself-while-held",
        ),
        pytest.param(
            [attempt(end_time=at(50), reason="Error", exit_code=1)],
            [],
            False,
            attempt(end_time=at(50), reason="Error", exit_code=1),
            id="what-has-ended-stays-as-it-ended",
        ),
        pytest.param(
            [attempt(end_time=at(50), reason="Suspended")],
            [ended_pod(exit_code=143)],
            False,
            attempt(end_time=at(50), reason="Suspended"),
            id="the-first-reason-stays",
        ),
        pytest.param([attempt(7)], [running_pod()], False, attempt(7), id="a-known-pod-keeps-its-number"),
    ],
)
def test_what_becomes_of_a_known_attempt(
    before: list[Attempt], pods: list[PodSnapshot], suspended: bool, expected: Attempt
) -> None:
    after = _recorded(LongTaskStatus(attempt_count=7, attempts=before), pods, suspended=suspended)
    assert (after.newest, after.count) == ([expected], 7)


@pytest.mark.parametrize(
    ("pods", "expected"),
    [
        pytest.param([_evicted()], 1, id="evicted"),
        pytest.param([_evicted(phase="Running")], 1, id="evicted-and-still-terminating"),
        pytest.param([running_pod(disruption="EvictionByEvictionAPI")], 0, id="will-be-evicted"),
        pytest.param([_evicted(disruption="PreemptionByScheduler")], 1, id="preempted"),
        pytest.param([_evicted(disruption="DeletionByTaintManager")], 1, id="node-lost"),
        pytest.param([_evicted(disruption="SomethingNew")], 1, id="a-reason-that-is-not-known"),
        pytest.param([ended_pod(exit_code=1)], 0, id="own-failure"),
        pytest.param([running_pod(gone=True)], 0, id="deleted-by-hand"),
        pytest.param([_evicted(exit_code=137, why="OOMKilled")], 1, id="out-of-memory-under-eviction"),
        pytest.param([_evicted("a"), _evicted("b", 60), running_pod("c", 90)], 2, id="several"),
        pytest.param(
            [pod(phase="Failed", reason="Evicted", disruption="TerminationByKubelet")], 1, id="before-it-started"
        ),
    ],
)
def test_how_many_disruptions_pods_are(pods: list[PodSnapshot], expected: int) -> None:
    assert _recorded(NONE, pods).disruptions == expected


def test_an_eviction_for_its_own_fault_is_no_disruption() -> None:
    evicted = ended_pod(
        exit_code=137, reason="Evicted", message='Usage of EmptyDir volume "x" exceeds the limit "1Gi".'
    )
    assert _recorded(NONE, [evicted]).disruptions == 0


@pytest.mark.parametrize(
    "pods",
    [
        pytest.param([running_pod()], id="running"),
        pytest.param([_evicted(), _evicted("b", 60)], id="evicted"),
        pytest.param([_evicted(gone=True)], id="evicted-and-gone"),
        pytest.param([running_pod(gone=True)], id="gone"),
        pytest.param([pod(phase="Failed", reason="Evicted")], id="never-started"),
        pytest.param([_evicted(f"{n:02}", n) for n in range(1, 31)], id="more-than-are-kept"),
        pytest.param(
            [pod(f"{n:02}", n, phase="Failed", disruption="TerminationByKubelet") for n in range(1, 31)],
            id="more-than-are-kept-and-none-started",
        ),
    ],
)
def test_no_pod_counts_twice(pods: list[PodSnapshot]) -> None:
    once = _recorded(NONE, pods, 100)
    again = _recorded(_stored(once), pods, 200)
    assert again == once


def test_an_eviction_is_counted_once_from_its_first_sign_to_the_end_of_the_pod() -> None:
    told = _recorded(NONE, [running_pod(disruption="EvictionByEvictionAPI")])
    ended = _recorded(_stored(told), [_evicted(phase="Running")])
    gone = _recorded(_stored(ended), [_evicted(gone=True)])
    vanished = _recorded(_stored(gone), [])
    assert [(a.count, a.disruptions) for a in (told, ended, gone, vanished)] == [(1, 0), (1, 1), (1, 1), (1, 1)]


def test_the_newest_twenty_are_kept_and_all_are_counted() -> None:
    after = _recorded(NONE, [ended_pod(f"{n:02}", n, exit_code=1) for n in range(1, 26)])
    assert after.count == 25
    assert [kept.number for kept in after.newest] == list(range(6, 26))


def test_one_more_attempt_pushes_the_oldest_out() -> None:
    pods = [ended_pod(f"{n:02}", n * 100, exit_code=1, ended=n * 100 + 50) for n in range(1, KEPT + 1)]
    full = _recorded(NONE, pods)
    after = _recorded(_stored(full), [*pods, running_pod("99", 9000)])
    assert [kept.number for kept in after.newest] == list(range(2, KEPT + 2))
    assert after.count == KEPT + 1


def test_attempts_are_numbered_on_when_earlier_pods_are_not_seen_any_more() -> None:
    before = LongTaskStatus(
        attempt_count=2,
        attempts=[attempt(end_time=at(50), reason="Error"), attempt(2, "b", 61, end_time=at(70), reason="Error")],
    )
    after = _recorded(before, [running_pod("c", 80)])
    assert [(kept.number, kept.pod_name) for kept in after.newest] == [(1, "pod-a"), (2, "pod-b"), (3, "pod-c")]


def test_the_first_start_is_the_earliest_that_is_known() -> None:
    assert _recorded(NONE, []).first_start is None
    assert _recorded(NONE, [pod(phase="Failed"), running_pod("b", 60), running_pod("c", 30)]).first_start == at(31)


def test_a_start_that_was_recorded_is_kept_when_the_container_is_lost() -> None:
    lost = Termination(
        exit_code=137, signal=9, reason="ContainerStatusUnknown", message="", started=None, finished=None
    )
    before = LongTaskStatus(attempt_count=1, attempts=[attempt()])
    (kept,) = _recorded(before, [pod(phase="Failed", termination=lost)]).newest
    assert kept.start_time == at(2)


@pytest.mark.parametrize(
    ("given", "log", "message"),
    [
        (ended_pod(exit_code=3, told="disk full"), None, "exit code 3: disk full"),
        (ended_pod(exit_code=3), "epoch 1\ndisk full\n", "exit code 3: disk full"),
        (ended_pod(exit_code=3), None, None),
        (ended_pod(exit_code=137, why="OOMKilled", memory_limit="64Mi"), "epoch 1\n", OOM),
        (ended_pod(exit_code=3, told="x" * 5000), None, f"exit code 3: {'x' * 239} [...] {'x' * 252}"),
        (ended_pod(told="done"), "done\n", None),
        (running_pod(gone=True), None, None),
    ],
    ids=["its own words", "its log", "nothing told", "memory", "many words", "well", "deleted"],
)
def test_why_an_attempt_ended_stays_with_it(given: PodSnapshot, log: str | None, message: str | None) -> None:
    logs = {} if log is None else {given.uid: log}
    recorded = record(NONE, [given], suspended=False, now=at(100), logs=logs)
    assert recorded.newest[-1].message == message
    # What is known of it stays when its log is no longer looked up.
    later = record(_stored(recorded), [given], suspended=False, now=at(101))
    assert later.newest[-1].message == message
