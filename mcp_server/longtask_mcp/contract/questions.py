"""Questions of a task: which are open, how they are shown, and whether an answer is accepted. Pure."""

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

from longtask_api.base import rfc3339
from longtask_api.durations import duration
from longtask_api.longtask import LongTask
from longtask_api.reports import InputRequest, json_or_text
from longtask_mcp.contract.errors import AnswerRefused, BadArguments, Problem
from longtask_mcp.contract.task_status import is_asking, shortened, status_word

MAX_ANSWER = 4096
"""Characters of the JSON text, the limit of spec.inputResponses[].value."""
ANSWER_INVALID: Final = "answer_invalid"
"""Code of the error for an answer that does not fit its question."""
SHOWN = 500
MAX_TOLD = 10_000
"""Characters of questions in an answer about one task: as many as in a page of a result; one that has more is
alone."""
MAX_LISTED = 3
SHOWN_IN_LISTS = 200
"""Characters of a question in a list."""


def open_questions(task: LongTask) -> list[InputRequest]:
    """Questions that can be answered now, oldest first."""
    return task.unanswered if is_asking(task) else []


def told(task: LongTask) -> tuple[list[InputRequest], int]:
    """The open questions that fit into one answer, and how many more will be shown once these are answered."""
    asked, room = open_questions(task), MAX_TOLD
    for number, question in enumerate(asked):
        room -= len(question.message) + len(question.answer_schema or "") + len(question.default or "")
        if room < 0 and number:
            return asked[:number], len(asked) - number
    return asked, 0


def entries(task: LongTask) -> dict[str, Any]:
    """The open questions as in the envelope."""
    asked, more = told(task)
    return _entries([entry(each) for each in asked], more)


def listed(task: LongTask) -> dict[str, Any]:
    """The open questions as in lists."""
    asked = open_questions(task)
    shown = [{"id": each.id, "message": shortened(each.message, SHOWN_IN_LISTS)} for each in asked[:MAX_LISTED]]
    return _entries(shown, len(asked) - len(shown))


def entry(question: InputRequest) -> dict[str, Any]:
    """An open question with everything that is needed to answer it."""
    optional = {
        "schema": schema(question) or None,
        "expires_at": rfc3339(question.expires_time) if question.expires_time else None,
    }
    told = {key: value for key, value in optional.items() if value is not None}
    default = {"default": json_or_text(question.default)} if question.default is not None else {}
    return {"id": question.id, "message": question.message, **told, **default}


def how_to_answer(task: LongTask, question: InputRequest, now: datetime) -> str:
    """The call that answers, the schema of the answer, and what happens without one. Complete sentences."""
    names = f"task_id={quoted(task.metadata.uid)}, question_id={quoted(question.id)}"
    text = f"Answer with answer_task({names}, answer=...)."
    if schema(question):
        text += f" The answer must fit {question.answer_schema}."
    if question.expires_time is not None:
        soon = duration(question.expires_time - now)
        text += (
            f" Without one, the work goes on with {question.default} in {soon}."
            if question.default is not None
            else f" The work waits for {soon} more."
        )
    return text


def schema(question: InputRequest) -> dict[str, Any]:
    """The JSON Schema of the answer; empty if any answer is valid."""
    decoded = json_or_text(question.answer_schema) if question.answer_schema is not None else {}
    return decoded if isinstance(decoded, dict) else {}


def chosen(task: LongTask, question_id: str | None) -> InputRequest:
    """The question that an answer is for: the one with this id, else the only one that the task has asked so far.

    Once a second question was asked an id is required, open or not: otherwise a call that is retried because its
    response was lost would answer the next question. Raises AnswerRefused.
    """
    asked, waiting = task.status.input_requests, open_questions(task)
    if question_id is None:
        if len(asked) == 1:
            return asked[0]
        if waiting:
            raise AnswerRefused(
                f"question_id: this task has asked {len(asked)} questions, name the one that you answer; nothing was "
                f"answered. {_listed(waiting)}{_given(task)}",
                "question_not_named",
            )
        raise AnswerRefused(
            f"No question of this task is open; its status is {status_word(task)}. check_task_status shows the "
            "questions that it asks.",
            "question_closed",
        )
    named = next((each for each in asked if each.id == question_id), None)
    if named is None:
        raise AnswerRefused(
            f"question_id: this task has not asked {question_id[:100]!r}. {_listed(waiting)}", "question_not_found"
        )
    return named


def check_open(task: LongTask, question: InputRequest) -> None:
    """Raises AnswerRefused, with the reason, if the question can no longer be answered."""
    given = task.answer_to(question.id)
    if given is not None:
        raise AnswerRefused(
            f"Question {question.id} was already answered with {_shown(given)}. The first answer counts; yours was not "
            "given.",
            "question_answered",
        )
    if question.timed_out:
        went_on = f"with the default {question.default}" if question.default is not None else "without an answer"
        raise AnswerRefused(
            f"Question {question.id} timed out: nobody answered in time, and the work went on {went_on}. No answer is "
            "taken any more.",
            "question_closed",
        )
    if task.is_terminal:
        raise too_late(task)
    if task.spec.cancel_requested:
        raise AnswerRefused("The task is being cancelled, so no answer is taken.", "question_closed")


def too_late(task: LongTask) -> AnswerRefused:
    """The error for an answer to a task that has ended."""
    return AnswerRefused(
        f"The task has ended ({status_word(task)}), so no answer is taken. get_task_results shows what came of it.",
        "question_closed",
    )


def readings(answer: Any) -> Iterator[Any]:
    """What an answer may mean, the likelier first: the value itself, and for a string also the JSON that it contains.

    Some clients send an argument as a string if its schema names no type.
    """
    yield answer
    if isinstance(answer, str) and (spelt := json_or_text(answer)) != answer:
        yield spelt


def text_of(answer: Any) -> str:
    """The answer as JSON text, equal for equal answers. Raises BadArguments if it is invalid or over MAX_ANSWER."""
    try:
        text = _written(answer)
    except (ValueError, RecursionError) as error:
        raise BadArguments(
            Problem(
                "answer",
                "cannot be kept as JSON: it holds NaN, an infinity or half a surrogate pair, or is nested too deep",
            )
        ) from error
    if len(text) > MAX_ANSWER:
        raise BadArguments(
            Problem(
                "answer",
                f"has {len(text)} characters as JSON, {MAX_ANSWER} are allowed; nothing was sent. Answer with a "
                "reference to what is larger.",
            )
        )
    return text


def same(given: str, text: str) -> bool:
    """Whether an earlier answer equals `text`."""
    return text_of(json_or_text(given)) == text


def quoted(text: str) -> str:
    """The text as an argument in a call that is shown to an agent."""
    return json.dumps(text, ensure_ascii=False)


def _entries(shown: list[dict[str, Any]], more: int) -> dict[str, Any]:
    return ({"questions": shown} if shown else {}) | ({"more_questions": more} if more else {})


def _written(value: Any) -> str:
    """JSON text. Raises ValueError for NaN, infinities and lone surrogates, and RecursionError."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":"))
    text.encode()
    return text


def _listed(waiting: list[InputRequest]) -> str:
    if not waiting:
        return "No question is open."
    return f"Open: {'; '.join(f'{each.id}: {_shown(each.message)}' for each in waiting)}"


def _given(task: LongTask) -> str:
    """Earlier answers, so that a caller that lost a response sees that its answer was accepted."""
    given = [f"{each.request_id} with {_shown(each.value)}" for each in task.spec.input_responses]
    return f"; answered before: {'; '.join(given)}." if given else ""


def _shown(text: str) -> str:
    return shortened(text, SHOWN)
