"""A task at work that has to end: it is cancelled, or its active time is over."""

from typing import Any

import pytest

from longtask_api.longtask import LongTask, LongTaskStatus, Phase
from longtask_operator.planning import active_time, task_events
from longtask_operator.planning.plan import plan
from longtask_operator.planning.state import TaskState
from tests.unit.given import (
    JOB_REF,
    JOB_UID,
    SNAPSHOT,
    Step,
    at,
    at_work,
    attempt,
    ended_pod,
    held,
    job,
    pod,
    running_pod,
    state,
    status,
    step,
    task,
    written,
)

DELETE = f"delete {JOB_REF.name} {JOB_UID}"
STOP_RETRIES = f"stop retries of {JOB_UID}"
PENDING = status(Phase.PENDING)
FAILED_ONCE = at_work(attempts=[attempt(end_time=at(50), reason="Error")])


def _cancelled(before: LongTaskStatus | None = None, /, **known: Any) -> TaskState:
    return state(task(before, cancel_requested=True), 100, **{"job": job()} | known)


@pytest.mark.parametrize(
    ("given", "phase", "actions"),
    [
        pytest.param(_cancelled(), "Pending", (DELETE,), id="no-pod-yet"),
        pytest.param(_cancelled(PENDING, pods=(pod(node=None),)), "Pending", (DELETE,), id="pod-without-node"),
        pytest.param(
            _cancelled(PENDING, pods=(pod(),)), "Pending", (STOP_RETRIES, "stop pod-a"), id="pod-on-a-node-not-started"
        ),
        pytest.param(
            _cancelled(at_work(), pods=(running_pod(),)), "Running", (STOP_RETRIES, "stop pod-a"), id="running"
        ),
        pytest.param(
            _cancelled(at_work(), pods=(running_pod(deadline=3600),)),
            "Running",
            (STOP_RETRIES, "stop pod-a"),
            id="running-with-a-deadline-of-its-own",
        ),
        pytest.param(
            _cancelled(at_work(), job=job(backoff_limit=0), pods=(running_pod(),)),
            "Running",
            ("stop pod-a",),
            id="retries-stopped-already",
        ),
        pytest.param(
            _cancelled(at_work(), job=job(backoff_limit=0), pods=(running_pod(deadline=1),)),
            "Running",
            (),
            id="all-stopped-already",
        ),
        pytest.param(
            _cancelled(FAILED_ONCE, job=job(failures=1), pods=(ended_pod(exit_code=1), running_pod("b", 60))),
            "Running",
            (f"{STOP_RETRIES} after 1", "stop pod-b"),
            id="second-attempt",
        ),
        pytest.param(
            _cancelled(FAILED_ONCE, job=job(failures=1), pods=(ended_pod(exit_code=1),)),
            "Pending",
            (STOP_RETRIES,),
            id="between-attempts",
        ),
        pytest.param(
            _cancelled(FAILED_ONCE, job=job(failures=1), pods=(ended_pod(exit_code=1, gone=True),)),
            "Pending",
            (STOP_RETRIES,),
            id="between-attempts-and-the-pod-is-gone",
        ),
        pytest.param(
            _cancelled(FAILED_ONCE, job=job(failures=1), pods=(ended_pod(exit_code=1), pod("b", 60, node=None))),
            "Pending",
            (STOP_RETRIES,),
            id="second-attempt-without-node",
        ),
        pytest.param(
            _cancelled(at_work(), pods=(running_pod(gone=True),)), "Pending", (DELETE,), id="the-only-pod-is-gone"
        ),
        pytest.param(_cancelled(held(50), job=job(suspend=True)), "Pending", (DELETE,), id="held"),
        pytest.param(
            _cancelled(at_work(), job=job(suspend=True), pods=(running_pod(deleted=at(90)),)),
            "Running",
            (DELETE,),
            id="being-held",
        ),
        pytest.param(_cancelled(PENDING, job=job(deleting=True)), "Pending", (), id="job-goes-already"),
        pytest.param(
            _cancelled(at_work(), job=job(deleting=True), pods=(running_pod(deleted=at(90)),)),
            "Running",
            (),
            id="job-goes-already-with-its-pod",
        ),
    ],
)
def test_what_a_cancel_does(given: TaskState, phase: str, actions: tuple[str, ...]) -> None:
    assert step(plan(given)) == Step(phase, "cancelling", actions, again=110)


def test_a_cancel_comes_before_a_wish_to_hold() -> None:
    given = state(task(at_work(), cancel_requested=True, suspend=True), 100, job=job(), pods=(running_pod(),))
    assert step(plan(given)).actions == (STOP_RETRIES, "stop pod-a")


def test_a_cancelled_task_has_not_ended_while_its_pod_works() -> None:
    after = plan(_cancelled(at_work(), pods=(running_pod(),))).status
    assert after.completion_time is None
    assert after.failure is None


def test_a_held_task_that_is_cancelled_is_not_called_resumed() -> None:
    after = plan(_cancelled(held(50), job=job(suspend=True))).status
    assert "Resumed" not in [reason for _, reason, _ in task_events.for_change(held(50), after)]


def test_a_cancel_that_waits_for_a_lost_node_says_so() -> None:
    given = _cancelled(at_work(), job=job(backoff_limit=0), pods=(running_pod(deleted=at(60), deadline=1),))
    message = plan(given).status.message or ""
    assert message.startswith("cancelling, but node node-1 does not answer")
    assert "kubectl delete node node-1" in message


OVER = "stopping: activeDeadlineSeconds is over"


def _limited(now: float, before: LongTaskStatus, /, limit: int | None = None, **known: Any) -> TaskState:
    return state(task(before, active_deadline_seconds=limit), now, **{"job": job(), "pods": (running_pod(),)} | known)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param(_limited(3601, at_work()), Step("Running", "running", again=3602), id="template-default-not-over"),
        pytest.param(
            _limited(3602, at_work()),
            Step("Running", OVER, (STOP_RETRIES, "stop pod-a"), again=3612),
            id="template-default-over",
        ),
        pytest.param(_limited(101, at_work(), 100), Step("Running", "running", again=102), id="own-not-over"),
        pytest.param(
            _limited(102, at_work(), 100),
            Step("Running", OVER, (STOP_RETRIES, "stop pod-a"), again=112),
            id="own-over",
        ),
        pytest.param(
            _limited(100, at_work(), 9999), Step("Running", "running", again=7202), id="never-more-than-the-maximum"
        ),
        pytest.param(
            _limited(102, at_work(active_seconds=60), 100),
            Step("Running", OVER, (STOP_RETRIES, "stop pod-a"), again=112),
            id="earlier-periods-count",
        ),
        pytest.param(
            _limited(41, at_work(active_seconds=60), 100),
            Step("Running", "running", again=42),
            id="earlier-periods-shorten-what-is-left",
        ),
        pytest.param(
            _limited(102, at_work(), 100, job=job(backoff_limit=0), pods=(running_pod(deadline=1),)),
            Step("Running", OVER, (), again=112),
            id="stopping-already",
        ),
        pytest.param(
            _limited(102, FAILED_ONCE, 100, job=job(failures=1), pods=(ended_pod(exit_code=1),)),
            Step("Running", OVER, (STOP_RETRIES,), again=112),
            id="over-between-attempts",
        ),
        pytest.param(
            _limited(300, PENDING, 100, pods=(pod(),)),
            Step("Pending", "waiting for the pod to start", again=310),
            id="waiting-to-start-does-not-count",
        ),
        pytest.param(
            _limited(102, PENDING, 100), Step("Running", OVER, (STOP_RETRIES, "stop pod-a"), again=112), id="seen-late"
        ),
    ],
)
def test_the_deadline_counts_active_time(given: TaskState, expected: Step) -> None:
    assert step(plan(given)) == expected


def test_held_time_does_not_count_against_the_deadline() -> None:
    stored = task(at_work(), active_deadline_seconds=100, suspend=True)
    gone = running_pod(gone=True)
    stored = written(stored, plan(state(stored, 60, job=job(suspend=True, suspended_since=at(52)), pods=(gone,))))
    assert (stored.status.phase, stored.status.active_seconds, stored.status.active_since) == (
        Phase.SUSPENDED,
        50,
        None,
    )

    stored = _let_go(stored)
    after = plan(state(stored, 9000, job=job(), pods=(gone, pod("b", 8999))))
    assert after.status.active_since is None
    stored = written(stored, after)

    after = plan(state(stored, 9010, job=job(), pods=(gone, running_pod("b", 8999))))
    assert step(after) == Step("Running", "running, attempt 2", again=9050)
    assert (after.status.active_since, after.status.active_seconds) == (at(9000), 50)
    stored = written(stored, after)

    after = plan(state(stored, 9050, job=job(), pods=(gone, running_pod("b", 8999))))
    assert step(after).actions == (STOP_RETRIES, "stop pod-b")


def test_active_time_adds_up_over_two_holds() -> None:
    gone = running_pod("b", 200, gone=True)
    before = at_work(active_seconds=50, active_since=at(201), attempt_count=2, attempts=[attempt(2, "b", 201)])
    suspended = job(suspend=True, suspended_since=at(231))
    after = plan(state(task(before, suspend=True), 240, job=suspended, pods=(gone,))).status
    assert (after.active_seconds, after.active_since) == (80, None)


def test_a_task_that_stays_held_keeps_its_active_time() -> None:
    before = held(60, active_seconds=50)
    suspended = job(suspend=True, suspended_since=at(52))
    after = plan(state(task(before, suspend=True), 9000, job=suspended)).status
    assert (after.active_seconds, after.active_since) == (50, None)


def _let_go(held_task: LongTask) -> LongTask:
    return task(held_task.status, active_deadline_seconds=held_task.spec.active_deadline_seconds)


@pytest.mark.parametrize(
    ("own", "maximum", "expected"),
    [
        (None, 7200, 3600),
        (None, 1800, 1800),
        (None, None, 3600),
        (100, None, 100),
        (9000, 7200, 7200),
        (9000, None, 9000),
    ],
)
def test_the_limit_is_the_tasks_own_or_the_templates_and_at_most_the_maximum(
    own: int | None, maximum: int | None, expected: int
) -> None:
    snapshot = SNAPSHOT.model_copy(update={"max_active_deadline_seconds": maximum})
    assert active_time.limit(task(active_deadline_seconds=own), snapshot) == expected


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        pytest.param(LongTaskStatus(), None, id="no-attempt"),
        pytest.param(LongTaskStatus(attempts=[attempt()]), 2, id="running"),
        pytest.param(LongTaskStatus(attempts=[attempt(end_time=at(50))]), 2, id="ended"),
        pytest.param(LongTaskStatus(attempts=[attempt(1, "a", 20), attempt(2, "b", 10)]), 10, id="the-earliest"),
        pytest.param(LongTaskStatus(attempts=[attempt(start=None), attempt(2, "b", 60)]), 60, id="one-never-started"),
        pytest.param(LongTaskStatus(active_since=at(30), attempts=[attempt()]), 30, id="open-already"),
        pytest.param(held(60, attempts=[attempt()]), None, id="held-since"),
        pytest.param(held(60, attempts=[attempt(), attempt(2, "b", 70)]), 70, id="started-again-since"),
        pytest.param(LongTaskStatus(attempts=[attempt(1, "a", 100)]), 100, id="just-now"),
        pytest.param(LongTaskStatus(attempts=[attempt(1, "a", 101)]), None, id="a-node-whose-clock-is-ahead"),
    ],
)
def test_the_active_period_begins_with_the_first_attempt_since_the_task_was_held(
    before: LongTaskStatus, expected: float | None
) -> None:
    assert active_time.started(before, at(100)).active_since == (None if expected is None else at(expected))


@pytest.mark.parametrize(
    ("since", "used", "now", "expected"),
    [(None, None, 100, None), (None, 30, 100, 30), (10, None, 100, 90), (10, 30, 100, 120), (10, 30, 5, 30)],
)
def test_a_pause_adds_the_period_that_went_on(
    since: float | None, used: int | None, now: float, expected: int | None
) -> None:
    before = LongTaskStatus(active_since=None if since is None else at(since), active_seconds=used)
    after = active_time.stopped(before, at(now))
    assert (after.active_seconds, after.active_since) == (expected, None)
