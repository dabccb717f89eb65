"""What the operator can do for a task, and the plan that says what it does next."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from longtask_api.longtask import LongTaskStatus
from longtask_operator.planning.snapshots import JobSnapshot, PodSnapshot


@dataclass(frozen=True, slots=True)
class CreateJob:
    """Start the work."""

    manifest: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SetSuspend:
    """Hold the Job, or let it go on."""

    job: JobSnapshot
    suspend: bool


@dataclass(frozen=True, slots=True)
class StopRetries:
    """The attempt that runs is the last one."""

    job: JobSnapshot


@dataclass(frozen=True, slots=True)
class StopPod:
    """End the pod so that kubelet keeps its log and message."""

    pod: PodSnapshot


@dataclass(frozen=True, slots=True)
class DeleteJob:
    """Remove the Job, its pods first."""

    job: JobSnapshot


@dataclass(frozen=True, slots=True)
class DeletePod:
    """Remove a pod that has no Job to go with."""

    pod: PodSnapshot


@dataclass(frozen=True, slots=True)
class DeleteTask:
    """Remove the record: its time to live is over."""


Change = SetSuspend | StopRetries | StopPod | DeleteJob | DeletePod | DeleteTask
"""What is done to something that is there."""
Action = CreateJob | Change


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do: the actions, then the status if it differs from what is stored, then look again."""

    status: LongTaskStatus
    actions: tuple[Action, ...] = ()
    look_again: datetime | None = None
    defer_status: bool = False
    """The status may wait until `look_again`: more is about to happen."""
