"""Ending pods, and what keeps them from ending."""

from collections.abc import Iterable
from datetime import datetime

from longtask_operator.planning import diagnosis
from longtask_operator.planning.diagnosis import Trouble
from longtask_operator.planning.observed import PodView
from longtask_operator.planning.world import NODE_SILENCE, Action, DeletePod, StopPod


def stop_pods(pods: Iterable[PodView]) -> tuple[Action, ...]:
    """End those that nobody has asked to go yet, and keep their log. No kubelet ends a pod without a node."""
    return tuple(
        DeletePod(pod) if pod.node is None else StopPod(pod)
        for pod in pods
        if not pod.ended and pod.deleted is None and (pod.node is None or pod.deadline != 1)
    )


def delete_pods(pods: Iterable[PodView]) -> tuple[Action, ...]:
    """Remove those that nobody has asked to go yet, whether they have ended or not."""
    return tuple(DeletePod(pod) for pod in pods if not pod.gone and pod.deleted is None)


def silent_node(now: datetime, pods: Iterable[PodView]) -> Trouble | None:
    """That a node does not say whether a pod of it has ended, which was asked to go long ago."""
    for pod in pods:
        if not pod.ended and pod.deleted is not None and pod.node is not None and now >= pod.deleted + NODE_SILENCE:
            return diagnosis.lost_node(pod)
    return None
