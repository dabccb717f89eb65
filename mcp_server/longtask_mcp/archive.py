"""Ended tasks whose objects are gone from the cluster: their records, asked for through the operator's task API."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from weakref import WeakValueDictionary

from longtask_api.conditions import is_true
from longtask_api.longtask import ConditionType, LongTask
from longtask_mcp.contract.callers import Caller, Owner, owner
from longtask_mcp.contract.errors import ArchiveUnavailable
from longtask_mcp.contract.task_list import bad_cursor
from longtask_mcp.task_api import LIST_SECONDS, READ_SECONDS, Absent, Malformed, TaskApi, Unavailable

NOT_CONNECTED = "this server is not connected to the operator's task API"
MAX_PAGES = 5
"""Pages that are asked for to fill one answer, where most of what they have does not fit."""


@dataclass(frozen=True)
class Listed:
    """Records, newest first; where to go on for more, if there may be more; and why they could not be asked for now.

    `notes` say what is on no page.
    """

    tasks: list[LongTask]
    cursor: str | None = None
    problem: str | None = None
    notes: list[str] = field(default_factory=list)


class Archive:
    """Asks for one thing at a time for each caller, so that guessed ids do not load the archive."""

    def __init__(self, task_api: TaskApi | None) -> None:
        self._task_api = task_api
        self._turns: WeakValueDictionary[Owner, asyncio.Lock] = WeakValueDictionary()

    async def find(self, caller: Caller, uid: str) -> LongTask | None:
        """The caller's task of that uid; None when there is none, or when it is somebody else's.

        Raises ArchiveUnavailable.
        """
        if self._task_api is None:
            return None
        try:
            async with self._turn(caller, READ_SECONDS):
                task = await self._task_api.archived(caller, uid)
        except Absent:
            return None
        except Unavailable as unavailable:
            raise ArchiveUnavailable(str(unavailable)) from unavailable
        return _settled(task) if task.metadata.uid == uid and owner(task) == caller.owner else None

    async def listed(self, caller: Caller, fits: Callable[[LongTask], bool], limit: int, cursor: str) -> Listed:
        """At most `limit` of the caller's records that `fits` takes, from `cursor` on; it is empty at the beginning.

        Raises BadArguments for a cursor that is none.
        """
        if self._task_api is None:
            return Listed([], problem=NOT_CONNECTED)
        found: list[LongTask] = []
        notes: list[str] = []
        problem = None
        try:
            async with self._turn(caller, LIST_SECONDS):
                for _ in range(MAX_PAGES):
                    page = await self._task_api.archive_page(caller, limit - len(found), cursor)
                    found += [_settled(task) for task in page.tasks if owner(task) == caller.owner and fits(task)]
                    notes += [note for note in page.notes if note not in notes]
                    if page.cursor is None:
                        return Listed(found, notes=notes)
                    cursor = page.cursor
                    if len(found) >= limit:
                        break
        except Malformed as malformed:
            raise bad_cursor() from malformed
        except Unavailable as unavailable:
            problem = str(unavailable)
        return Listed(found, cursor, problem, notes)

    @asynccontextmanager
    async def _turn(self, caller: Caller, seconds: float) -> AsyncIterator[None]:
        lock = self._turns.setdefault(caller.owner, asyncio.Lock())
        try:
            async with asyncio.timeout(seconds), lock:
                yield
        except TimeoutError as error:
            raise Unavailable(f"it did not answer within {seconds:g} seconds") from error


def _settled(task: LongTask) -> LongTask:
    """The task without a delivery that had not succeeded when the record was made: what it says is out of date."""
    if is_true(task.status.conditions, ConditionType.DELIVERED):
        return task
    return task.model_copy(update={"spec": task.spec.model_copy(update={"memory": None})})
