"""Handlers of the tools."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Hashable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Any

from longtask_api import constants
from longtask_api.longtask import LongTask
from longtask_api.mcp_names import RESERVED_ARGUMENTS
from longtask_api.template import LongTaskTemplate
from longtask_mcp.answer_task import InputAnswers
from longtask_mcp.archive import NOT_CONNECTED, Archive
from longtask_mcp.cache import Cache
from longtask_mcp.contract import answers, arguments, logs, news, paging, questions, results, task_list
from longtask_mcp.contract.answers import Answer
from longtask_mcp.contract.callers import Caller, owner
from longtask_mcp.contract.errors import AgentError, KubernetesUnavailable, TaskNotFound, ToolNotFound
from longtask_mcp.contract.resume_brief import brief
from longtask_mcp.contract.task_status import UNFINISHED
from longtask_mcp.leading import Leading
from longtask_mcp.start_task import Started, TaskStarter
from longtask_mcp.task_api import Absent, TaskApi, Unavailable
from longtask_mcp.task_client import UID, TaskClient
from longtask_mcp.wait_task import Report, TaskWaiter
from longtask_runtime import clock

OF_MANY = frozenset({"list_tasks", "resume_brief", "wait_any"})
"""Tools that report on several tasks."""
FROM_THE_CACHE = OF_MANY | {"list_templates"}
"""Tools that list what the cache has, and so imply that there is no more."""
ANSWER_SECONDS = 57.0
"""Deadline of a call in seconds after its arrival, before the read of the Lease: clients time out after 60 seconds. All
steps of the call share it."""
WAIT_SECONDS = ANSWER_SECONDS - 2
"""Deadline in seconds for a start's wait and the reads after it, so that it can still answer with the task."""
START_TASK = "start_task"
NO_PODS = "the task is not in the cluster any more"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Call:
    """One tool call of a verified caller."""

    caller: Caller
    id: str
    """The client's request id; ids start anew in every session."""
    tool: str
    arguments: Mapping[str, Any]
    report: Report
    arrived: float = field(default_factory=lambda: asyncio.get_running_loop().time())
    """Arrival time on the event loop's clock, in seconds."""


@contextlib.asynccontextmanager
async def in_time(call: Call) -> AsyncIterator[None]:
    """Limits the time of a call. Raises KubernetesUnavailable."""
    try:
        async with asyncio.timeout_at(call.arrived + ANSWER_SECONDS):
            yield
    except TimeoutError as error:
        raise KubernetesUnavailable(f"no answer within {ANSWER_SECONDS:g} seconds") from error


class Unread(Exception):
    """Content that is stored outside the task cannot be fetched now; it is not lost."""

    def __init__(self, source: results.Stored, why: str) -> None:
        super().__init__(why)
        self.source = source


@dataclass(frozen=True)
class Starting:
    """A start that was requested."""

    template: str
    parameters: dict[str, Any]
    reserved: arguments.Reserved


@dataclass(frozen=True)
class Found:
    """A task of the caller; `archived`: its object is gone, and this is its record."""

    task: LongTask
    archived: bool = False

    def marked(self, answer: Answer) -> Answer:
        """The answer about this task, marked as archived if the task is."""
        return Answer(answer.text, answer.envelope | {"archived": True}) if self.archived else answer


class ToolHandlers:
    """Answers tool calls. Raises AgentError for every error that the agent should see."""

    def __init__(
        self,
        tasks: TaskClient,
        templates: Cache[LongTaskTemplate],
        starter: TaskStarter,
        answering: InputAnswers,
        waiting: TaskWaiter,
        leading: Leading,
        task_api: TaskApi | None,
        now: Callable[[], datetime] = clock.now,
        out_of_date: Callable[[], str | None] = lambda: None,
    ) -> None:
        """`out_of_date` returns why the cache is stale; None if it is not."""
        self._tasks = tasks
        self._templates = templates
        self._starter = starter
        self._answering = answering
        self._waiting = waiting
        self._leading = leading
        self._task_api = task_api
        self._archive = Archive(task_api)
        self._now = now
        self._out_of_date = out_of_date
        self._fixed: dict[str, Callable[[Call], Awaitable[Answer]]] = {
            "list_templates": self._list_templates,
            "check_task_status": self._check_task_status,
            "get_task_results": self._get_task_results,
            "wait_for_task": self._wait_for_task,
            "wait_any": self._wait_any,
            "list_tasks": self._list_tasks,
            "resume_brief": self._resume_brief,
            "cancel_task": self._cancel_task,
            "suspend_task": partial(self._set_suspend, suspend=True),
            "resume_task": partial(self._set_suspend, suspend=False),
            "get_task_logs": self._get_task_logs,
            "answer_task": self._answer_task,
        }

    def give_up(self, caller: Caller, id_: str) -> None:
        """The caller no longer reads the answer to its call with that id, so stop waiting for it."""
        self._waiting.give_up(_known_by(caller, id_))

    def knows(self, tool: str) -> bool:
        """Whether such a tool exists now."""
        return tool == START_TASK or tool in self._fixed or self._template_of(tool) is not None

    async def answer(self, call: Call) -> Answer:
        """The answer to one call, within 60 seconds of its arrival. Raises AgentError."""
        async with in_time(call):
            answer = await self._answer(call)
        unfinished = answer.envelope.get("status") in UNFINISHED
        if call.tool in OF_MANY:
            unfinished = bool(self._tasks.own(call.caller.owner).unfinished)
        return await self.noted(answer, unfinished, call.tool in FROM_THE_CACHE)

    async def noted(self, answer: Answer, unfinished: bool, from_the_cache: bool = False) -> Answer:
        """Adds to an answer that it may be outdated: one about `unfinished` tasks, or that lists what the cache has."""
        why = self._out_of_date() if unfinished or from_the_cache else None
        if why is not None:
            answer = answers.out_of_date(answer, why)
        away_since = await self._leading.away_since() if unfinished else None
        return answers.led_by_nobody(answer, away_since, self._now()) if away_since is not None else answer

    def starting(self, call: Call) -> Starting | None:
        """What a call would start; None if its tool starts nothing. Raises ToolNotFound or BadArguments."""
        if call.tool == START_TASK:
            wanted = arguments.read(arguments.StartTask, call.arguments)
            return Starting(wanted.template, wanted.parameters, wanted)
        if call.tool in self._fixed:
            return None
        template = self._template_of(call.tool)
        name, key = call.tool.replace("_", "-"), call.arguments.get("idempotency_key")
        if template is None and not (isinstance(key, str) and self._starter.knows(call.caller, name, key)):
            raise ToolNotFound(
                f"There is no tool {call.tool[:100]!r} (any more). list_templates shows what can be started now."
            )
        reserved = {key: value for key, value in call.arguments.items() if key in RESERVED_ARGUMENTS}
        parameters = {key: value for key, value in call.arguments.items() if key not in RESERVED_ARGUMENTS}
        return Starting(name, parameters, arguments.read(arguments.Reserved, reserved))

    async def begin(self, call: Call) -> Started:
        """Start the task of a call whose tool starts one, or find that of an equal start."""
        starting = self.starting(call)
        if starting is None:
            raise ValueError(f"{call.tool} starts nothing")
        return await self._begun(call, starting)

    async def _begun(self, call: Call, starting: Starting) -> Started:
        key = starting.reserved.idempotency_key
        return await self._starter.start(call.caller, starting.template, starting.parameters, key)

    async def _answer(self, call: Call) -> Answer:
        starting = self.starting(call)
        return await self._fixed[call.tool](call) if starting is None else await self._start(call, starting)

    async def _list_templates(self, call: Call) -> Answer:
        arguments.read(arguments.Nothing, call.arguments)
        return task_list.template_list(self._templates.all())

    async def _start(self, call: Call, starting: Starting) -> Answer:
        started = await self._begun(call, starting)
        announce = answers.repeated if started.repeated else answers.started
        handle = announce(started.task, started.title, self._now())
        seconds = starting.reserved.wait_seconds
        if not seconds:
            return handle
        try:
            async with asyncio.timeout_at(call.arrived + WAIT_SECONDS):
                return answers.waited(handle, await self._wait(call, Found(started.task), seconds))
        except TimeoutError:
            return answers.not_waited(handle, "the cluster did not answer in time.")
        except AgentError as error:
            return answers.not_waited(handle, str(error))
        except Exception:
            log.exception("the wait for task %s crashed", started.task.metadata.uid)
            return answers.not_waited(handle, "the server failed inside.")

    async def _check_task_status(self, call: Call) -> Answer:
        wanted = arguments.read(arguments.OneTask, call.arguments)
        found = await self._found(call, wanted)
        return found.marked(answers.status(found.task, self._now()))

    async def _get_task_results(self, call: Call) -> Answer:
        wanted = arguments.read(arguments.GetResults, call.arguments)
        return await self.outcome(call, await self._found(call, wanted), wanted.page, wanted.artifact)

    async def _wait_for_task(self, call: Call) -> Answer:
        wanted = arguments.read(arguments.WaitForTask, call.arguments)
        return await self._wait(call, await self._found(call, wanted), wanted.timeout_seconds)

    async def _wait_any(self, call: Call) -> Answer:
        wanted = arguments.read(arguments.WaitAny, call.arguments)
        scope = news.Scope.of(call.caller, wanted.task_ids, wanted.all_sessions)
        cursor = news.read_cursor(wanted.cursor, scope, self._now()) if wanted.cursor is not None else None
        until = call.arrived + wanted.timeout_seconds
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
            found = await asyncio.gather(*(self.find(call, task_id) for task_id in task_ids))
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
        key, whose = _known_by(call.caller, call.id), call.caller.owner
        seen = news.Seen([], [])

        def is_over() -> bool:
            nonlocal seen
            seen = see()
            return seen.is_over

        interrupted = await self._waiting.until_any(key, whose, left, call.report, is_over)
        return seen, interrupted

    async def _list_tasks(self, call: Call) -> Answer:
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

    async def _resume_brief(self, call: Call) -> Answer:
        wanted = arguments.read(arguments.ResumeBrief, call.arguments)
        tasks = self._tasks.own(call.caller.owner)
        return brief(tasks, call.caller, wanted.all_sessions, self._task_api is not None, self._now())

    async def _cancel_task(self, call: Call) -> Answer:
        wanted = arguments.read(arguments.OneTask, call.arguments)
        found = await self.cancel(call, await self._found(call, wanted))
        tell = answers.already_ended if found.task.is_terminal else answers.cancelling
        return found.marked(tell(found.task, self._now()))

    async def cancel(self, call: Call, found: Found) -> Found:
        """Request the cancellation of a task that has not ended; the task afterwards."""
        if found.task.is_terminal:
            return found
        cancelled = await self._tasks.cancel(found.task)
        return Found(cancelled) if cancelled is not None else await self._archived(call, found.task.metadata.uid)

    async def _set_suspend(self, call: Call, *, suspend: bool) -> Answer:
        wanted = arguments.read(arguments.OneTask, call.arguments)
        found = await self._found(call, wanted)
        if not found.task.is_terminal and (found.task.spec.suspend is suspend or found.task.spec.cancel_requested):
            return answers.unchanged(found.task, self._now(), suspend)
        if not found.task.is_terminal:
            changed = await self._tasks.suspend(found.task, suspend)
            found = Found(changed) if changed is not None else await self._archived(call, wanted.task_id)
        if found.task.is_terminal:
            return found.marked(answers.already_ended(found.task, self._now(), "suspend" if suspend else "resume"))
        return (answers.suspending if suspend else answers.resuming)(found.task, self._now())

    async def _get_task_logs(self, call: Call) -> Answer:
        wanted = arguments.read(arguments.GetLogs, call.arguments)
        found = await self._found(call, wanted)
        if found.archived or self._task_api is None:
            return found.marked(logs.kept_log(found.task, NO_PODS if found.archived else NOT_CONNECTED))
        try:
            return logs.live_log(found.task, await self._task_api.log(found.task.metadata.uid, wanted.tail_lines))
        except Unavailable as unavailable:
            return logs.kept_log(found.task, str(unavailable))

    async def _answer_task(self, call: Call) -> Answer:
        wanted = arguments.read(arguments.AnswerTask, call.arguments)
        found = await self._found(call, wanted)
        if not found.archived:
            given = await self._answering.answer(found.task, wanted.question_id, wanted.answer)
            if given is not None:
                return answers.answered(given.task, given.question_id, given.text, self._now())
            found = await self._archived(call, wanted.task_id)
        raise questions.too_late(found.task)

    async def outcome(self, call: Call, found: Found, number: int = 1, artifact: str | None = None) -> Answer:
        """Page `number` of the result or an artifact; of content stored outside the task only that page is fetched."""
        try:
            return await self.final_outcome(call, found, number, artifact)
        except Unread as unread:
            return found.marked(results.unavailable(found.task, self._now(), unread.source, number, str(unread)))

    async def final_outcome(self, call: Call, found: Found, number: int = 1, artifact: str | None = None) -> Answer:
        """As `outcome`. Raises Unread if stored content cannot be fetched now."""
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

    async def _wait(self, call: Call, found: Found, seconds: float) -> Answer:
        if found.archived:
            return await self.outcome(call, found)
        left = max(0.0, call.arrived + seconds - asyncio.get_running_loop().time())
        waited = await self._waiting.until_news(_known_by(call.caller, call.id), found.task, left, call.report)
        if waited.task is None:
            return await self.outcome(call, await self._archived(call, found.task.metadata.uid))
        if waited.interrupted:
            return answers.restarting(answers.status(waited.task, self._now()))
        if waited.task.is_terminal:
            return await self.outcome(call, await self.whole(call, Found(waited.task)))
        return answers.waiting_over(waited.task, self._now())

    async def find(self, call: Call, task_id: str) -> Found:
        """The caller's task, from the cluster or else from the archive. Raises TaskNotFound or ArchiveUnavailable."""
        task = await self._tasks.find(call.caller.owner, task_id)
        return Found(task) if task is not None else await self._archived(call, task_id)

    async def _found(self, call: Call, wanted: arguments.OneTask) -> Found:
        return await self.whole(call, await self.find(call, wanted.task_id))

    async def whole(self, call: Call, found: Found) -> Found:
        """The task with its full result and log tail, which are not cached if they are large."""
        if found.archived:
            return found
        task = await self._tasks.whole(found.task)
        return Found(task) if task is not None else await self._archived(call, found.task.metadata.uid)

    async def _archived(self, call: Call, task_id: str) -> Found:
        task = await self._archive.find(call.caller, task_id) if UID.fullmatch(task_id) else None
        if task is None:
            raise self._not_found(call, task_id)
        self._tasks.cache.remove(task_id)
        return Found(task, archived=True)

    def _not_found(self, call: Call, task_id: str) -> TaskNotFound:
        namesake = self._tasks.cache.named(task_id)
        own = namesake if namesake is not None and owner(namesake) == call.caller.owner else None
        return TaskNotFound(answers.not_found(task_id, own))

    def _template_of(self, tool: str) -> LongTaskTemplate | None:
        template = self._templates.named(tool.replace("_", "-"))
        return template if template is not None and constants.tool_name(template.metadata.name) == tool else None


def _known_by(caller: Caller, id_: str) -> Hashable:
    """The key of a call: a client that cancels it sends only its id, on another connection."""
    return caller.owner, caller.session_id, id_
