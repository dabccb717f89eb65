"""Selects among the pods of a task."""

from collections.abc import Iterable
from datetime import datetime

from longtask_operator.planning.snapshots import JobSnapshot, PodSnapshot


def working_pod(pods: Iterable[PodSnapshot]) -> PodSnapshot | None:
    """The newest pod with running work that is not being deleted; None if there is none."""
    working = [pod for pod in pods if pod.running_since is not None and not pod.ended and pod.deleted is None]
    return max(working, key=_age, default=None)


def newest(pods: Iterable[PodSnapshot]) -> PodSnapshot | None:
    """The pod that was created last; None if there is none."""
    return max(pods, key=_age, default=None)


def _age(pod: PodSnapshot) -> tuple[datetime, str]:
    return pod.created, pod.name


def end_is_seen(job: JobSnapshot, pods: Iterable[PodSnapshot]) -> bool:
    """Whether the pods seen so far show how a finished Job ended; the pod watch may lag behind the Job watch.

    The failed pods are counted, because a retried task has Failed pods long before the decisive one.
    """
    seen = list(pods)
    if job.complete:
        return any(pod.phase == "Succeeded" or (pod.ended and _left_with_0(pod)) for pod in seen)
    counted = sum(pod.phase == "Failed" and pod.disruption is None for pod in seen)
    return all(pod.ended for pod in seen) and counted >= max(1, job.failures)


def _left_with_0(pod: PodSnapshot) -> bool:
    return pod.termination is not None and pod.termination.exit_code == 0
