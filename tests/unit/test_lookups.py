"""When Events are listed for what no watch reports: as soon as they may help, and never without need."""

import pytest

from longtask_api.longtask import LongTaskStatus
from longtask_operator.planning.lookups import pod_to_ask_about, wants_refusals
from longtask_operator.planning.pod_selection import end_is_seen
from longtask_operator.planning.snapshots import JobSnapshot, PodSnapshot
from tests.unit.given import at, at_work, attempt, ended_pod, job, pod, running_pod

COMPLETE = job(complete=True, finished_at=at(60))
FAILED = job(failed_reason="BackoffLimitExceeded", finished_at=at(60), failures=1)
DONE = at_work(attempts=[attempt(end_time=at(50), reason="Completed", exit_code=0)])


@pytest.mark.parametrize(
    ("of", "pods", "now", "expected"),
    [
        pytest.param(job(), (), 10.0, False, id="just created"),
        pytest.param(job(), (), 10.001, True, id="no pod for longer"),
        pytest.param(job(is_seen=False), (), 60.0, False, id="its controller has not begun"),
        pytest.param(job(is_seen=False), (), 60.001, True, id="its controller does not seem to begin"),
        pytest.param(job(), (ended_pod(exit_code=1),), 100, True, id="no pod after the first attempt"),
        pytest.param(job(), (ended_pod(exit_code=1), pod("b", 60)), 100, False, id="the next pod is there"),
        pytest.param(job(suspend=True), (), 100, False, id="suspended"),
        pytest.param(COMPLETE, (), 100, False, id="complete"),
        pytest.param(FAILED, (), 100, False, id="failed"),
    ],
)
def test_why_no_pod_was_created_is_asked_for_when_one_is_missing(
    of: JobSnapshot, pods: tuple[PodSnapshot, ...], now: float, expected: bool
) -> None:
    assert wants_refusals(of, pods, at(now)) is expected


WAITS = pod("a", 1)
PULL_FAILS = pod("a", 1, waiting_reason="ImagePullBackOff")
KILLED = ended_pod(exit_code=137, signal=9, probed=True)


@pytest.mark.parametrize(
    ("of", "pods", "status", "now", "expected"),
    [
        pytest.param(job(), (WAITS,), at_work(), 10.9, None, id="a pod that may still start"),
        pytest.param(job(), (WAITS,), at_work(), 11, "pod-a", id="one that does not start in time"),
        pytest.param(job(), (PULL_FAILS,), at_work(), 100, None, id="one whose status says why"),
        pytest.param(job(), (pod("a", 1, node=None),), at_work(), 100, None, id="one without a node"),
        pytest.param(job(), (running_pod(),), at_work(), 100, None, id="one that runs"),
        pytest.param(job(), (ended_pod(exit_code=1),), at_work(), 100, None, id="one that has ended"),
        pytest.param(job(), (WAITS, pod("b", 2)), at_work(), 100, "pod-b", id="the newest of two"),
        pytest.param(job(), (), at_work(), 100, None, id="none"),
        pytest.param(FAILED, (KILLED,), at_work(), 100, "pod-a", id="killed, perhaps for a probe"),
        pytest.param(FAILED, (ended_pod(exit_code=137, signal=9),), at_work(), 100, None, id="killed, has no probe"),
        pytest.param(FAILED, (pod(phase="Failed", probed=True),), at_work(), 100, None, id="its end is not known"),
        pytest.param(FAILED, (), at_work(), 100, None, id="failed without a pod"),
        pytest.param(
            FAILED,
            (ended_pod(exit_code=137, signal=9, probed=True, reason="Evicted"),),
            at_work(),
            100,
            None,
            id="evicted",
        ),
        pytest.param(
            FAILED, (KILLED, ended_pod("b", 60, exit_code=1)), at_work(), 100, None, id="the newest has no probe"
        ),
        pytest.param(COMPLETE, (ended_pod(probed=True),), DONE, 100, None, id="done"),
        pytest.param(COMPLETE, (ended_pod(probed=True),), at_work(), 100, None, id="done, as the Job controller saw"),
    ],
)
def test_the_events_of_a_pod_are_asked_for_when_its_status_does_not_tell(
    of: JobSnapshot, pods: tuple[PodSnapshot, ...], status: LongTaskStatus, now: float, expected: str | None
) -> None:
    found = pod_to_ask_about(of, pods, status, at(now))
    assert (found.name if found is not None else None) == expected


@pytest.mark.parametrize(
    ("of", "pods", "expected"),
    [
        pytest.param(COMPLETE, (), False, id="complete, no pod seen"),
        pytest.param(COMPLETE, (running_pod(),), False, id="complete, it still runs here"),
        pytest.param(COMPLETE, (ended_pod(),), True, id="complete, succeeded"),
        pytest.param(COMPLETE, (ended_pod(phase="Failed"),), True, id="complete, left with 0 and was evicted"),
        pytest.param(COMPLETE, (ended_pod(exit_code=1),), False, id="complete, only an attempt that failed"),
        pytest.param(COMPLETE, (ended_pod(exit_code=1), ended_pod("b", 9)), True, id="complete in the second attempt"),
        pytest.param(COMPLETE, (ended_pod(phase="Running"),), False, id="complete, others in the pod still run here"),
        pytest.param(FAILED, (), False, id="failed, no pod seen"),
        pytest.param(FAILED, (running_pod(),), False, id="failed, it still runs here"),
        pytest.param(FAILED, (ended_pod(exit_code=1),), True, id="failed"),
        pytest.param(FAILED, (ended_pod(exit_code=1), running_pod("b", 9)), False, id="failed, another runs here"),
        pytest.param(FAILED, (ended_pod(exit_code=1, disruption="Preemption"),), False, id="only disrupted"),
        pytest.param(
            job(failed_reason="x", finished_at=at(60), failures=2), (ended_pod(exit_code=1),), False, id="one of two"
        ),
        pytest.param(
            job(failed_reason="x", finished_at=at(60), failures=0), (ended_pod(exit_code=1),), True, id="count is late"
        ),
    ],
)
def test_the_end_of_a_job_is_seen_once_its_pods_tell_of_it(
    of: JobSnapshot, pods: tuple[PodSnapshot, ...], expected: bool
) -> None:
    assert end_is_seen(of, pods) is expected
