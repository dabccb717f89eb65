"""Reads what a task hands over, its result and its artifacts, page by page."""

from collections.abc import Callable
from datetime import datetime

from longtask_mcp.archive import NOT_CONNECTED
from longtask_mcp.call import Call
from longtask_mcp.contract import paging, results
from longtask_mcp.contract.answers import Answer
from longtask_mcp.task_api import Absent, TaskApi, Unavailable
from longtask_mcp.task_finder import Found
from longtask_runtime import clock


class Unread(Exception):
    """Content that is stored outside the task cannot be fetched now; it is not lost."""

    def __init__(self, source: results.Stored, why: str) -> None:
        super().__init__(why)
        self.source = source


class OutcomeReader:
    """Answers with results and artifacts. Without a task API those stored outside the task are unavailable."""

    def __init__(self, task_api: TaskApi | None, now: Callable[[], datetime] = clock.now) -> None:
        self._task_api = task_api
        self._now = now

    async def read(self, call: Call, found: Found, number: int = 1, artifact: str | None = None) -> Answer:
        """Page `number` of the result or an artifact; of content stored outside the task only that page is fetched."""
        try:
            return await self.read_or_raise(call, found, number, artifact)
        except Unread as unread:
            return found.marked(results.unavailable(found.task, self._now(), unread.source, number, str(unread)))

    async def read_or_raise(self, call: Call, found: Found, number: int = 1, artifact: str | None = None) -> Answer:
        """As `read`. Raises Unread if stored content cannot be fetched now."""
        task = found.task
        source = results.stored(task, artifact)
        if source is None:
            return found.marked(results.results(task, self._now(), number))
        if source.is_elsewhere:
            why = "the work left it elsewhere and only named it"
            return found.marked(results.unreadable(task, self._now(), source, why))
        if self._task_api is None:
            return found.marked(results.unavailable(task, self._now(), source, number, NOT_CONNECTED))
        try:
            window, whose = paging.window(number), call.caller if found.archived else None
            piece = await self._task_api.read(task.metadata.uid, source.artifact, *window, archived_for=whose)
            page = paging.page(piece.content, piece.size, number)
            return found.marked(results.part(task, self._now(), source, page))
        except Absent as absent:
            return found.marked(results.unreadable(task, self._now(), source, str(absent)))
        except Unavailable as unavailable:
            raise Unread(source, str(unavailable)) from unavailable
        except UnicodeDecodeError:
            return found.marked(results.unreadable(task, self._now(), source, "it is not UTF-8 text"))
