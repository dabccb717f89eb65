"""Stops and deletes pods, and detects nodes that do not end them."""

from collections.abc import Iterable
from datetime import datetime

from longtask_operator.planning import failure_reasons
from longtask_operator.planning.actions import Action, DeletePod, StopPod
from longtask_operator.planning.failure_reasons import StartProblem
from longtask_operator.planning.policy import NODE_SILENCE
from longtask_operator.planning.snapshots import PodSnapshot


def stop_pods(pods: Iterable[PodSnapshot]) -> tuple[Action, ...]:
    """Stop live pods that are not being stopped or deleted yet, keeping their logs. Pods without a node are deleted."""
    return tuple(
        DeletePod(pod) if pod.node is None else StopPod(pod)
        for pod in pods
        if not pod.ended and pod.deleted is None and (pod.node is None or pod.deadline != 1)
    )


def delete_pods(pods: Iterable[PodSnapshot]) -> tuple[Action, ...]:
    """Delete existing pods, ended or not, that are not being deleted yet."""
    return tuple(DeletePod(pod) for pod in pods if not pod.gone and pod.deleted is None)


def silent_node(now: datetime, pods: Iterable[PodSnapshot]) -> StartProblem | None:
    """The problem if a node does not report the end of a pod NODE_SILENCE after its deletionTimestamp, else None."""
    for pod in pods:
        if not pod.ended and pod.deleted is not None and pod.node is not None and now >= pod.deleted + NODE_SILENCE:
            return failure_reasons.lost_node(pod)
    return None
