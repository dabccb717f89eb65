"""Ending pods, and what keeps them from ending."""

from collections.abc import Iterable
from datetime import datetime

from longtask_operator.planning import failure_reasons
from longtask_operator.planning.actions import Action, DeletePod, StopPod
from longtask_operator.planning.failure_reasons import StartProblem
from longtask_operator.planning.policy import NODE_SILENCE
from longtask_operator.planning.snapshots import PodSnapshot


def stop_pods(pods: Iterable[PodSnapshot]) -> tuple[Action, ...]:
    """End those that nobody has asked to go yet, and keep their log. No kubelet ends a pod without a node."""
    return tuple(
        DeletePod(pod) if pod.node is None else StopPod(pod)
        for pod in pods
        if not pod.ended and pod.deleted is None and (pod.node is None or pod.deadline != 1)
    )


def delete_pods(pods: Iterable[PodSnapshot]) -> tuple[Action, ...]:
    """Remove those that nobody has asked to go yet, whether they have ended or not."""
    return tuple(DeletePod(pod) for pod in pods if not pod.gone and pod.deleted is None)


def silent_node(now: datetime, pods: Iterable[PodSnapshot]) -> StartProblem | None:
    """That a node does not say whether a pod of it has ended, which was asked to go long ago."""
    for pod in pods:
        if not pod.ended and pod.deleted is not None and pod.node is not None and now >= pod.deleted + NODE_SILENCE:
            return failure_reasons.lost_node(pod)
    return None
