"""LongTasks as the tasks of the MCP Tasks extension."""

import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from longtask_api.longtask import Phase
from longtask_api.template import LongTaskTemplate, ProtocolCancel, ToolAnswer, ToolPolicy
from longtask_mcp.answer_task import InputAnswers
from longtask_mcp.cache import Cache
from longtask_mcp.call import Call, in_time
from longtask_mcp.contract import protocol_tasks
from longtask_mcp.contract.answers import Answer, repeated_note
from longtask_mcp.contract.errors import (
    AgentError,
    AnswerRefused,
    ArchiveUnavailable,
    BadArguments,
    KubernetesRefused,
    KubernetesUnavailable,
    Problem,
    TaskUnreadable,
)
from longtask_mcp.contract.questions import ANSWER_INVALID
from longtask_mcp.outcome import Unread
from longtask_mcp.task_client import TaskClient
from longtask_mcp.task_finder import Found
from longtask_mcp.tool_handlers import ToolHandlers
from longtask_runtime import clock

log = logging.getLogger(__name__)


class ProtocolTaskStore:
    """The TaskStore of LongTasks. It holds nothing itself, so every replica gives the same answers."""

    def __init__(
        self,
        calls: ToolHandlers,
        tasks: TaskClient,
        templates: Cache[LongTaskTemplate],
        answering: InputAnswers,
        now: Callable[[], datetime] = clock.now,
    ) -> None:
        self._calls = calls
        self._tasks = tasks
        self._templates = templates
        self._answering = answering
        self._now = now

    async def tool_answer(self, call: Call) -> ToolAnswer | None:
        """The template's setting; None if the call starts nothing or is invalid."""
        try:
            async with in_time(call):
                starting = await self._calls.starts.starting(call)
        except AgentError:
            return None
        return self._policy(starting.template).answer if starting is not None else None

    async def start(self, call: Call, elicits: bool) -> dict[str, Any]:
        """The task that the call starts, or that an equal call started."""
        async with in_time(call):
            starting = await self._calls.starts.starting(call)
            if starting is None:
                raise ValueError(f"{call.tool} starts nothing")
            started = await self._calls.starts.begin(call, starting)
        note = repeated_note(started.task, self._now()) if started.repeated else None
        return protocol_tasks.created_task(started.task, self._now(), elicits, note)

    async def get(self, call: Call, task_id: str, elicits: bool) -> dict[str, Any]:
        """The task; once it has ended, with the answer of get_task_results as its result.

        If that cannot be read now, the task is still `working`: an error would make some clients give up.
        """
        async with in_time(call):
            found = await self._calls.finder.find(call, task_id)
        if not found.task.is_terminal:
            return await self._unfinished(found, elicits)
        try:
            async with in_time(call):
                return await self._ended(call, found)
        except (Unread, KubernetesUnavailable, KubernetesRefused, TaskUnreadable, ArchiveUnavailable) as error:
            return protocol_tasks.unread_task(found.task, self._now(), str(error))

    async def update(self, call: Call, task_id: str, responses: Mapping[str, Any]) -> None:
        """Answer the questions that the responses accept. Declined or cancelled ones stay open: clients without a
        form send that by themselves, and a person or an agent may still answer.
        """
        async with in_time(call):
            found = await self._calls.finder.find(call, task_id)
            task = await self._tasks.current(found.task) if not found.archived else None
            asked = {each.id: each for each in task.status.input_requests} if task is not None else {}
            problems: list[Problem] = []
            for key in (each for each in responses if each in asked):
                try:
                    accepted, answer = protocol_tasks.answer_in(asked[key], responses[key])
                    if accepted:
                        await self._answering.answer(found.task, key, answer)
                    else:
                        log.info("question %s of task %s is not answered, and stays open", key, task_id)
                except BadArguments as bad:
                    problems += bad.problems
                except AnswerRefused as refused:
                    if refused.code == ANSWER_INVALID:
                        problems.append(Problem(f"inputResponses.{key}", str(refused)))
            if problems:
                raise BadArguments(*problems)

    async def cancel(self, call: Call, task_id: str, elicits: bool) -> None:
        """Cancel the task, or let it go on, as its template says."""
        async with in_time(call):
            found = await self._calls.finder.find(call, task_id)
            policy = self._policy(found.task.spec.template_ref.name).protocol_cancel
            if policy is ProtocolCancel.DETACH or (policy is ProtocolCancel.AUTO and not elicits):
                log.info("tasks/cancel of task %s is acknowledged, and the task goes on", task_id)
                return
            await self._calls.changes.cancel(call, found)

    async def _unfinished(self, found: Found, elicits: bool) -> dict[str, Any]:
        notes = await self._calls.staleness.noted(Answer("", {}), unfinished=True)
        return protocol_tasks.unfinished_task(found.task, self._now(), elicits, notes.text)

    async def _ended(self, call: Call, found: Found) -> dict[str, Any]:
        if found.task.status.phase is Phase.CANCELLED:
            return protocol_tasks.ended_task(found.task, self._now(), None, found.archived)
        whole = await self._calls.finder.whole(call, found)
        outcome = await self._calls.outcomes.read_or_raise(call, whole)
        return protocol_tasks.ended_task(whole.task, self._now(), outcome, whole.archived)

    def _policy(self, template: str) -> ToolPolicy:
        """Of a template that is gone nobody knows whether it lets clients cancel."""
        known = self._templates.named(template)
        return known.spec.tool if known is not None else ToolPolicy(protocol_cancel=ProtocolCancel.DETACH)
