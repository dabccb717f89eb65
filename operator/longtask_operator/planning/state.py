"""The input of `plan`: everything known about one task at one moment."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from longtask_api.longtask import Failure, LongTask
from longtask_api.template import LongTaskTemplate
from longtask_operator.planning.failure_reasons import PodCreateFailure, StartProblem
from longtask_operator.planning.policy import BUSY_QUIET, QUIET, Policy
from longtask_operator.planning.snapshots import JobSnapshot, PodEvent, PodSnapshot, PodUsage


@dataclass(frozen=True, slots=True)
class TaskState:
    """Everything known about one task at one moment."""

    task: LongTask
    now: datetime
    policy: Policy
    busy: bool = False
    """Whether many Jobs were created just now, so that their controller and the scheduler take longer."""
    attended: datetime | None = None
    """Since when an operator has been running without a gap, so that reports could be received and stored."""
    template: LongTaskTemplate | None = None
    crowded: bool = False
    """The requester has reached its limit of active tasks; looked up only for a task without a Job."""
    parameters: Mapping[str, Any] | Failure | None = None
    """With defaults filled in, or why they are refused; None if no Ready template exists, or they are not needed."""
    earlier: LongTask | None = None
    """The task whose checkpoint is to be taken over, read live; None if it is gone, or none is to be."""
    checkpoint_problem: StartProblem | None = None
    """Why that checkpoint could not be copied."""
    checkpoint_lost: bool = False
    """Whether it never can be."""
    job: JobSnapshot | None = None
    """If None while status.jobRef is set, a live read confirmed that the Job no longer exists."""
    job_refused: StartProblem | None = None
    """Why the API server refused to create the Job."""
    job_refused_for_good: bool = False
    pods: tuple[PodSnapshot, ...] = ()
    """Pods of the Job; for a task without a Job, its orphaned pods."""
    refusals: tuple[PodCreateFailure, ...] = ()
    """Refused creations of pods; looked up only if no pod is live."""
    events: tuple[PodEvent, ...] | None = None
    """Events of the pod chosen by `lookups.pod_to_ask_about`; None if there is no such pod."""
    log: str | None = None
    """End of the log of the pod that shows how the Job ended; read only then."""
    logs_of_attempts: Mapping[str, str] = field(default_factory=dict)
    """End of the log of each attempt that has just failed, by pod uid."""
    mismatch: str | None = None
    """How the result in the termination message violates the template's resultSchema."""
    usage: PodUsage | None = None
    """Resource usage of the pod; looked up only when its work is about to count as stalled."""

    @property
    def quiet(self) -> timedelta:
        """How long to defer a status write if the Job controller or the scheduler is about to make the next change."""
        return BUSY_QUIET if self.busy else QUIET

    def is_near(self, moment: datetime, within: timedelta) -> bool:
        """Whether the moment is less than `within` before or after now.

        The moment may come from a clock that is minutes ahead; a wait relative to it must not last that long.
        """
        return abs(self.now - moment) < within
