"""Finds the task that a call is about: among the caller's tasks in the cluster, else in the archive."""

from dataclasses import dataclass

from longtask_api.longtask import LongTask
from longtask_mcp.archive import Archive
from longtask_mcp.call import Call
from longtask_mcp.contract import answers
from longtask_mcp.contract.answers import Answer
from longtask_mcp.contract.callers import owner
from longtask_mcp.contract.errors import TaskNotFound
from longtask_mcp.task_client import UID, TaskClient


@dataclass(frozen=True)
class Found:
    """A task of the caller; `archived`: its object is gone, and this is its record."""

    task: LongTask
    archived: bool = False

    def marked(self, answer: Answer) -> Answer:
        """The answer about this task, marked as archived if the task is."""
        return answers.archived(answer) if self.archived else answer


class TaskFinder:
    """Finds a caller's tasks by their ids."""

    def __init__(self, tasks: TaskClient, archive: Archive) -> None:
        self._tasks = tasks
        self._archive = archive

    async def find(self, call: Call, task_id: str) -> Found:
        """The caller's task, from the cluster or else from the archive. Raises TaskNotFound or ArchiveUnavailable."""
        task = await self._tasks.find(call.caller.owner, task_id)
        return Found(task) if task is not None else await self.archived(call, task_id)

    async def found(self, call: Call, task_id: str) -> Found:
        """As `find`, with its full result and log tail."""
        return await self.whole(call, await self.find(call, task_id))

    async def whole(self, call: Call, found: Found) -> Found:
        """The task with its full result and log tail, which are not cached if they are large."""
        if found.archived:
            return found
        task = await self._tasks.whole(found.task)
        return Found(task) if task is not None else await self.archived(call, found.task.metadata.uid)

    async def live(self, call: Call, task_id: str) -> Found:
        """As `find`, read live, with what is never cached: its parameters."""
        found = await self.find(call, task_id)
        if found.archived:
            return found
        task = await self._tasks.current(found.task)
        return Found(task) if task is not None else await self.archived(call, task_id)

    def rerun(self, call: Call, task_id: str, key: str) -> str | None:
        """The id of the caller's task that a rerun of the earlier task with this key has created; None if there is
        none.
        """
        for each in self._tasks.own(call.caller.owner):
            again = each.spec.rerun_of
            if each.spec.idempotency_key == key and again is not None and again.uid == task_id:
                return each.metadata.uid
        return None

    async def archived(self, call: Call, task_id: str) -> Found:
        """The caller's task from the archive alone. Raises TaskNotFound or ArchiveUnavailable."""
        task = await self._archive.find(call.caller, task_id) if UID.fullmatch(task_id) else None
        if task is None:
            raise self._not_found(call, task_id)
        self._tasks.cache.remove(task_id)
        return Found(task, archived=True)

    def _not_found(self, call: Call, task_id: str) -> TaskNotFound:
        namesake = self._tasks.cache.named(task_id)
        own = namesake if namesake is not None and owner(namesake) == call.caller.owner else None
        return TaskNotFound(answers.not_found(task_id, own))
