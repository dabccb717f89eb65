"""Tools that read: templates, tasks, results, logs."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from longtask_api.template import LongTaskTemplate
from longtask_mcp.archive import NOT_CONNECTED, Archive
from longtask_mcp.cache import Cache
from longtask_mcp.call import Call
from longtask_mcp.contract import answers, arguments, logs, task_list
from longtask_mcp.contract.answers import Answer
from longtask_mcp.contract.resume_brief import brief
from longtask_mcp.outcome import OutcomeReader
from longtask_mcp.task_api import TaskApi, Unavailable
from longtask_mcp.task_client import TaskClient
from longtask_mcp.task_finder import TaskFinder
from longtask_runtime import clock

NO_PODS = "the task is not in the cluster any more"


class ReadTools:
    """Answers calls that change nothing, at once."""

    def __init__(
        self,
        tasks: TaskClient,
        templates: Cache[LongTaskTemplate],
        archive: Archive,
        finder: TaskFinder,
        outcomes: OutcomeReader,
        task_api: TaskApi | None,
        now: Callable[[], datetime] = clock.now,
    ) -> None:
        self._tasks = tasks
        self._templates = templates
        self._archive = archive
        self._finder = finder
        self._outcomes = outcomes
        self._task_api = task_api
        self._now = now

    async def list_templates(self, call: Call) -> Answer:
        """The kinds of work that can be started."""
        wanted = arguments.read(arguments.ListTemplates, call.arguments)
        return task_list.template_list(self._templates.all(), wanted.cursor)

    async def check_task_status(self, call: Call) -> Answer:
        """The status of a task."""
        wanted = arguments.read(arguments.OneTask, call.arguments)
        found = await self._finder.found(call, wanted.task_id)
        return found.marked(answers.status(found.task, self._now()))

    async def get_task_results(self, call: Call) -> Answer:
        """A page of a task's result, or of an artifact."""
        wanted = arguments.read(arguments.GetResults, call.arguments)
        return await self._outcomes.read(
            call, await self._finder.found(call, wanted.task_id), wanted.page, wanted.artifact
        )

    async def list_tasks(self, call: Call) -> Answer:
        """A page of the caller's tasks."""
        wanted = arguments.read(arguments.ListTasks, call.arguments)
        begin = task_list.archive_cursor(wanted.cursor)
        shown = (
            task_list.in_cluster(self._tasks.own(call.caller.owner), wanted) if begin is None else task_list.Shown([])
        )
        if not shown.more and (begin is not None or wanted.include_archived):
            shown = await self._with_archived(call, shown, wanted, begin or "")
        return task_list.answer(shown, wanted, self._now())

    async def _with_archived(
        self, call: Call, shown: task_list.Shown, wanted: arguments.ListTasks, begin: str
    ) -> task_list.Shown:
        """The page, filled up with archived tasks from `begin` on."""
        room = wanted.limit - len(shown.tasks)
        if not room:
            return replace(shown, cursor=task_list.ARCHIVED)
        listed = await self._archive.listed(
            call.caller,
            lambda task: self._tasks.cache.get(task.metadata.uid) is None and task_list.is_wanted(task, wanted),
            room,
            begin,
        )
        cursor = f"{task_list.ARCHIVED}{listed.cursor}" if listed.cursor is not None else None
        return replace(shown, archived=listed.tasks, cursor=cursor, problem=listed.problem, notes=listed.notes)

    async def resume_brief(self, call: Call) -> Answer:
        """The summary of what was started in this session."""
        wanted = arguments.read(arguments.ResumeBrief, call.arguments)
        tasks = self._tasks.own(call.caller.owner)
        return brief(tasks, call.caller, wanted.all_sessions, self._task_api is not None, self._now())

    async def get_task_logs(self, call: Call) -> Answer:
        """The end of a task's log."""
        wanted = arguments.read(arguments.GetLogs, call.arguments)
        found = await self._finder.found(call, wanted.task_id)
        lines = logs.LogLines.of(wanted, self._now())
        if found.archived or self._task_api is None:
            return found.marked(logs.kept_log(found.task, NO_PODS if found.archived else NOT_CONNECTED, lines))
        try:
            return logs.live_log(found.task, await self._task_api.log(found.task.metadata.uid, lines), lines)
        except Unavailable as unavailable:
            return logs.kept_log(found.task, str(unavailable), lines)
