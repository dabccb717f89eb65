"""Indexes of one caller's tasks, so that no answer scans all of them. Pure."""

from bisect import bisect_left, insort
from collections.abc import Collection, Iterable, Iterator
from datetime import datetime
from typing import TypeVar

from longtask_api.longtask import LongTask
from longtask_mcp.contract.callers import Owner, owner, session
from longtask_mcp.contract.known import digest
from longtask_mcp.contract.task_status import created, ended_at, status_word

K = TypeVar("K")
Position = tuple[datetime, str]
"""A sort key: time and uid."""


def position(task: LongTask) -> Position:
    """The sort key of a task by creation time."""
    return created(task), task.metadata.uid


class InOrder:
    """Positions, sorted from oldest to newest."""

    def __init__(self) -> None:
        self._positions: list[Position] = []

    def __len__(self) -> int:
        return len(self._positions)

    def __reversed__(self) -> Iterator[str]:
        """Uids, newest first."""
        return (uid for _, uid in reversed(self._positions))

    def add(self, place: Position) -> None:
        """Insert `place`, which must not be present."""
        insort(self._positions, place)

    def remove(self, place: Position) -> None:
        """Remove `place`, which must be present."""
        del self._positions[bisect_left(self._positions, place)]

    def page(self, before: Position | None, limit: int) -> tuple[list[str], int]:
        """The newest `limit` uids, those before `before` if it is given, and how many older ones follow."""
        end = len(self) if before is None else bisect_left(self._positions, before)
        begin = max(0, end - limit)
        return [uid for _, uid in reversed(self._positions[begin:end])], begin

    def since(self, moment: datetime) -> list[str]:
        """Uids at or after a time, oldest first."""
        return [uid for _, uid in self._positions[bisect_left(self._positions, (moment, "")) :]]


class OwnTasks:
    """The tasks of one caller. To change a task, remove the old version and add the new one."""

    def __init__(self, tasks: Iterable[LongTask] = ()) -> None:
        self._tasks: dict[str, LongTask] = {}
        self._unfinished: dict[str, LongTask] = {}
        self._starts: dict[tuple[str | None, ...], list[str]] = {}
        self._created: dict[tuple[str | None, str | None], InOrder] = {}
        self._ended: dict[tuple[str | None, bool], InOrder] = {}
        for task in tasks:
            self.add(task)

    def __len__(self) -> int:
        return len(self._tasks)

    def __iter__(self) -> Iterator[LongTask]:
        return iter(self._tasks.values())

    @property
    def unfinished(self) -> Collection[LongTask]:
        """Tasks that have not ended; there are few, because their number is limited."""
        return self._unfinished.values()

    def started_as(self, of_session: str | None, template: str, key: str | None, of_digest: str) -> list[LongTask]:
        """Tasks an equal start may have created: of the same session, template and key; without a key, of the same
        parameters.
        """
        return [self._tasks[uid] for uid in self._starts.get(_start(of_session, template, key, of_digest), [])]

    def page(
        self, template: str | None, status: str | None, before: Position | None, limit: int
    ) -> tuple[list[LongTask], int]:
        """The newest tasks, of a template and a status if given, and how many older ones follow."""
        uids, more = self._created.get((template, status), InOrder()).page(before, limit)
        return [self._tasks[uid] for uid in uids], more

    def ended(self, of_session: str | None = None) -> "Ended":
        """Ended tasks, of one session if given."""
        return Ended(self._ended.get((of_session, of_session is None), InOrder()), self._tasks)

    def add(self, task: LongTask) -> None:
        """Add a task that is not present."""
        uid = task.metadata.uid
        self._tasks[uid] = task
        self._starts.setdefault(_start_of(task), []).append(uid)
        for key in _filters(task):
            self._created.setdefault(key, InOrder()).add(position(task))
        if not task.is_terminal:
            self._unfinished[uid] = task
            return
        for group in _sessions(task):
            self._ended.setdefault(group, InOrder()).add(_end(task))

    def remove(self, task: LongTask) -> None:
        """Remove a task, passed in the version that was added."""
        uid = task.metadata.uid
        del self._tasks[uid]
        self._unfinished.pop(uid, None)
        starts = self._starts[_start_of(task)]
        starts.remove(uid)
        if not starts:
            del self._starts[_start_of(task)]
        for key in _filters(task):
            _take(self._created, key, position(task))
        if task.is_terminal:
            for group in _sessions(task):
                _take(self._ended, group, _end(task))


class Ended(Collection[LongTask]):
    """Ended tasks; the most recent end comes first."""

    def __init__(self, order: InOrder, tasks: dict[str, LongTask]) -> None:
        self._order = order
        self._tasks = tasks

    def __len__(self) -> int:
        return len(self._order)

    def __iter__(self) -> Iterator[LongTask]:
        return (self._tasks[uid] for uid in reversed(self._order))

    def __contains__(self, task: object) -> bool:
        return any(each is task for each in self)

    def since(self, moment: datetime) -> list[LongTask]:
        """Those that ended at or after a time, oldest first."""
        return [self._tasks[uid] for uid in self._order.since(moment)]


class Owners:
    """The tasks of all callers, except those that were taken back: they count as never created."""

    def __init__(self) -> None:
        self._own: dict[Owner | None, OwnTasks] = {}

    def of(self, whose: Owner) -> OwnTasks:
        """The tasks of one owner."""
        return self._own.get(whose) or OwnTasks()

    def add(self, task: LongTask) -> None:
        """Add a task that is not present."""
        if not task.is_taken_back:
            self._own.setdefault(owner(task), OwnTasks()).add(task)

    def remove(self, task: LongTask) -> None:
        """Remove a task, passed in the version that was added."""
        if task.is_taken_back:
            return
        own = self._own[owner(task)]
        own.remove(task)
        if not own:
            del self._own[owner(task)]


def _start_of(task: LongTask) -> tuple[str | None, ...]:
    return _start(session(task), task.spec.template_ref.name, task.spec.idempotency_key, digest(task))


def _start(of_session: str | None, template: str, key: str | None, of_digest: str) -> tuple[str | None, ...]:
    return of_session, template, key, of_digest if key is None else None


def _filters(task: LongTask) -> Iterator[tuple[str | None, str | None]]:
    for template in (None, task.spec.template_ref.name):
        for status in (None, status_word(task)):
            yield template, status


def _sessions(task: LongTask) -> Iterator[tuple[str | None, bool]]:
    """Keys of OwnTasks._ended: all tasks, and those of the task's session (None without one)."""
    yield None, True
    yield session(task), False


def _end(task: LongTask) -> Position:
    return ended_at(task), task.metadata.uid


def _take(orders: dict[K, InOrder], key: K, place: Position) -> None:
    orders[key].remove(place)
    if not orders[key]:
        del orders[key]
