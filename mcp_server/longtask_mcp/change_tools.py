"""Tools that change a task: cancel, suspend, resume, answer."""

from collections.abc import Callable
from datetime import datetime

from longtask_mcp.answer_task import InputAnswers
from longtask_mcp.call import Call
from longtask_mcp.contract import answers, arguments, questions
from longtask_mcp.contract.answers import Answer
from longtask_mcp.task_client import TaskClient
from longtask_mcp.task_finder import Found, TaskFinder
from longtask_runtime import clock


class ChangeTools:
    """Answers calls that change a task that was started before."""

    def __init__(
        self,
        tasks: TaskClient,
        finder: TaskFinder,
        answering: InputAnswers,
        now: Callable[[], datetime] = clock.now,
    ) -> None:
        self._tasks = tasks
        self._finder = finder
        self._answering = answering
        self._now = now

    async def cancel_task(self, call: Call) -> Answer:
        """Request the cancellation of a task."""
        wanted = arguments.read(arguments.OneTask, call.arguments)
        found = await self.cancel(call, await self._finder.found(call, wanted.task_id))
        tell = answers.already_ended if found.task.is_terminal else answers.cancelling
        return found.marked(tell(found.task, self._now()))

    async def cancel(self, call: Call, found: Found) -> Found:
        """Request the cancellation of a task that has not ended; the task afterwards."""
        if found.task.is_terminal:
            return found
        cancelled = await self._tasks.cancel(found.task)
        return Found(cancelled) if cancelled is not None else await self._finder.archived(call, found.task.metadata.uid)

    async def suspend_task(self, call: Call) -> Answer:
        """Stop a task until it is resumed."""
        return await self._set_suspend(call, suspend=True)

    async def resume_task(self, call: Call) -> Answer:
        """Let a suspended task go on."""
        return await self._set_suspend(call, suspend=False)

    async def _set_suspend(self, call: Call, *, suspend: bool) -> Answer:
        wanted = arguments.read(arguments.OneTask, call.arguments)
        found = await self._finder.found(call, wanted.task_id)
        if not found.task.is_terminal and (found.task.spec.suspend is suspend or found.task.spec.cancel_requested):
            return answers.unchanged(found.task, self._now(), suspend)
        if not found.task.is_terminal:
            changed = await self._tasks.suspend(found.task, suspend)
            found = Found(changed) if changed is not None else await self._finder.archived(call, wanted.task_id)
        if found.task.is_terminal:
            return found.marked(answers.already_ended(found.task, self._now(), "suspend" if suspend else "resume"))
        return (answers.suspending if suspend else answers.resuming)(found.task, self._now())

    async def answer_task(self, call: Call) -> Answer:
        """Answer a question of a task."""
        wanted = arguments.read(arguments.AnswerTask, call.arguments)
        found = await self._finder.found(call, wanted.task_id)
        if not found.archived:
            given = await self._answering.answer(found.task, wanted.question_id, wanted.answer)
            if given is not None:
                return answers.answered(given.task, given.question_id, given.text, self._now())
            found = await self._finder.archived(call, wanted.task_id)
        raise questions.too_late(found.task)
