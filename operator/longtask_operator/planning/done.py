"""Decides whether the work in a pod is done. Pure.

Only the container that does the work counts, not other containers and not the pod's phase.
"""

from collections.abc import Iterable

from longtask_api.longtask import LongTaskStatus
from longtask_operator.planning.pod_selection import newest
from longtask_operator.planning.snapshots import JobSnapshot, PodSnapshot

COMPLETED = "Completed"
"""Reason of an attempt that has done its work."""


def is_done(status: LongTaskStatus, pod: PodSnapshot, *, complete: bool = False) -> bool:
    """Whether the work exited with code 0, either unprompted or with a result.

    Work that exits with 0 after it was asked to stop may have saved only a part; only a result proves that it is
    done. `complete`: the Job controller saw the pod succeed before any stop reached it.
    """
    if pod.termination is None or pod.termination.exit_code != 0:
        return False
    if _is_recorded_as_done(status, pod):
        return True
    stopped = bool(pod.reason) and not complete
    return (pod.left_by_itself and not stopped) or _gave_a_result(status, pod)


def seems_done(status: LongTaskStatus, pod: PodSnapshot) -> bool:
    """Whether exit code 0 is the only evidence that the work is done."""
    return is_done(status, pod) and not (_is_recorded_as_done(status, pod) or _gave_a_result(status, pod))


def done_pod(job: JobSnapshot | None, pods: Iterable[PodSnapshot], status: LongTaskStatus) -> PodSnapshot | None:
    """The newest pod that has ended with its work done; None if there is none."""
    complete = job is not None and job.complete
    return newest(pod for pod in pods if pod.ended and is_done(status, pod, complete=complete))


def decisive_pod(job: JobSnapshot | None, pods: Iterable[PodSnapshot], status: LongTaskStatus) -> PodSnapshot | None:
    """The pod that shows how a Job ended: the one with its work done, else the newest of a failed Job, else the
    newest with exit code 0."""
    seen = list(pods)
    failed = job is not None and job.failed_reason is not None
    return done_pod(job, seen, status) or newest(pod for pod in seen if failed or _left_with_0(pod))


def attempt_number(status: LongTaskStatus, pod: PodSnapshot) -> int | None:
    """The number of the pod's attempt; None until it is recorded."""
    return next((attempt.number for attempt in status.attempts if attempt.pod_uid == pod.uid), None)


def _is_recorded_as_done(status: LongTaskStatus, pod: PodSnapshot) -> bool:
    return any(attempt.pod_uid == pod.uid and attempt.reason == COMPLETED for attempt in status.attempts)


def _left_with_0(pod: PodSnapshot) -> bool:
    return pod.termination is not None and pod.termination.exit_code == 0


def _gave_a_result(status: LongTaskStatus, pod: PodSnapshot) -> bool:
    if pod.termination is not None and pod.termination.message.strip():
        return True
    stored = status.result
    return stored is not None and stored.has_content and stored.attempt == attempt_number(status, pod)
