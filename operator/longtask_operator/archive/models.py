"""Types that the archive and its callers share."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from longtask_api.agentcore_ids import actor_of
from longtask_api.longtask import LongTask
from longtask_api.reports import Reference

EPOCH = datetime.fromtimestamp(0, UTC)
Load = Callable[[Reference], Awaitable[bytes | None]]
"""Returns the bytes of a reference of the task; None if they are gone."""


class MemoryNotAllowed(Exception):
    """The memory is not on the list of memories that this operator may use."""


@dataclass(frozen=True)
class Caller:
    """The reader of records: its verified principal, the actor it acts for, and the memory it uses now."""

    principal: str
    actor_id: str | None = None
    memory_id: str | None = None

    @property
    def actor(self) -> str:
        """The actor under which a memory keeps the records of the caller's tasks."""
        return self.actor_id or actor_of(self.principal)


@dataclass(frozen=True, order=True)
class Entry:
    """A listed record that has not been read yet, so it may be another caller's. Later ones compare greater."""

    milliseconds: int
    uid: str

    @classmethod
    def at(cls, moment: datetime, uid: str) -> "Entry":
        """The entry of a task that was archived at this moment."""
        return cls((moment - EPOCH) // timedelta(milliseconds=1), uid)

    @classmethod
    def from_cursor(cls, cursor: str) -> "Entry":
        """The entry that a cursor encodes. Raises ValueError if it is invalid."""
        milliseconds, _, uid = cursor.partition(".")
        return cls(int(milliseconds), uid)

    @property
    def cursor(self) -> str:
        """The cursor of the page that follows this entry."""
        return f"{self.milliseconds}.{self.uid}"


@dataclass(frozen=True)
class Found:
    """A caller's entries in one place; `left_out` says what was not read because there is too much."""

    entries: list[Entry]
    left_out: str | None = None


@dataclass(frozen=True)
class Listing:
    """A page of records; `cursor` leads to the next page, `notes` say what no page contains."""

    tasks: list[LongTask]
    cursor: str | None
    notes: list[str]


@dataclass(frozen=True)
class Body:
    """A result or artifact. `read` yields the bytes from start to before end (None: to the last); it raises NotStored,
    StoreUnavailable or ServiceError at the latest before its last chunk.
    """

    reference: Reference
    media_type: str | None
    read: Callable[[int, int | None], AsyncIterator[bytes]]
