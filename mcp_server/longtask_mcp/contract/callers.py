"""Who calls, and whose a task is. Pure."""

from dataclasses import dataclass
from typing import NamedTuple

from longtask_api.longtask import LongTask, Memory


class Owner(NamedTuple):
    """Whose tasks are: a verified identity, and for whom it speaks where it may speak for others."""

    principal: str
    actor_id: str | None = None


@dataclass(frozen=True)
class Caller:
    """A verified caller, the conversation it calls from, and the session that is told of what it starts."""

    principal: str
    actor_id: str | None = None
    session_id: str | None = None
    memory: Memory | None = None

    @property
    def owner(self) -> Owner:
        """Whose tasks this caller sees."""
        return Owner(self.principal, self.actor_id)


def owner(task: LongTask) -> Owner | None:
    """Whose task it is; None for one that was not made for anybody."""
    requester = task.spec.requester
    return Owner(requester.principal, requester.actor_id) if requester is not None else None


def session(task: LongTask) -> str | None:
    """The conversation in which the task was started, where it is known."""
    return task.spec.requester.session_id if task.spec.requester is not None else None
