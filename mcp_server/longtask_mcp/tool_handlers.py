"""Answers every tool call: finds its handler, limits its time, and says if the answer may be outdated."""

from collections.abc import Awaitable, Callable
from datetime import datetime

from longtask_api.mcp_names import FIXED_TOOLS
from longtask_api.template import LongTaskTemplate
from longtask_mcp.answer_task import InputAnswers
from longtask_mcp.archive import Archive
from longtask_mcp.cache import Cache
from longtask_mcp.call import Call, call_key, in_time
from longtask_mcp.change_tools import ChangeTools
from longtask_mcp.contract.answers import Answer
from longtask_mcp.contract.artifacts import ArtifactPage
from longtask_mcp.contract.callers import Caller
from longtask_mcp.contract.errors import NotResumed
from longtask_mcp.contract.task_status import UNFINISHED
from longtask_mcp.leading import Leading
from longtask_mcp.outcome import Content, OutcomeReader
from longtask_mcp.read_tools import ReadTools
from longtask_mcp.staleness import Staleness
from longtask_mcp.start_task import TaskStarter
from longtask_mcp.start_tools import StartTools
from longtask_mcp.task_api import TaskApi
from longtask_mcp.task_client import TaskClient
from longtask_mcp.task_finder import TaskFinder
from longtask_mcp.wait_task import TaskWaiter
from longtask_mcp.wait_tools import WaitTools
from longtask_runtime import clock

OF_MANY = frozenset({"list_tasks", "resume_brief", "wait_any"})
"""Tools that report on several tasks."""
FROM_THE_CACHE = OF_MANY | {"list_templates"}
"""Tools that list what the cache has, and so imply that there is no more."""


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
        self._waiting = waiting
        archive = Archive(task_api)
        self.finder = TaskFinder(tasks, archive)
        self.outcomes = OutcomeReader(task_api, now)
        self.staleness = Staleness(leading, out_of_date, now)
        self.changes = ChangeTools(tasks, self.finder, answering, now)
        waits = WaitTools(tasks, self.finder, self.outcomes, waiting, now)
        self.starts = StartTools(templates, starter, self.finder, waits, now)
        reads = ReadTools(tasks, templates, archive, self.finder, self.outcomes, task_api, now)
        self._fixed: dict[str, Callable[[Call], Awaitable[Answer]]] = {
            "list_templates": reads.list_templates,
            "check_task_status": reads.check_task_status,
            "get_task_results": reads.get_task_results,
            "wait_for_task": waits.wait_for_task,
            "wait_any": waits.wait_any,
            "list_tasks": reads.list_tasks,
            "resume_brief": reads.resume_brief,
            "cancel_task": self.changes.cancel_task,
            "suspend_task": self.changes.suspend_task,
            "resume_task": self.changes.resume_task,
            "get_task_logs": reads.get_task_logs,
            "answer_task": self.changes.answer_task,
        }

    def give_up(self, caller: Caller, id_: str) -> None:
        """The caller no longer reads the answer to its call with that id, so stop waiting for it."""
        self._waiting.give_up(call_key(caller, id_))

    def knows(self, tool: str) -> bool:
        """Whether such a tool exists now."""
        return tool in FIXED_TOOLS or self.starts.template_of(tool) is not None

    async def answer(self, call: Call) -> Answer:
        """The answer to one call, within 60 seconds of its arrival. Raises AgentError."""
        async with in_time(call):
            answer = await self._answer(call)
        unfinished = answer.envelope.get("status") in UNFINISHED
        if call.tool in OF_MANY:
            unfinished = bool(self._tasks.own(call.caller.owner).unfinished)
        return await self.staleness.noted(answer, unfinished, call.tool in FROM_THE_CACHE)

    async def artifact(self, call: Call, wanted: ArtifactPage) -> Content:
        """The bytes of an artifact of the caller's task, or a page of them. Raises AgentError."""
        async with in_time(call):
            return await self.outcomes.content(call, await self.finder.find(call, wanted.task_id), wanted)

    async def _answer(self, call: Call) -> Answer:
        resumed = call.resumption.resumed
        if resumed is not None and resumed.problem is not None:
            raise NotResumed(resumed.problem)
        if resumed is not None and resumed.begun is not None:
            return await self.starts.wait(call, await self.finder.find(call, resumed.begun.task_id), resumed.begun)
        starting = await self.starts.starting(call)
        return await self._fixed[call.tool](call) if starting is None else await self.starts.start(call, starting)
