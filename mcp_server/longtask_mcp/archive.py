"""Records of ended tasks that are no longer in the cluster, read through the operator's task API."""

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
"""Pages requested for one answer if most of their records do not match."""


@dataclass(frozen=True)
class Listed:
    """Records, newest first; `cursor` continues if there may be more; `problem` is why no more could be read now.

    `notes` say what is on no page, because there is too much.
    """

    tasks: list[LongTask]
    cursor: str | None = None
    problem: str | None = None
    notes: list[str] = field(default_factory=list)


class Archive:
    """Runs one request at a time for each owner, so that guessed ids do not load the archive."""

    def __init__(self, task_api: TaskApi | None) -> None:
        self._task_api = task_api
        self._turns: WeakValueDictionary[Owner, asyncio.Lock] = WeakValueDictionary()

    async def find(self, caller: Caller, uid: str) -> LongTask | None:
        """The caller's task with that uid; None if there is none, or it belongs to another owner.

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
        """At most `limit` of the caller's records that match `fits`, from `cursor` on; an empty one is the beginning.

        Raises BadArguments for an invalid cursor.
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
    """The task without its memory, unless the record says that delivery succeeded: any other state may be stale."""
    if is_true(task.status.conditions, ConditionType.DELIVERED):
        return task
    return task.model_copy(update={"spec": task.spec.model_copy(update={"memory": None})})
