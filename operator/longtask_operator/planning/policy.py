"""Settings and intervals used by planning."""

from dataclasses import dataclass, field
from datetime import timedelta

from longtask_operator.planning.notifications import Sinks

TEMPLATE_WAIT = timedelta(seconds=60)
"""How long a task waits for a template that is missing or not Ready; both may be part of one `kubectl apply`."""
QUIET = timedelta(seconds=2)
"""How long the status write is deferred after a Job was created or a pod has ended, because the next change (the pod
starts, the Job ends) is about to follow; this saves two of five status writes."""
BUSY_QUIET = timedelta(seconds=10)
"""The same while many Jobs are created: their controller takes some 20 to 40 steps a second."""
NODE_SILENCE = timedelta(seconds=30)
"""How long after its grace period a pod may still exist before its node counts as lost."""
NEXT_STEP = timedelta(seconds=1)
"""When to reconcile again after writing a decision, if no watch event arrives sooner."""
ROOM_AGAIN = timedelta(seconds=30)
"""How often to reconcile a task that waits for its requester's limit; any number of tasks may be waiting."""
LOOK_AGAIN = timedelta(seconds=10)
"""How often to look up facts that no watch reports, such as why the Job controller creates no pod."""


@dataclass(frozen=True, slots=True)
class Policy:
    """Operator settings used by planning."""

    job_retention: timedelta
    delivery_timeout: timedelta = timedelta(days=7)
    """How long after its end a task is kept while its delivery, its archiving or a notification is pending, even past
    its time to live."""
    archives_all: bool = False
    """Whether every task that has a requester is archived, or only those with a memory."""
    report_url: str | None = None
    """URL of the task API for pods; None disables reporting."""
    sinks: Sinks = field(default_factory=dict)
    """The configured webhook sinks."""
    max_active: int = 2000
    """Maximum of active tasks per requester; further tasks are queued."""
