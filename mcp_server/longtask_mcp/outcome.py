"""Reads what a task hands over, its result and its artifacts, page by page."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from longtask_mcp.archive import NOT_CONNECTED
from longtask_mcp.call import Call
from longtask_mcp.contract import paging, results
from longtask_mcp.contract.answers import Answer
from longtask_mcp.contract.artifacts import PAGE_BYTES, ArtifactPage
from longtask_mcp.contract.errors import ArtifactUnavailable, ArtifactUnreadable, BadArguments, Problem
from longtask_mcp.task_api import Absent, TaskApi, Unavailable
from longtask_mcp.task_finder import Found
from longtask_runtime import clock


class Unread(Exception):
    """Content that is stored outside the task cannot be fetched now; it is not lost."""

    def __init__(self, source: results.Stored, why: str) -> None:
        super().__init__(why)
        self.source = source


@dataclass(frozen=True)
class Content:
    """Bytes of an artifact."""

    data: bytes
    media_type: str | None


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
            uri = ArtifactPage(task.metadata.uid, source.artifact).uri if source.artifact is not None else None
            why = "it is not UTF-8 text" + (f"; read it as the resource {uri}" if uri is not None else "")
            return found.marked(results.unreadable(task, self._now(), source, why))

    async def content(self, call: Call, found: Found, wanted: ArtifactPage) -> Content:
        """The bytes of an artifact, or one page of them. Raises BadArguments, ArtifactUnreadable or
        ArtifactUnavailable.
        """
        source, uid = results.stored(found.task, wanted.name), found.task.metadata.uid
        if source is None or source.is_elsewhere:
            raise ArtifactUnreadable(f"Artifact {wanted.name}: the work left it elsewhere and only named it.")
        if self._task_api is None:
            raise ArtifactUnavailable(f"Artifact {wanted.name} cannot be read now: {NOT_CONNECTED}.")
        first, whose = ((wanted.page or 1) - 1) * PAGE_BYTES, call.caller if found.archived else None
        try:
            piece = await self._task_api.read(uid, wanted.name, first, first + PAGE_BYTES - 1, archived_for=whose)
        except Absent as absent:
            raise ArtifactUnreadable(f"Artifact {wanted.name} cannot be read: {absent}") from absent
        except Unavailable as unavailable:
            raise ArtifactUnavailable(f"Artifact {wanted.name} cannot be read now: {unavailable}") from unavailable
        pages = max(1, -(-piece.size // PAGE_BYTES))
        if wanted.page is None and pages > 1:
            raise ArtifactUnreadable(
                f"Artifact {wanted.name} has {piece.size:,} bytes; {PAGE_BYTES:,} are given at a time. Read it in "
                f"parts, and join them: {replace(wanted, page=1).uri} to {replace(wanted, page=pages).uri}.",
                "artifact_too_large",
            )
        if (wanted.page or 1) > pages:
            raise BadArguments(Problem("page", f"{wanted.page} is out of range; there are {pages}"))
        return Content(piece.content, source.media_type)
