"""Tools that wait: for one task, or for news of several."""

import asyncio
from collections.abc import Callable, Collection
from datetime import datetime
from functools import partial

from longtask_mcp.call import Call
from longtask_mcp.contract import answers, arguments, news
from longtask_mcp.contract.answers import Answer
from longtask_mcp.outcome import OutcomeReader
from longtask_mcp.task_client import TaskClient
from longtask_mcp.task_finder import Found, TaskFinder
from longtask_mcp.wait_task import TaskWaiter
from longtask_runtime import clock


class WaitTools:
    """Answers calls once there is something new, or their time is over."""

    def __init__(
        self,
        tasks: TaskClient,
        finder: TaskFinder,
        outcomes: OutcomeReader,
        waiting: TaskWaiter,
        now: Callable[[], datetime] = clock.now,
    ) -> None:
        self._tasks = tasks
        self._finder = finder
        self._outcomes = outcomes
        self._waiting = waiting
        self._now = now

    async def wait_for_task(self, call: Call) -> Answer:
        """The outcome of a task, or its status once it asks something or the time is over."""
        wanted = arguments.read(arguments.WaitForTask, call.arguments)
        return await self.wait(call, await self._finder.found(call, wanted.task_id), wanted.timeout_seconds)

    async def wait(self, call: Call, found: Found, seconds: float) -> Answer:
        """Wait for a task at most `seconds` after the begin of the call."""
        if found.archived:
            return await self._outcomes.read(call, found)
        left = max(0.0, call.began + seconds - asyncio.get_running_loop().time())
        resumed = call.resumption.resumed is not None
        waited = await self._waiting.until_news(call.key, found.task, left, call.report, resumed)
        if waited.task is None:
            return await self._outcomes.read(call, await self._finder.archived(call, found.task.metadata.uid))
        if waited.interrupted:
            return answers.restarting(answers.status(waited.task, self._now()))
        if waited.task.is_terminal:
            return await self._outcomes.read(call, await self._finder.whole(call, Found(waited.task)))
        return answers.waiting_over(waited.task, self._now())

    async def wait_any(self, call: Call) -> Answer:
        """The news of several tasks, as soon as there are some."""
        wanted = arguments.read(arguments.WaitAny, call.arguments)
        scope = news.Scope.of(call.caller, wanted.task_ids, wanted.all_sessions)
        cursor = news.read_cursor(wanted.cursor, scope, self._now()) if wanted.cursor is not None else None
        until = call.began + wanted.timeout_seconds
        if scope.task_ids is not None:
            seen, interrupted = await self._news_of_chosen(call, scope.task_ids, cursor, until)
        else:
            begun = cursor if cursor is not None else news.first_cursor(self._now())
            seen, interrupted = await self._until_over(
                call, until, lambda: news.seen_of_all(self._tasks.own(call.caller.owner), scope, begun)
            )
        told = news.answer(seen, scope, cursor, self._now())
        return answers.restarting(told) if interrupted else told

    async def _news_of_chosen(
        self, call: Call, task_ids: Collection[str], cursor: news.Cursor | None, until: float
    ) -> tuple[news.Seen, bool]:
        """As `_until_over`, of tasks that may be archived, or leave the cluster meanwhile. Raises TaskNotFound."""
        while True:
            found = await asyncio.gather(*(self._finder.find(call, task_id) for task_id in task_ids))
            archived = [item for each in found if each.archived for item in news.items_of(each.task, archived=True)]
            here = [each.task.metadata.uid for each in found if not each.archived]
            see = partial(self._see_chosen, here, archived, cursor)
            seen, interrupted = await self._until_over(call, until, see)
            if interrupted or not seen.is_gone:
                return seen, interrupted

    def _see_chosen(self, here: list[str], archived: list[news.Item], cursor: news.Cursor | None) -> news.Seen:
        return news.seen_of_some([self._tasks.cache.get(uid) for uid in here], archived, cursor)

    async def _until_over(self, call: Call, until: float, see: Callable[[], news.Seen]) -> tuple[news.Seen, bool]:
        """Wait until there is news, or nothing to wait for; and whether this server is stopping instead."""
        left = max(0.0, until - asyncio.get_running_loop().time())
        key, whose = call.key, call.caller.owner
        seen = news.Seen([], [])

        def is_over() -> bool:
            nonlocal seen
            seen = see()
            return seen.is_over

        interrupted = await self._waiting.until_any(key, whose, left, call.report, is_over)
        return seen, interrupted
