"""What the archive and its callers talk about: who asks, what a list finds, and what is read."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from longtask_api.agentcore_ids import actor_of
from longtask_api.longtask import LongTask
from longtask_api.reports import Reference

EPOCH = datetime.fromtimestamp(0, UTC)
Load = Callable[[Reference], Awaitable[bytes | None]]
"""Gives what a reference of the task leads to; None where that is gone."""


class MemoryNotAllowed(Exception):
    """The memory is none that this operator may use."""


@dataclass(frozen=True)
class Caller:
    """Who asks: the verified identity, the actor that it speaks for, and the memory that it uses now."""

    principal: str
    actor_id: str | None = None
    memory_id: str | None = None

    @property
    def actor(self) -> str:
        """The actor under which a memory has the records of its tasks."""
        return self.actor_id or actor_of(self.principal)


@dataclass(frozen=True, order=True)
class Entry:
    """A record as a list finds it, unread: it may be another caller's. Later ones are greater."""

    milliseconds: int
    uid: str

    @classmethod
    def at(cls, moment: datetime, uid: str) -> "Entry":
        """The record of a task that was archived at that moment."""
        return cls((moment - EPOCH) // timedelta(milliseconds=1), uid)

    @classmethod
    def from_cursor(cls, cursor: str) -> "Entry":
        """What `cursor` stands for. Raises ValueError where it is none."""
        milliseconds, _, uid = cursor.partition(".")
        return cls(int(milliseconds), uid)

    @property
    def cursor(self) -> str:
        """The place in a list right after this entry."""
        return f"{self.milliseconds}.{self.uid}"


@dataclass(frozen=True)
class Found:
    """What a place has for a caller; `left_out` says what it did not look at, as it has too many."""

    entries: list[Entry]
    left_out: str | None = None


@dataclass(frozen=True)
class Listing:
    """A page of records; `cursor` leads to the next one, `notes` say what is in no page."""

    tasks: list[LongTask]
    cursor: str | None
    notes: list[str]


@dataclass(frozen=True)
class Body:
    """A result or artifact. `read` gives the bytes from start to before end (None: the last too); it raises NotStored,
    StoreUnavailable or ServiceError at the latest before its last chunk.
    """

    reference: Reference
    media_type: str | None
    read: Callable[[int, int | None], AsyncIterator[bytes]]
