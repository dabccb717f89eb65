"""Callers of the MCP server, and owners of tasks. Pure."""

from dataclasses import dataclass
from typing import NamedTuple

from longtask_api.longtask import LongTask, Memory


class Owner(NamedTuple):
    """The owner of tasks: a verified principal, and the actor for which it calls, if any."""

    principal: str
    actor_id: str | None = None


@dataclass(frozen=True)
class Caller:
    """A verified caller, its session, and the memory session that receives the results of tasks it starts."""

    principal: str
    actor_id: str | None = None
    session_id: str | None = None
    memory: Memory | None = None

    @property
    def owner(self) -> Owner:
        """The owner of the tasks that this caller sees."""
        return Owner(self.principal, self.actor_id)


def owner(task: LongTask) -> Owner | None:
    """The owner of a task; None for a task without a requester."""
    requester = task.spec.requester
    return Owner(requester.principal, requester.actor_id) if requester is not None else None


def session(task: LongTask) -> str | None:
    """The session in which the task was started; None if unknown."""
    return task.spec.requester.session_id if task.spec.requester is not None else None
