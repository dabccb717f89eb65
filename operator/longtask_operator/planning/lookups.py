"""Decides when to list Events for facts that no watch reports, since each list costs the API server. Pure."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from longtask_api.longtask import LongTaskStatus
from longtask_operator.planning import failure_reasons
from longtask_operator.planning.done import decisive_pod, is_done, seems_done
from longtask_operator.planning.pod_selection import newest
from longtask_operator.planning.snapshots import JobSnapshot, PodSnapshot

PATIENCE = timedelta(seconds=10)
"""How long a pod may take to be created, and to start, before Events are listed."""
UNSEEN_PATIENCE = timedelta(seconds=60)
"""The same while the Job controller does not seem to have begun with the Job: it may have much to do."""


def wants_refusals(job: JobSnapshot, pods: Sequence[PodSnapshot], now: datetime) -> bool:
    """Whether the Job controller should have created a pod but none is live."""
    podless = not job.finished and not job.suspend and all(pod.ended for pod in pods)
    return podless and now > job.created + (PATIENCE if job.is_seen else UNSEEN_PATIENCE)


def may_be_ended_early(status: LongTaskStatus, pod: PodSnapshot) -> bool:
    """Whether Events may show that kubelet ended work that exited with code 0."""
    return not pod.gone and seems_done(status, pod) and failure_reasons.may_be_ended_by_kubelet(pod)


def pod_to_ask_about(
    job: JobSnapshot, pods: Sequence[PodSnapshot], status: LongTaskStatus, now: datetime
) -> PodSnapshot | None:
    """The pod to list Events of, if they may explain what its status does not: why it does not start, or what ended its
    work."""
    if job.finished:
        pod = decisive_pod(job, pods, status)
        if (
            pod is None
            or is_done(status, pod, complete=job.complete)
            or not failure_reasons.may_be_ended_by_kubelet(pod)
        ):
            return None
        return pod
    waiting = newest(pod for pod in pods if not pod.ended and not pod.under_way and pod.node is not None)
    overdue = waiting is not None and now >= waiting.waits_since + PATIENCE
    return waiting if overdue and waiting is not None and failure_reasons.not_starting(waiting) is None else None
