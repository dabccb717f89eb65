"""Records a task's attempts: merges the attempts already in status with the observed pods. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from longtask_api.longtask import Attempt, Failure, LongTaskStatus
from longtask_operator.planning.done import COMPLETED, is_done
from longtask_operator.planning.failure_reasons import DISRUPTIONS, EVICTED_BY_KUBELET, attempt_message, attempt_reason
from longtask_operator.planning.snapshots import JobSnapshot, PodSnapshot
from longtask_operator.planning.stall import ended_by

KEPT = 20
NOT_DISRUPTED = ("Suspended", COMPLETED)
"""Attempt reasons that never count as disruptions, even if the pod has a DisruptionTarget condition."""

NOT_COUNTED = ("Suspended", "Disrupted", *DISRUPTIONS.values())
"""Attempt reasons that the Job does not count as failures, except evictions for the pod's own resource usage."""


@dataclass(frozen=True, slots=True)
class Attempts:
    """Counts of all attempts so far; `newest` holds the last 20, oldest first."""

    count: int
    disruptions: int
    newest: list[Attempt]

    @property
    def first_start(self) -> datetime | None:
        """Earliest start among the kept attempts; None if none has started."""
        return min((attempt.start_time for attempt in self.newest if attempt.start_time), default=None)


def how_it_ended(attempt: Attempt) -> str:
    """Describe why an attempt ended: its reason with its message or exit code."""
    if attempt.message:
        return f"{attempt.reason}: {attempt.message}"
    return f"{attempt.reason}" + ("" if attempt.exit_code is None else f", exit code {attempt.exit_code}")


def record(
    status: LongTaskStatus,
    pods: Sequence[PodSnapshot],
    *,
    suspended: bool,
    now: datetime,
    cancelled: bool = False,
    deadline: datetime | None = None,
    over: Failure | None = None,
    logs: Mapping[str, str] | None = None,
) -> Attempts:
    """Merge the pods into the attempts in `status`.

    A pod counts as an attempt once it has started or failed. An open attempt whose pod no longer exists ends at `now`.
    `deadline` is when the task's active time will be used up, `over` the failure of work that was stopped for it.
    `logs` has the end of the log of attempts that have just ended, by pod uid.
    """
    known = {attempt.pod_uid: attempt for attempt in status.attempts}
    count, disruptions = status.attempt_count or 0, status.disruption_count or 0
    oldest = _oldest_kept(status, pods)
    seen = set[str]()
    for pod in sorted(pods, key=lambda pod: (pod.created, pod.name)):
        seen.add(pod.uid)
        before = known.get(pod.uid)
        if before is None and pod.started is None and pod.phase != "Failed":
            continue
        if before is None and oldest is not None and pod.created <= oldest:
            continue
        if before is None:
            count += 1
        reason = attempt_reason(
            pod,
            done=is_done(status, pod),
            suspended=suspended,
            stalled=ended_by(status, pod, cancelled=cancelled, deadline=deadline) is not None,
            cancelled=cancelled,
        )
        stopped = over if pod.deadline == 1 and deadline is not None and deadline <= _end(pod, now) else None
        message = attempt_message(pod, reason, (logs or {}).get(pod.uid), stopped)
        attempt = _attempt(pod, before, before.number if before else count, reason, now, message)
        if before is not None and before.end_time is not None:
            continue
        if attempt.end_time is not None and pod.disruption is not None and attempt.reason not in NOT_DISRUPTED:
            disruptions += 1
        known[pod.uid] = attempt
    for uid, attempt in known.items():
        if uid not in seen and attempt.end_time is None:
            known[uid] = attempt.model_copy(
                update={"end_time": now, "reason": attempt.reason or _without_its_pod(suspended, cancelled)}
            )
    newest = sorted(known.values(), key=lambda attempt: attempt.number)[-KEPT:]
    return Attempts(count, disruptions, newest)


def failed_with(job: JobSnapshot, status: LongTaskStatus) -> Attempt | None:
    """The attempt that the Job failed with, from the record alone because its pods are gone.

    None if the last attempt does not count as a failure, or if the Job has counted more failures than were recorded.
    The Job counts neither disruptions nor suspensions.
    """
    last = status.attempts[-1] if status.attempts else None
    if last is None or not _is_counted(last):
        return None
    suspended = sum(each.reason == "Suspended" for each in status.attempts)
    seen = (status.attempt_count or 0) - (status.disruption_count or 0) - suspended
    return last if seen >= job.failures else None


def _is_counted(attempt: Attempt) -> bool:
    return attempt.reason not in NOT_COUNTED or (attempt.message or "").startswith(EVICTED_BY_KUBELET)


def unrecorded(status: LongTaskStatus, pods: Sequence[PodSnapshot]) -> list[PodSnapshot]:
    """Pods of attempts without a recorded end. Pods of attempts that are no longer kept are left out."""
    known = {attempt.pod_uid: attempt for attempt in status.attempts}
    oldest = _oldest_kept(status, pods)
    return [
        pod
        for pod in pods
        if (known[pod.uid].end_time is None if pod.uid in known else oldest is None or pod.created > oldest)
    ]


def _oldest_kept(status: LongTaskStatus, pods: Sequence[PodSnapshot]) -> datetime | None:
    """Pods created before this belong to attempts that are counted but no longer kept; None if all are kept."""
    if len(status.attempts) < KEPT:
        return None
    oldest = status.attempts[0]
    created = next((pod.created for pod in pods if pod.uid == oldest.pod_uid), None)
    return created or oldest.start_time or oldest.end_time


def _without_its_pod(suspended: bool, cancelled: bool) -> str:
    if suspended:
        return "Suspended"
    return "Cancelled" if cancelled else "Deleted"


def _attempt(
    pod: PodSnapshot, before: Attempt | None, number: int, reason: str | None, now: datetime, message: str | None
) -> Attempt:
    told = pod.decisive_termination
    return Attempt(
        number=number,
        pod_name=pod.name,
        pod_uid=pod.uid,
        node_name=pod.node,
        start_time=pod.started or (before.start_time if before else None),
        end_time=_end(pod, now) if reason is not None else None,
        reason=reason,
        exit_code=told.exit_code if told else None,
        message=message,
    )


def _end(pod: PodSnapshot, now: datetime) -> datetime:
    if pod.termination is not None and pod.termination.finished is not None:
        return pod.termination.finished
    return now
