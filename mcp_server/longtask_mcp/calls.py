"""What each tool does."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from longtask_api import names
from longtask_api.longtask import LongTask
from longtask_api.template import LongTaskTemplate
from longtask_api.tools import RESERVED_ARGUMENTS
from longtask_mcp.answering import Answering
from longtask_mcp.cache import Cache
from longtask_mcp.contract import answers, arguments, listing, logs, paging, results
from longtask_mcp.contract.answers import Answer
from longtask_mcp.contract.errors import AgentError, TaskNotFound
from longtask_mcp.starting import Starter
from longtask_mcp.task_api import Absent, TaskApi, Unavailable
from longtask_mcp.tasks import Tasks
from longtask_mcp.waiting import Report, Waiting

NOT_CONNECTED = "this server is not connected to the operator's task API"


@dataclass(frozen=True)
class Call:
    """One tool call of a verified caller."""

    principal: str
    tool: str
    arguments: Mapping[str, Any]
    report: Report


class Calls:
    """Answers tool calls. Raises AgentError for everything that the agent should be told as an error."""

    def __init__(
        self,
        tasks: Tasks,
        templates: Cache[LongTaskTemplate],
        starter: Starter,
        answering: Answering,
        waiting: Waiting,
        task_api: TaskApi | None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._tasks = tasks
        self._templates = templates
        self._starter = starter
        self._answering = answering
        self._waiting = waiting
        self._task_api = task_api
        self._now = now
        self._fixed: dict[str, Callable[[Call], Awaitable[Answer]]] = {
            "list_templates": self._list_templates,
            "start_task": self._start_task,
            "check_task_status": self._check_task_status,
            "get_task_results": self._get_task_results,
            "wait_for_task": self._wait_for_task,
            "list_tasks": self._list_tasks,
            "cancel_task": self._cancel_task,
            "get_task_logs": self._get_task_logs,
            "answer_task": self._answer_task,
        }

    def knows(self, tool: str) -> bool:
        """Whether there is such a tool now."""
        return tool in self._fixed or self._template_of(tool) is not None

    async def answer(self, call: Call) -> Answer:
        """The answer to one call."""
        if call.tool in self._fixed:
            return await self._fixed[call.tool](call)
        template = self._template_of(call.tool)
        if template is None:
            raise AgentError(
                f"There is no tool {call.tool[:100]!r} (any more). list_templates shows what can be started now."
            )
        reserved = {key: value for key, value in call.arguments.items() if key in RESERVED_ARGUMENTS}
        parameters = {key: value for key, value in call.arguments.items() if key not in RESERVED_ARGUMENTS}
        wanted = arguments.read(arguments.Reserved, reserved)
        return await self._start(call, template.metadata.name, parameters, wanted)

    async def _list_templates(self, call: Call) -> Answer:
        arguments.read(arguments.Nothing, call.arguments)
        return listing.template_list(self._templates.all())

    async def _start_task(self, call: Call) -> Answer:
        wanted = arguments.read(arguments.StartTask, call.arguments)
        return await self._start(call, wanted.template, wanted.parameters, wanted)

    async def _start(self, call: Call, template: str, parameters: dict[str, Any], wanted: arguments.Reserved) -> Answer:
        started = await self._starter.start(call.principal, template, parameters, wanted.idempotency_key)
        announce = answers.repeated if started.repeated else answers.started
        handle = announce(started.task, started.template.title, self._now())
        if not wanted.wait_seconds:
            return handle
        outcome = await self._wait(call, started.task, wanted.wait_seconds)
        return Answer(f"{handle.text}\n{outcome.text}", outcome.envelope)

    async def _check_task_status(self, call: Call) -> Answer:
        wanted = arguments.read(arguments.OneTask, call.arguments)
        return answers.status(await self._own(call, wanted.task_id), self._now())

    async def _get_task_results(self, call: Call) -> Answer:
        wanted = arguments.read(arguments.GetResults, call.arguments)
        return await self._results(await self._own(call, wanted.task_id), wanted.page, wanted.artifact)

    async def _wait_for_task(self, call: Call) -> Answer:
        wanted = arguments.read(arguments.WaitForTask, call.arguments)
        return await self._wait(call, await self._own(call, wanted.task_id), wanted.timeout_seconds)

    async def _list_tasks(self, call: Call) -> Answer:
        wanted = arguments.read(arguments.ListTasks, call.arguments)
        return listing.task_list(self._tasks.cache.of(call.principal), wanted, self._now())

    async def _cancel_task(self, call: Call) -> Answer:
        wanted = arguments.read(arguments.OneTask, call.arguments)
        task = await self._own(call, wanted.task_id)
        if task.is_terminal:
            return answers.already_ended(task, self._now())
        cancelled = await self._tasks.cancel(task)
        if cancelled is None:
            raise self._not_found(call, wanted.task_id)
        tell = answers.already_ended if cancelled.is_terminal else answers.cancelling
        return tell(cancelled, self._now())

    async def _get_task_logs(self, call: Call) -> Answer:
        wanted = arguments.read(arguments.GetLogs, call.arguments)
        task = await self._own(call, wanted.task_id)
        if self._task_api is None:
            return logs.kept_log(task, NOT_CONNECTED)
        try:
            return logs.live_log(task, await self._task_api.log(task.metadata.uid, wanted.tail_lines))
        except Unavailable as unavailable:
            return logs.kept_log(task, str(unavailable))

    async def _answer_task(self, call: Call) -> Answer:
        wanted = arguments.read(arguments.AnswerTask, call.arguments)
        task = await self._own(call, wanted.task_id)
        given = await self._answering.answer(task, wanted.question_id, wanted.answer)
        if given is None:
            raise self._not_found(call, wanted.task_id)
        return answers.answered(given.task, given.question_id, given.text, self._now())

    async def _results(self, task: LongTask, number: int = 1, artifact: str | None = None) -> Answer:
        """Part `number` of the result or an artifact; of what is kept outside the task only that part is fetched."""
        source = results.stored(task, artifact)
        if source is None:
            return results.results(task, self._now(), number)
        if source.is_elsewhere:
            return results.unreadable(task, self._now(), source, "the work left it elsewhere and only named it")
        if self._task_api is None:
            return results.unavailable(task, self._now(), source, number, NOT_CONNECTED)
        try:
            piece = await self._task_api.read(task.metadata.uid, source.artifact, *paging.window(number))
            return results.part(task, self._now(), source, paging.page(piece.content, piece.size, number))
        except Absent as absent:
            return results.unreadable(task, self._now(), source, str(absent))
        except Unavailable as unavailable:
            return results.unavailable(task, self._now(), source, number, str(unavailable))
        except UnicodeDecodeError:
            return results.unreadable(task, self._now(), source, "it is not UTF-8 text")

    async def _wait(self, call: Call, task: LongTask, seconds: float) -> Answer:
        waited = await self._waiting.until_news(task, seconds, call.report)
        if waited.task is None:
            raise self._not_found(call, task.metadata.uid)
        if waited.interrupted:
            return answers.restarting(answers.status(waited.task, self._now()))
        if waited.task.is_terminal:
            return await self._results(waited.task)
        return answers.status(waited.task, self._now())

    async def _own(self, call: Call, task_id: str) -> LongTask:
        task = await self._tasks.find(call.principal, task_id)
        if task is None:
            raise self._not_found(call, task_id)
        return task

    def _not_found(self, call: Call, task_id: str) -> TaskNotFound:
        own = self._tasks.cache.of(call.principal)
        return TaskNotFound(answers.not_found(task_id, next((x for x in own if x.metadata.name == task_id), None)))

    def _template_of(self, tool: str) -> LongTaskTemplate | None:
        template = self._templates.named(tool.replace("_", "-"))
        return template if template is not None and names.tool_name(template.metadata.name) == tool else None
