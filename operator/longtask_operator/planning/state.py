"""Everything that is known about one task at one moment: the input of `plan`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from longtask_api.longtask import Failure, LongTask
from longtask_api.template import LongTaskTemplate
from longtask_operator.planning.failure_reasons import PodCreateFailure, StartProblem
from longtask_operator.planning.policy import Policy
from longtask_operator.planning.snapshots import JobSnapshot, PodEvent, PodSnapshot, PodUsage


@dataclass(frozen=True, slots=True)
class TaskState:
    """All that is known about one task at one moment."""

    task: LongTask
    now: datetime
    policy: Policy
    attended: datetime | None = None
    """Since when an operator has been there without a break, so that what the work told could be taken and stored."""
    template: LongTaskTemplate | None = None
    crowded: bool = False
    """As many tasks of the requester as may be are at work; looked up only where this one is not."""
    parameters: Mapping[str, Any] | Failure | None = None
    """Complete, or why they are refused; None where the template is not there to say."""
    job: JobSnapshot | None = None
    """None with status.jobRef set: a live read said that the Job is gone."""
    job_refused: StartProblem | None = None
    """Why the API server would not create the Job."""
    job_refused_for_good: bool = False
    pods: tuple[PodSnapshot, ...] = ()
    """Those of the Job; of a task without one, or that has ended, those that a Job has left behind."""
    refusals: tuple[PodCreateFailure, ...] = ()
    """Pods that could not be created; looked up only where no pod lives."""
    events: tuple[PodEvent, ...] | None = None
    """Those of the pod of `lookups.pod_to_ask_about`; None where there is none."""
    log: str | None = None
    """The end of the log of the pod that tells how the Job ended; looked up only then."""
    logs_of_attempts: Mapping[str, str] = field(default_factory=dict)
    """The end of the log of each attempt that has just ended badly, by the uid of its pod."""
    mismatch: str | None = None
    """How the result on the termination message does not fit the template's resultSchema."""
    usage: PodUsage | None = None
    """What the pod uses; looked up only when its work is about to count as stalled."""

    def is_near(self, moment: datetime, within: timedelta) -> bool:
        """Whether the moment is that close to now. It may be of a clock that is minutes ahead: what is waited for until
        some time after it would be waited for as long."""
        return abs(self.now - moment) < within
