"""Answers a task's question exactly once, even if others answer it concurrently."""

from dataclasses import dataclass
from typing import Any

from longtask_api.longtask import LongTask
from longtask_api.reports import InputRequest
from longtask_mcp.contract import questions
from longtask_mcp.contract.errors import AnswerRefused, KubernetesRefused, Problem
from longtask_mcp.task_client import TaskClient
from longtask_runtime.validation import Validator

ATTEMPTS = 4
"""Writes tried for one answer; a retry is needed only if another client wrote in between."""


@dataclass(frozen=True)
class Given:
    """The task with the answer in it, and the answer as JSON text."""

    task: LongTask
    question_id: str
    text: str


class InputAnswers:
    """Writes answers to questions. Giving the same answer again is idempotent."""

    def __init__(self, tasks: TaskClient, validator: Validator) -> None:
        self._tasks = tasks
        self._validator = validator

    async def answer(self, task: LongTask, question_id: str | None, answer: Any) -> Given | None:
        """Answer a question of exactly this task (by uid), which is read live first; None if the task is gone.

        Raises AnswerRefused or BadArguments, and KubernetesUnavailable, KubernetesRefused or TaskUnreadable.
        """
        texts = [questions.text_of(reading) for reading in questions.readings(answer)]
        tried = 0
        while True:
            current = await self._tasks.current(task)
            if current is None:
                return None
            question = questions.chosen(current, question_id)
            given = current.answer_to(question.id)
            if given is not None and any(questions.same(given, text) for text in texts):
                return Given(current, question.id, given)
            questions.check_open(current, question)
            text = await self._fitting(question, answer)
            try:
                return Given(await self._tasks.respond(current, question.id, text), question.id, text)
            except KubernetesRefused:
                tried += 1
                if tried == ATTEMPTS:
                    raise

    async def _fitting(self, question: InputRequest, answer: Any) -> str:
        """The JSON text of the first reading of an answer that fits the question. Raises AnswerRefused."""
        problems = None
        for reading in questions.readings(answer):
            found = await self._validator.mismatches(questions.schema(question), reading)
            if not found:
                return questions.text_of(reading)
            problems = problems or found
        lines = "".join(f"\n- {problem}" for problem in problems or [])
        raise AnswerRefused(
            f"The answer does not fit question {question.id}; it was not given:{lines}\nIts schema: "
            f"{question.answer_schema or 'any JSON'}",
            questions.ANSWER_INVALID,
            problems=[Problem(each.path or "answer", each.message) for each in problems or []],
        )
