"""The actions that the operator can take for a task, and the plan that lists them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from longtask_api.longtask import LongTask, LongTaskStatus
from longtask_operator.planning.snapshots import JobSnapshot, PodSnapshot


@dataclass(frozen=True, slots=True)
class CreateJob:
    """Create the task's Job."""

    manifest: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class TakeCheckpoint:
    """Copy the checkpoint of an earlier task, from which the first attempt resumes."""

    earlier: LongTask


@dataclass(frozen=True, slots=True)
class SetSuspend:
    """Suspend or resume the Job, and record that LongTask did so."""

    job: JobSnapshot
    suspend: bool


@dataclass(frozen=True, slots=True)
class StopRetries:
    """Set the Job's backoffLimit, so that there is no further attempt once it has failed more often."""

    job: JobSnapshot
    limit: int


@dataclass(frozen=True, slots=True)
class StopPod:
    """Let kubelet end the pod through activeDeadlineSeconds, which keeps its log and termination message."""

    pod: PodSnapshot


@dataclass(frozen=True, slots=True)
class DeleteJob:
    """Delete the Job in the foreground: its pods first."""

    job: JobSnapshot


@dataclass(frozen=True, slots=True)
class DeletePod:
    """Delete a pod that has no Job any more."""

    pod: PodSnapshot


@dataclass(frozen=True, slots=True)
class DeleteTask:
    """Delete the LongTask: its time to live is over."""


Change = SetSuspend | StopRetries | StopPod | DeleteJob | DeletePod | DeleteTask
"""Actions on existing objects."""
Action = CreateJob | TakeCheckpoint | Change


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do: the actions, then a status write if the status has changed, then a requeue for `look_again`."""

    status: LongTaskStatus
    actions: tuple[Action, ...] = ()
    look_again: datetime | None = None
    defer_status: bool = False
    """The status write may wait until `look_again`, because the next change is about to follow."""
