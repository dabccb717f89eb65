"""Whether the work in a pod is done, whatever becomes of the pod."""

from typing import Any

import pytest

from longtask_api.conditions import find
from longtask_api.longtask import LongTaskStatus, Phase
from longtask_api.reports import Result
from longtask_operator.planning.done import is_done
from longtask_operator.planning.lookups import may_be_ended_early
from longtask_operator.planning.plan import plan
from longtask_operator.planning.snapshots import PodEvent, PodSnapshot
from longtask_operator.planning.state import TaskState
from tests.unit.given import (
    JOB_UID,
    Step,
    at,
    at_work,
    attempt,
    container,
    ended_pod,
    job,
    running_pod,
    state,
    step,
    task,
)

EVICTED = "EvictionByEvictionAPI"
PROBED: dict[str, Any] = {"probed": True, "ended_by_kubelet": "LivenessProbeFailed"}
STOPPED: dict[str, Any] = {"phase": "Failed", "reason": "DeadlineExceeded", "deadline": 1}
HANDED_IN = at_work(result=Result(attempt=1, value=7))
SEEN_TO_COMPLETE = at_work(attempts=[attempt(end_time=at(50), reason="Completed", exit_code=0)])
COMPLETE = job(complete=True, finished_at=at(52))
FAILED = job(failed_reason="BackoffLimitExceeded", finished_at=at(52), failures=1)


@pytest.mark.parametrize(
    ("status", "given", "complete", "done"),
    [
        pytest.param(at_work(), running_pod(), False, False, id="it-works"),
        pytest.param(at_work(), ended_pod(exit_code=3), False, False, id="it-failed"),
        pytest.param(HANDED_IN, ended_pod(exit_code=3), False, False, id="it-handed-in-and-failed"),
        pytest.param(at_work(), ended_pod(), False, True, id="left-with-0"),
        pytest.param(at_work(), ended_pod(phase="Running"), False, True, id="left-with-0-and-others-run"),
        pytest.param(at_work(), ended_pod(phase="Failed"), False, True, id="left-with-0-and-others-failed"),
        pytest.param(at_work(), ended_pod(disruption=EVICTED), False, False, id="evicted"),
        pytest.param(at_work(), ended_pod(disruption=EVICTED, told="7"), False, True, id="evicted-with-a-result"),
        pytest.param(HANDED_IN, ended_pod(disruption=EVICTED), False, True, id="evicted-once-it-had-handed-in"),
        pytest.param(
            at_work(result=Result(attempt=2, value=7)),
            ended_pod(disruption=EVICTED),
            False,
            False,
            id="evicted-and-another-attempt-handed-in",
        ),
        pytest.param(
            at_work(), ended_pod(disruption=EVICTED, asked_to_go=at(51)), False, True, id="evicted-after-it-left"
        ),
        pytest.param(at_work(), ended_pod(deleted=at(80)), False, False, id="deleted"),
        pytest.param(at_work(), ended_pod(deleted=at(800)), False, True, id="deleted-after-it-left"),
        pytest.param(at_work(), ended_pod(**PROBED), True, False, id="ended-by-kubelet"),
        pytest.param(at_work(), ended_pod(**PROBED, told="7"), True, True, id="ended-by-kubelet-with-a-result"),
        pytest.param(SEEN_TO_COMPLETE, ended_pod(**PROBED), True, True, id="ended-by-kubelet-once-it-was-seen"),
        pytest.param(at_work(), ended_pod(**STOPPED), False, False, id="stopped"),
        pytest.param(at_work(), ended_pod(**STOPPED, told="7"), False, True, id="stopped-with-a-result"),
        pytest.param(at_work(), ended_pod(**STOPPED), True, True, id="stopped-but-its-job-had-seen-it-succeed"),
        pytest.param(at_work(), ended_pod(disruption=EVICTED), True, False, id="evicted-also-for-a-complete-job"),
        pytest.param(SEEN_TO_COMPLETE, ended_pod(**STOPPED), False, True, id="stopped-after-it-was-seen-to-leave"),
    ],
)
def test_work_is_done(status: LongTaskStatus, given: PodSnapshot, complete: bool, done: bool) -> None:
    assert is_done(status, given, complete=complete) is done


EXPORTER = container("exporter", "beside", running_since=at(3))
PUSH_FAILED = container("exporter", "beside", exit_code=1, told="push failed\n")
CUT_OFF = container("exporter", "beside", exit_code=137)


def _world(before: LongTaskStatus | None = None, /, **known: Any) -> TaskState:
    spec = {key: known.pop(key) for key in ("cancel_requested", "active_deadline_seconds") if key in known}
    return state(task(at_work() if before is None else before, **spec), 60, **known)


def test_work_that_is_done_says_which_container_is_waited_for() -> None:
    given = _world(job=job(), pods=(ended_pod(phase="Running", told="7", others=(EXPORTER,)),))
    assert step(plan(given)).message == "the work is done; waiting for container exporter to end"


def test_work_that_failed_says_which_container_is_waited_for() -> None:
    given = _world(job=job(), pods=(ended_pod(exit_code=3, phase="Running", others=(EXPORTER,)),))
    assert step(plan(given)).message == "the work has ended (exit code 3); waiting for container exporter to end"


def test_for_two_seconds_after_the_end_of_the_work_that_of_its_pod_is_awaited_without_a_write() -> None:
    given = state(task(at_work()), 51, job=job(), pods=(ended_pod(phase="Running"),))
    after = plan(given)
    assert (after.defer_status, step(after).again) == (True, 52)


def test_a_job_whose_work_is_done_does_not_run_it_again() -> None:
    given = _world(job=job(failures=1), pods=(ended_pod(phase="Failed", others=(PUSH_FAILED,)),))
    expected = Step("Running", "the work is done; ending its Job", (f"stop retries of {JOB_UID}",), again=70)
    assert step(plan(given)) == expected


def test_an_attempt_that_began_although_the_work_is_done_is_stopped() -> None:
    pods = (ended_pod(phase="Failed", others=(PUSH_FAILED,)), running_pod("b", 55))
    stopped = (f"stop retries of {JOB_UID} after 1", "stop pod-b")
    assert step(plan(_world(job=job(failures=1), pods=pods))).actions == stopped


@pytest.mark.parametrize(
    ("given", "message"),
    [
        pytest.param(
            {"job": FAILED, "pods": (ended_pod(phase="Failed", told="7", others=(PUSH_FAILED,)),)},
            "completed (container exporter failed: exit code 1: push failed)",
            id="another-container-failed",
        ),
        pytest.param(
            {
                "job": FAILED,
                "pods": (ended_pod(**STOPPED, told="7", others=(CUT_OFF,)),),
                "active_deadline_seconds": 50,
            },
            "completed (container exporter still ran and was ended with the pod)",
            id="another-container-ran-on-to-the-deadline",
        ),
        pytest.param(
            {"job": FAILED, "pods": (ended_pod(**STOPPED, told="7"),), "cancel_requested": True},
            "completed (it had completed before the cancel reached it)",
            id="a-cancel-came-with-the-end",
        ),
        pytest.param(
            {"job": COMPLETE, "pods": (ended_pod(**STOPPED, told="7"),), "cancel_requested": True},
            "completed (it had completed before the cancel reached it)",
            id="a-cancel-came-after-the-end",
        ),
        pytest.param(
            {"job": FAILED, "pods": (ended_pod(told="7", phase="Failed"), ended_pod("b", 55, exit_code=143))},
            "completed",
            id="another-attempt-had-begun",
        ),
    ],
)
def test_the_result_of_work_that_is_done_is_kept(given: dict[str, Any], message: str) -> None:
    after = plan(_world(**given)).status
    assert (after.phase, after.message, after.result) == (Phase.SUCCEEDED, message, Result(value=7))


@pytest.mark.parametrize(
    ("given", "phase", "reason", "message"),
    [
        pytest.param(
            {"job": COMPLETE, "pods": (ended_pod(disruption=EVICTED),)},
            Phase.FAILED,
            "Evicted",
            "exit code 0 while its pod was being evicted, and no result",
            id="evicted",
        ),
        pytest.param(
            {"job": COMPLETE, "pods": (ended_pod(deleted=at(80)),)},
            Phase.FAILED,
            "Deleted",
            "exit code 0 while its pod was being deleted, and no result",
            id="deleted",
        ),
        pytest.param(
            {"job": COMPLETE, "pods": (ended_pod(deleted=at(80)),), "cancel_requested": True},
            Phase.CANCELLED,
            "Cancelled",
            "cancelled on request while it ran",
            id="deleted-under-a-cancel",
        ),
        pytest.param(
            {"job": FAILED, "pods": (ended_pod(**STOPPED),), "cancel_requested": True},
            Phase.CANCELLED,
            "Cancelled",
            "cancelled on request while it ran",
            id="cancelled",
        ),
        pytest.param(
            {"job": FAILED, "pods": (ended_pod(**STOPPED),), "active_deadline_seconds": 50},
            Phase.FAILED,
            "DeadlineExceeded",
            "the work was active for longer than its activeDeadlineSeconds (50 s); exit code 0 while",
            id="deadline",
        ),
    ],
)
def test_work_that_leaves_with_0_when_it_has_to_is_not_done_without_a_result(
    given: dict[str, Any], phase: Phase, reason: str, message: str
) -> None:
    after = plan(_world(**given)).status
    succeeded = find(after.conditions, "Succeeded")
    assert succeeded is not None
    assert (after.phase, succeeded.reason, after.result) == (phase, reason, None)
    assert message in (after.message or "")


def test_work_that_was_seen_to_be_done_is_not_lost_with_its_job() -> None:
    after = plan(_world(SEEN_TO_COMPLETE)).status
    assert (after.phase, after.message) == (
        Phase.SUCCEEDED,
        "completed, but its pod was gone before the result could be read",
    )


PROBE = (
    PodEvent(at(48), "Unhealthy", "Liveness probe failed: no heartbeat", True, "main"),
    PodEvent(at(48), "Killing", "Stopping container main", False, "main"),
)


def test_work_that_leaves_with_0_because_kubelet_ends_it_has_failed_for_its_probe() -> None:
    given = _world(job=job(complete=True, finished_at=at(52)), pods=(ended_pod(**PROBED),), events=PROBE)
    after = plan(given).status
    assert after.failure is not None
    assert (after.phase, after.failure.reason) == (Phase.FAILED, "LivenessProbeFailed")
    assert "exit code 0" in after.failure.message
    assert [each.reason for each in after.attempts] == ["LivenessProbeFailed"]


@pytest.mark.parametrize(
    ("now", "given", "phase", "deferred"),
    [
        (53, ended_pod(probed=True), None, True),
        (54, ended_pod(probed=True), Phase.SUCCEEDED, False),
        (53, ended_pod(), Phase.SUCCEEDED, False),
        (53, ended_pod(probed=True, told="7"), Phase.SUCCEEDED, False),
    ],
)
def test_the_events_of_work_that_kubelet_may_have_ended_have_two_seconds(
    now: float, given: PodSnapshot, phase: Phase | None, deferred: bool
) -> None:
    after = plan(state(task(at_work()), now, job=job(complete=True, finished_at=at(52)), pods=(given,)))
    assert after.defer_status is deferred
    assert phase is None or after.status.phase is phase


@pytest.mark.parametrize(
    ("status", "given", "worth"),
    [
        (at_work(), ended_pod(probed=True), True),
        (at_work(), ended_pod(), False),
        (at_work(), ended_pod(probed=True, exit_code=1), False),
        (at_work(), ended_pod(probed=True, told="7"), False),
        (at_work(), ended_pod(probed=True, gone=True), False),
        (at_work(), ended_pod(probed=True, disruption=EVICTED), False),
        (SEEN_TO_COMPLETE, ended_pod(probed=True), False),
    ],
)
def test_only_where_nothing_but_the_exit_code_says_that_work_is_done_its_events_are_asked(
    status: LongTaskStatus, given: PodSnapshot, worth: bool
) -> None:
    assert may_be_ended_early(status, given) is worth
