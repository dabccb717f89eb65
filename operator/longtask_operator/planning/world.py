"""What is known about a task, and what can be done for it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from longtask_api.longtask import Failure, LongTask, LongTaskStatus
from longtask_api.template import LongTaskTemplate
from longtask_operator.planning.diagnosis import Refusal, Trouble
from longtask_operator.planning.observed import JobView, PodEvent, PodUsage, PodView

TEMPLATE_WAIT = timedelta(seconds=60)
"""How long a task waits for a template that is not there or not Ready: both may be on their way in one apply."""
QUIET = timedelta(seconds=2)
"""For so long after it created a Job, or saw a pod end, the operator waits for what surely follows (the pod starts,
the Job ends) before it writes: that saves two status writes of five."""
NODE_SILENCE = timedelta(seconds=30)
"""How long a pod may be overdue after its grace period before its node counts as lost."""
NEXT_STEP = timedelta(seconds=1)
"""When to go on after a status write that decides something, if no watch tells of it sooner."""
ROOM_AGAIN = timedelta(seconds=30)
"""How often to look whether there is room for a task: there may be any number of those that wait."""
LOOK_AGAIN = timedelta(seconds=10)
"""How often to look for what no watch tells: why the Job controller creates no pod."""


@dataclass(frozen=True, slots=True)
class CreateJob:
    """Start the work."""

    manifest: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SetSuspend:
    """Hold the Job, or let it go on."""

    job: JobView
    suspend: bool


@dataclass(frozen=True, slots=True)
class StopRetries:
    """The attempt that runs is the last one."""

    job: JobView


@dataclass(frozen=True, slots=True)
class StopPod:
    """End the pod so that kubelet keeps its log and message."""

    pod: PodView


@dataclass(frozen=True, slots=True)
class DeleteJob:
    """Remove the Job, its pods first."""

    job: JobView


@dataclass(frozen=True, slots=True)
class DeletePod:
    """Remove a pod that has no Job to go with."""

    pod: PodView


@dataclass(frozen=True, slots=True)
class DeleteTask:
    """Remove the record: its time to live is over."""


Change = SetSuspend | StopRetries | StopPod | DeleteJob | DeletePod | DeleteTask
"""What is done to something that is there."""
Action = CreateJob | Change


@dataclass(frozen=True, slots=True)
class Policy:
    """Settings of the operator that decisions depend on."""

    job_retention: timedelta
    delivery_patience: timedelta = timedelta(days=7)
    """How long after its end a task that is not delivered or archived is kept, whatever its time to live."""
    archives_all: bool = False
    """Whether every record is archived; else only those of tasks with a memory are."""
    report_url: str | None = None
    """Where pods report; None: nowhere."""
    max_active: int = 2000
    """How many tasks of one requester may be at work; more wait."""


@dataclass(frozen=True, slots=True)
class World:
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
    job: JobView | None = None
    """None with status.jobRef set: a live read said that the Job is gone."""
    job_refused: Trouble | None = None
    """Why the API server would not create the Job."""
    job_refused_for_good: bool = False
    pods: tuple[PodView, ...] = ()
    """Those of the Job; of a task without one, or that has ended, those that a Job has left behind."""
    refusals: tuple[Refusal, ...] = ()
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


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do: the actions, then the status if it differs from what is stored, then look again."""

    status: LongTaskStatus
    actions: tuple[Action, ...] = ()
    look_again: datetime | None = None
    defer_status: bool = False
    """The status may wait until `look_again`: more is about to happen."""
