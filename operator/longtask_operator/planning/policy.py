"""Settings and intervals that decisions depend on."""

from dataclasses import dataclass
from datetime import timedelta

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
class Policy:
    """Settings of the operator that decisions depend on."""

    job_retention: timedelta
    delivery_timeout: timedelta = timedelta(days=7)
    """How long after its end a task that is not delivered or archived is kept, whatever its time to live."""
    archives_all: bool = False
    """Whether every record is archived; else only those of tasks with a memory are."""
    report_url: str | None = None
    """Where pods report; None: nowhere."""
    max_active: int = 2000
    """How many tasks of one requester may be at work; more wait."""
